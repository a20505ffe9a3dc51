"""What callers of the community API may ask, and what they are told of it; asked without a socket."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import pytest
from tests.unit.services.told_chain import TOKEN, ToldChain, write_chain

from sdk.testnet.monitoring.service_metrics import CountRequests, ServiceMetrics
from sdk.testnet.services.api import ApiConfig, make_app, new_key
from sdk.testnet.services.api.limiting import FORM_BYTES_MAX, cost_of, scope_of
from sdk.testnet.services.api.reference import PROBLEMS
from sdk.testnet.services.api.routes_network import judge
from sdk.testnet.services.api.shared import VALUE_BYTES_MAX, InMemory, Used
from sdk.testnet.services.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

NETWORK = "/api/v1/network"


class Node(ToldChain):
    """A node that takes transactions, or refuses them."""

    def __init__(self) -> None:
        super().__init__(head=4)
        self.refusal: Exception | None = None
        self.sent: list[str] = []

    async def call(self, method: str, *params: Any) -> Any:
        match method:
            case "eth_sendRawTransaction":
                if self.refusal is not None:
                    raise self.refusal
                self.sent.append(params[0])
                return "0x" + "77" * 32
            case "eth_getBalance":
                return "0xa" if params[0] == TOKEN else "0xb"
            case "ibft_getConsensusState":
                return {"period": "0xc"}
        return await super().call(method, *params)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('limits')}/index.db")
    write_chain(store, node)
    yield store
    store.close()


def app_of(store: Store, node: Node, **changes: Any) -> FastAPI:
    options = {
        "network_name": "any",
        "chain_id": 1,
        "public_url": "http://any",
        "anonymous_a_minute": 10_000,
        **changes,
    }
    return make_app(store=store, node=node, config=ApiConfig(**options))


def asking(app: FastAPI, address: str = "198.51.100.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://any")


async def test_who_is_refused_is_told_how_much_of_the_window_is_left(store: Store, node: Node) -> None:
    app = app_of(store, node, anonymous_a_minute=1)
    async with asking(app) as http:
        first = await http.get(NETWORK)
        # As if most of the minute had gone by.
        counts = app.state.parts.shared._counts
        for name, (until, count) in counts.items():
            counts[name] = (until - 50, count)
        refused = await http.get(NETWORK)

    assert first.headers["ratelimit"].endswith(";t=60")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert refused.json()["retry_after"] == int(refused.headers["retry-after"])
    assert refused.headers["ratelimit"] == f'"anon";r=0;t={refused.headers["retry-after"]}'
    assert "retry-after" in refused.headers["access-control-expose-headers"]


async def test_keys_that_are_none_use_up_what_their_network_has(store: Store, node: Node) -> None:
    app = app_of(store, node, anonymous_a_minute=12)
    async with asking(app) as guessing, asking(app, "203.0.113.5") as other:
        guesses = [
            (
                await guessing.get(NETWORK, headers={"authorization": f"Bearer evk_{n:08x}_{n:032x}"})
            ).status_code
            for n in range(3)
        ]
        after = (await guessing.get(NETWORK)).status_code
        elsewhere = (await other.get(NETWORK)).status_code

    assert guesses == [401, 401, 429]
    assert (after, elsewhere) == (429, 200)


async def test_a_key_may_do_only_what_it_is_for(store: Store, node: Node) -> None:
    text, key = new_key("verifies only", scopes=frozenset({"verify"}))
    reader, read = new_key("reads only", scopes=frozenset({"read"}))
    app = app_of(store, node, keys=(key, read))
    async with asking(app) as http:
        refused = await http.get(NETWORK, headers={"authorization": f"Bearer {text}"})
        allowed = await http.get(NETWORK, headers={"authorization": f"Bearer {reader}"})

    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    assert allowed.status_code == 200
    assert scope_of("/api/v1/contracts/0x12/verifications") == scope_of("/v2/verify/1/0x12") == "verify"
    assert scope_of("/api/v1/faucet/claims") == "faucet"


async def test_in_etherscan_s_dialect_a_wrong_key_is_told_in_its_words(store: Store, node: Node) -> None:
    text, key = new_key("verifies only", scopes=frozenset({"verify"}))
    app = app_of(store, node, keys=(key,))
    query = f"/api?module=account&action=balance&address={TOKEN}&apikey="
    unknown = "evk_" + "0" * 8 + "_" + "0" * 32
    async with asking(app) as http:
        answers = [
            await http.get(query + unknown),
            await http.get(query + text),
            await http.post("/api", data={"apikey": unknown}),
        ]
        elsewhere = await http.get(query + "MYETHERSCANKEY")

    told = [(answer.status_code, answer.json()["status"], answer.json()["result"]) for answer in answers]
    assert told == [
        (200, "0", "Invalid API Key"),
        (200, "0", f"Error! the API key {key.id} is for verify, and this needs read"),
        (200, "0", "Invalid API Key"),
    ]
    assert (elsewhere.status_code, elsewhere.json()["status"]) == (200, "1")


async def test_in_etherscan_s_dialect_sources_need_a_key_that_is_for_them(store: Store, node: Node) -> None:
    verifier, one = new_key("verifies only", scopes=frozenset({"verify"}))
    reader, other = new_key("reads only", scopes=frozenset({"read"}))
    app = app_of(store, node, keys=(one, other))
    told = {}
    async with asking(app) as http:
        for action in ("verifysourcecode", "checkverifystatus"):
            for name, key in (("verifier", verifier), ("reader", reader)):
                form = {"module": "contract", "action": action, "apikey": key}
                told[name, action] = (await http.post("/api", data=form)).json()["result"]

    refused = f"Error! the API key {other.id} is for read, and this needs verify"
    assert {asked for asked, result in told.items() if result == refused} == {
        ("reader", "verifysourcecode"),
        ("reader", "checkverifystatus"),
    }
    assert not any("this needs" in result for (name, _), result in told.items() if name == "verifier")


@pytest.mark.parametrize("is_multipart", [False, True])
async def test_what_is_paid_for_in_the_address_is_what_is_answered(
    is_multipart: bool, store: Store, node: Node
) -> None:
    """A list of ten thousand rows is not had for the price of a look at a job, by a form that says another thing."""
    form = {"module": "account", "action": "txlist", "address": TOKEN}
    async with asking(app_of(store, node)) as http:
        sent = (
            {"files": {name: (None, value) for name, value in form.items()}}
            if is_multipart
            else {"data": form}
        )
        answer = await http.post("/api?module=contract&action=checkverifystatus&guid=none", **sent)

    assert answer.json()["status"] == "0"
    assert isinstance(answer.json()["result"], str)


@pytest.mark.parametrize("before", [[], [("action", "checkverifystatus")]], ids=["not seen", "seen"])
async def test_a_list_behind_a_long_form_is_not_had_for_less(
    before: list[tuple[str, str]], store: Store, node: Node
) -> None:
    """Of a form its first 64 kB are looked through for the key and the cost."""
    fields = [
        ("module", "account"),
        *before,
        ("x", "y" * FORM_BYTES_MAX),
        ("action", "txlist"),
        ("address", TOKEN),
    ]
    headers = {"content-type": "application/x-www-form-urlencoded"}
    async with asking(app_of(store, node)) as http:
        answer = await http.post("/api", content=urlencode(fields), headers=headers)
        left = int(answer.headers["ratelimit"].partition(";r=")[2].partition(";")[0])

    assert (answer.json()["status"], 10_000 - left) == (("0", 1) if before else ("1", 15))


async def test_a_key_says_what_it_is_for_and_when_it_was_used(store: Store, node: Node) -> None:
    text, key = new_key("a friend", expires_at=4_102_444_800, scopes=frozenset({"read"}))
    app = app_of(store, node, keys=(key,))
    async with asking(app) as http:
        first, again = [
            await http.get("/api/v1/me", headers={"authorization": f"Bearer {text}"}) for _ in range(2)
        ]

    assert (first.json()["key"], first.json()["scopes"]) == (key.id, ["read"])
    assert first.json()["expires_at"] == "2100-01-01T00:00:00Z"
    assert first.json()["last_used_at"] is None
    assert again.json()["last_used_at"] is not None
    assert first.headers["cache-control"] == "private, no-store"


async def test_a_form_s_key_is_a_key(store: Store, node: Node) -> None:
    """As forge sends it."""
    text, key = new_key("forge")
    app = app_of(store, node, keys=(key,), anonymous_a_minute=1)
    form = {"apikey": text, "module": "block", "action": "getblocknobytime", "timestamp": "1700000008"}
    async with asking(app) as http:
        answers = [await http.post("/api", data=form) for _ in range(3)]

    assert [answer.json()["status"] for answer in answers] == ["1"] * 3
    assert answers[0].headers["ratelimit"].startswith('"key"')


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        ({"action": "balance"}, 5),
        ({"action": "txlist", "page": "1", "offset": "10"}, 5),
        ({"action": "tokentx", "offset": "5000"}, 10),
        ({"action": "txlist"}, 15),
        ({"action": "getLogs", "offset": "99999999999999"}, 15),
        ({"action": "txlist", "offset": "-1"}, 15),
    ],
)
def test_a_list_of_etherscan_s_costs_what_its_rows_do(query: dict[str, str], cost: int) -> None:
    assert cost_of("/api", query) == cost


def body(value: int) -> dict[str, str]:
    return {"raw": f"0x{value:04x}"}


async def test_a_key_of_a_post_belongs_to_one_caller_and_one_address(store: Store, node: Node) -> None:
    app = app_of(store, node)
    key = {"idempotency-key": "1"}
    balance = {"module": "account", "action": "balance"}
    async with asking(app) as one, asking(app, "203.0.113.5") as other:
        sent = [
            await who.post("/api/v1/transactions", json=body(place), headers=key)
            for place, who in enumerate((one, other))
        ]
        balances = [
            await one.post(f"/api?module=account&action=balance&address={who}", headers=key, data=balance)
            for who in (TOKEN, "0x" + "51" * 20)
        ]

    assert [answer.status_code for answer in sent] == [202, 202], "another's key is not in the way"
    assert node.sent == ["0x0000", "0x0001"]
    assert [answer.json()["result"] for answer in balances] == ["10", "11"]


async def test_a_refusal_that_may_pass_is_not_repeated_for_a_day(store: Store, node: Node) -> None:
    from metanode.rpc.errors import ServerError  # noqa: PLC0415 - of this test alone

    app = app_of(store, node)
    key = {"idempotency-key": "1"}
    async with asking(app) as http:
        node.refusal = ServerError("insufficient funds")
        refused = await http.post("/api/v1/transactions", json=body(1), headers=key)
        node.refusal = None
        funded, again = [await http.post("/api/v1/transactions", json=body(1), headers=key) for _ in range(2)]

    assert (refused.status_code, funded.status_code, again.status_code) == (400, 202, 202)
    assert node.sent == ["0x0001"]


async def test_what_many_ask_at_once_is_looked_up_once(store: Store, node: Node) -> None:
    app = app_of(store, node)
    async with asking(app) as one, asking(app, "203.0.113.5") as other:
        first = await one.get(NETWORK)
        node.asked.clear()
        node.head = 99
        second = await other.get(NETWORK)

    assert first.json() == second.json()
    assert first.headers["etag"] == second.headers["etag"]
    assert node.asked == []
    assert second.headers["content-type"] == "application/json"


async def test_only_what_no_block_changes_is_kept_for_long(store: Store, node: Node) -> None:
    app = app_of(store, node)
    moved = f"0x{1:032x}{0:032x}"
    async with asking(app) as http:
        block = (await http.get("/api/v1/blocks/2")).json()
        found = {
            path: (await http.get(f"/api/v1{path}")).headers["cache-control"]
            for path in (
                f"/blocks/{block['hash']}", f"/blocks/{block['hash']}/consensus", "/blocks/2", "/blocks/latest",
                f"/transactions/{moved}", f"/transactions/{moved}/logs",
            )
        }  # fmt: skip

    # No validator has decided these blocks, so nothing of them is certain.
    passing = {"public, max-age=1, stale-while-revalidate=5"}
    assert {found.pop(f"/transactions/{moved}")} == {"public, max-age=86400"}
    assert set(found.values()) == passing


async def test_every_problem_leads_to_what_it_means(store: Store, node: Node) -> None:
    app = app_of(store, node)
    async with asking(app) as http:
        answers = [
            await http.get("/api/v1/blocks/banana"),
            await http.get("/api/v1/blocks/99"),
            await http.get("/api/v1/blocks?limit=0"),
            await http.get("/nothing"),
            await http.post("/api/v1/blocks"),
            await http.get(NETWORK, headers={"authorization": "Bearer nonsense"}),
            await http.post("/api/v1/transactions", json=body(1), headers={"origin": "https://evil.example"}),
            await http.post("/api/v1/transactions", content=b"x" * 1_100_000),
        ]
        docs = (await http.get("/docs")).text

    for answer in answers:
        problem = answer.json()
        assert problem["code"] in PROBLEMS
        assert problem["type"] == f"http://any/docs#problem-{problem['code']}"
        assert f'id="problem-{problem["code"]}"' in docs


async def test_a_page_of_the_reference_is_made_once(
    store: Store, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdk.testnet.services.api import app as module  # noqa: PLC0415 - of this test alone

    made: list[int] = []
    real = module.openapi_of
    monkeypatch.setattr(module, "openapi_of", lambda app: made.append(1) or real(app))
    app = app_of(store, node)
    async with asking(app) as http:
        pages = [await http.get(path) for path in ("/docs", "/docs", "/openapi.json", "/openapi.json")]
        again = await http.get("/docs", headers={"if-none-match": pages[0].headers["etag"]})

    assert len(made) == 2
    assert pages[0].text == pages[1].text
    assert again.status_code == 304


async def test_the_reference_fits_into_the_size_of_pages_and_leads_to_its_types(
    store: Store, node: Node
) -> None:
    async with asking(app_of(store, node)) as http:
        docs, types = [await http.get(path) for path in ("/docs", "/docs/types")]

    for page in (docs, types):
        assert page.status_code == 200
        assert len(page.content) <= 60 * 1024
    wanted = set(re.findall(r'href="/docs/types#(\w+)"', docs.text)) | set(
        re.findall(r'href="#(\w+)"', types.text)
    )
    assert {"Block", "Network", "Party"} <= wanted
    assert wanted <= set(re.findall(r'<details id="(\w+)">', types.text))


async def test_readiness_names_database_node_and_lag(store: Store, node: Node) -> None:
    app = app_of(store, node)
    node.head = 9
    async with asking(app) as http:
        answer = await http.get("/readyz")
        node.asked.clear()
        await http.get("/readyz")

    assert (answer.status_code, answer.text) == (200, "ready at block 4, 5 blocks behind\nnode: at block 9\n")
    assert node.asked == [], "who asks again within a second asks nobody else"


@pytest.mark.parametrize(
    ("age", "lag", "period", "verdict", "reasons"),
    [
        (1, 0, 2, "ok", 0),
        (None, None, 2, "unknown", 1),
        (7, 0, 2, "late", 1),
        (21, 0, 2, "stalled", 1),
        (7, 0, 12, "ok", 0),
        (1, 1_000, 2, "index behind", 1),
        (100, 1_000, 2, "stalled", 2),
        (1, 2, 2, "ok", 0),
    ],
)
def test_the_verdict_is_of_the_network_and_a_slow_index_is_another(
    age: int | None, lag: int | None, period: int, verdict: str, reasons: int
) -> None:
    found, why = judge(age, lag, period)

    assert (found, len(why)) == (verdict, reasons)


async def test_the_block_time_is_what_the_nodes_say(store: Store, node: Node) -> None:
    async with asking(app_of(store, node)) as http:
        told = (await http.get(NETWORK)).json()["block_time_s"]
    async with asking(app_of(store, node, block_time_s=5)) as http:
        configured = (await http.get(NETWORK)).json()["block_time_s"]

    assert (told, configured) == (12, 5)


def test_what_memory_keeps_is_bounded_in_bytes() -> None:
    async def story() -> None:
        memory = InMemory(bytes_max=10 * VALUE_BYTES_MAX)
        for place in range(30):
            await memory.replace(f"{place}", bytes(VALUE_BYTES_MAX), 60)
        there = [place for place in range(30) if await memory.get(f"{place}") is not None]
        assert there == list(range(20, 30))
        await memory.replace("29", b"short", 60)
        await memory.forget("28")
        assert memory._bytes == 8 * VALUE_BYTES_MAX + 5
        assert await memory.add("a", 2, 60) == Used(2, 60)

    asyncio.run(story())


async def test_what_is_too_many_is_counted_in_every_dialect(store: Store, node: Node) -> None:
    """Etherscan's has no 429: its clients look for words."""
    metrics = ServiceMetrics()
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any", anonymous_a_minute=1)
    app = CountRequests(make_app(store=store, node=node, config=config), metrics=metrics, site="api")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any") as http:
        answers = [await http.get(path) for path in (NETWORK, NETWORK, "/api?module=account&action=txlist")]

    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[2].json()["result"].startswith("Max rate limit reached")
    assert 'metanode_ratelimited_requests_total{site="api"} 2.0' in metrics.page().decode()


async def test_calls_are_counted_by_the_key_that_they_show(store: Store, node: Node) -> None:
    """Also those that are refused; what is made once and free for everybody is no call."""
    metrics, (text, key) = ServiceMetrics(), new_key("somebody's")
    config = ApiConfig(
        network_name="any", chain_id=1, public_url="http://any", keys=(key,), anonymous_a_minute=12
    )
    app = CountRequests(make_app(store=store, node=node, config=config), metrics=metrics, site="api")
    before = metrics.page().decode()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any") as http:
        for headers in (
            {}, {"authorization": f"Bearer {text}"}, *({"authorization": f"Bearer evk_{n:08x}_{n:032x}"} for n in range(3)),
        ):  # fmt: skip
            await http.get(NETWORK, headers=headers)
        await http.get("/openapi.json")

    counted = 'metanode_api_requests_total{{caller="{}"}} {}.0'
    for caller, count in (("anonymous", 1), ("key", 1), ("wrong_key", 3)):
        assert counted.format(caller, 0) in before
        assert counted.format(caller, count) in metrics.page().decode()
