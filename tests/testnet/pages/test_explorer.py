"""The explorer in a real browser over a real network: every page, wide and narrow, with texts of a hostile token."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from tests.acceptance.processes import wait_until
from tests.testnet.accessibility import axe_source, grave_faults
from tests.testnet.pages.served import SYMBOL, Served, call, selector
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
from tests.testnet.pages.wallet import SOURCE, deploy_counter, give_wallet

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Response, Route

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

COMPILER_WAITS_MS = 120_000
"""On a machine with other work; it takes two seconds."""
SCRIPT_BYTES_MAX = 30 * 1024
DRAWN = ("charts", "charts-days", "dashboard")
"""Pages that measure themselves when they begin: they begin again on a narrow screen."""
NAMED = {
    "home": "/",
    "blocks": "/blocks",
    "blocks-full": "/blocks?with_transactions=1",
    "blocks-late": "/blocks?late=1",
    "genesis": "/block/0",
    "block": "/block/{number}",
    "block-newest": "/block/latest",
    "transactions": "/transactions",
    "pending": "/pending",
    "transfer": "/tx/{transfer}",
    "token-transfer": "/tx/{token_transfer}",
    "events": "/tx/{token_transfer}/logs",
    "moves": "/tx/{token_transfer}/transfers",
    "input": "/tx/{token_transfer}/input",
    "reverted": "/tx/{reverted}",
    "internal": "/tx/{forwarded}/internal",
    "calls": "/tx/{forwarded}/calls",
    "creation": "/tx/{created}",
    "address": "/address/{account}",
    "address-unknown": "/address/0x00000000000000000000000000000000deadbeef",
    "address-tokens": "/address/{account}/tokens",
    "address-transfers": "/address/{account}/transfers",
    "contract": "/address/{token}/contract",
    "contract-events": "/address/{token}/logs",
    "read": "/address/{token}/read",
    "read-answer": "/address/{token}/read?f=0x70a08231&a={account}",
    "tokens": "/tokens",
    "token": "/token/{token}",
    "holders": "/token/{token}/holders",
    "contracts": "/contracts",
    "validators": "/validators",
    "validator": "/validator/{validator}",
    "rounds": "/rounds",
    "votes": "/votes",
    "charts": "/charts",
    "charts-days": "/charts?range=quarter",
    "search": "/search?q=valid",
    "search-nothing": "/search?q=%3Cscript%3E",
    "dashboard": "/dashboard",
    "not-found": "/block/99999999",
}


def path_of(served: Served, name: str) -> str:
    return NAMED[name].format(
        account=served.sender.address, **{key: getattr(served, key) for key in (
            "number", "transfer", "token_transfer", "reverted", "forwarded", "created", "token", "validator")}
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_a_page_fits_asks_nobody_else_and_complains_of_nothing(
    served: Served, browser: Browser, name: str
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with Visit(browser, "desktop") as visit:
        page = visit.page
        answer = page.goto(served.url + path_of(served, name), wait_until="load")
        assert answer is not None
        assert answer.status == (404 if name == "not-found" else 200), page.content()[:2000]
        assert len(page.content().encode()) <= HTML_BYTES_MAX
        assert page.locator("h1").count() == 1
        for view in VIEWS:
            if view == "narrow" and name in DRAWN:
                page.reload(wait_until="load")
            visit.look_as(view)
            page.screenshot(path=SCREENSHOTS / f"{name}-{view}.png", full_page=True)
            assert page.evaluate(TOO_WIDE_PX) <= 0, view
            if view.startswith("narrow"):
                assert page.evaluate(CUT_OFF) == [], f"no cell is cut off at its edge: {view}"
            if view in JUDGED:
                assert grave_faults(page) == [], view
        expected = (
            ["Failed to load resource: the server responded with a status of 404 (Not Found)"]
            if name == "not-found"
            else []
        )
        assert visit.complaints == expected
        assert {urlsplit(url).netloc for url in visit.asked} == {urlsplit(served.url).netloc}


def test_pages_are_judged_by_axe() -> None:
    if axe_source() is None:
        pytest.skip("needs node and npm, and its registry: apt-get install nodejs npm")


@pytest.mark.parametrize(
    "name", [name for name in NAMED if not name.startswith(("search", "not-found", "block-newest"))]
)
def test_every_page_has_a_twin_for_programs(served: Served, name: str) -> None:
    path, _, query = path_of(served, name).partition("?")
    twin = served.get((path.rstrip("/") or "/index") + ".json" + (f"?{query}" if query else ""))

    assert twin.status_code == 200, twin.text[:500]
    assert twin.headers["content-type"] == "application/json"
    assert "as_of" in twin.json()


def test_what_a_token_says_is_text(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        for path in ("/tokens", f"/token/{served.token}", f"/tx/{served.token_transfer}", f"/tx/{served.reverted}",
                     f"/tx/{served.token_transfer}/logs", f"/address/{served.sender.address}/tokens"):  # fmt: skip
            page.goto(served.url + path)
            assert page.locator("main script, main img").count() == 0
        page.goto(f"{served.url}/token/{served.token}")
        assert "<script>alert('name')</script>" in page.locator("h1").inner_text()
        page.goto(f"{served.url}/tx/{served.reverted}")
        assert "Reverted: <img src=x onerror=alert(1)>" in page.locator("main").inner_text()
        assert visit.complaints == []
    exported = served.get(f"/address/{served.sender.address}/transfers.csv").text
    assert f'"\'{SYMBOL.replace(chr(34), chr(34) * 2)}"' in exported


def test_a_transaction_is_told_in_words_and_decoded(served: Served) -> None:
    page = served.get(f"/tx/{served.token_transfer}").text

    assert "called <strong>transfer</strong>" in page
    assert "selector match, unverified" in page
    document = served.get(f"/tx/{served.token_transfer}.json").json()
    assert document["call"]["signature"] == "transfer(address,uint256)"
    assert document["transfers"][0]["amount"] == "1500000"
    assert document["events"] is None, "they are on a page of their own"
    events = served.get(f"/tx/{served.token_transfer}/logs.json").json()["events"]
    assert [event["decoded"]["name"] for event in events if event["decoded"]] == ["Transfer"]
    moves = served.get(f"/tx/{served.token_transfer}/transfers.json").json()
    assert (len(moves["transfers"]), moves["next"]) == (1, None)
    calls = served.get(f"/tx/{served.forwarded}/calls").text
    assert calls.count('<span class="tag">call</span>') == 2


def test_a_block_shows_its_certificate_verified(served: Served) -> None:
    head = served.get("/blocks.json").json()["items"]
    old = next(block for block in head if block["is_canonical"])
    document = served.get(f"/block/{old['number']}.json").json()
    certificate = document["certificate"]

    assert certificate["verdict"] == "valid"
    assert certificate["quorum"] == 3
    assert sum(seal["is_valid"] is True for seal in certificate["seals"]) >= 3
    assert len(certificate["seals"]) == 4


def test_the_first_page_shows_a_new_block_without_being_loaded_again(
    served: Served, browser: Browser
) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(served.url)
        first = page.locator("[data-part=blocks] tbody tr").first
        before = int(first.get_attribute("data-key") or 0)
        page.wait_for_function(
            "before => Number(document.querySelector('[data-part=blocks] tbody tr').dataset.key) >= before + 2",
            arg=before,
            timeout=20_000,
        )
        assert sum(urlsplit(url).path == "/" for url in visit.asked) == 1
        assert sum(urlsplit(url).path == "/live" for url in visit.asked) == 1

        page.get_by_role("button", name="Pause").click()
        shown = first.get_attribute("data-key")
        served.net.wait_for_block(int(shown or 0) + 3)
        page.wait_for_timeout(600)
        assert first.get_attribute("data-key") == shown, "what is paused stands still"
        page.get_by_role("button", name="Go on").click()
        page.wait_for_function(
            "shown => Number(document.querySelector('[data-part=blocks] tbody tr').dataset.key) > Number(shown)",
            arg=shown,
        )
        assert visit.complaints == []


@pytest.mark.parametrize("view", ["desktop", "narrow"])
@pytest.mark.parametrize("name", ["blocks", "transactions", "pending"])
def test_a_list_is_live_may_be_paused_and_moves_nothing_else(
    served: Served, browser: Browser, name: str, view: str
) -> None:
    with Visit(browser, view) as visit:
        page = visit.page
        page.goto(f"{served.url}/{name}")
        # An index that lags says so above, and a list that is not full yet grows above the footer: neither is what this is about.
        page.evaluate(
            "() => { for (const one of document.querySelectorAll('[data-part=lag], .bottom')) one.style.display = 'none'; }"
        )
        page.evaluate(
            "() => { window.shifts = []; new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shifts.push(entry.value); })"
            ".observe({ type: 'layout-shift', buffered: false }); }"
        )
        rows = page.locator("[data-part=list] tbody tr")
        if name == "blocks":
            before = int(rows.first.get_attribute("data-key") or 0)
            page.wait_for_function(
                "before => Number(document.querySelector('[data-part=list] tbody tr').dataset.key) > before + 1",
                arg=before,
            )
        else:
            # One that has to wait for another stays in the pool until that is sent.
            served.sender.nonce += 1
            late = served.sender.send(to=served.sender.address, value=1, gas=21_000)
            served.sender.nonce -= 2
            if name == "pending":
                page.locator(f"[data-key='{late}']").wait_for()
                expect(page.locator("[data-part=tiles]")).to_contain_text("1")
            served.sender.send(to=served.sender.address, value=1, gas=21_000)
            served.sender.nonce += 1
            key = late if name == "pending" else late.removeprefix("0x")
            page.locator(f"[data-key='{key}']").wait_for(
                state="detached" if name == "pending" else "attached"
            )
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("[data-live-control]")).to_have_attribute("data-state", "paused")
        older = page.get_by_role("link", name="Older")
        if name == "blocks" and older.count():
            # Only what stands still can be read in two steps.
            shown = rows.last.get_attribute("data-key")
            assert (older.get_attribute("href") or "").endswith(f"cursor={shown}"), (
                "no block is between the pages"
            )
        # A good page has 0.1 at most.
        assert sum(page.evaluate("window.shifts")) < 0.01
        assert sum(urlsplit(url).path == f"/{name}" for url in visit.asked) == 1
        assert visit.complaints == []


def test_a_list_with_a_filter_or_of_the_past_stands_still(served: Served) -> None:
    for path in ("/blocks?late=1", "/blocks?cursor=3", "/transactions?limit=5"):
        assert "data-live" not in served.get(path).text
    assert 'data-live="blocks"' in served.get("/blocks").text


def test_a_stream_that_was_refused_is_tried_again_and_asking_ends(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        refused: list[str] = []

        def refuse_once(route: Route) -> None:
            if refused:
                route.continue_()
            else:
                refused.append(route.request.url)
                route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")

        page.route("**/live?*", refuse_once)
        page.clock.install()
        page.goto(served.url)
        # By questions of ours: the page's own timers are held.
        wait_until(lambda: page.evaluate("true") and refused, what="the stream is refused", within_s=20)

        def fetched() -> int:
            return sum(urlsplit(url).path == "/" for url in visit.asked)

        page.clock.run_for(6_000)
        wait_until(lambda: page.evaluate("true") and fetched() > 1, what="the page is asked for", within_s=20)
        with page.expect_response(
            lambda answer: "/live?" in answer.url and answer.status == 200, timeout=30_000
        ):
            page.clock.fast_forward(61_000)
        newest = "Number(document.querySelector('[data-part=blocks] tbody tr').dataset.key)"
        before = page.evaluate(newest)
        wait_until(lambda: page.evaluate(newest) > before, what="a block comes by the stream", within_s=30)
        asked = fetched()
        page.clock.run_for(20_000)
        assert fetched() == asked, "once the stream is open nothing asks any more"


def test_two_tabs_share_one_stream(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        second = visit.context.new_page()
        asked: list[str] = []
        second.on("request", lambda request: asked.append(request.url))
        visit.page.goto(served.url)
        visit.page.wait_for_function("document.querySelector('[data-live-control]').dataset.state === 'live'")
        second.goto(served.url)
        before = second.locator("[data-part=blocks] tbody tr").first.get_attribute("data-key")
        second.wait_for_function(
            "before => Number(document.querySelector('[data-part=blocks] tbody tr').dataset.key) > Number(before)",
            arg=before,
            timeout=20_000,
        )
        streams = [url for url in visit.asked + asked if urlsplit(url).path == "/live"]
        assert len(streams) == 1, streams


def test_an_operator_logs_in_and_copies_the_incident_summary(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{served.url}/dashboard")
        # On a busy machine blocks are late, and the page says so.
        page.locator(".verdict .word", has_text=re.compile("HEALTHY|SLOW|DEGRADED")).wait_for(timeout=30_000)
        assert page.get_by_text("Disk free").count() == 0
        page.get_by_role("link", name="Operator view").click()
        assert grave_faults(page) == []
        page.get_by_label("Password").fill(served.operator_password)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("columnheader", name="Disk free").wait_for()
        page.locator(".verdict .word", has_text=re.compile("HEALTHY|SLOW|DEGRADED")).wait_for(timeout=30_000)
        page.screenshot(path=SCREENSHOTS / "operator-desktop.png", full_page=True)
        assert grave_faults(page) == []
        page.get_by_role("button", name="Copy incident summary").click()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert re.match(r"\*\*(HEALTHY|SLOW|DEGRADED)\*\* at ", copied)
        assert "4 of 4 validators take part" in copied
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/dashboard/login")
        page.goto(f"{served.url}/dashboard/operator")
        page.wait_for_url("**/dashboard/login")
        assert visit.complaints == []


def test_charts_of_the_dashboard_share_a_cursor_and_say_24_hours(served: Served, browser: Browser) -> None:
    wait_until(
        lambda: len(served.get("/dashboard/history.json?window=900").json()["items"]) > 2,
        what="the monitor has looked three times",
        within_s=60,
    )
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard?window=900")
        page.wait_for_function("() => document.querySelectorAll('.uplot').length === 10")
        plot = page.locator(".uplot .u-over").first
        page.get_by_role("button", name="Pause").click()
        said = page.locator(".uplot .u-legend tr:first-child .u-value").all_inner_texts()
        assert len(set(said)) == 1
        assert re.search(r"\d\d:\d\d:\d\d", said[0]), "the newest, until somebody points at a moment"
        head_age = page.locator("[data-chart=head_age_s] .u-series:last-child .u-value")
        assert re.fullmatch(r"[\d.]+ s", head_age.inner_text())
        plot.scroll_into_view_if_needed()
        plot.hover()
        page.wait_for_function(
            "(newest) => [...document.querySelectorAll('.uplot .u-legend tr:first-child .u-value')].every((cell) => cell.textContent !== newest)",
            arg=said[0],
        )
        times = page.locator(".uplot .u-legend tr:first-child .u-value").all_inner_texts()
        assert len(set(times)) == 1, "one moment on all of them"
        assert not re.search("[AP]M", times[0], re.IGNORECASE)
        assert visit.complaints == []


def test_an_operator_s_charts_have_a_line_for_each_node_and_one_cursor_for_all(
    served: Served, browser: Browser
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with Visit(browser, "desktop") as visit:
        page = visit.page
        log_in(served, page)
        numbers = f"{served.url}/dashboard/operator/history.json?window=900"

        def charts() -> dict[str, set[str]]:
            found: dict[str, set[str]] = {}
            for line in page.request.get(numbers).json()["lines"]:
                found.setdefault(line["chart"], set()).add(line["name"])
            return found

        # What needs two marks of ten seconds comes last.
        wait_until(lambda: len(charts()) == 5, what="the monitor has numbers for all charts", within_s=60)
        nodes = {f"validator-{number}" for number in range(1, 5)}
        for chart in ("cpu_percent", "loop_lag_p99_ms", "disk_free_gb", "round_trip_ms"):
            assert charts()[chart] == nodes
        public = served.get("/dashboard/history.json?window=900").json()["lines"]
        assert {line["chart"] for line in public} == {"rpc_p95_ms"}
        assert len(public) <= 7, "six methods, and the worst of the others"

        asked: list[str] = []
        sizes: list[int] = []
        page.on(
            "response",
            lambda answer: answer.url.endswith(".js") and sizes.append(len(gzip.compress(answer.body()))),
        )
        page.on("request", lambda request: "history.json" in request.url and asked.append(request.url))
        answer = page.goto(f"{served.url}/dashboard/operator?window=900")
        assert answer is not None
        assert len(answer.body()) <= HTML_BYTES_MAX
        page.wait_for_function("() => document.querySelectorAll('.uplot').length === 14")
        assert asked == [numbers]
        assert 0 < sum(sizes) <= 90 * 1024
        for chart, unit in (("cpu_percent", "%"), ("loop_lag_p99_ms", "ms"), ("disk_free_gb", "GB")):
            plot = page.locator(f"[data-chart={chart}]")
            plot.locator(".u-over").hover()
            page.wait_for_function(
                "() => new Set([...document.querySelectorAll('.u-legend .u-series:first-child .u-value')].map((cell) => cell.textContent)).size === 1"
            )
            assert {name.rstrip(":") for name in plot.locator(".u-label").all_inner_texts()} == {
                "UTC",
                *nodes,
            }
            values = plot.locator(".u-series:not(:first-child) .u-value").all_inner_texts()
            assert all(re.fullmatch(rf"[\d.,]+ {unit}|\u2013", value) for value in values), values
        table = page.get_by_role("table", name="Round trips in milliseconds")
        assert table.get_by_role("columnheader").all_inner_texts() == ["From", *sorted(nodes)]
        assert table.get_by_role("rowheader").all_inner_texts() == sorted(nodes)
        cells = table.get_by_role("cell").all_inner_texts()
        assert [cells[4 * place + place] for place in range(4)] == ["·"] * 4, "nobody measures itself"
        for view in VIEWS:
            if view == "narrow":
                page.reload(wait_until="load")
            visit.look_as(view)
            page.wait_for_function("() => document.querySelectorAll('.uplot').length === 14")
            page.screenshot(path=SCREENSHOTS / f"operator-{view}.png", full_page=True)
            assert page.evaluate(TOO_WIDE_PX) <= 0, view
            assert grave_faults(page) == [], view
        assert visit.complaints == []


def test_nothing_moves_when_the_cursor_brings_its_numbers(served: Served, browser: Browser) -> None:
    height = "document.documentElement.scrollHeight"
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard?window=900")
        page.wait_for_function("() => document.querySelectorAll('.uplot').length === 10")
        page.get_by_role("button", name="Pause").click()
        before = page.evaluate(height)
        newest = page.locator(".u-legend .u-value").first.inner_text()
        page.locator(".uplot .u-over").first.hover()
        page.wait_for_function(
            "(newest) => document.querySelector('.u-legend .u-value').textContent !== newest", arg=newest
        )
        assert page.evaluate(height) == before


def test_charts_of_a_time_that_nobody_remembers_say_so_and_lead_to_now(
    served: Served, browser: Browser
) -> None:
    with Visit(browser, "narrow-dark") as visit:
        page = visit.page
        page.goto(f"{served.url}/dashboard?window=900&until=1000000000")
        page.wait_for_function(
            "() => document.querySelectorAll('.chart .nothing:not([hidden])').length === 10"
        )
        assert page.locator(".uplot").count() == 0
        assert page.get_by_text("Nobody has looked in this time.").count() == 9
        assert page.get_by_text("No node has told of a call in this time.").is_visible()
        assert page.evaluate(TOO_WIDE_PX) <= 0
        page.screenshot(path=SCREENSHOTS / "dashboard-nothing-narrow-dark.png", full_page=True)
        page.get_by_role("link", name="Charts of now").click()
        page.wait_for_function("() => document.querySelectorAll('.uplot').length === 10")
        page.get_by_role("link", name="Permalink").click()
        page.wait_for_url(re.compile(r"window=900&until=\d{10}#charts"))
        page.wait_for_function("() => document.querySelectorAll('.uplot').length > 0")
        assert visit.complaints == []


def test_charts_whose_numbers_do_not_come_say_so(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.route("**/dashboard/history.json*", lambda route: route.abort())
        page.goto(f"{served.url}/dashboard")
        page.get_by_text("The numbers did not come. Load the page again.").first.wait_for()
        assert page.get_by_text("The numbers did not come.").count() == 10


def test_a_single_moment_stands_in_the_middle_of_its_chart(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(f"{served.url}/charts")
        script = page.locator("script[src*='charts.js']").get_attribute("src")
        ask = "async (script) => { const { around } = await import(script); return [around([7200], 3600), around([1, 2], 3600), around([], 3600)]; }"
        assert page.evaluate(ask, script) == [[3600, 10_800], None, None]


def test_a_slash_goes_to_the_search_and_an_exact_meaning_is_gone_to(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        page.goto(served.url + "/blocks")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "q"
        for typed, path in (
            ("1", "/block/1"),
            (served.transfer.upper().replace("0X", "0x"), f"/tx/{served.transfer}"),
            (served.token[2:], f"/token/{served.token.lower()}"),
            (" 1 ", "/block/1"),
        ):
            page.fill("#q", typed)
            page.keyboard.press("Enter")
            page.wait_for_url(f"**{path}")
        page.fill("#q", "validator")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?q=validator")
        assert page.locator(".results li").count() == 4


def test_a_contract_is_read_by_a_form_without_scripts(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop", scripts=False) as visit:
        page = visit.page
        page.goto(f"{served.url}/address/{served.token}/read")
        form = page.locator("form", has_text="balanceOf")
        form.locator("input[name=a]").fill(served.net.accounts[2].address)
        form.get_by_role("button", name="Call").click()
        assert "1500000" in page.locator("#answer").inner_text()
        page.goto(f"{served.url}/address/{served.token}/read?f=0x06fdde03")
        assert "<script>alert('name')</script>" in page.locator("#answer").inner_text()
        wrong = served.get(f"/address/{served.token}/read.json?f=0x70a08231&a=me").json()
        assert wrong["answer"]["error"].startswith("account: expected 0x")


def test_what_is_typed_may_be_chosen_by_arrows(served: Served, browser: Browser) -> None:
    with Visit(browser, "narrow") as visit:
        page = visit.page
        page.goto(served.url + "/blocks")
        page.locator("#q").press_sequentially("validat")
        page.get_by_role("option").nth(3).wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert page.get_by_role("option", selected=True).inner_text() == "validator validator-2"
        page.keyboard.press("Enter")
        page.wait_for_url("**/validator/0x*")
        assert page.locator("h1").inner_text() == "validator-2"
        page.locator("#q").press_sequentially("<script>")
        page.wait_for_timeout(400)
        assert page.get_by_role("option").count() == 1, "a hostile name is an option like any other"
        page.keyboard.press("Escape")
        assert page.get_by_role("option").count() == 0
        assert visit.complaints == []


def test_a_pending_transaction_becomes_final_before_one_s_eyes(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        # A nonce that is not due yet waits until the one before it is sent.
        served.sender.nonce += 1
        late = served.sender.send(to=served.sender.address, value=1, gas=21_000)
        visit.page.goto(f"{served.url}/tx/{late}")
        assert "Pending" in visit.page.locator(".page-head").inner_text()
        expected = f"until its sender has sent the one with nonce {served.sender.nonce - 2}:"
        expect(visit.page.locator(".note.pending")).to_contain_text(expected)
        served.sender.nonce -= 2
        served.sender.send(to=served.sender.address, value=1, gas=21_000)
        served.sender.nonce += 1
        visit.page.locator(".page-head .badge.ok").wait_for(timeout=20_000)
        assert visit.complaints == []


def test_reading_needs_no_javascript(served: Served, browser: Browser) -> None:
    served.net.wait_for_block(30)
    with Visit(browser, "desktop", scripts=False) as visit:
        page = visit.page
        page.goto(served.url)
        assert page.locator("[data-part=blocks] tbody tr").count() > 3
        assert page.locator("button.copy:visible").count() == 0
        page.get_by_role("link", name="All blocks").click()
        page.get_by_role("link", name="Older").click()
        assert "cursor=" in page.url
        page.get_by_role("link", name="Newest").click()
        assert "cursor=" not in page.url
        for path in ("/blocks", "/transactions"):
            page.goto(served.url + path)
            assert page.locator("[data-part=list] tbody tr").count() >= 3
            assert page.locator("[data-live-control]:visible").count() == 0
        token, account = served.token.lower(), served.sender.address.lower()
        for name, said, rows in (
            ("block", [f"/tx/{served.token_transfer}"], 1),
            ("transfer", [f"/address/{account}", "Final"], 0),
            ("token-transfer", [f"/token/{token}"], 0),
            ("events", ["Transfer"], 0),
            ("address", [f"/tx/{served.transfer}"], 3),
            ("token", [f"/tx/{served.token_transfer}"], 1),
            ("holders", [f"/address/{account}"], 1),
        ):
            page.goto(served.url + path_of(served, name))
            main = page.locator("main")
            text = f"{main.inner_html().lower()} {main.inner_text()}"
            assert [one for one in said if one not in text] == [], name
            assert main.locator("tbody tr:visible").count() >= rows, name
            # What scripts alone do is not offered, and nothing waits for them.
            assert page.locator("[data-live-control]:visible, button.copy:visible").count() == 0, name
            assert page.locator("[aria-busy=true], .skeleton").count() == 0, name
        assert visit.complaints == []


def test_an_address_is_copied_and_its_other_places_are_marked(served: Served, browser: Browser) -> None:
    with Visit(browser, "desktop") as visit:
        page = visit.page
        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"{served.url}/tx/{served.transfer}")
        page.locator("dd .address .copy").first.click()
        assert page.evaluate("navigator.clipboard.readText()") == served.sender.address
        page.locator(".note .address").first.hover()
        assert page.locator(".address.same").count() >= 2


@pytest.mark.parametrize("name", [name for name in NAMED if name not in DRAWN])
def test_scripts_stay_small(served: Served, browser: Browser, name: str) -> None:
    """With what a page fetches until it is live."""
    with Visit(browser, "desktop") as visit:
        page = visit.page
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright asks for a function
        page.goto(served.url + path_of(served, name), wait_until="load")
        if page.locator("[data-live-control]").count():
            page.wait_for_function("document.querySelector('[data-live-control]').dataset.state === 'live'")
        scripts = [one.body() for one in answers if urlsplit(one.url).path.endswith(".js")]
        size = sum(len(gzip.compress(script)) for script in scripts)
        assert 0 < size <= SCRIPT_BYTES_MAX


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/blocks?limit=1000", 400), ("/blocks?cursor=x", 400), ("/blocks?cursor=1-2", 400), ("/blocks?late=2", 400),
        ("/tokens?kind=' OR 1=1--", 400), ("/block/-1", 404), ("/block/0x12", 404), ("/block/9999999999999999999", 404),
        ("/tx/0x12", 404), ("/tx/0x" + "0" * 64, 404), ("/address/0x12", 404), ("/address/..%2f..%2fetc", 404),
        ("/address/%00", 404), ("/token/0x" + "0" * 40, 404), ("/validator/0x" + "0" * 40, 404), ("/live", 400),
        ("/live?topics=x", 400), ("/live?topics=operator", 401), ("/dashboard/operator.json", 401), ("/dashboard?window=1", 400),
        ("//evil.example/x", 404), ("/nothing", 404), ("/search?q=" + "%27" * 300, 200), ("/search?q=%25_%25", 200),
        ("/search?q=" + "9" * 5000, 200), ("/address/0x" + "0" * 40 + "/nothing", 404),
    ],
)  # fmt: skip
def test_what_is_not_there_is_answered_with_a_reason(served: Served, path: str, status: int) -> None:
    page = served.get(path, headers={"accept": "text/html"})
    program = served.get(path, headers={"accept": "application/json"})

    assert page.status_code == program.status_code == status, page.text[:500]
    if status != 200:
        assert program.headers["content-type"] == "application/problem+json"
        assert json.loads(program.text)["status"] == status


def test_another_block_comes_and_all_pages_of_blocks_are_without_gap(served: Served) -> None:
    served.net.wait_for_block(30)
    wait_until(
        lambda: served.get("/blocks.json?limit=1").json()["items"][0]["number"] >= 30,
        what="30 blocks are indexed",
        within_s=60,
    )
    numbers: list[int] = []
    cursor = ""
    while True:
        page = served.get(f"/blocks.json?limit=10{cursor}").json()
        numbers += [block["number"] for block in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert numbers == list(range(numbers[0], -1, -1))


def shoot(visit: Visit, name: str) -> None:
    """Keep what the page looks like, wide and narrow."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for view in ("desktop", "phone"):
        visit.look_as(view)
        visit.page.screenshot(path=SCREENSHOTS / f"{name}-{view}.png", full_page=True)
        assert visit.page.evaluate(TOO_WIDE_PX) <= 0, f"{name} is wider than a {view}"
    visit.look_as("desktop")


def test_a_source_is_shown_and_its_contract_written_to_by_a_wallet(
    served: Served, browser: Browser, tmp_path: Path
) -> None:
    address = deploy_counter(served)
    document = {
        "language": "Vyper",
        "sources": {"src/Counter.vy": {"content": SOURCE.read_text()}},
        "settings": {},
    }
    file = tmp_path / "input.json"
    file.write_text(json.dumps(document))
    with Visit(browser, "desktop") as visit:
        page = visit.page
        give_wallet(page, served.sender)

        page.goto(f"{served.url}/address/{address}/contract")
        page.get_by_role("link", name="Verify its source").click()
        page.get_by_label("Contract, as path:Name").fill("src/Counter.vy:Counter")
        page.get_by_label("Standard JSON input").set_input_files(file)
        shoot(visit, "verify-filled")
        page.get_by_role("button", name="Verify", exact=True).click()
        expect(page.locator("#state")).to_contain_text("Verified", timeout=COMPILER_WAITS_MS)
        shoot(visit, "verification")
        page.get_by_role("link", name="The contract with its sources").click()
        expect(page.locator("pre.source")).to_contain_text("def add(amount: uint256)")
        shoot(visit, "contract-verified")

        page.get_by_role("link", name="Write contract").click()
        expect(page.locator("#wallet-said")).to_contain_text("Test wallet")
        page.get_by_label("amount (uint256)").fill("many")
        page.get_by_role("button", name="Write").click()
        expect(page.locator("#outcome")).to_contain_text("whole number")
        page.get_by_label("amount (uint256)").fill("7")
        page.evaluate("window.declines = true")
        page.get_by_role("button", name="Write").click()
        expect(page.locator("#outcome-title")).to_have_text("Nothing was sent.")
        page.evaluate("window.declines = false")
        page.get_by_role("button", name="Write").click()
        expect(page.locator("#outcome-title")).to_have_text("Done.", timeout=COMPILER_WAITS_MS)
        shoot(visit, "written")
        methods = [method for method, _ in page.evaluate("window.asked")]
        # The node that a page asks may hear of a transaction after the one that took it.
        assert [told for told in visit.complaints if "404" not in told] == []
        assert {url.split("/")[2] for url in visit.asked} == {served.url.split("/")[2]}

    assert "wallet_addEthereumChain" in methods
    read = {"to": address, "data": selector("value()")}
    assert int(call(served.net.rpc_url, "eth_call", read, "latest"), 16) == 7
