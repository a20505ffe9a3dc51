"""Puts the pinned versions of solc where they are looked for: npm installs them, each checked against its hash, and runs no script of theirs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.services.verification.compilers import default_folder

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK: Final = Path(__file__).parent / "solc"
"""package.json and package-lock.json: which versions, and the hash of each."""
_FILES: Final = ("package.json", "package-lock.json")
_MARK: Final = "installed"
INSTALL_WITHIN_S: Final = 900.0
"""Some 30 MB over a slow line."""


def install_compilers(folder: Path | None = None, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """Install, unless it is done, and return the folder. Blocks for as long as the download takes; nothing half-done is left.

    Raises:
        InvalidInput: when there is no npm.
        Unavailable: when npm fails; its last words are in the message.
    """
    folder = (folder or default_folder()).absolute()
    wanted = hashlib.sha256(b"".join((LOCK / name).read_bytes() for name in _FILES)).hexdigest()
    mark = folder / _MARK
    if mark.exists() and mark.read_text(encoding="utf-8").strip() == wanted:
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise InvalidInput(
            "npm is not on PATH; install Node 20 or newer with npm, which also runs the compilers"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    say("installing the Solidity compilers from npm (some 20 MB)")
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        for name in _FILES:
            shutil.copy(LOCK / name, unfinished)
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(unfinished)])
        (unfinished / _MARK).write_text(f"{wanted}\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm took more than {INSTALL_WITHIN_S:.0f} s; nothing was installed") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error")] or [done.stderr]
        raise Unavailable(f"npm failed, nothing was installed: {' '.join(lines)[:400]}")
