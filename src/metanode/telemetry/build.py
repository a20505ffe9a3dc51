"""Which commit this code is of, for `metanode_build_info`: what the installer noted, else what the checkout says."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path
from typing import Final

UNKNOWN: Final = "unknown"
SHOWN_CHARACTERS: Final = 12
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


def build_commit() -> str:
    """Return the first characters of the commit, or "unknown"; nothing is run for it."""
    checkout = Path(__file__).resolve().parents[3]
    commit = _installed_commit() or checkout_commit(checkout)
    return commit[:SHOWN_CHARACTERS] if commit else UNKNOWN


def checkout_commit(checkout: Path) -> str | None:
    """Return the commit that a git checkout, also a linked worktree, is at."""
    try:
        directory = checkout / ".git"
        if directory.is_file():
            directory = checkout / directory.read_text().removeprefix("gitdir:").strip()
        head = (directory / "HEAD").read_text().strip()
        common = directory
        if (directory / "commondir").is_file():
            common = directory / (directory / "commondir").read_text().strip()
        name = head.removeprefix("ref:").strip()
        if name == head:
            return _commit_in(head)
        for folder in (directory, common):
            if (folder / name).is_file():
                return _commit_in((folder / name).read_text())
        packed = (common / "packed-refs").read_text().splitlines()
        return next((_commit_in(line) for line in packed if line.endswith(f" {name}")), None)
    except (OSError, ValueError):
        return None


def _installed_commit() -> str | None:
    """What the installer wrote down (PEP 610) when it installed from a repository."""
    try:
        noted = importlib.metadata.distribution("metanode").read_text("direct_url.json")
        origin = json.loads(noted) if noted else {}
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    return _commit_in(str(origin.get("vcs_info", {}).get("commit_id", "")))


def _commit_in(text: str) -> str | None:
    found = _COMMIT.search(text)
    return found.group() if found else None
