"""Pages judged by axe-core, the npm package: what of WCAG a program can see."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOURCE = Path(__file__).parent / "axe"
GRAVE = ("serious", "critical")
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }))
  .violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) }))"""


@cache
def axe_source() -> str | None:
    """The program, installed once outside the repository; None where there is no npm, or it does not get it."""
    files = [SOURCE / "package.json", SOURCE / "package-lock.json"]
    if shutil.which("npm") is None:
        return None
    name = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metanode" / "interop"
    folder = cache_folder / f"axe-{name}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            return None
        (folder / "complete").touch()
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def grave_faults(page: Page) -> list[dict[str, Any]]:
    """What axe calls serious or critical on a page as it is now; nothing where there is no axe, which a test of its own says."""
    source = axe_source()
    if source is None:
        return []
    # By the debugger, which the page's policy does not bind.
    page.evaluate(source)
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return [fault for fault in found if fault["impact"] in GRAVE]
