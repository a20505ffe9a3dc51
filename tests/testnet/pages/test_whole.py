"""Explorer, API, faucet and documentation in one process, as `make up` has them: every page is light, and open to keyboards and readers of screens."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from playwright.sync_api import expect
from tests.acceptance.processes import measured, wait_until
from tests.testnet.accessibility import grave_faults
from tests.testnet.pages.served import Served, free_port, served_network
from tests.testnet.pages.test_explorer import NAMED, path_of
from tests.testnet.pages.visit import CUT_OFF, SCREENSHOTS, TOO_WIDE_PX, VIEWS, Visit
from tests.testnet.pages.wallet import SOURCE, deploy_counter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, Response

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
SCRIPT_BYTES_MAX = 90 * 1024
"""Of any page, packed."""
HTML_BYTES_MAX = 60 * 1024
LARGEST_PAINT_S = 1.0
KEY = "0x" + "66" * 32
OTHERS = {
    "verify": "{explorer}/verify?address={counter}",
    "contract-verified": "{explorer}/address/{counter}/contract",
    "write": "{explorer}/address/{counter}/write",
    "write-call": "{explorer}/address/{counter}/write?f={add}&a=7",
    "operator-login": "{explorer}/dashboard/login",
    "docs-home": "{explorer}/docs/",
    "docs-guide": "{explorer}/docs/guide/alerts.html",
    "docs-tutorial": "{explorer}/docs/tutorial/first-contract.html",
    "api-docs": "{api}/docs",
    "api-types": "{api}/docs/types",
    "api-keys": "{api}/keys",
    "faucet": "{faucet}/",
    "faucet-status": "{faucet}/status",
    "faucet-rules": "{faucet}/rules",
}
"""Pages that are not in `NAMED`: of the other services, and what needs a contract whose source is known."""
JUDGED = ("desktop", "phone", "narrow")
ADD = "0x1003e2d2"
"""Selector of `add(uint256)`."""


@dataclass
class Whole:
    """All services over one network."""

    served: Served
    api: str
    faucet: str
    counter: str
    """A contract whose source is verified."""

    def url_of(self, name: str) -> str:
        if name in NAMED:
            return self.served.url + path_of(self.served, name)
        return OTHERS[name].format(
            explorer=self.served.url, api=self.api, faucet=self.faucet, counter=self.counter, add=ADD
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("services")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder / "site")))
    api, faucet = free_port(), free_port()
    more = f'docs_directory = "site"\n[api]\nport = {api}\nanonymous_a_minute = 100000\n[faucet]\nport = {faucet}\n'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAUCET_PRIVATE_KEY", KEY)
        with served_network(folder, more=more) as served:
            counter = deploy_counter(served)
            verify(served, counter)
            yield Whole(served, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{faucet}", counter)


def verify(served: Served, address: str) -> None:
    """Show the source, as a form does."""
    import httpx  # noqa: PLC0415 - here only

    document = {
        "language": "Vyper",
        "sources": {"src/Counter.vy": {"content": SOURCE.read_text()}},
        "settings": {},
    }
    fields = {"address": address, "compiler": "Vyper:0.4.3", "contract": "src/Counter.vy:Counter"}
    sent = httpx.post(
        f"{served.url}/verify", data=fields, files={"document": ("in.json", json.dumps(document))}, timeout=30
    )
    assert sent.status_code == 303, sent.text
    follow = f"{sent.headers['location']}.json"
    wait_until(
        lambda: served.get(follow).json()["match"] is not None,
        within_s=120,
        what=lambda: served.get(follow).text,
    )


def open_page(visit: Visit, url: str) -> list[bytes]:
    """Go to a page; returns its scripts, as they came."""
    answers: list[Response] = []
    visit.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright asks for a function
    answer = visit.page.goto(url, wait_until="load")
    assert answer is not None
    return [one.body() for one in answers if one.request.resource_type == "script" and one.ok]


@pytest.mark.parametrize("name", [*NAMED, *OTHERS])
def test_the_scripts_of_a_page_are_light(whole: Whole, browser: Browser, name: str) -> None:
    with Visit(browser, "desktop") as visit:
        scripts = open_page(visit, whole.url_of(name))
        size = sum(len(gzip.compress(script)) for script in scripts)
        assert size <= SCRIPT_BYTES_MAX
        assert bool(scripts) == (name not in ("api-docs", "api-types", "api-keys")), (
            "what is said of a page is of its scripts"
        )


@pytest.mark.parametrize("name", OTHERS)
def test_a_page_of_any_service_is_open_to_readers_of_screens_and_fits(
    whole: Whole, browser: Browser, name: str
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with Visit(browser, "desktop") as visit:
        page = visit.page
        open_page(visit, whole.url_of(name))
        assert len(page.content().encode()) <= HTML_BYTES_MAX
        for view in VIEWS:
            visit.look_as(view)
            page.screenshot(path=SCREENSHOTS / f"{name}-{view}.png", full_page=True)
            assert page.evaluate(TOO_WIDE_PX) <= 0, view
            if view in JUDGED:
                assert grave_faults(page) == [], view
            if view.startswith("narrow"):
                assert page.evaluate(CUT_OFF) == [], view
        assert visit.complaints == []
        assert {urlsplit(asked).netloc for asked in visit.asked} == {urlsplit(whole.url_of(name)).netloc}


@pytest.mark.parametrize("name", [*NAMED, *OTHERS])
def test_the_largest_part_of_a_page_is_painted_within_a_second(
    whole: Whole, browser: Browser, record_property: Callable[[str, object], None], name: str
) -> None:
    """From this machine; the first look at a page is the one that counts, with nothing of it in the browser."""

    def look() -> float:
        with Visit(browser, "desktop") as visit:
            visit.page.goto(whole.url_of(name), wait_until="load")
            return visit.largest_paint_s()

    measured(f"largest paint of {name}, s", look, limit=LARGEST_PAINT_S, record=record_property)


LOST = """[...document.querySelectorAll(".card, .tile")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== "auto")
  .map((one) => {
    const edge = one.getBoundingClientRect().right;
    const beyond = [...one.querySelectorAll("*")].filter((each) => each.getBoundingClientRect().right > edge + 1);
    return beyond.map((each) => `${each.tagName} ${each.className}: ${each.textContent.slice(0, 40)}`).slice(0, 5);
  })"""
"""What is cut off at the edge of its card, where nobody can scroll to it."""
LONG_NAMES = """() => {
  for (const link of document.querySelectorAll("td .address a")) link.innerHTML = '<span class="name">Treasury and Partners of Great Re</span>';
}"""


@pytest.mark.parametrize(
    "name", ["blocks", "transactions", "pending", "validators", "votes", "block", "dashboard", "contract"]
)
def test_nothing_is_cut_off_at_any_width_also_beside_long_names(
    whole: Whole, browser: Browser, name: str
) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        open_page(visit, whole.url_of(name))
        pause = page.get_by_role("button", name="Pause")
        if pause.count():
            pause.click()
        for names in ("as they are", "long"):
            if names == "long":
                page.evaluate(LONG_NAMES)
            for width in (1280, 1201, 1200, 800, 641, 640, 320):
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate(LOST) == [], f"{width}, names {names}"
                assert page.evaluate(TOO_WIDE_PX) <= 0, f"{width}, names {names}"


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.getAttribute('href') ?? document.activeElement.tagName"))


@pytest.mark.parametrize("name", ["rounds", "validator", "home"])
def test_a_strip_is_one_stop_and_arrows_go_through_it(whole: Whole, browser: Browser, name: str) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        open_page(visit, whole.url_of(name))
        pause = page.get_by_role("button", name="Pause")
        if pause.count():
            pause.click()
        cells = page.locator(".strip a")
        links = cells.evaluate_all("cells => cells.map((cell) => cell.getAttribute('href'))")
        assert len(links) > 3
        assert cells.evaluate_all("cells => cells.filter((cell) => cell.tabIndex === 0).length") == 1
        cells.last.focus()
        for key, at in (
            ("ArrowLeft", -2),
            ("ArrowUp", -3),
            ("ArrowRight", -2),
            ("Home", 0),
            ("ArrowLeft", 0),
            ("ArrowDown", 1),
            ("End", -1),
            ("ArrowRight", -1),
            ("ArrowLeft", -2),
        ):
            page.keyboard.press(key)
            assert focused(page) == links[at], key
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.strip')") is None, "Tab leaves the strip"
        page.keyboard.press("Shift+Tab")
        assert focused(page) == links[-2], "and comes back to where one was"
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{links[-2]}")


SEEN = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  return {
    what: one.getAttribute("href") ?? one.getAttribute("aria-label") ?? one.id ?? one.tagName,
    isSeen: (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2) || boxShadow !== "none",
    isInView: box.bottom > 0 && box.top < innerHeight && box.width > 0,
    order: [...document.querySelectorAll("*")].indexOf(one),
  };
}"""


@pytest.mark.parametrize(
    "name", ["home", "block", "transactions", "validators", "votes", "contract-verified"]
)
def test_a_page_is_walked_by_the_tab_key(whole: Whole, browser: Browser, name: str) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        open_page(visit, whole.url_of(name))
        pause = page.get_by_role("button", name="Pause")
        if pause.count():
            pause.press("Enter")
        page.locator(".skip").focus()
        walked: list[dict[str, Any]] = [page.evaluate(SEEN)]
        for _ in range(400):
            page.keyboard.press("Tab")
            found = page.evaluate(SEEN)
            if found is None or found["order"] == walked[0]["order"]:
                break
            walked.append(found)
        assert [one["order"] for one in walked] == sorted(one["order"] for one in walked), "as it is read"
        assert [one["what"] for one in walked if not (one["isSeen"] and one["isInView"])] == []
        assert len(walked) == len({one["order"] for one in walked})
        assert len(walked) > 20, "to the foot of the page"

        page.goto(page.url)
        page.keyboard.press("Tab")
        assert focused(page) == "#main", "the first stop leads to the content"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_code_and_abi_are_copied_whole(whole: Whole, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        open_page(visit, whole.url_of("contract-verified"))
        twin = whole.served.get(f"/address/{whole.counter}.json").json()
        for summary, label, told in (
            ("ABI", "Copy ABI", twin["contract"]["abi"]),
            ("Code on the chain", "Copy code", twin["live"]["code"]),
        ):
            page.locator("summary", has_text=summary).click()
            if not page.get_by_label(label).is_visible():
                page.locator("summary", has_text=summary).click()
            page.evaluate("navigator.clipboard.writeText('')")
            page.get_by_label(label).click()
            expect(page.locator("#said")).to_have_text("Copied")
            page.wait_for_function(
                "async (told) => (await navigator.clipboard.readText()) === told", arg=told
            )
        for view in ("desktop", "narrow-dark"):
            visit.look_as(view)
            page.screenshot(path=SCREENSHOTS / f"contract-open-{view}.png", full_page=True)
            assert grave_faults(page) == [], view


def test_the_dashboard_of_a_real_network_says_who_uses_it(whole: Whole, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        open_page(visit, whole.served.url + "/dashboard")
        traffic = page.locator("[data-part=traffic]")
        day = traffic.get_by_role("table", name="Use by day").get_by_role("row").nth(1)
        assert int(day.get_by_role("cell").nth(1).inner_text()) >= 6, "transactions"
        assert int(day.get_by_role("cell").nth(2).inner_text()) >= 2, "who sent them"
        methods = traffic.get_by_role("table", name="JSON-RPC calls by method")
        expect(methods).to_contain_text("eth_getBlockByNumber", timeout=30_000)
        connections = traffic.locator("dt:has-text('WebSocket connections') + dd").inner_text()
        assert int(connections) >= 1, "the indexer's own"
