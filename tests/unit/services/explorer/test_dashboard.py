"""The dashboard: everybody reads how the network fares, and only operators what the inside of its nodes is."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.unit.services.explorer.watched import CANARY, DATA, INSIDE, Caller, Monitor, Nodes, alert, no_index

from metanode.rpc.errors import NodeUnreachable
from sdk.testnet.monitoring.line_values import ROUND_TRIPS_MAX
from sdk.testnet.monitoring.public import public_data
from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


async def test_everybody_reads_how_the_network_fares_and_nothing_of_the_inside(caller: Caller) -> None:
    page = (await caller.http.get("/dashboard")).text
    twin = (await caller.http.get("/dashboard.json")).text

    for shown in (page, twin):
        assert "DEGRADED" in shown
        assert "the head is late" in shown
        assert "no more may stop" in shown
        assert "DiskLow" in shown, "that something is wrong is no secret"
        assert "of-DiskLow" in shown, "nor of whom"
        assert "hurt by OfTomorrow" in shown, "nor who is hurt"
        assert [word for word in INSIDE if word in shown] == []
    assert "validator-1" in page
    assert 'href="/dashboard/operator"' in page


async def test_an_operator_sees_the_inside_behind_a_login(caller: Caller) -> None:
    assert (await caller.http.get("/dashboard/operator")).headers["location"] == "/dashboard/login"
    assert (await caller.http.get("/dashboard/operator.json")).status_code == 401
    assert (await caller.http.get("/live?topics=operator")).status_code == 401
    wrong = await caller.http.post("/dashboard/login", data={"password": "a guess of somebody"})
    assert wrong.status_code == 401
    assert (await caller.login()).headers["location"] == "/dashboard/operator"

    page = await caller.http.get("/dashboard/operator")
    assert page.headers["cache-control"] == "no-store"
    assert [word for word in INSIDE if word not in page.text] == ["4545"], "how long it runs is in its JSON"
    assert 'data-copy="**DEGRADED** canary"' in page.text
    twin = await caller.http.get("/dashboard/operator.json")
    assert CANARY in twin.text
    assert "access-control-allow-origin" not in twin.headers

    (token,) = re.findall(r'name="token" value="([^"]+)"', page.text)
    forged = await caller.http.post("/dashboard/logout", data={"token": "x"})
    assert forged.status_code == 403
    left = await caller.http.post("/dashboard/logout", data={"token": token})
    assert left.headers["location"] == "/dashboard/login"
    assert (await caller.http.get("/dashboard/operator")).status_code == 303


async def test_alerts_lead_to_their_runbook_where_the_documentation_is(
    caller: Caller, tmp_path: Path
) -> None:
    assert "Runbook" not in (await caller.http.get("/dashboard")).text

    (tmp_path / "index.html").write_text("documents")
    parts = ExplorerParts.of(
        site=Site(network_name="n", chain_id=1),
        store=SimpleNamespace(look=no_index),  # type: ignore[arg-type]
        nodes=Nodes(),  # type: ignore[arg-type]
        monitor=Monitor(),
    )
    transport = httpx.ASGITransport(make_app(parts, docs_directory=tmp_path).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer") as http:
        page = (await http.get("/dashboard")).text
    links = re.findall(r'<a href="([^"]+)">Runbook<span class="hidden"> of (\w+)</span></a>', page)
    assert links == [(each["runbook_url"], each["name"]) for each in DATA["alerts"]]


async def test_without_a_password_file_there_is_no_operator() -> None:
    parts = ExplorerParts.of(
        site=Site(network_name="n", chain_id=1),
        store=SimpleNamespace(look=no_index),  # type: ignore[arg-type]
        nodes=Nodes(),  # type: ignore[arg-type]
        monitor=Monitor(),
    )
    transport = httpx.ASGITransport(make_app(parts).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer") as http:
        assert "/dashboard/operator" not in (await http.get("/dashboard")).text
        assert (await http.get("/dashboard/operator")).status_code == 404
        assert (await http.get("/live?topics=operator")).status_code == 401


@pytest.mark.parametrize(
    ("told", "value", "under"),
    [
        ({}, "997", "payouts left today, 3 wait"),
        ({"paused": "made anew"}, "Paused", "997 of 1\u202f000 left today, 3 wait"),
        ({"claims_left": 0}, "Empty", "997 of 1\u202f000 left today, 3 wait"),
        ({"claims_left": None}, "997", "payouts left today, 3 wait"),
        ({"claims_left_today": 0, "queue_length": 0}, "Day is over", "0 of 1\u202f000 left today"),
        ({"rules": None}, "\u2013", "does not answer"),
        (None, "\u2013", "does not answer"),
    ],
)
async def test_a_tile_says_how_the_faucet_fares(told: dict[str, Any] | None, value: str, under: str) -> None:
    document = {
        "paused": None, "claims_left": 50_000, "claims_left_today": 997, "queue_length": 3, "rules": {"per_day": 1_000},
    }  # fmt: skip

    async def ask() -> dict[str, Any]:
        if told is None:
            raise NodeUnreachable("away")
        return document | told

    parts = ExplorerParts.of(
        site=Site(network_name="n", chain_id=1),
        store=SimpleNamespace(look=no_index),  # type: ignore[arg-type]
        nodes=Nodes(),  # type: ignore[arg-type]
        monitor=Monitor(),
        ask_faucet=ask,
    )
    transport = httpx.ASGITransport(make_app(parts).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer") as http:
        page = (await http.get("/dashboard")).text

    assert f'<dt>Faucet</dt><dd class="value number">{value}</dd><dd class="under">{under}</dd>' in page


async def test_without_a_faucet_there_is_no_tile_of_it_and_calls_that_fail_have_one(caller: Caller) -> None:
    page = (await caller.http.get("/dashboard")).text

    assert "<dt>Faucet</dt>" not in page
    assert '<div class="tile warn"><dt>RPC errors</dt><dd class="value number">3.1\u202f%</dd>' in page


@pytest.mark.parametrize(
    ("missed", "alone", "shown"), [(0, 0, "3 / 0"), (7, 0, "3 / 7 (0)"), (7, 2, "3 / 7 (2)")]
)
async def test_turns_missed_alone_stand_beside_those_missed(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, missed: int, alone: int, shown: str
) -> None:
    monkeypatch.setitem(DATA["validators"][0], "missed_30m", missed)
    monkeypatch.setitem(DATA["validators"][0], "solo_missed_30m", alone)
    page = (await caller.http.get("/dashboard")).text
    (cell,) = re.findall(r'<td data-label="Proposed / missed \(alone\)">(.*?)</td>', page)

    assert re.sub(r"<[^>]*>", "", cell) == shown


@pytest.mark.parametrize("validators", [4, 18, 100])
async def test_however_many_validators_there_are_the_page_keeps_its_budget(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, validators: int
) -> None:
    names = [f"validator-{number}" for number in range(1, validators + 1)]
    member = DATA["validators"][0] | {
        "state": "online",
        "why": None,
        "version": "0.4.2",
        "missed_30m": 999,
        "solo_missed_30m": 888,
    }
    monkeypatch.setitem(
        DATA,
        "validators",
        [member | {"name": name, "address": f"0x{number:040x}"} for number, name in enumerate(names)],
    )
    DATA["validators"][-1]["state"] = "silent"
    chosen = DATA["validators"][0] | {"in_blocks": "ps-s-s" * 20}
    DATA["validators"][0] = chosen
    blocks = [
        DATA["blocks"][0] | {"number": 1_284_000 + number, "timestamp": 2 * number} for number in range(200)
    ]
    monkeypatch.setitem(DATA, "blocks", blocks)
    monkeypatch.setitem(
        DATA,
        "events",
        [alert("NodeRestarted", "it was started again: 0.4.1 to 0.4.2") | {"subject": names[0]}] * 100,
    )
    shown = names[:ROUND_TRIPS_MAX]
    monkeypatch.setitem(
        DATA,
        "round_trips",
        {
            "of_validators": validators,
            "to": shown,
            "rows": [{"from": name, "ms": [450] * len(shown)} for name in shown],
        },
    )
    await caller.login()

    for path in ("/dashboard", "/dashboard/operator"):
        page = await caller.http.get(path)
        assert len(page.content) <= 60 * 1024, path
        rows = re.findall(r'href="\?validator=(0x[0-9a-f]{40})#validators"', page.text)
        assert len(rows) == min(validators, 18)
        assert rows[-1] == f"0x{validators - 1:040x}", "who is silent is always among them"
        assert ("18 of 100: who is silent" in page.text) == (validators == 100)
    assert ("the 12 of 18 that are slowest" in page.text) == (validators == 18)
    for path in ("/dashboard", "/dashboard/operator"):
        page = await caller.http.get(f"{path}?window=900&until=1004&validator={chosen['address']}")
        assert "Showing <strong>validator-1</strong>" in page.text
        assert page.text.count("; proposed by it") == 20
        assert len(page.content) <= 60 * 1024, path
    behind = DATA["validators"][validators // 2]["address"]
    for path in ("/dashboard", "/dashboard/operator"):
        page = await caller.http.get(f"{path}?validator={behind}")
        assert len(page.content) <= 60 * 1024, path
        (row,) = re.findall(
            r'<tr class="chosen">\s*<td class="lead"><a href="\?validator=(0x[^#]+)#', page.text
        )
        assert row == behind, "whoever is chosen has a row"
        rows = re.findall(r'href="\?validator=(0x[0-9a-f]{40})#validators"', page.text)
        assert len(rows) == len(set(rows)) == {4: 4, 18: 18, 100: 19}[validators]
        assert validators < 100 or rows[0] == behind, "before the others"


async def test_charts_have_the_numbers_of_a_window(caller: Caller) -> None:
    found = (await caller.http.get("/dashboard/history.json?window=900")).json()

    assert (found["window_s"], found["step_s"]) == (900, 2.0)
    assert [item["rpc_calls_per_s"] for item in found["items"]] == [None] + [5.0] * 9
    assert found["items"][0]["start"] == 1_000.0
    assert (await caller.http.get("/dashboard/history.json?window=7")).status_code == 400
    assert (await caller.http.get("/dashboard?window=7")).status_code == 400


async def test_charts_may_end_at_a_moment_that_an_address_names(caller: Caller) -> None:
    found = (await caller.http.get("/dashboard/history.json?window=900&until=1004")).json()
    assert [item["start"] for item in found["items"]] == [1_000.0, 1_002.0, 1_004.0]
    assert found["lines"] == [{"chart": "rpc_p95_ms", "name": "eth_call", "values": [2.5] * 3}]

    page = (await caller.http.get("/dashboard?window=900&until=1004")).text
    assert 'data-charts="/dashboard/history.json?window=900&amp;until=1004"' in page
    assert "data-refresh-s" not in page
    assert "The charts end at 1970-01-01 00:16:44 UTC" in page
    assert 'href="/dashboard?window=3600&amp;until=1004#charts"' in page
    now = (await caller.http.get("/dashboard?window=900")).text
    assert 'data-refresh-s="10"' in now
    assert 'href="/dashboard?window=900&amp;until=1000#charts"' in now, "what the page is of"
    for wrong in ("x", "-1", "1.5", "", "4294967296", "9" * 400, "%D9%A1"):
        for path in ("/dashboard", "/dashboard/history.json"):
            assert (await caller.http.get(f"{path}?until={wrong}")).status_code == 400, wrong


async def test_numbers_of_nodes_are_for_operators_and_of_methods_for_everybody(caller: Caller) -> None:
    public = await caller.http.get("/dashboard/history.json")
    assert {line["chart"] for line in public.json()["lines"]} == {"rpc_p95_ms"}
    assert public.headers["access-control-allow-origin"] == "*"
    assert "48.48" not in public.text
    assert 'data-chart="cpu_percent"' not in (await caller.http.get("/dashboard")).text
    assert (await caller.http.get("/dashboard/operator/history.json")).status_code == 401

    await caller.login()
    inside = await caller.http.get("/dashboard/operator/history.json")
    assert {line["chart"] for line in inside.json()["lines"]} == {"rpc_p95_ms", "cpu_percent"}
    assert "access-control-allow-origin" not in inside.headers
    assert inside.headers["cache-control"] == "no-store"
    page = (await caller.http.get("/dashboard/operator")).text
    assert 'data-charts="/dashboard/operator/history.json?window=3600"' in page
    assert 'data-chart="cpu_percent"' in page
    # Others' numbers stay others' although both were asked for between two looks.
    assert (await caller.http.get("/dashboard/history.json")).content == public.content


async def test_round_trips_are_a_table_in_the_order_of_names(caller: Caller) -> None:
    await caller.login()
    page = (await caller.http.get("/dashboard/operator")).text
    table = page[page.index('<table class="matrix') :]
    table = table[: table.index("</table>")]

    assert re.findall(r'<th scope="col"[^>]*>([^<]+)', table) == ["From", "validator-2", "validator-10"]
    assert re.findall(r'<th scope="row"[^>]*>([^<]+)', table) == ["rpc-1", "validator-2", "validator-10"]
    assert re.findall(r"<td(?: class=\"(\w+)\")?>([^<]+)<", table.replace("&lt;", "under ")) == [
        ("s1", "50"), ("s1", "149"), ("", "·"), ("s0", "under 1"), ("s3", "4747"), ("", "·"),
    ]  # fmt: skip


def test_what_is_public_keeps_the_shape_of_the_data() -> None:
    shown = public_data(DATA)

    assert set(DATA) - set(shown) == {"diagnosis", "incident_summary", "round_trips"}
    assert CANARY not in json.dumps(shown)
    assert DATA["validators"][0]["version"] == CANARY, "the original stays whole"
