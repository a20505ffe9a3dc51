"""The community API over the index of a real chain, asked over HTTP."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
from eth_abi import encode
from eth_account import Account
from tests.testnet.api_server import running_redis, serving
from tests.testnet.index_chain import Chain, call_of, word
from tests.testnet.index_runs import index_to, running, wait_until

from metanode.errors import InvalidInput
from sdk.testnet import Testnet
from sdk.testnet.services import heads as heads_module
from sdk.testnet.services.api import ApiConfig, new_key, read_keys, shared
from sdk.testnet.services.heads import Heads
from sdk.testnet.services.indexer.events import TRANSFER, TRANSFER_BATCH, TRANSFER_SINGLE
from sdk.testnet.services.store import Store

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

OPENAPI = Path(__file__).resolve().parents[2] / "docs" / "reference" / "openapi.json"
ALICE = "0x" + "a1" * 20
BOB = "0x" + "b0" * 20
CAROL = "0x" + "ca" * 20
DAVE = "0x" + "da" * 20
ZERO = "0x" + "00" * 20
THINGS_MOVED = ((ZERO, CAROL, 7), (ZERO, CAROL, 8), (CAROL, DAVE, 7))
"""The ERC-721: from, to, number. Dave has 7 and Carol 8."""
PARTS_MADE = ((1, 10), (2, 20))
"""The ERC-1155: numbers and amounts, all of them Carol's; then she gives Dave 5 of number 2."""


@dataclass(frozen=True)
class World:
    """A chain, its index and the API on them."""

    net: Testnet
    chain: Chain
    store: Store
    url: str
    coins: str
    things: str
    parts: str
    payment: str
    failure: str
    head: int

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, trust_env=False, timeout=20, **options)

    def json(self, path: str, **options: Any) -> Any:
        answer = self.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        Testnet(validators=1, block_time_s=1, in_memory=True) as net,
        Chain(net.rpc_url, net.accounts[0]) as chain,
    ):
        coins = chain.speaker(b"<script>alert(1)</script>", "=1+1", 6)
        for amount in range(1, 8):
            words = (TRANSFER, word("0x00"), word(ALICE), word(amount))
            chain.send(to=coins, data=call_of("say3(bytes32,bytes32,bytes32,bytes)", *words))
            chain.send(to=ALICE, value=amount)
        things, parts = chain.speaker(b"+Things", "-CAT", 0), chain.speaker(b"Parts", "@P", 0)
        for sender, recipient, thing in THINGS_MOVED:
            chain.send(to=things, data=say4(TRANSFER, word(sender), word(recipient), word(thing)))
        batch = encode(["uint256[]", "uint256[]"], list(zip(*PARTS_MADE, strict=True)))
        chain.send(to=parts, data=say4(TRANSFER_BATCH, word(CAROL), word(ZERO), word(CAROL), batch))
        single = word(2) + word(5)
        chain.send(to=parts, data=say4(TRANSFER_SINGLE, word(CAROL), word(CAROL), word(DAVE), single))
        failed = chain.do(to=coins, data=call_of("pay_and_fail(address,uint256)", BOB, 5), value=5)
        paid = chain.do(to=coins, data=call_of("pay(address,uint256)", BOB, 5), value=5)
        head = int(paid["blockNumber"], 16)
        net.wait_for_block(head + 1)
        store = Store(f"sqlite:///{tmp_path_factory.mktemp('api')}/index.db")
        asyncio.run(index_to(store, net.rpc_url, head + 1))
        with serving(store, net.rpc_url) as url:
            yield World(
                net,
                chain,
                store,
                url,
                coins,
                things,
                parts,
                paid["transactionHash"],
                failed["transactionHash"],
                head,
            )
        store.close()


def say4(*words: bytes) -> bytes:
    """The input that lets a Speaker emit an event of four topics; the fifth, its data, may be missing."""
    return call_of("say4(bytes32,bytes32,bytes32,bytes32,bytes)", *words, *[b""] * (5 - len(words)))


def test_every_path_that_is_described_answers(world: World) -> None:
    document = json.loads(OPENAPI.read_text())
    values = {
        "{block}": "latest", "{transaction}": world.payment, "{address}": world.coins, "{token_id}": "0",
        "{selector}": "0xa9059cbb", "{what}": "blocks", "{claim}": "1", "{verification}": "00000000-0000-4000-8000-000000000000",
    }  # fmt: skip
    member = world.chain.rpc("ibft_getValidatorsByBlockNumber", "latest")[0]
    # Nobody watches this network, and it has no faucet with pages.
    other = dict.fromkeys((f"/api/v1/contracts/{{address}}/{name}" for name in ("abi", "source")), 404)
    other["/api/v1/verifications/{verification}"] = 404
    other |= dict.fromkeys((f"/api/v1/{name}" for name in ("nodes", "alerts", "incidents", "stats/rpc")), 503)
    for path, operations in document["paths"].items():
        if "get" not in operations or path.endswith("/events"):
            continue
        asked = path.replace("/validators/{address}", f"/validators/{member}")
        for name, value in values.items():
            asked = asked.replace(name, value)
        answer = world.get(asked, params={"q": "1"} if path.endswith("/search") else None)
        expected = 404 if "/faucet" in path else other.get(path, 200)
        assert answer.status_code == expected, (asked, answer.text)
        assert answer.headers["access-control-allow-origin"] == "*"


def test_an_account_s_list_is_walked_by_its_own_links(world: World) -> None:
    whole = world.json(f"/api/v1/addresses/{ALICE}/transfers?limit=100&include=total")
    assert whole["total"] == len(whole["items"]) == 7
    assert whole["next"] is None
    assert whole["as_of"]["block"] >= world.head

    found: list[Any] = []
    path = f"/api/v1/addresses/{ALICE}/transfers?limit=3&kind=erc20"
    while path:
        answer = world.get(path)
        assert answer.status_code == 200
        found += answer.json()["items"]
        link = answer.links.get("next", {}).get("url", "")
        assert link.startswith("http://api.example/") or not link, (
            "links are of the configuration, not of a header"
        )
        assert "kind=erc20" in link or not link
        path = link.removeprefix("http://api.example")
    assert found == whole["items"]


@pytest.mark.parametrize(
    "other",
    ["/transfers?limit=3&kind=erc721", "/transactions?limit=3", "/transfers?limit=3&order=asc&kind=erc20"],
)
def test_a_cursor_serves_only_the_list_that_it_was_made_for(world: World, other: str) -> None:
    cursor = world.json(f"/api/v1/addresses/{ALICE}/transfers?limit=3&kind=erc20")["next"]

    answer = world.get(f"/api/v1/addresses/{ALICE}{other}&cursor={cursor}")
    forged = world.get(f"/api/v1/addresses/{ALICE}/transfers?limit=3&kind=erc20&cursor={cursor[:-2]}AA")

    assert (answer.status_code, forged.status_code) == (400, 400)
    assert "cursor" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/blocks/999999999", 404),
        ("GET", "/api/v1/transactions/0x" + "00" * 32, 404),
        ("GET", "/api/v1/tokens/" + ALICE, 404),
        ("POST", "/api/v1/blocks", 405),
        ("GET", "/api/v1/blocks?limit=0", 422),
        ("GET", "/api/v1/blocks?limit=101", 422),
        ("GET", "/api/v1/blocks/banana", 400),
        ("GET", "/api/v1/blocks/1%00", 400),
        ("GET", "/api/v1/blocks/99999999999999999999999999", 400),
        ("GET", "/api/v1/transactions/0x12", 400),
        ("GET", "/api/v1/addresses/0x12", 400),
        ("GET", "/api/v1/addresses/0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD0", 400),
        ("GET", "/api/v1/addresses/0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAED", 400),
        ("GET", "/api/v1/tokens?kind=erc777", 400),
        ("GET", "/api/v1/stats/series?interval=year", 422),
        ("GET", "/api/v1/stats/series?from=0&to=99999999", 400),
        ("GET", "/api/v1/search", 422),
        ("POST", "/api/v1/transactions", 422),
    ],
)
def test_every_error_is_a_problem_document(world: World, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, world.url + path, trust_env=False)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["instance"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["code"]
    if status == 422:
        assert problem["errors"]


def test_a_body_that_is_too_long_is_413(world: World) -> None:
    answer = httpx.post(world.url + "/api/v1/transactions", content=b"x" * 1_100_000, trust_env=False)

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_what_a_caller_has_is_not_sent_again(world: World) -> None:
    first = world.get("/api/v1/blocks/1")
    again = world.get("/api/v1/blocks/1", headers={"if-none-match": f'"other", {first.headers["etag"]}'})
    other = world.get("/api/v1/blocks/2", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)
    assert first.headers["cache-control"] == "public, max-age=30"
    by_hash = world.get(f"/api/v1/blocks/{first.json()['hash']}")
    assert (by_hash.json(), by_hash.headers["cache-control"]) == (first.json(), "public, max-age=86400")


def test_hostile_names_are_text(world: World) -> None:
    token = world.json(f"/api/v1/tokens/{world.coins}")

    assert (token["name"], token["symbol"], token["supply"]) == ("<script>alert(1)</script>", "=1+1", "28")
    assert world.get("/api/v1/tokens").headers["x-content-type-options"] == "nosniff"


def test_the_reference_needs_nothing_of_anybody_else(world: World) -> None:
    page = world.get("/docs", follow_redirects=True)

    assert page.status_code == 200
    assert "<script" not in page.text
    assert "http" not in page.text.replace("https://www.rfc", "").split("<body>")[0]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/api/v1/addresses/{address}/transfers" in page.text


def test_a_contract_is_asked_and_its_calls_are_encoded(world: World) -> None:
    """A token that nobody has verified: the functions are those of its standard."""

    def post(what: str, function: str, *arguments: Any) -> Any:
        body = {"function": function, "arguments": arguments}
        answer = httpx.post(
            f"{world.url}/api/v1/contracts/{world.coins}/{what}", json=body, trust_env=False, timeout=20
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    name, decimals = post("call", "name"), post("call", "decimals()")
    refused = post("call", "balanceOf", ALICE)
    encoded = post("encode", "allowance", ALICE, BOB)

    assert name["values"] == [{"name": "", "type": "string", "value": "<script>alert(1)</script>"}]
    assert (decimals["values"][0]["value"], decimals["interface"]) == ("6", "guess")
    # The contract says what token it is, and has no such function.
    assert (refused["succeeded"], refused["values"]) == (False, None)
    assert refused["error"]
    assert encoded["data"] == "0x" + call_of("allowance(address,address)", ALICE, BOB).hex()


def test_a_transaction_is_sent_once_however_often_it_is_posted(world: World) -> None:
    account = Account.from_key(world.net.accounts[5].private_key)

    def raw(value: int) -> dict[str, str]:
        fields = {
            "chainId": 1337, "nonce": 0, "gas": 21_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 1, "value": value,
            "to": bytes.fromhex(ALICE[2:]),
        }  # fmt: skip
        return {"raw": "0x" + bytes(account.sign_transaction(fields).raw_transaction).hex()}

    def post(body: dict[str, str], **headers: str) -> httpx.Response:
        return httpx.post(world.url + "/api/v1/transactions", json=body, headers=headers, trust_env=False)

    first, again = (post(raw(1), **{"idempotency-key": "one"}) for _ in range(2))
    other = post(raw(2), **{"idempotency-key": "one"})
    refused = post({"raw": "0x00"})
    foreign = post(raw(3), origin="https://evil.example")

    assert (first.status_code, again.status_code, first.json()) == (202, 202, again.json())
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")
    assert (foreign.status_code, foreign.json()["code"]) == (403, "wrong_origin")


def test_who_asks_too_much_is_refused_and_a_key_gives_more(world: World) -> None:
    text, key = new_key("a friend")
    with serving(world.store, world.net.rpc_url, anonymous_a_minute=5, keyed_a_minute=9, keys=(key,)) as url:

        def ask(**headers: str) -> httpx.Response:
            return httpx.get(url + "/api/v1/network", headers=headers, trust_env=False)

        allowed = [ask(**{"x-forwarded-for": "198.51.100.1"}) for _ in range(5)]
        refused = ask(**{"x-forwarded-for": "198.51.100.1"})
        invented = ask(**{"x-forwarded-for": "203.0.113.9, 198.51.100.1"})
        neighbour = ask(**{"x-forwarded-for": "198.51.100.2"})
        with_key = [ask(authorization=f"Bearer {text}").status_code for _ in range(10)]
        wrong = ask(authorization="Bearer evk_00000000_" + "0" * 32)
        etherscan = httpx.get(
            url + "/api?module=account&action=txlist",
            headers={"x-forwarded-for": "198.51.100.1"},
            trust_env=False,
        )

    assert [answer.status_code for answer in allowed] == [200] * 5
    assert allowed[0].headers["ratelimit-policy"] == '"anon";q=5;w=60'
    assert allowed[0].headers["ratelimit"].startswith('"anon";r=4;')
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert invented.status_code == 429, "what a client writes in front is not believed"
    assert neighbour.status_code == 200
    assert with_key == [200] * 9 + [429]
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unknown_key")
    assert etherscan.json()["result"].startswith("Max rate limit reached")


def test_a_silent_redis_stops_nothing_and_counts_go_on(world: World) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed; apt-get install redis-server")
    with running_redis() as (redis_url, redis):
        limits = {"anonymous_a_minute": 6, "redis_url": redis_url}
        with (
            serving(world.store, world.net.rpc_url, **limits) as first,
            serving(world.store, world.net.rpc_url, **limits) as second,
        ):

            def ask(url: str) -> int:
                return httpx.get(url + "/api/v1/network", trust_env=False).status_code

            together = [ask(first), ask(first), ask(first), ask(second), ask(second), ask(second)]
            over = [ask(first), ask(second)]
            redis.kill()
            redis.wait()
            alone = [ask(first) for _ in range(8)]

    assert together == [200] * 6
    assert over == [429, 429]
    assert alone == [200] * 6 + [429] * 2, "each process counts for itself, and still counts"


def test_a_burst_of_questions_is_no_silence_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six times as many as have a place; on a busy machine each may take its time."""
    monkeypatch.setattr(shared, "REDIS_TIMEOUT_S", 60.0)
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed; apt-get install redis-server")

    async def burst(url: str) -> tuple[list[int], bool]:
        async with shared.open_shared(url) as counts:
            assert isinstance(counts, shared.InRedis)
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(counts.add("one", 1, 600)) for _ in range(400)]
            return [task.result().amount for task in asked], counts.is_answering

    with running_redis() as (redis_url, _):
        amounts, is_answering = asyncio.run(burst(redis_url))

    assert is_answering
    assert sorted(amounts) == list(range(1, 401))


def test_a_block_is_told_by_redis_to_other_processes_and_they_go_on_without_it() -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed; apt-get install redis-server")

    async def story(url: str) -> None:
        one, other = Heads(url), Heads(url)
        running = [asyncio.create_task(heads.run()) for heads in (one, other)]
        try:
            woken = asyncio.create_task(_woken(other))
            async with asyncio.timeout(30):
                while not woken.done():
                    # Until both are connected nobody hears.
                    one.tell(7)
                    await asyncio.sleep(0.02)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    async def _woken(heads: Heads) -> None:
        moved = heads._moved
        await moved.wait()

    with running_redis() as (redis_url, _):
        asyncio.run(story(redis_url))


def test_who_was_told_by_a_redis_that_hangs_now_looks_often_again(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed; apt-get install redis-server")
    monkeypatch.setattr(heads_module, "HEARD_S", 1.0)

    async def waited_s(heads: Heads) -> float:
        began_s = time.monotonic()
        await heads.wait(0.05)
        return time.monotonic() - began_s

    async def story(url: str, redis: subprocess.Popen[bytes]) -> None:
        one, other = Heads(url), Heads(url)
        running = [asyncio.create_task(heads.run()) for heads in (one, other)]
        try:
            async with asyncio.timeout(60):
                while not other.told:
                    one.tell(7)
                    await asyncio.sleep(0.02)
                redis.send_signal(signal.SIGSTOP)
                while await waited_s(other) > 1:
                    pass
                redis.send_signal(signal.SIGCONT)
                before = other.told
                while other.told == before:
                    one.tell(8)
                    await asyncio.sleep(0.02)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    with running_redis() as (redis_url, redis):
        asyncio.run(story(redis_url, redis))


def test_a_new_block_is_told_to_whoever_listens(world: World) -> None:
    async def story() -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        async with (
            running(world.store, world.net.rpc_url) as indexer,
            httpx.AsyncClient(trust_env=False, timeout=30) as http,
            http.stream("GET", world.url + "/api/v1/events?topics=block") as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            await wait_until(lambda: indexer.status.state == "live", lambda: indexer.status)
            name = ""
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                # Whoever missed more than fits is told to look again: `resync`.
                if line.startswith("data: ") and name == "block":
                    events.append(json.loads(line[6:]))
                if len(events) == 3:
                    break
        return events

    told = [event["number"] for event in asyncio.run(story())]

    assert told == list(range(told[0], told[0] + 3))


def test_what_moved_of_numbered_tokens_is_told_in_etherscan_s_dialect(world: World) -> None:
    """ERC-721 and ERC-1155, by account and by contract."""

    def ask(action: str, **query: Any) -> list[dict[str, str]]:
        answer = world.json("/api", params={"module": "account", "action": action, **query})
        assert (answer["status"], answer["message"]) == ("1", "OK")
        return answer["result"]

    things = ask("tokennfttx", contractaddress=world.things)
    of_dave = ask("tokennfttx", address=DAVE)
    parts = ask("token1155tx", address=CAROL, sort="asc")
    to_dave = ask("token1155tx", address=DAVE, contractaddress=world.parts)

    assert [(one["from"], one["to"], one["tokenID"]) for one in things] == [
        (sender, recipient, str(thing)) for sender, recipient, thing in THINGS_MOVED
    ]
    assert [one["tokenID"] for one in of_dave] == ["7"]
    assert {(one["contractAddress"], one["tokenName"], one["tokenSymbol"]) for one in things} == {
        (world.things.lower(), "+Things", "-CAT")
    }
    assert "value" not in things[0]
    assert [(one["tokenID"], one["tokenValue"], one["to"]) for one in parts] == [
        *((str(number), str(amount), CAROL) for number, amount in PARTS_MADE),
        ("2", "5", DAVE),
    ]
    assert to_dave == [{**parts[2], "confirmations": to_dave[0]["confirmations"]}]
    for one in (things[2], parts[2]):
        said = world.chain.rpc("eth_getTransactionReceipt", one["hash"])
        assert int(one["blockNumber"]) == int(said["blockNumber"], 16)
        assert (one["blockHash"], int(one["gasUsed"])) == (said["blockHash"], int(said["gasUsed"], 16))
        assert all(isinstance(value, str) for value in one.values())
    # What is of one kind is in none of the others' lists.
    for action, address in (("tokentx", CAROL), ("tokennfttx", ALICE), ("token1155tx", ALICE)):
        answer = world.json("/api", params={"module": "account", "action": action, "address": address})
        assert (answer["message"], answer["result"]) == ("No transactions found", [])


def test_how_a_transaction_went_and_when_a_block_comes_are_told_in_etherscan_s_dialect(world: World) -> None:
    def ask(module: str, action: str, **query: Any) -> Any:
        return world.json("/api", params={"module": module, "action": action, **query})["result"]

    newest = world.json("/api/v1/blocks?limit=1")["items"][0]
    wanted = newest["number"] + 100
    countdown = ask("block", "getblockcountdown", blockno=wanted)

    assert ask("transaction", "getstatus", txhash=world.payment) == {"isError": "0", "errDescription": ""}
    assert ask("transaction", "getstatus", txhash=world.failure) == {
        "isError": "1",
        "errDescription": "execution reverted",
    }
    assert ask("transaction", "gettxreceiptstatus", txhash=world.failure) == {"status": "0"}
    first = world.json("/api/v1/blocks/0")
    period_s = (newest["timestamp"] - first["timestamp"]) / newest["number"]
    assert countdown == {
        "CurrentBlock": str(newest["number"]),
        "CountdownBlock": str(wanted),
        "RemainingBlock": "100",
        "EstimateTimeInSec": f"{100 * period_s:.1f}",
    }


def test_numbered_tokens_are_found_by_who_has_them_and_by_their_number(world: World) -> None:
    def items(path: str) -> list[dict[str, Any]]:
        return world.json(f"/api/v1{path}")["items"]

    def held(who: str) -> set[tuple[str, str, str]]:
        found = items(f"/addresses/{who}/nfts")
        return {
            (one["token"]["contract"]["address"].lower(), one["token_id"], one["amount"]) for one in found
        }

    things, parts = world.things.lower(), world.parts.lower()

    assert held(CAROL) == {(things, "8", "1"), (parts, "1", "10"), (parts, "2", "15")}
    assert held(DAVE) == {(things, "7", "1"), (parts, "2", "5")}
    # Coins are no NFT, and tokens of a kind are its own.
    assert items(f"/addresses/{ALICE}/nfts") == []
    assert [one["amount"] for one in items(f"/addresses/{ALICE}/tokens")] == ["28"]
    assert {one["token_id"] for one in items(f"/addresses/{CAROL}/tokens?kind=erc1155")} == {"1", "2"}

    def holders(path: str) -> list[tuple[str, str, str]]:
        return [(one["account"]["address"].lower(), one["token_id"], one["amount"]) for one in items(path)]

    assert holders(f"/tokens/{world.things}/instances/7") == [(DAVE, "7", "1")]
    assert holders(f"/tokens/{world.things}/instances/9") == []
    assert sorted(holders(f"/tokens/{world.parts}/instances/2")) == [(CAROL, "2", "15"), (DAVE, "2", "5")]
    assert sorted(holders(f"/tokens/{world.parts}/holders")) == [
        (CAROL, "1", "10"),
        (CAROL, "2", "15"),
        (DAVE, "2", "5"),
    ]
    kinds = {one["contract"]["address"].lower(): one["kind"] for one in items("/tokens")}
    assert kinds == {world.coins.lower(): "ERC-20", things: "ERC-721", parts: "ERC-1155"}


@pytest.mark.parametrize(
    ("what", "whose"),
    [
        ("blocks", None),
        ("transactions", None),
        ("transactions", "coins"),
        ("transfers", "carol"),
        ("transfers", "alice"),
        ("internal", "coins"),
        ("logs", "parts"),
    ],
)
def test_every_file_has_the_rows_of_its_list_and_no_cell_that_a_spreadsheet_runs(
    world: World, what: str, whose: str | None
) -> None:
    address = None if whose is None else {"carol": CAROL, "alice": ALICE}.get(whose) or getattr(world, whose)
    query = "" if address is None else f"address={address}"
    rows = list(csv.DictReader(io.StringIO(world.get(f"/api/v1/exports/{what}?{query}").text)))
    place = f"/api/v1/{what}" if address is None else f"/api/v1/addresses/{address}/{what}"
    listed = world.json(f"{place}?limit=100&order=asc")["items"]

    assert rows
    assert len(rows) == len(listed)
    for row, one in zip(rows, listed, strict=True):
        for name, cell in row.items():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (name, cell)
            said = one.get(name)
            if isinstance(said, bool | int | str) and not isinstance(said, dict):
                assert cell == str(said), name
            elif said is None:
                continue
            elif "address" in said:
                assert cell == said["address"], name
            elif name == "token":
                assert (cell, row["token_symbol"]) == (said["contract"]["address"], f"'{said['symbol']}")


def test_etherscan_s_clients_get_what_they_expect(world: World) -> None:
    def ask(**query: Any) -> dict[str, Any]:
        answer = world.get("/api", params=query)
        assert answer.status_code == 200
        assert set(answer.json()) == {"status", "message", "result"}
        return answer.json()

    sender = world.net.accounts[0].address
    listed = ask(
        module="account", action="txlist", address=sender, sort="asc", page=1, offset=5, chainid=1337
    )
    assert (listed["status"], listed["message"], len(listed["result"])) == ("1", "OK", 5)
    said = world.chain.rpc("eth_getTransactionByHash", listed["result"][1]["hash"])
    assert all(isinstance(value, str) for value in listed["result"][1].values())
    for ours, theirs in (
        ("blockNumber", "blockNumber"),
        ("nonce", "nonce"),
        ("value", "value"),
        ("gas", "gas"),
    ):
        assert int(listed["result"][1][ours]) == int(said[theirs], 16)
    assert (listed["result"][1]["input"], listed["result"][1]["blockHash"]) == (
        said["input"],
        said["blockHash"],
    )
    second = ask(module="account", action="txlist", address=sender, sort="asc", page=2, offset=5)
    assert int(second["result"][0]["nonce"]) == 5

    assert ask(module="account", action="txlist", address="0x" + "77" * 20) == {
        "status": "0",
        "message": "No transactions found",
        "result": [],
    }
    transfers = ask(module="account", action="tokentx", address=ALICE, sort="desc")["result"]
    assert [one["value"] for one in transfers] == [str(amount) for amount in range(7, 0, -1)]
    inside = ask(module="account", action="txlistinternal", txhash=world.payment)["result"]
    assert [(one["to"], one["value"], one["type"]) for one in inside] == [(BOB, "5", "call")]
    assert ask(module="account", action="balance", address=BOB)["result"] == "5"
    many = ask(module="account", action="balancemulti", address=f"{BOB},{'0x' + '77' * 20}")["result"]
    assert [one["balance"] for one in many] == ["5", "0"]
    made = ask(module="contract", action="getcontractcreation", contractaddresses=world.coins)["result"]
    assert made[0]["contractCreator"] == sender.lower()
    assert (
        ask(module="contract", action="getabi", address=world.coins)["result"]
        == "Contract source code not verified"
    )
    assert ask(module="transaction", action="gettxreceiptstatus", txhash=world.payment)["result"] == {
        "status": "1"
    }
    block = world.json("/api/v1/blocks/2")
    asked = {
        "module": "block",
        "action": "getblocknobytime",
        "timestamp": block["timestamp"],
        "closest": "before",
    }
    assert ask(**asked)["result"] == "2"
    logs = ask(
        module="logs",
        action="getLogs",
        address=world.coins,
        fromBlock=0,
        toBlock="latest",
        topic0="0x" + TRANSFER.hex(),
    )
    assert len(logs["result"]) == 7
    assert logs["result"][0]["data"] == "0x" + word(1).hex()
    mined = ask(
        module="account", action="getminedblocks", address=block["proposer"]["address"], page=1, offset=2
    )
    assert len(mined["result"]) == 2


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "Missing Or invalid Action"),
        ({"module": "account", "action": "txlist", "address": "0x1"}, "Invalid address format"),
        ({"module": "account", "action": "txlist", "address": ALICE, "page": "x"}, "page"),
        ({"module": "account", "action": "balance", "address": ALICE, "chainid": "1"}, "chainid"),
        ({"module": "transaction", "action": "getstatus", "txhash": "0x1"}, "txhash"),
        ({"module": "block", "action": "getblockcountdown", "blockno": "0"}, "already pass"),
    ],
)
def test_etherscan_s_refusals_have_status_200(world: World, query: dict[str, str], words: str) -> None:
    for answer in (
        world.get("/api", params=query),
        httpx.post(world.url + "/api", data=query, trust_env=False),
    ):
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["message"]) == ("0", "NOTOK")
        assert words in answer.json()["result"]


def test_keys_are_kept_as_hashes_and_expire() -> None:
    text, key = new_key("a friend")
    _, late = new_key("a late friend", expires_at=1)
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any", keys=(key, late))
    entry = {"id": key.id, "sha256": key.sha256.hex(), "name": "a friend"}

    assert config.key_of(text) == key
    assert config.key_of(text[:-1] + ("0" if text[-1] != "0" else "1")) is None
    assert text not in repr(config)
    assert read_keys([entry]) == (key,)
    with structlog.testing.capture_logs() as told:
        kept = read_keys([{**entry, "scopes": ["read", "admin"]}, {**entry, "scopes": ["admin"]}])
    assert [one.scopes for one in kept] == [{"read"}], (
        "a file of an earlier version is read, without what opened nothing"
    )
    assert [(one["log_level"], one["api_key"], one["reason"].partition(":")[0]) for one in told] == [
        ("warning", key.id, "api.keys[0].scopes"),
        ("warning", key.id, "api.keys[1].scopes"),
    ]
    assert "delete it" in told[0]["reason"]
    for wrong in (
        {**entry, "scopes": ["root"]},
        {**entry, "sha256": "00"},
        {**entry, "id": "x"},
        {**entry, "key": text},
        "key",
    ):
        with pytest.raises(InvalidInput, match=r"api\.keys\[0\]"):
            read_keys([wrong])
