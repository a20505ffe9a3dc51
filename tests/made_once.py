"""Directories below the user's cache that are made once: whole or not at all, whoever else makes the same at the same time."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

NPM_S: Final = 300
"""A registry that has not given a handful of packages by then does not give them."""


class InstallationError(Exception):
    """npm is absent, or did not install; the text says why."""


def cache_directory() -> Path:
    """Where such directories are, whatever the worktree."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metanode"


def make_once(directory: Path, fill: Callable[[Path], None]) -> None:
    """Make the directory unless it is there: `fill` writes into an unfinished one beside it, which then gets the name."""
    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        fill(unfinished)
        try:
            unfinished.rename(directory)
        except OSError:
            # Somebody else was faster.
            if not directory.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def install_npm_project(source: Path) -> Path:
    """Return the directory with the packages that the lock in `source` names, installed below the cache under the lock's digest.

    Raises InstallationError.
    """
    if shutil.which("npm") is None:
        raise InstallationError("needs node and npm: apt-get install nodejs npm")
    files = [source / "package.json", source / "package-lock.json"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    directory = cache_directory() / "interop" / f"{source.name}-{digest}"

    def fill(unfinished: Path) -> None:
        for file in files:
            shutil.copy(file, unfinished)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=unfinished, capture_output=True, text=True, check=False, timeout=NPM_S
        )
        if done.returncode:
            raise InstallationError(
                f"npm did not install what {source} locks, which it does with: npm ci; it said: {done.stderr[-300:]}"
            )

    make_once(directory, fill)
    return directory
