"""One validator of the dashboard, chosen in a real browser over a real network: by mouse, by keyboard, by a link without scripts; and it stays chosen while blocks come."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect
from tests.acceptance.processes import wait_until
from tests.testnet.accessibility import grave_faults
from tests.testnet.pages.visit import (
    CUT_OFF,
    HTML_BYTES_MAX,
    JUDGED,
    SCREENSHOTS,
    TOO_WIDE_PX,
    VIEWS,
    Visit,
    log_in,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route
    from tests.testnet.pages.served import Served

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

SCRIPT_BYTES_MAX = 90 * 1024
NEWEST = "document.querySelector('[data-part=strip] li:last-child a').pathname"
PARTS = """() => Object.fromEntries([...document.querySelectorAll('[data-part=strip] li')].map((cell) => [cell.firstChild.pathname,
  [['own', 'outside', 'unknown'].find((kind) => cell.classList.contains(kind)) ?? '', cell.firstChild.title.split('; ')[1] ?? '']]))"""
"""By block what the strip says of the validator that is chosen."""
LIVE_MS = 60_000
"""Until a block has come to a page, on a machine with other work."""


def address(served: Served, number: int) -> str:
    return f"0x{served.net.directory.validator_address(f'validator-{number}').hex()}"


def chosen(page: Page) -> list[str]:
    return page.locator("tr.chosen .lead").all_inner_texts()


def asked_by(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def silence(page: Page) -> None:
    """Nothing comes by the stream, but what a test tells the page itself."""
    page.route(
        "**/live?*",
        lambda route: route.fulfill(content_type="text/event-stream", body="retry: 600000\n\n"),
    )


def go_live(page: Page) -> None:
    page.wait_for_function("document.querySelector('[data-live-control]').dataset.state === 'live'")
    page.locator("[data-part=validators].choosable").wait_for()


def wait_for_blocks(page: Page, count: int = 2) -> None:
    """Until so many have come by the stream."""
    for _ in range(count):
        before = page.evaluate(NEWEST)
        page.wait_for_function(f"before => {NEWEST} !== before", arg=before, timeout=LIVE_MS)


def wait_for_another(page: Page, part: str) -> None:
    """Until a part has been replaced."""
    page.evaluate("part => { document.querySelector(`[data-part=${part}] > *`).dataset.old = ''; }", part)
    page.wait_for_function(
        "part => document.querySelector(`[data-part=${part}] > *`)?.dataset.old === undefined",
        arg=part,
        timeout=LIVE_MS,
    )


def shoot(page: Page, name: str, view: str, *, whole: bool = True) -> None:
    """Keep what the page looks like."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{view}.png", full_page=whole)


def test_a_click_into_a_row_narrows_the_page_and_back_widens_it(served: Served, browser: Browser) -> None:
    served.net.wait_for_block(12)
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard?window=900")
        go_live(page)
        page.evaluate("window.isSamePage = true")
        bar = page.locator("[data-part=choice]")
        assert bar.inner_text().strip() == ""
        page.get_by_role("row", name="validator-2").locator("[data-label=Peers]").click()
        expect(bar).to_contain_text("Showing validator-2")
        assert asked_by(page) == {"window": ["900"], "validator": [address(served, 2)]}
        assert chosen(page) == ["validator-2"]
        assert (
            bar.get_by_role("link", name="Its page").get_attribute("href")
            == f"/validator/{address(served, 2)}"
        )
        made = page.locator("[data-part=strip] li.own")
        assert made.count() >= 1
        assert (made.first.locator("a").get_attribute("title") or "").endswith("; proposed by it")
        expect(page.locator("#said")).to_have_text("Showing validator-2")
        permalink = page.get_by_role("link", name="Permalink").get_attribute("href") or ""
        assert re.search(rf"window=900&until=\d+&validator={address(served, 2)}#charts$", permalink)

        page.get_by_role("row", name="validator-3").locator("[data-label=Seals]").click()
        expect(bar).to_contain_text("Showing validator-3")
        assert chosen(page) == ["validator-3"]
        page.go_back()
        expect(bar).to_contain_text("Showing validator-2")
        page.go_back()
        expect(bar).to_be_empty()
        assert chosen(page) == []
        assert page.locator(".narrowed").count() == 0
        page.go_forward()
        expect(bar).to_contain_text("Showing validator-2")
        bar.get_by_role("link", name="Show all").click()
        expect(bar).to_be_empty()
        assert asked_by(page) == {"window": ["900"]}
        assert page.evaluate("window.isSamePage"), "the page was not left"
        assert visit.complaints == []


def test_while_blocks_come_the_choice_stays_and_nobody_asks_for_the_page(
    served: Served, browser: Browser
) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard?validator={address(served, 1)}")
        go_live(page)
        wait_for_blocks(page, 3)
        assert chosen(page) == ["validator-1"]
        assert page.locator("[data-part=choice]").inner_text().startswith("Showing validator-1")
        page.get_by_role("button", name="Pause").click()
        shown = page.evaluate(PARTS)
        assert page.locator("[data-part=strip] .narrowed").count() == 1
        assert "own" in {kind for kind, _ in shown.values()}
        assert sum(urlsplit(url).path == "/dashboard" for url in visit.asked) == 1
        assert sum(urlsplit(url).path == "/live" for url in visit.asked) == 1
        # The module and the server mark alike: each of the blocks that both have.
        page.goto(f"{served.url}/dashboard?validator={address(served, 1)}")
        marked = page.evaluate(PARTS)
        common = shown.keys() & marked.keys()
        assert len(common) >= 10
        assert {block: shown[block] for block in common} == {block: marked[block] for block in common}
        assert visit.complaints == []


def test_by_keyboard_a_name_is_chosen_and_the_table_goes_on(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard")
        go_live(page)
        page.get_by_role("link", name="validator-4", exact=True).focus()
        page.keyboard.press("Enter")
        bar = page.locator("[data-part=choice]")
        expect(bar).to_contain_text("Showing validator-4")
        expect(bar).to_be_focused()
        # A part with the focus inside stands still: it must not be the table, where the choice was made.
        wait_for_another(page, "validators")
        assert chosen(page) == ["validator-4"]
        for _ in range(2):
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Show all"
        page.keyboard.press("Enter")
        expect(bar).to_be_empty()
        expect(page.locator("[data-part=validators]")).to_be_focused()
        assert chosen(page) == []
        assert visit.complaints == []


def test_what_is_paused_stands_still_but_for_the_choice(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard")
        go_live(page)
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("link", name="validator-3", exact=True).click()
        expect(page.locator("[data-part=choice]")).to_contain_text("Showing validator-3")
        expect(page.locator("[data-live-control]")).to_have_attribute("data-state", "paused")
        newest = page.evaluate(NEWEST)
        served.net.wait_for_block(int(newest.rsplit("/", 1)[1]) + 3)
        page.wait_for_timeout(600)
        assert page.evaluate(NEWEST) == newest
        assert visit.complaints == []


def test_without_scripts_the_name_is_a_link_that_does_the_same(served: Served, browser: Browser) -> None:
    with Visit(browser, "narrow", scripts=False) as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard?window=900")
        page.get_by_role("link", name="validator-2", exact=True).click()
        assert asked_by(page) == {"window": ["900"], "validator": [address(served, 2)]}
        assert page.locator("[data-part=choice]").inner_text().startswith("Showing validator-2")
        assert chosen(page) == ["validator-2"]
        assert page.locator("[data-part=strip] li.own").count() >= 1
        page.get_by_role("link", name="6 h").click()
        assert asked_by(page) == {"window": ["21600"], "validator": [address(served, 2)]}
        assert chosen(page) == ["validator-2"]
        page.get_by_role("link", name="Show all").click()
        assert asked_by(page) == {"window": ["21600"]}
        assert chosen(page) == []


@pytest.mark.parametrize("view", ["desktop", "narrow"])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)> is no address of a validator"),
        ("0x" + "c3" * 20, "No validator that the nodes name now has the address 0x" + "c3" * 20),
        ("constructor", "constructor is no address of a validator"),
    ],
)
def test_what_is_no_validator_is_said_as_text_and_leaves_the_page_whole(
    served: Served, browser: Browser, asked: str, said: str, view: str
) -> None:
    with Visit(browser, view) as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard?validator={asked}")
        go_live(page)
        bar = page.locator("[data-part=choice]")
        expect(bar).to_contain_text(said)
        expect(bar).to_contain_text("everything is shown")
        assert page.locator("main img, main script").count() == 0
        wait_for_blocks(page)
        assert chosen(page) == []
        assert page.locator(".narrowed").count() == 0
        assert sum(urlsplit(url).path == "/dashboard" for url in visit.asked) == 1
        assert page.evaluate(TOO_WIDE_PX) <= 0
        assert grave_faults(page) == []
        shoot(page, f"choice-none-{len(asked)}", view)
        bar.get_by_role("link", name="Take it out of the address").click()
        expect(bar).to_be_empty()
        assert visit.complaints == []


def test_a_page_with_a_choice_fits_and_is_small(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        scripts: list[bytes] = []
        page.on("response", lambda answer: answer.url.endswith(".js") and scripts.append(answer.body()))
        page.goto(f"{served.url}/dashboard?window=900&validator={address(served, 1)}")
        go_live(page)
        assert sum(len(gzip.compress(body)) for body in scripts) <= SCRIPT_BYTES_MAX
        assert len(page.content().encode()) <= HTML_BYTES_MAX
        for view in VIEWS:
            if view == "narrow":
                page.reload(wait_until="load")
                go_live(page)
            visit.look_as(view)
            shoot(page, "choice", view)
            assert page.evaluate(TOO_WIDE_PX) <= 0, view
            if view.startswith("narrow"):
                assert page.evaluate(CUT_OFF) == [], view
            if view in JUDGED:
                assert grave_faults(page) == [], view
            # Whoever has scrolled to the charts still reads whose page it is, and nothing covers it.
            page.locator("#events").scroll_into_view_if_needed()
            is_seen = """() => { const box = document.querySelector('[data-part=choice] .note').getBoundingClientRect();
              return document.elementFromPoint(box.left + 40, box.top + box.height / 2)?.closest('[data-part=choice]') !== null
                && document.elementFromPoint(box.left + 40, box.top + 4)?.closest('[data-part=choice]') !== null; }"""
            assert page.evaluate(is_seen), view
            if view == "desktop":
                # The head of a page has one line or two, and the words are below it.
                for width in (1280, 1000):
                    page.set_viewport_size({"width": width, "height": 900})
                    gap = page.evaluate(
                        "document.querySelector('[data-part=choice] .note').getBoundingClientRect().top - document.querySelector('.top').getBoundingClientRect().bottom"
                    )
                    assert 0 <= gap < 4, (width, gap)
                visit.look_as(view)
            shoot(page, "choice-scrolled", view, whole=False)
        assert visit.complaints == []


def test_an_operator_s_charts_and_round_trips_are_those_of_the_validator(
    served: Served, browser: Browser
) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        log_in(served, page)
        numbers = f"{served.url}/dashboard/operator/history.json?window=900"
        of_nodes = ("cpu_percent", "loop_lag_p99_ms", "disk_free_gb", "round_trip_ms")

        def are_drawn() -> bool:
            drawn = [line["chart"] for line in page.request.get(numbers).json()["lines"]]
            return {chart: drawn.count(chart) for chart in of_nodes} == dict.fromkeys(of_nodes, 4)

        wait_until(are_drawn, what="each node has a line in all charts", within_s=90)
        page.goto(f"{served.url}/dashboard/operator?window=900")
        go_live(page)
        page.wait_for_function("() => document.querySelectorAll('.uplot').length === 14")
        lines = "(chart) => [...document.querySelectorAll(`[data-chart=${chart}] .u-label`)].map((label) => label.textContent.replace(':', '')).slice(1)"
        for chart in of_nodes:
            assert len(page.evaluate(lines, chart)) == 4
        methods = page.evaluate(lines, "rpc_p95_ms")
        page.get_by_role("row", name="validator-2").first.locator("[data-label=Version]").click()
        for chart in of_nodes:
            page.wait_for_function(
                f"(chart) => String(({lines})(chart)) === 'validator-2'", arg=chart, timeout=LIVE_MS
            )
        assert set(methods) <= set(page.evaluate(lines, "rpc_p95_ms")), "lines of methods are of all nodes"

        table = page.get_by_role("table", name="Round trips in milliseconds")

        def crossed() -> list[list[int]]:
            return table.evaluate(
                "(table) => [...table.rows].slice(1).map((row) => [...row.cells].slice(1).map((cell) => Number(cell.classList.contains('own'))))"
            )

        cross = [[0, 1, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]]
        # A node that the monitor could not ask just now is not in the table.
        wait_until(
            lambda: crossed() == cross, what="the row and the column of the validator stand out", within_s=30
        )
        wait_for_blocks(page)
        wait_until(lambda: crossed() == cross, what="they do after further blocks", within_s=30)
        assert chosen(page) == ["validator-2"]
        for view in VIEWS:
            if view == "narrow":
                page.reload(wait_until="load")
                page.wait_for_function("() => document.querySelectorAll('.uplot').length === 14")
            visit.look_as(view)
            shoot(page, "choice-operator", view)
            assert page.evaluate(TOO_WIDE_PX) <= 0, view
            assert grave_faults(page) == [], view
        visit.look_as("desktop")
        page.get_by_role("link", name="Show all").click()
        for chart in of_nodes:
            page.wait_for_function(f"(chart) => ({lines})(chart).length === 4", arg=chart, timeout=LIVE_MS)
        assert visit.complaints == []


TELL_ROW = """who => {
  const row = `<tr><td class="lead"><a href="?validator=0x${"11".repeat(20)}#validators">another</a></td></tr>`;
  const parts = { validators: `<table class="cards measured"><tbody>${row}</tbody></table>` };
  new BroadcastChannel("metanode-live").postMessage({ kind: "event", topic: "dashboard", data: { newest: 0, in_blocks: { [who]: "" }, parts } });
}"""


def test_a_chosen_validator_keeps_its_row_where_the_table_has_no_room_for_it(
    served: Served, browser: Browser
) -> None:
    """The stream's table is the same for all, and of many validators has those that somebody has to look at."""
    with Visit(browser, "desktop") as visit:
        page = visit.page
        silence(page)
        who = address(served, 2)
        page.goto(f"{served.url}/dashboard?window=900&validator={who}")
        page.locator("[data-part=validators].choosable").wait_for()
        for told in (1, 2):
            with page.expect_response(f"**/dashboard/row?validator={who}"):
                page.evaluate(TELL_ROW, who)
            expect(page.locator("[data-part=validators] .lead")).to_have_text(["validator-2", "another"])
            assert chosen(page) == ["validator-2"]
            link = page.get_by_role("link", name="validator-2", exact=True)
            expect(link).to_have_attribute("href", re.compile(rf"\?window=900&validator={who}"))
            assert sum(urlsplit(url).path == "/dashboard/row" for url in visit.asked) == told
        assert sum(urlsplit(url).path == "/dashboard" for url in visit.asked) == 1
        page.locator("[data-part=choice]").get_by_role("link", name="Show all").click()
        expect(page.locator("[data-part=validators] .lead")).to_have_count(4)
        assert chosen(page) == []
        assert visit.complaints == []


def test_the_row_of_the_one_before_and_late_answers_are_not_shown_as_the_chosen_one(
    served: Served, browser: Browser
) -> None:
    """Between the click and the page that it asks for a block comes; and of two questions for the row the second is answered first."""
    with Visit(browser, "desktop") as visit:
        page = visit.page
        silence(page)
        before, who = address(served, 2), address(served, 3)
        page.goto(f"{served.url}/dashboard?validator={before}")
        page.locator("[data-part=validators].choosable").wait_for()
        pages: list[Route] = []
        rows: list[Route] = []

        def hold(route: Route) -> None:
            (rows if "/row?" in route.request.url else pages).append(route)

        page.route(f"**/dashboard?validator={who}", hold)
        page.route("**/dashboard/row?validator=*", hold)

        def answer(route: Route, name: str) -> None:
            row = f'<tr class="chosen"><td class="lead"><a href="?validator={who}#validators">{name}</a></td></tr>'
            with page.expect_response(route.request.url):
                route.fulfill(content_type="text/html", body=row)

        leads = page.locator("[data-part=validators] .lead")
        page.get_by_role("row", name="validator-3").locator("[data-label=Peers]").click()
        for _ in range(2):
            with page.expect_request(f"**/dashboard/row?validator={who}"):
                page.evaluate(TELL_ROW, who)
            expect(leads).to_have_text(["another"])
        assert (len(pages), len(rows)) == (1, 2)
        answer(rows[1], "the newer")
        expect(leads).to_have_text(["the newer", "another"])
        answer(rows[0], "the older")
        page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 200))")
        expect(leads).to_have_text(["the newer", "another"])
        pages[0].continue_()
        expect(page.locator("[data-part=choice]")).to_contain_text("Showing validator-3")
        assert chosen(page) == ["validator-3"]
        assert visit.complaints == []


TELL = """([who, lines]) => {
  const line = ([of, name]) => `<li data-of="${of}"><time datetime="2026-01-01T00:00:00Z">00:00:00</time> <strong>${name}</strong></li>`;
  const events = `<ol class="plain feed">${lines.map(line).join("")}<li data-none hidden>Nothing</li></ol>`;
  new BroadcastChannel("metanode-live").postMessage({ kind: "event", topic: "dashboard", data: { newest: 0, in_blocks: { [who]: "" }, parts: { events } } });
}"""
"""What another tab of the browser tells, when it reads the stream for all of them."""


def test_events_that_others_push_out_of_the_feed_stay_in_it(served: Served, browser: Browser) -> None:
    """The stream has the newest thirty events of all; of the validator that is chosen the page may have seen more."""
    with Visit(browser, "desktop") as visit:
        page = visit.page
        silence(page)
        who = address(served, 2)
        page.goto(f"{served.url}/dashboard?validator={who}")
        page.locator("[data-part=validators].choosable").wait_for()
        others = [["validator-1", f"Other{number}"] for number in range(30)]
        own = [["validator-2", f"Own{number}"] for number in range(31)]
        names = page.locator("[data-part=events] li:visible strong")

        page.evaluate(TELL, [who, [*own[1:3], *others[2:]]])
        expect(names).to_have_text(["Own1", "Own2"])
        page.evaluate(TELL, [who, others])
        page.evaluate(TELL, [who, [own[0], *others[1:]]])
        expect(names).to_have_text(["Own0", "Own1", "Own2"])
        page.evaluate(TELL, [who, own[3:]])
        expect(names).to_have_count(30)
        expect(names.last).to_have_text("Own1")


def test_alerts_and_events_of_others_are_left_out_and_those_of_the_whole_network_say_so(
    served: Served, browser: Browser
) -> None:
    """Two of four validators die while two people look: one has chosen the first of the living, the other one of the dead."""
    with Visit(browser, "desktop") as visit:
        neighbour, own = visit.page, visit.context.new_page()
        neighbour.goto(f"{served.url}/dashboard?validator={address(served, 1)}")
        go_live(neighbour)
        for number in (2, 3):
            served.net.node(number).kill()
        try:
            alerts = neighbour.locator("[data-part=alerts]")
            halted = alerts.locator("li", has_text="ChainHalted")
            expect(halted.get_by_text("whole network")).to_be_visible(timeout=2 * LIVE_MS)
            expect(alerts.get_by_text("Not shown, of other validators and nodes: 2")).to_be_visible(
                timeout=2 * LIVE_MS
            )
            assert alerts.locator("li[data-of]:visible").count() == 0
            assert neighbour.locator("[data-part=events] li[data-of=validator-4]:visible").count() == 0
            shoot(neighbour, "choice-alerts-of-others", "desktop")

            own.goto(f"{served.url}/dashboard?validator={address(served, 4)}")
            go_live(own)
            for _ in range(2):
                of_own = own.locator("[data-part=alerts] li[data-of]:visible")
                assert [alert.get_attribute("data-of") for alert in of_own.all()] == ["validator-4"]
                expect(own.locator("[data-part=alerts]")).to_contain_text("ChainHalted")
                expect(own.locator("[data-part=alerts]")).to_contain_text("validators and nodes: 1")
                told = own.locator("[data-part=events] li:visible").all()
                assert {event.get_attribute("data-of") for event in told} == {"validator-4"}
                wait_for_another(own, "events")
            assert grave_faults(own) == []
            for view in ("desktop", "narrow"):
                width, height, _ = VIEWS[view]
                own.set_viewport_size({"width": width, "height": height})
                shoot(own, "choice-alerts-own", view)
                assert own.evaluate(TOO_WIDE_PX) <= 0
        finally:
            for number in (2, 3):
                served.net.node(number).start()
            wait_until(
                lambda: served.get("/dashboard.json").json()["data"]["metrics"]["active_validators"] == 4,
                what="all validators take part again",
                within_s=120,
            )
        assert visit.complaints == []
