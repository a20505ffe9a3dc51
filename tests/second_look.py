"""A second look at tests that fail beside others, alone: what passes then says nothing of the code, but leans on the machine's pace.

Its whole file runs again, in the same order, so that a fault of the code or between two tests of the file shows again. A shared machine may
stand still for seconds at that moment too: what fails in the second look gets a third and last one, and what fails then fails the run. What
passes is named: it is to be repaired.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILES_MAX = 8
"""Files of tests that fail: more than two bad moments of a machine explain, of which each meets the files that run then, and than there is time for."""
LOOKS = ("second", "third and last")
TESTS_FAILED = 1
"""Pytest's exit code when tests ran and some failed; the others are not about tests."""
SKIPS_REFUSED = 7
"""That of a run with a skip that nobody allowed, from `conftest.py`, whatever else failed: nothing that passes alone makes up for it."""


@dataclass(frozen=True)
class Look:
    """A run of pytest that has ended."""

    code: int
    cache: Path
    """Where it kept what failed."""

    @property
    def failed(self) -> list[str]:
        """The tests that failed, by their ids."""
        found = self.cache / "v" / "cache" / "lastfailed"
        return sorted(json.loads(found.read_text())) if found.exists() else []


def pytest_command(cache: Path, arguments: Sequence[str]) -> list[str]:
    """What runs pytest with these arguments so that a `Look` can be had of it."""
    return [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={cache}", *arguments]


def look_again(looks: Sequence[Look], options: Sequence[str], cache: Path) -> int:
    """Run the files of what failed in these runs, alone, with the same options; return the exit code of it all."""
    failed = sorted({test for look in looks for test in look.failed})
    files = _files(failed)
    beyond_tests = [look.code for look in looks if look.code not in {0, TESTS_FAILED}]
    if beyond_tests or all(look.code == 0 for look in looks):
        return max(beyond_tests, default=0)
    if not 0 < len(files) <= FILES_MAX:
        return TESTS_FAILED
    for number, name in enumerate(LOOKS):
        print(f"\na {name} look, alone, at {', '.join(files)}", flush=True)
        kept = cache / str(number)
        again = subprocess.run(pytest_command(kept, [*options, *files]), check=False)
        look = Look(again.returncode, kept)
        failed = sorted({*failed, *look.failed})
        if look.code != TESTS_FAILED:
            break
        files = _files(look.failed)
    if look.code == 0:
        print(
            "\nUNSTEADY: these failed beside other tests and passed alone; they lean on the machine's pace:"
        )
        print("\n".join(f"  {test}" for test in failed), flush=True)
    return look.code


def _files(tests: Sequence[str]) -> list[str]:
    return sorted({test.partition("::")[0] for test in tests})
