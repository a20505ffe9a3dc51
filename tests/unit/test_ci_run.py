"""What `.ci/run` installs on a machine that has nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.everything import ROOT
from tests.skips import FILE

if TYPE_CHECKING:
    from pathlib import Path

SHELL = ("bash", "dirname")
"""What it takes to run the script at all."""
PACKAGES = {
    "chromium", "g++", "gcc", "golang-go", "iproute2", "libc6-dev", "make", "nftables", "nodejs", "npm", "prometheus", "python3-venv", "redis-server", "systemd", "wrk",
}  # fmt: skip
"""PostgreSQL's is not among them: where it is looked for by its directory, no PATH hides it."""


def test_a_machine_without_tools_is_given_the_package_of_each(tmp_path: Path) -> None:
    """Here PATH has none of them, Python can't make environments, and installing ends the run."""
    for name in SHELL:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for name, does in {
        "id": "echo 0",
        "python3": "exit 1",
        "apt-get": '[ "$1" = update ] || { echo "$@"; exit 9; }',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n".replace("/bin/sh", str(shutil.which("sh"))))
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        [tmp_path / "bash", ROOT / ".ci" / "run"],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 9, done.stderr
    assert set(done.stdout.split()) >= PACKAGES


def test_a_run_without_systemd_is_not_refused_for_it(tmp_path: Path) -> None:
    """As where CI is not root and can't install it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/unit/deployment/test_systemd_unit.py"],
        cwd=ROOT,
        # What it skips is not what this run skips.
        env={**os.environ, "CI": "true", "PATH": str(tmp_path), FILE: ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "systemd-analyze is not installed: apt-get install systemd" in done.stdout
    assert done.returncode == 0, done.stdout
