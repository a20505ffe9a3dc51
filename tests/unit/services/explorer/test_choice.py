"""One validator of the dashboard is chosen: what the server marks for whoever has no scripts, and what it tells everybody alike for the module that marks the rest."""

from __future__ import annotations

import asyncio
import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request
from tests.unit.services.explorer.watched import CANARY, DATA, INSIDE, Caller, alert

from metanode.crypto.addresses import format_address
from sdk.testnet.services.explorer import head
from sdk.testnet.services.explorer.views.choice import choice_of
from sdk.testnet.services.explorer.views.moments import KeptMoments

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, NOBODY = (f"0x{digits * 20}" for digits in ("a1", "b2", "c3"))
HOSTILE = (
    "<script>alert(1)</script>",
    "0x12",
    f"{FIRST}0",
    "constructor",
    "%00",
    "%ff%fe",
    "9" * 5_000,
    "0x" + "é" * 40,
)


def about(subject: str, name: str, **changes: Any) -> dict[str, Any]:
    return alert(name, f"{name} of {subject}") | {"subject": subject, **changes}


@pytest.fixture
def caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Two validators and a node that is none; `validator-2` is known under its address in an event of before."""
    member = DATA["validators"][0]
    second = bytes.fromhex(SECOND[2:])
    changed = {
        "validators": [
            member | {"name": "validator-1", "address": FIRST, "in_blocks": "p-s?"},
            member | {"name": "validator-2", "address": SECOND, "in_blocks": "spp?"},
        ],
        "nodes": [{"node_id": name, "status": "healthy"} for name in ("validator-1", "validator-2", "rpc-1")],
        "blocks": [DATA["blocks"][0] | {"number": number, "timestamp": 2 * number} for number in range(6, 10)],
        "alerts": [
            about("n", "ChainLate"), about("validator-1", "ProposalsMissed"), about("validator-2", "NodeBehind"),
            about("rpc-1", "NodeBehind"),
        ],
        "events": [
            about("transactions", "Milestone"), about("validator-2", "ValidatorJoined"), about("validator-1", "NodeBehind"),
            about(format_address(second), "ValidatorSealsZero"), about("rpc-1", "NodeRestarted"),
        ],
        "round_trips": {
            "of_validators": 2, "to": ["validator-1", "validator-2"],
            "rows": [{"from": "validator-1", "ms": [None, 51]}, {"from": "validator-2", "ms": [52, None]}, {"from": "rpc-1", "ms": [53, 54]}],
        },
    }  # fmt: skip
    for name, value in changed.items():
        monkeypatch.setitem(DATA, name, value)
    return Caller(tmp_path)


async def page_of(caller: Caller, path: str) -> str:
    answer = await caller.http.get(path)
    assert answer.status_code == 200, path
    return answer.text


def seen(page: str, part: str) -> list[str]:
    """The lines of a list that are not hidden, as text."""
    inside = page[page.index(f'data-part="{part}"') :]
    inside = inside[: re.search(r"</ul>|</ol>", inside).start()]  # type: ignore[union-attr]
    lines = re.findall(r"<li([^>]*)>(.*?)</li>", inside, re.DOTALL)
    return [
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text)).strip()
        for marks, text in lines
        if "hidden" not in marks
    ]


async def test_without_scripts_a_link_narrows_the_page_to_one_validator(caller: Caller) -> None:
    whole = await page_of(caller, "/dashboard")
    assert (len(seen(whole, "alerts")), len(seen(whole, "events"))) == (4, 5)
    (link,) = re.findall(rf'<a href="(\?validator={SECOND}#validators)">validator-2</a>', whole)

    page = await page_of(caller, "/dashboard" + link.partition("#")[0])
    assert "Showing <strong>validator-2</strong>" in page
    assert f'href="/validator/{SECOND}"' in page
    assert re.search(r'<a data-choose href="/dashboard">Show all</a>', page)
    (row,) = re.findall(r'<tr class="chosen">\s*<td class="lead">(.*?)</td>', page)
    assert f'href="?validator={SECOND}#validators" aria-current="true">validator-2' in row

    late, own, rest = seen(page, "alerts")
    assert "ChainLate whole network" in late
    assert "NodeBehind of validator-2" in own
    assert rest == "Not shown, of other validators and nodes: 2"
    joined, sealed_none = seen(page, "events")
    assert "ValidatorJoined" in joined
    assert "ValidatorSealsZero" in sealed_none, "it was called by its address then"


async def test_blocks_say_what_the_validator_did_for_them(caller: Caller) -> None:
    def cells(page: str) -> list[tuple[str, str]]:
        found = re.findall(
            r'<li(?: class="(\w+)")?><a [^>]*href="/block/\d"[^>]*title="Block \d: [^";]*(?:; ([^"]*))?"',
            page,
        )
        return [(kind, words) for kind, words in found]

    plain = [("", "")] * 4
    assert cells(await page_of(caller, "/dashboard")) == plain
    assert cells(await page_of(caller, f"/dashboard?validator={FIRST}")) == [
        ("own", "proposed by it"), ("outside", "without its seal"), ("", ""), ("unknown", "seals unknown"),
    ]  # fmt: skip
    assert cells(await page_of(caller, f"/dashboard?validator={NOBODY}")) == plain


@pytest.mark.parametrize("asked", [*HOSTILE, NOBODY, NOBODY.upper().replace("X", "x")])
async def test_what_no_validator_is_called_is_said_in_a_sentence_and_everything_is_shown(
    caller: Caller, asked: str
) -> None:
    await caller.login()
    for path in ("/dashboard", "/dashboard/operator"):
        page = await page_of(caller, f"{path}?validator={asked}")
        assert "everything is shown" in page
        assert "Take it out of the address" in page
        assert "<script>alert" not in page
        assert (len(seen(page, "alerts")), len(seen(page, "events"))) == (4, 5)
        assert 'class="chosen"' not in page
        assert "narrowed" not in page
        assert len(page) < 60_000
    assert (await caller.http.get(f"/dashboard.json?validator={asked}")).status_code == 200


@pytest.mark.parametrize("asked", ["", "%20"])
async def test_to_ask_for_nothing_is_to_choose_nothing(caller: Caller, asked: str) -> None:
    page = await page_of(caller, f"/dashboard?validator={asked}")
    assert "everything is shown" not in page
    assert "Showing" not in page


def test_an_address_is_one_in_any_case_and_with_blanks_around() -> None:
    validators = [{"address": FIRST, "name": "validator-1"}]
    for asked in (
        FIRST,
        f" {FIRST}",
        FIRST.upper().replace("0X", "0x"),
        format_address(bytes.fromhex(FIRST[2:])),
    ):
        assert choice_of(asked, validators).name == "validator-1"


async def test_time_range_and_permalink_keep_the_choice_and_the_choice_keeps_them(caller: Caller) -> None:
    page = await page_of(caller, f"/dashboard?window=900&until=1004&validator={FIRST}")

    assert f'href="/dashboard?window=3600&amp;until=1004&amp;validator={FIRST}#charts"' in page
    assert f'href="/dashboard?window=900&amp;validator={FIRST}#charts">Charts of now' in page
    assert f'href="?window=900&amp;until=1004&amp;validator={SECOND}#validators"' in page
    assert 'href="/dashboard?window=900&amp;until=1004">Show all' in page
    assert f'href="/dashboard/operator?window=900&amp;until=1004&amp;validator={FIRST}"' in page
    now = await page_of(caller, f"/dashboard?window=900&validator={FIRST}")
    assert (
        f'href="/dashboard?window=900&amp;until=1000&amp;validator={FIRST}#charts" title="An address' in now
    )
    gone = await page_of(caller, f"/dashboard?window=900&validator={NOBODY}")
    assert f"until=1000&amp;validator={NOBODY}#charts" in gone, "it may come back"
    assert "&amp;validator=" not in await page_of(caller, "/dashboard?validator=x")


async def test_strangers_see_of_a_chosen_validator_no_more_than_before(caller: Caller) -> None:
    for path in (f"/dashboard?validator={FIRST}", f"/dashboard.json?validator={FIRST}"):
        shown = await page_of(caller, path)
        assert [word for word in INSIDE if word in shown] == []
        assert "Round trips" not in shown
    public = await caller.http.get(f"/dashboard/history.json?validator={FIRST}")
    assert public.content == (await caller.http.get("/dashboard/history.json")).content
    assert "history.json?window=3600&amp;validator" not in await page_of(
        caller, f"/dashboard?validator={FIRST}"
    )
    assert (await caller.http.get(f"/dashboard/operator/history.json?validator={FIRST}")).status_code == 401


async def test_an_operator_s_charts_have_the_lines_of_the_validator_and_of_its_node(caller: Caller) -> None:
    await caller.login()
    page = await page_of(caller, f"/dashboard/operator?validator={FIRST}")
    assert f'data-charts="/dashboard/operator/history.json?window=3600&amp;validator={FIRST}"' in page

    async def lines(asked: str) -> set[tuple[str, str]]:
        document = (await caller.http.get(f"/dashboard/operator/history.json?validator={asked}")).json()
        return {(line["chart"], line["name"]) for line in document["lines"]}

    assert await lines(FIRST) == {("rpc_p95_ms", "eth_call"), ("cpu_percent", "validator-1")}
    assert await lines(FIRST.upper().replace("0X", "0x")) == await lines(FIRST)
    assert await lines(SECOND) == await lines(NOBODY) == {("rpc_p95_ms", "eth_call")}
    for wrong in HOSTILE:
        found = await caller.http.get(f"/dashboard/operator/history.json?validator={wrong}")
        assert found.status_code == 400, wrong


async def test_of_the_round_trips_the_row_and_the_column_of_the_validator_are_its_own(caller: Caller) -> None:
    await caller.login()
    page = await page_of(caller, f"/dashboard/operator?validator={SECOND}")
    table = page[page.index('<table class="matrix narrowed') :]

    assert re.findall(r'<th [^>]*class="own">([^<]+)', table) == ["validator-2", "validator-2"]
    assert re.findall(r'<td class="(?:s\d )?own">([^<]+)', table) == ["54", "51", "52", "·"]
    assert "matrix narrowed" not in await page_of(caller, "/dashboard/operator")


async def test_the_row_of_one_validator_is_made_once_a_look_for_all_who_have_chosen_it(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATA["validators"][0], "why", CANARY)
    looks, monitor = [], caller.explorer.tellers[-1].parts.monitor
    read = monitor.get_dashboard_data
    monkeypatch.setattr(monitor, "get_dashboard_data", lambda: looks.append("") or read())
    row = await page_of(caller, f"/dashboard/row?validator={FIRST}")
    assert row == await page_of(caller, f"/dashboard/row?validator={FIRST.upper().replace('X', 'x')}")
    assert looks == [""]
    assert row.count("<tr") == 1
    assert (
        f'<tr class="chosen">\n<td class="lead"><a href="?validator={FIRST}#validators" aria-current="true">'
        in row
    )
    assert [word for word in INSIDE if word in row] == []
    whole = await page_of(caller, f"/dashboard?validator={FIRST}")
    assert row.strip() in whole, "as the page has it"

    assert (await caller.http.get(f"/dashboard/operator/row?validator={FIRST}")).status_code == 401
    await caller.login()
    inside = await caller.http.get(f"/dashboard/operator/row?validator={FIRST}")
    assert CANARY in inside.text
    assert inside.headers["cache-control"] == "no-store"
    assert (await caller.http.get(f"/dashboard/row?validator={NOBODY}")).status_code == 404
    for wrong in (*HOSTILE, ""):
        assert (await caller.http.get(f"/dashboard/row?validator={wrong}")).status_code == 400

    looks.clear()
    monitor.looks += 1
    await page_of(caller, f"/dashboard/row?validator={FIRST}")
    assert looks == [""]


async def test_the_row_of_one_validator_is_grey_once_the_monitors_own_looks_fail(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No look is counted then; the verdict alone tells that what was seen is old."""
    monkeypatch.setitem(DATA["validators"][0], "state", "online")
    path = f"/dashboard/row?validator={FIRST}"
    before = await page_of(caller, path)
    monkeypatch.setitem(DATA, "verdict", DATA["verdict"] | {"state": "UNKNOWN"})
    monkeypatch.setattr(
        caller.explorer.tellers[-1].parts.monitor, "verdict", SimpleNamespace(verdict="UNKNOWN")
    )

    after = await page_of(caller, path)

    assert ("Online" in before, "Online" in after) == (True, False)
    assert "Unknown" in after
    assert after.strip() in await page_of(caller, f"/dashboard?validator={FIRST}"), "as the page has it"


def test_to_choose_costs_one_reading_a_look_and_keeps_nothing_of_what_no_validator_is() -> None:
    class Watched:
        looks, reads = 1, 0

        def get_dashboard_data(self) -> dict[str, Any]:
            return {"validators": [{"name": "n", "address": FIRST}]}

        def get_history(self, *_: Any, **__: Any) -> dict[str, Any]:
            self.reads += 1
            return {name: [] for name in ("at", "rpc_calls")}

        def get_history_lines(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"cpu_percent": {"n": [], "": []}}

    monitor = Watched()
    kept = KeptMoments(monitor, now_s=lambda: 0.0)
    for number in range(1_000):
        assert [
            line["name"]
            for line in json.loads(kept.read(900, None, is_operator=True, validator=FIRST))["lines"]
        ] == ["n"]
        unknown = json.loads(kept.read(900, None, is_operator=True, validator=f"0x{number:040x}"))
        assert unknown["lines"] == [], "the line of the others is of nobody"
    assert monitor.reads == 2
    monitor.looks += 1
    kept.read(900, None, is_operator=True, validator=FIRST)
    assert monitor.reads == 3


async def test_live_parts_are_one_for_all_and_say_whose_each_line_is(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred who look are told the same bytes, and each fragment is rendered once."""
    monkeypatch.setattr(head, "LOOK_S", 0)
    teller = caller.explorer.tellers[-1]
    rendered: list[str] = []
    fragment = teller.pages.fragment
    monkeypatch.setattr(
        teller.pages, "fragment", lambda name, **context: rendered.append(name) or fragment(name, **context)
    )
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/live",
        "headers": [],
        "query_string": b"topics=dashboard",
    }
    answers: list[Any] = [await caller.explorer.hub.serve(Request(scope)) for _ in range(200)]

    async def told(answer: Any) -> bytes:
        async for piece in answer.body_iterator:
            if piece.startswith(b"event: dashboard"):
                return piece
        raise AssertionError("the stream ended")

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        listening = [tasks.create_task(told(answer)) for answer in answers]
        running = tasks.create_task(teller.run())
        (event,) = {await one for one in listening}
        running.cancel()

    assert len(rendered) == len(set(rendered)) == 7
    data = json.loads(event.splitlines()[2].removeprefix(b"data: "))
    assert (data["newest"], data["in_blocks"]) == (9, {FIRST: "p-s?", SECOND: "spp?"})
    parts = data["parts"]
    assert "narrowed" not in "".join(parts.values())
    assert re.findall(r'<li data-of="([^"]*)">', parts["alerts"]) == ["validator-1", "validator-2", ""]
    assert re.findall(r'<li data-of="([^"]*)">', parts["events"]) == [
        "validator-2",
        "validator-1",
        "validator-2",
    ]
    assert [word for word in INSIDE if word in event.decode()] == []
