"""What a reader of the explorer sets: times in UTC, and colours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.testnet.pages.visit import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.testnet.pages.served import Served

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


def test_times_go_on_and_a_click_shows_them_in_utc(served: Served, browser: Browser) -> None:
    utc = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/tx/{served.transfer}")
        time, switch = page.locator("dd time[data-time]").first, page.locator("[data-time-switch]")
        expect(time).to_have_text(re.compile(r"\d+\u202f(s|min|h) ago"))
        before = time.inner_text()
        # A minute and more, whatever unit it is told in.
        page.evaluate(
            "(one) => { one.dataset.time = Number(one.dataset.time) - 3700; }", time.element_handle()
        )
        expect(time).to_have_text(re.compile(r"[1-9]\d*\u202f(h|d) ago"))
        assert time.inner_text() != before
        time.click()
        expect(time).to_have_text(utc)
        assert switch.get_attribute("aria-pressed") == "true"
        switch.click()
        expect(time).not_to_have_text(utc)
        page.keyboard.press("Enter")
        expect(time).to_have_text(utc)
        assert visit.complaints == []


def test_the_colours_that_somebody_chooses_stay(served: Served, browser: Browser) -> None:
    background = "() => getComputedStyle(document.body).backgroundColor"
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/blocks")
        light = page.evaluate(background)
        switch = page.locator("[data-theme-switch]")
        switch.click()
        switch.click()
        expect(switch).to_have_attribute("aria-label", "Colours: dark")
        dark = page.evaluate(background)
        page.goto(f"{served.url}/tokens")
        assert page.evaluate(background) == dark != light
        page.locator("[data-theme-switch]").click()
        assert page.evaluate(background) == light
        assert visit.complaints == []
