"""A visit to a page in a real browser, as wide and as dark as a view has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from tests.testnet.pages.served import Served

SCREENSHOTS = Path(__file__).resolve().parents[3] / "build" / "screenshots" / "explorer"
HTML_BYTES_MAX = 60 * 1024
VIEWS = {
    "desktop": (1280, 900, "light"),
    "desktop-dark": (1280, 900, "dark"),
    "phone": (390, 844, "dark"),
    "narrow": (320, 640, "light"),
    "narrow-dark": (320, 640, "dark"),
}
JUDGED = ("desktop", "phone")
"""The views that axe looks at: light on a desk, dark on a telephone."""
CUT_OFF = "[...document.querySelectorAll('table.cards td')].filter((cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent.trim())"
LARGEST_PAINT_MS = """() => new Promise((done) => {
  let found = null;
  const observer = new PerformanceObserver((list) => {
    found = list.getEntries().at(-1).startTime;
    // What the browser has seen by now has come; what is painted later and is larger counts too.
    requestAnimationFrame(() => requestAnimationFrame(() => done(found)));
  });
  observer.observe({ type: "largest-contentful-paint", buffered: true });
})"""
"""When the largest text or picture was on the screen, counted from the start of the navigation. Source: W3C, Largest Contentful Paint."""
TOO_WIDE_PX = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Visit:
    """A page with everything that it did: what it asked for, complained about, and tried."""

    def __init__(self, browser: Browser, view: str, *, scripts: bool = True) -> None:
        width, height, scheme = VIEWS[view]
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts
        )
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on(
            "console",
            lambda message: message.type in ("error", "warning") and self.complaints.append(message.text),
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss())
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def largest_paint_s(self) -> float:
        """Seconds from the start of the navigation until the largest part of the page was painted."""
        return float(self.page.evaluate(LARGEST_PAINT_MS)) / 1000

    def look_as(self, view: str) -> None:
        """Make the window another one, and wait until it is painted."""
        width, height, scheme = VIEWS[view]
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )


def log_in(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/dashboard/login")
    page.get_by_label("Password").fill(served.operator_password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/dashboard/operator")
