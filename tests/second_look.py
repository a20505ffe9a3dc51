"""Tests on real time, and a second look at those that fail beside others: `python -m tests.second_look ARGUMENTS OF PYTEST`.

Such a test may fail since the other worker's networks had both processors, which says nothing of the code. Its whole file runs again, alone and in
the same order, so that a fault of the code or between two tests of the file shows again; what fails again fails the run. What passes then is named:
it leans on the machine's pace, and is to be repaired.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FILES_MAX = 6
"""Files of tests that fail: more than a machine's bad moment explains, and than there is time for."""
TESTS_FAILED = 1
"""Pytest's exit code when tests ran and some failed; the others are not about tests."""
SKIPS_REFUSED = 7
"""That of a run with a skip that nobody allowed, from `conftest.py`, whatever else failed: nothing that passes alone makes up for it."""


def failed_in(cache: Path) -> list[str]:
    """The tests that failed in the run that kept this cache, by their ids."""
    found = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(found.read_text())) if found.exists() else []


def run(arguments: Sequence[str], *, beside: Sequence[str] = ()) -> int:
    """Run pytest with these arguments, several files at once as `beside` says, and look again at what failed; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="metanode-tests-") as name:
        cache = Path(name)
        pytest = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={cache}"]
        code = subprocess.run([*pytest, *beside, *arguments], check=False).returncode
        failed = failed_in(cache)
        files = sorted({test.partition("::")[0] for test in failed})
        if code != TESTS_FAILED or not 0 < len(files) <= FILES_MAX:
            return code
        print(f"\na second look, alone, at {', '.join(files)}", flush=True)
        options = [argument for argument in arguments if argument.startswith("-")]
        code = subprocess.run([*pytest, *options, *files], check=False).returncode
        if code == 0:
            print(
                "\nUNSTEADY: these failed beside other tests and passed alone; they lean on the machine's pace:"
            )
            print("\n".join(f"  {test}" for test in failed), flush=True)
        return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], beside=("-n", "2", "--dist", "loadfile")))
