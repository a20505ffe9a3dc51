"""Resources of the community API beside the lists: files, balances over time, validators' performance, the monitor's words, examples."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import TypeAdapter
from sqlalchemy import insert, update
from tests.unit.services.told_chain import FIRST_TIMESTAMP, SENDER, TOKEN, ToldChain, write_chain

from metanode import __version__
from metanode.rpc.errors import ServerError
from sdk.testnet.services.api import (
    ApiConfig,
    etherscan,
    make_app,
    openapi_of,
    routes_accounts,
    routes_chain,
    routes_contracts,
    routes_exports,
    routes_keys,
    routes_network,
    routes_verification,
    routes_watching,
)
from sdk.testnet.services.queries import Slice, addresses, moves, statistics, transactions
from sdk.testnet.services.store.store import Store
from sdk.testnet.services.store.tables import (
    accounts,
    block_seals,
    blocks,
    logs,
    round_skips,
    tokens,
    validators,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastapi import FastAPI

HEAD, EACH = 6, 4
DAY_S = 86_400


class Node(ToldChain):
    """Keeps the state of the newest blocks only, and traces what it is asked."""

    async def call(self, method: str, *params: Any) -> Any:
        if method == "debug_traceTransaction":
            return {"pre": {SENDER: {"balance": "0x9"}}, "post": {SENDER: {"balance": "0x4"}}}
        return await super().call(method, *params)

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        if calls and calls[0][0] == "eth_getBalance":
            return [
                hex(1_000 - int(params[1], 16))
                if int(params[1], 16) >= 4
                else ServerError("missing trie node")
                for _, params in calls
            ]
        return await super().batch(calls)


class Told:
    """An alert of a monitor."""

    def __init__(self, name: str, resolved_at: float | None = None) -> None:
        self._found = {
            "name": name, "subject": "validator-2", "severity": "warning", "text": "its process 4711 is suspended, canary", "impact": "none yet",
            "runbook_url": "http://any/docs", "since": 1_700_000_000.4, "resolved_at": resolved_at, "is_event": False,
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        return dict(self._found)


class Monitor:
    """Has looked once."""

    alerts = (Told("ValidatorSilent"),)
    events = tuple(Told(f"Event{place}", 1_700_000_100.0) for place in range(150))

    def get_dashboard_data(self) -> dict[str, Any]:
        return {
            "verdict": {"state": "HEALTHY", "sentence": "All is well. canary", "public_sentence": "All is well."},
            "nodes": [
                {
                    "node_id": "validator-1", "status": "healthy", "last_block_height": 6, "last_block_time": 1.0, "peer_count": 3,
                    "sync_status": "synced", "cpu_usage": None, "memory_usage": None, "role": "validator", "version": "canary",
                }
            ],
            "traffic": {
                "rpc_calls": {"eth_call": 5.0, "eth_chainId": 2.0},
                "websocket_connections": 1,
                "gateway": {"rpc_calls": {"eth_blockNumber": 9.0}, "websocket_connections": 6.0},
            },
        }  # fmt: skip


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('resources')}/index.db")
    write_chain(store, ToldChain(head=HEAD, transactions=EACH))
    yield store
    store.close()


@pytest.fixture
def app(store: Store) -> FastAPI:
    node, monitor = Node(head=HEAD), Monitor()
    config = ApiConfig(
        network_name="any",
        chain_id=1,
        public_url="http://any",
        anonymous_a_minute=100_000,
        faucet_url="http://faucet",
    )
    return make_app(store=store, node=node, config=config, monitor=monitor)


def asking(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("transactions?", HEAD * EACH),
        (f"transactions?address={SENDER}", HEAD * EACH),
        (f"transactions?address={SENDER}&from_block=3&to_block=4", 2 * EACH),
        ("transactions?from_block=3&to_block=4", 2 * EACH),
        (f"transfers?address={SENDER}", HEAD * EACH // 2),
        (f"logs?address={TOKEN}&from_block=5", 2 * EACH // 2),
        (f"internal?address={SENDER}", 0),
        ("blocks?", HEAD + 1),
        ("blocks?from_block=2&to_block=2", 1),
    ],
)
async def test_a_list_is_a_file_of_either_kind(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, query: str, count: int
) -> None:
    monkeypatch.setattr(routes_exports, "STEP", 3)
    async with asking(app) as http:
        sheet = await http.get(f"/api/v1/exports/{query}")
        lines = await http.get(f"/api/v1/exports/{query}&format=ndjson")
        newest_first = await http.get(f"/api/v1/exports/{query}&format=ndjson&order=desc")

    rows = list(csv.DictReader(io.StringIO(sheet.text)))
    objects = [json.loads(line) for line in lines.text.splitlines()]
    assert len(rows) == len(objects) == count
    assert [json.loads(line) for line in newest_first.text.splitlines()] == objects[::-1]
    assert sheet.headers["content-disposition"].endswith('.csv"')
    if rows and "sender" in rows[0]:
        assert rows[0]["sender"] == objects[0]["sender"]["address"]


async def test_a_file_has_a_last_row_and_its_formulas_are_text(
    app: FastAPI, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_exports, "STEP", 2)
    monkeypatch.setattr(routes_exports, "ROWS_MAX", 5)
    with store.change() as connection:
        connection.execute(update(tokens).values(symbol='=HYPERLINK("http://evil")'))
    async with asking(app) as http:
        answer = await http.get(f"/api/v1/exports/transfers?address={SENDER}")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 5
    assert rows[0]["token_symbol"] == '\'=HYPERLINK("http://evil")'


@pytest.mark.parametrize("query", ["transfers", "logs", "internal"])
async def test_a_file_of_everybody_s_moves_is_not_given(app: FastAPI, query: str) -> None:
    async with asking(app) as http:
        answer = await http.get(f"/api/v1/exports/{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_balances_are_told_after_each_block_that_moved_them(app: FastAPI) -> None:
    found: list[Any] = []
    before = ""
    async with asking(app) as http:
        while True:
            page = (await http.get(f"/api/v1/addresses/{SENDER}/balance-history?limit=2{before}")).json()
            found += page["items"]
            if page["next"] is None:
                break
            before = f"&before={page['next']}"
        nobody = (await http.get(f"/api/v1/addresses/{'0x' + '99' * 20}/balance-history")).json()

    assert [one["block"] for one in found] == list(range(HEAD, 0, -1))
    assert [one["balance_wei"] for one in found] == ["994", "995", "996", None, None, None]
    assert found[0]["timestamp"] == FIRST_TIMESTAMP + 2 * HEAD
    assert nobody["items"] == []


async def test_what_a_transaction_changed_is_told_by_a_node(app: FastAPI) -> None:
    async with asking(app) as http:
        answer = await http.get(f"/api/v1/transactions/0x{1:032x}{0:032x}/state-diff")

    assert answer.json() == {"pre": {SENDER: {"balance": "0x9"}}, "post": {SENDER: {"balance": "0x4"}}}


async def test_a_validator_s_last_blocks_are_counted(app: FastAPI, store: Store) -> None:
    with store.change() as connection:
        who = (
            connection.execute(accounts.select().where(accounts.c.address == bytes.fromhex(SENDER[2:])))
            .one()
            .id
        )
        row = dict.fromkeys((column.name for column in validators.c), 0) | {
            "account_id": who,
            "is_member": True,
        }
        connection.execute(insert(validators).values(row))
        connection.execute(update(blocks).where(blocks.c.number < HEAD).values(is_canonical=True))
        connection.execute(update(blocks).where(blocks.c.number.in_((2, 5, 6))).values(proposer_id=who))
        for number in (1, 3, 4, HEAD):
            values = {"number": number, "validator_id": who, "signature": bytes(65), "is_valid": True}
            connection.execute(insert(block_seals).values(values))
        connection.execute(insert(round_skips).values(number=4, round=0, validator_id=who))
    async with asking(app) as http:
        found = (await http.get(f"/api/v1/validators/{SENDER}/performance?blocks=4")).json()
        whole = (await http.get(f"/api/v1/validators/{SENDER}/performance")).json()
        nobody = await http.get(f"/api/v1/validators/{TOKEN}/performance")

    assert (found["first_block"], found["last_block"]) == (3, HEAD)
    assert (found["proposed_count"], found["sealed_count"], found["certificate_count"]) == (2, 2, 3)
    assert (found["missed_turns"], round(found["seal_share"], 3)) == (1, 0.667)
    assert (whole["first_block"], whole["proposed_count"], whole["sealed_count"]) == (1, 3, 3)
    assert nobody.status_code == 404


async def test_the_monitor_s_words_are_told_without_the_inside_of_nodes(app: FastAPI) -> None:
    async with asking(app) as http:
        nodes, alerts, incidents, calls = [
            (await http.get(f"/api/v1/{path}")).json()
            for path in ("nodes", "alerts", "incidents", "stats/rpc")
        ]

    assert (nodes["verdict"], [one["name"] for one in nodes["items"]]) == ("HEALTHY", ["validator-1"])
    assert nodes["sentence"] == "All is well."
    assert [(one["name"], one["subject"], one["text"], one["impact"]) for one in alerts["items"]] == [
        ("ValidatorSilent", "validator-2", "", "none yet")
    ]
    assert "canary" not in str([nodes, alerts, incidents, calls])
    assert alerts["items"][0]["since"] == "2023-11-14T22:13:20Z"
    assert len(incidents["items"]) == 100
    gateway = calls.pop("gateway")
    assert calls == {"total": 7, "by_method": {"eth_call": 5, "eth_chainId": 2}, "websocket_connections": 1}
    assert gateway == {"total": 9, "by_method": {"eth_blockNumber": 9}, "websocket_connections": 6}


async def test_where_nobody_watches_that_is_said(store: Store) -> None:
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any")
    async with asking(make_app(store=store, node=Node(head=HEAD), config=config)) as http:
        answers = [await http.get(f"/api/v1/{path}") for path in ("nodes", "alerts", "stats/rpc", "faucet")]

    assert [answer.status_code for answer in answers] == [503, 503, 503, 404]


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/nothing", "/nothing"])
async def test_an_address_that_nothing_has_says_where_the_list_is(app: FastAPI, path: str) -> None:
    async with asking(app) as http:
        answer = await http.get(path)

        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["detail"] == "Nothing is at this address."
        for named in re.findall(r"/[a-z.]+(?= lists| has)", problem["hint"]):
            assert (await http.get(named)).status_code == 200, named
        assert "/docs" in problem["hint"]
        assert problem["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/eligibility?address=0x12"),
        ("POST", "/challenges"),
        ("POST", "/claims"),
        ("GET", "/claims/ab%2F..%2Fcd"),
        ("GET", "/payouts"),
    ],
)
async def test_the_faucet_s_paths_lead_to_the_faucet(app: FastAPI, method: str, path: str) -> None:
    async with asking(app) as http:
        answer = await http.request(method, f"/api/v1/faucet{path}")

    assert answer.status_code in {307, 404}
    if answer.status_code == 307:
        assert answer.headers["location"].startswith("http://faucet/api/v1/faucet")
        assert ".." not in answer.headers["location"] or "%2F" in answer.headers["location"]


def test_activity_is_told_by_days(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Slow(ToldChain):
        """A block each 16 hours."""

        def block(self, number: int) -> dict[str, Any] | None:
            found = super().block(number)
            return found and {
                **found,
                "timestamp": hex(FIRST_TIMESTAMP // DAY_S * DAY_S + number * 16 * 3_600),
            }

    store = Store(f"sqlite:///{tmp_path_factory.mktemp('activity')}/index.db")
    with store.look() as connection:
        assert statistics.activity(connection).days == ()
    write_chain(store, Slow(head=4, transactions=EACH))
    with store.look() as connection:
        whole, two = statistics.activity(connection), statistics.activity(connection, days=2)
        known = statistics.totals(connection).accounts
    store.close()

    # Blocks 0 and 1 are of the first day, 2 of the second, 3 and 4 of the third.
    assert [(day.transactions, day.active_addresses, day.is_over) for day in whole.days] == [
        (EACH, 1, True),
        (EACH, 1, True),
        (2 * EACH, 1, False),
    ]
    assert sum(day.new_addresses for day in whole.days) == whole.unique_addresses == known
    assert two.days == whole.days[1:]
    assert two.today == whole.days[-1]


def test_long_data_of_logs_makes_pages_shorter_and_loses_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "PAGE_BYTES_MAX", 70)
    found: list[Any] = []
    sizes: list[int] = []
    cursor: str | None = None
    with store.look() as connection:
        whole = connection.execute(logs.select()).all()
        while True:
            page = addresses.account_logs(connection, bytes.fromhex(TOKEN[2:]), Slice(cursor=cursor, limit=5))
            found += page.items
            sizes.append(len(page.items))
            cursor = page.next_cursor
            if cursor is None:
                break

    # A log of this chain has 32 bytes of data.
    assert set(sizes) == {2}
    assert len(found) == len(whole) == HEAD * EACH // 2


@pytest.mark.parametrize(
    "query",
    [
        f"module=account&action=tokentx&address={SENDER}",
        f"module=account&action=txlist&address={SENDER}",
        f"module=logs&action=getLogs&address={TOKEN}",
    ],
)
async def test_a_list_of_etherscan_s_costs_a_few_statements_however_long(
    app: FastAPI, store: Store, query: str
) -> None:
    from sqlalchemy import event  # noqa: PLC0415 - of this test alone

    asked: list[str] = []
    engine = store._reading
    assert engine is not None

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    async with asking(app) as http:
        answer = (await http.get(f"/api?{query}")).json()

    assert len(answer["result"]) >= HEAD * EACH // 2
    assert answer["result"][0]["blockHash"].startswith("0x")
    assert len(asked) <= 6


async def test_an_answer_of_etherscan_s_that_is_too_long_is_refused(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etherscan, "ANSWER_BYTES_MAX", 2_000)
    async with asking(app) as http:
        long = (await http.get(f"/api?module=account&action=txlist&address={SENDER}")).json()
        short = (await http.get(f"/api?module=account&action=txlist&address={SENDER}&page=1&offset=2")).json()

    assert (long["status"], short["status"], len(short["result"])) == ("0", "1", 2)
    assert "ask for fewer" in long["result"]


def test_inputs_that_are_too_long_together_are_refused_before_they_are_read(store: Store) -> None:
    from metanode.errors import InvalidInput  # noqa: PLC0415 - of this test alone

    with store.change() as connection:
        from sdk.testnet.services.store.tables import transaction_inputs  # noqa: PLC0415 - the same

        for index in range(EACH):
            connection.execute(insert(transaction_inputs).values(number=1, idx=index, input=bytes(100)))
    places = [(1, index) for index in range(EACH)]
    with store.look() as connection:
        assert transactions.inputs_of(connection, places, bytes_max=400) == dict.fromkeys(places, bytes(100))
        with pytest.raises(InvalidInput, match="ask for fewer"):
            transactions.inputs_of(connection, places, bytes_max=399)


async def test_a_token_s_moves_and_a_range_s_logs_need_no_account(app: FastAPI) -> None:
    async with asking(app) as http:
        moved = (await http.get(f"/api?module=account&action=tokentx&contractaddress={TOKEN}")).json()
        logged = (await http.get("/api?module=logs&action=getLogs&fromBlock=2&toBlock=3")).json()
        topic = logged["result"][0]["topics"][0]
        either = (
            await http.get(
                f"/api?module=logs&action=getLogs&fromBlock=0&topic0={topic}&topic1=0x{'00' * 32}&topic0_1_opr=or"
            )
        ).json()
        both = (
            await http.get(
                f"/api?module=logs&action=getLogs&fromBlock=0&topic0={topic}&topic1=0x{'00' * 32}&topic0_1_opr=and"
            )
        ).json()
        mixed = (await http.get("/api?module=logs&action=getLogs&topic0_1_opr=or&topic1_2_opr=and")).json()

    assert len(moved["result"]) == HEAD * EACH // 2
    assert len(logged["result"]) == EACH
    assert len(either["result"]) == HEAD * EACH // 2
    assert (both["status"], both["result"]) == ("0", [])
    assert "the same for all" in mixed["result"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"rpc_url": "https://rpc.example"}, "wss://rpc.example"),
        ({"rpc_url": "http://localhost:8645"}, "ws://localhost:8645"),
        ({"rpc_url": "https://rpc.example", "ws_url": "wss://ws.example"}, "wss://ws.example"),
        ({}, ""),
    ],
)
async def test_the_network_says_where_its_websocket_is_and_what_serves_it(
    store: Store, told: dict[str, str], expected: str
) -> None:
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any", **told)  # type: ignore[arg-type]
    async with asking(make_app(store=store, node=Node(head=HEAD), config=config)) as http:
        network = (await http.get("/api/v1/network")).json()
        described = (await http.get("/openapi.json")).json()

    assert network["ws_url"] == expected
    assert network["rpc_url"] == told.get("rpc_url", "")
    assert network["versions"] == {"api": described["info"]["version"], "software": f"metanode/{__version__}"}


def test_every_answer_has_an_example_that_is_one(app: FastAPI) -> None:
    document = openapi_of(app)
    groups = (
        routes_network, routes_chain, routes_accounts, routes_contracts, routes_verification, routes_watching, routes_exports, routes_keys,
    )  # fmt: skip
    models = {
        (f"/api/v1{route.path}", method): route.response_model  # type: ignore[attr-defined]
        for group in groups
        for route in group.router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    checked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {}).get("application/json")
                if status.startswith("2") and content:
                    TypeAdapter(models[path, method.upper()]).validate_python(
                        content["example"], strict=False
                    )
                    checked += 1

    assert checked >= 45
