"""Pages judged by axe-core, the npm package: what of WCAG a program can see."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.made_once import InstallationError, install_npm_project

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOURCE = Path(__file__).parent / "axe"
GRAVE = ("serious", "critical")
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }))
  .violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) }))"""


@cache
def axe_source() -> str | None:
    """The program, installed once outside the repository; None where there is no npm, or it does not get it."""
    try:
        folder = install_npm_project(SOURCE)
    except InstallationError:
        return None
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
