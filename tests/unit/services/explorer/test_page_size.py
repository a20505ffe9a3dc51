"""No page is larger than 60 kB, whatever is on the chain: what has no room is behind a link, whole."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import pytest
from eth_abi.abi import encode
from sqlalchemy import select, update
from tests.unit.services.told_chain import SENDER, TOKEN, ToldChain, account, write_chain

from metanode.rpc.errors import MethodNotFound
from sdk.testnet.services.explorer import room
from sdk.testnet.services.explorer.abi import parse_abi
from sdk.testnet.services.explorer.app import NAVIGATION, make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.explorer.traces import CALLS_MAX
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import (
    accounts,
    contracts,
    internal_calls,
    logs,
    tokens,
    transaction_inputs,
    transactions,
    transfers,
)
from sdk.testnet.services.verification.judging import Verdict
from sdk.testnet.services.verification.saving import save
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

HTML_BYTES_MAX = 60 * 1024
MOST = 10**32 + 1
"""More coins than any network of ours has, and all their digits."""
CODE = bytes(range(256)) * 96
"""24 kB, the longest that a contract may have."""
VERIFIED = bytes.fromhex(SENDER[2:])
NAME = "Treasury & Partners of Great Re"
"""Of 31 characters; 32 are shown."""
LONG = "0x" + "ab" * 20
HOSTILE = '"'
"""A character, and five in HTML."""
TEXTS = 190
SHARED = (
    encode(["uint256", "uint256"], [32, TEXTS])
    + encode(["uint256"], [TEXTS * 32]) * TEXTS
    + encode(["uint256"], [330])
    + HOSTILE.encode() * 352
)
"""A list of texts as the ABI has it, in seven kilobytes: all are the same one."""
PAID = f"/tx/{ToldChain()._hash(1, 1)}"
"""A transaction to the token."""
EVENTS, FUNCTIONS = 60, 150
EVENT = "E" * 128


class Nodes:
    """A node with a full pool, whose contracts have the longest code."""

    def within(self, _: int) -> Nodes:
        return self

    async def call(self, method: str, *_: Any) -> Any:
        match method:
            case "eth_blockNumber":
                return "0x3c"
            case "eth_getCode":
                return f"0x{CODE.hex()}"
            case "eth_getStorageAt":
                return "0x" + "00" * 32
            case "eth_getBalance" | "eth_getTransactionCount":
                return hex(2**60)
            case "eth_call":
                return f"0x{SHARED.hex()}"
            case "debug_traceTransaction":
                return _call() | {"calls": [_call() for _ in range(10_000)]}
            case "txpool_status":
                return {"pending": hex(50), "queued": hex(150)}
            case "txpool_content":
                return {"pending": _waiting(50), "queued": _waiting(150)}
        raise MethodNotFound(method)

    async def batch(self, calls: Any) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]


def _call() -> dict[str, Any]:
    return {
        "type": "DELEGATECALL", "from": LONG, "to": LONG, "value": hex(MOST), "gasUsed": hex(2**60), "input": "0xa9059cbb00",
        "error": HOSTILE * 200,
    }  # fmt: skip


def _waiting(count: int) -> dict[str, Any]:
    return {
        account(10**30 + number): {
            "1": {
                "hash": "0x" + number.to_bytes(32).hex(), "from": account(10**30 + number), "to": account(10**35 + number),
                "nonce": hex(2**60), "value": hex(MOST), "maxFeePerGas": hex(MOST), "input": "0xa9059cbb00",
            }
        }
        for number in range(count)
    }  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An index in which everybody has a name and is a contract, and every amount is the largest."""
    found = Store(f"sqlite:///{tmp_path}/index.db")
    write_chain(found, ToldChain(head=60, transactions=2))
    with found.change() as connection:
        connection.execute(update(accounts).values(name=NAME, is_contract=True))
        connection.execute(
            update(transactions).values(value=MOST.to_bytes(32), method_id=b"\xab\xcd\xef\x01")
        )
    yield found
    found.close()


def verify(store: Store) -> None:
    """Save a source in which everything is long, and all that HTML has to escape."""
    line = "\"<'&>" * 40 + "\U0001f9ff\u202e"
    folder = "\U0001f9ff&" * 60
    sources = {f"src/{folder}/{number}.sol": {"content": "x"} for number in range(150)}
    sources["src/A.sol"] = {"content": "\n".join([line] * 900)}
    libraries = {f"lib/{number}.sol": {"Library" * 30: LONG} for number in range(60)}
    inputs = [{"name": f"an_argument_of_some_length_{number}", "type": "address"} for number in range(100)]
    functions = [
        {"type": "function", "name": f"f{number}", "stateMutability": "view", "inputs": [], "outputs": []}
        for number in range(300)
    ]
    document = {"language": "Solidity", "sources": sources, "settings": {"libraries": libraries, "remappings": ["&" * 400] * 30}}  # fmt: skip
    verdict = Verdict(
        runtime_match="exact_match", creation_match="exact_match", source_path="src/A.sol", name="A" * 80,
        compiler_version="0.8.37+commit.f401782d", language="Solidity", abi=[{"type": "constructor", "inputs": inputs}, *functions],
        metadata=None, arguments=encode(["address"] * 100, [LONG] * 100),
        details={"runtime": {"immutable": {str(number): "0x" + "ab" * 32 for number in range(60)}}, "creation": {}},
    )  # fmt: skip
    with store.change() as connection:
        row = accounts.select().where(accounts.c.address == VERIFIED)
        number = connection.execute(row).one().id
        connection.execute(contracts.insert().values(account_id=number, created_at_number=1))
    save(store, "none", VERIFIED, verdict, json.dumps(document), CODE)


@asynccontextmanager
async def browsing(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    site = Site(
        network_name="the-longest-name-of-a-network", chain_id=2**53 - 1, navigation=NAVIGATION, api_url="http://api.example",
        own_url="http://explorer.example", currency_symbol="LONGSYMBOL",
    )  # fmt: skip
    parts = ExplorerParts.of(site=site, store=store, nodes=Nodes())  # type: ignore[arg-type]
    transport = httpx.ASGITransport(make_app(parts).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer") as http:
        yield http


async def test_a_full_pool_fits_and_programs_get_a_hundred(store: Store) -> None:
    async with browsing(store) as http:
        page = await http.get("/pending")
        twin = (await http.get("/pending.json")).json()

    assert len(page.content) <= HTML_BYTES_MAX
    assert page.text.count("data-key=") == 25
    assert '25 of 200. <a href="/pending.json">More, as JSON</a>' in page.text
    assert len(twin["items"]) == 100


@pytest.mark.parametrize(
    "path", ["/transactions", "/blocks", f"/address/{SENDER}", f"/address/{SENDER}/transfers"]
)
async def test_a_full_list_fits_and_programs_get_a_hundred_rows(store: Store, path: str) -> None:
    async with browsing(store) as http:
        page = await http.get(f"{path}?limit=25")
        refused = await http.get(f"{path}?limit=100", headers={"accept": "application/json"})
        twin = (await http.get(f"{path}.json?limit=100")).json()

    assert len(page.content) <= HTML_BYTES_MAX
    assert page.text.count("<tr") == 26, "and that of the heading"
    assert (refused.status_code, "as .json takes 100" in refused.json()["detail"]) == (400, True)
    assert len(twin["items"]) >= 60


async def test_a_contract_of_long_code_sources_and_abi_fits_and_leads_to_the_whole(store: Store) -> None:
    verify(store)
    link = f"/address/{SENDER}/contract"
    async with browsing(store) as http:
        page = await http.get(link)
        twin = (await http.get(f"{link}.json")).json()
        copied = (await http.get(f"/address/{SENDER}.json?limit=1")).json()

    assert "Verified exactly" in page.text
    assert len(page.content) <= HTML_BYTES_MAX
    assert page.text.count("of it, as JSON</a>") == 2, "of code and ABI"
    assert page.text.count("All sources, as JSON</a>") == 1
    for count, what in ((100, "values"), (60, "immutables"), (60, "libraries")):
        assert f"5 of {count} {what}. <a " in page.text
    assert twin["live"]["code"] == copied["live"]["code"] == f"0x{CODE.hex()}"
    assert len(json.loads(copied["contract"]["abi"])) == 301, "what its button copies"
    assert len(json.loads(twin["contract"]["standard_json"])["sources"]) == 151


async def test_a_contract_of_usual_length_is_shown_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "CODE", CODE[:2048])
    async with browsing(store) as http:
        page = (await http.get(f"/address/{SENDER}/contract")).text

    assert CODE.hex() in page
    assert "of it, as JSON" not in page


@pytest.fixture
def longest(store: Store) -> Store:
    """The same, with a transaction that did everything at length, to a contract whose ABI is as long."""
    name = HOSTILE * 128
    texts = {"name": name, "type": "string[]"}
    topics = [{"name": name, "type": "bytes32", "indexed": True} for _ in range(3)]
    inputs = [{"name": name, "type": "address[][][][][][]"} for _ in range(20)]
    answers = [{"name": name, "type": "function[100000][100000][100000]"} for _ in range(256)]
    abi: list[dict[str, Any]] = [
        {"type": "function", "name": "c" * 128, "stateMutability": "payable", "inputs": [texts]},
        {"type": "event", "name": EVENT, "inputs": [texts, *topics]},
        {"type": "function", "name": "v" * 128, "stateMutability": "view", "inputs": [{"name": name, "type": "string"}], "outputs": [texts]},
        {"type": "function", "name": "many", "stateMutability": "view", "inputs": inputs * 12, "outputs": answers},
    ]  # fmt: skip
    for number in range(FUNCTIONS):
        for mutability in ("view", "payable"):
            each = {"name": f"{mutability}{number}_{'f' * 110}", "stateMutability": mutability}
            abi.append({"type": "function", "inputs": inputs[: number % 20], "outputs": answers[:5]} | each)
    call, event = (parse_abi(json.dumps([each])).entries[0] for each in abi[:2])
    with store.change() as connection:
        found = (
            connection.execute(accounts.select().where(accounts.c.address == bytes.fromhex(TOKEN[2:])))
            .one()
            .id
        )
        connection.execute(
            contracts.insert().values(account_id=found, created_at_number=1, abi=json.dumps(abi))
        )
        connection.execute(update(tokens).values(name=name, symbol=name))
        connection.execute(update(transactions).values(log_count=EVENTS, internal_count=EVENTS))
        connection.execute(transaction_inputs.insert().values(number=1, idx=1, input=call.selector + SHARED))
        parties, amounts = (
            {"from_id": found, "to_id": found},
            {"amount": MOST.to_bytes(32), "token_ref": None},
        )
        for number in range(1, EVENTS):
            log = {"number": 1, "tx_idx": 1, "log_idx": number}
            said = {f"topic{place}": event.topic for place in range(4)} | {"data": SHARED}
            connection.execute(logs.insert().values(account_id=found, **log, **said))
            connection.execute(
                transfers.insert().values(token_id=found, kind=20, sub_idx=0, **log, **parties, **amounts)
            )
            moved = {
                "number": 1,
                "tx_idx": 1,
                "position": number,
                "trace_path": "0.1",
                "kind": 2,
                "error": HOSTILE * 128,
            }
            connection.execute(internal_calls.insert().values(value=MOST.to_bytes(32), **moved, **parties))
    return store


def weights(http: httpx.AsyncClient) -> Callable[[str], Any]:
    """What gives a page whose length it has looked at."""

    async def get(path: str) -> httpx.Response:
        page = await http.get(path)
        assert page.status_code == 200, page.text[:2_000]
        assert len(page.content) <= HTML_BYTES_MAX, (path, len(page.content))
        return page

    return get


async def pages_of(get: Callable[[str], Any], path: str) -> list[str]:
    """The pages of a list, as somebody reads them who goes on to the next."""
    found = []
    while path:
        found.append((await get(path)).text)
        path = html.unescape("".join(re.findall(r'rel="next" href="([^"]+cursor=[^"]+)"', found[-1])))
    return found


@pytest.mark.parametrize(
    "path", [PAID, f"{PAID}/input", f"{PAID}/transfers", f"{PAID}/internal", "/tokens", f"/token/{TOKEN}", f"/token/{TOKEN}/holders", "/contracts"]
)  # fmt: skip
async def test_the_longest_contents_fit(longest: Store, path: str) -> None:
    async with browsing(longest) as http:
        get = weights(http)
        page = (await get(path)).text
        twin = (await http.get(f"{path}.json")).json()

    if path in {PAID, f"{PAID}/input"}:
        (shown,) = re.findall(r"The first (\d+) values. <a href=\"[^\"]*/input.json\">More, as JSON", page)
        assert page.count("<code><bdi") == int(shown)
        assert 5 < int(shown) < len(twin["call"]["values"]) == TEXTS + 1


async def test_events_come_in_pages_as_long_as_they_are(longest: Store) -> None:
    async with browsing(longest) as http:
        get = weights(http)
        for path in (f"{PAID}/logs", f"/address/{TOKEN}/logs"):
            pages = await pages_of(get, path)
            places = [found for page in pages for found in re.findall(r'class="tag number">(\d+)<', page)]
            assert sum(page.count(f"<strong>{EVENT}</strong>") for page in pages) == EVENTS - 1, path
            assert path != f"{PAID}/logs" or places == [str(number) for number in range(EVENTS)]
            assert all(page.count("<li><header>") >= 3 for page in pages[:-1]), path
        page, twin = (await get(f"{PAID}/logs")).text, (await http.get(f"{PAID}/logs.json?limit=100")).json()

    assert re.search(r'The first \d+ values. <a href="[^"]+/logs.json">More, as JSON', page)
    assert len(twin["events"]) == EVENTS
    assert len(twin["events"][1]["decoded"]["values"]) == TEXTS + 4


async def test_usual_events_are_shown_whole_in_one_page(store: Store) -> None:
    with store.change() as connection:
        connection.execute(update(transactions).values(log_count=8))
        for number in range(1, 8):
            copied = logs.select().where(logs.c.number == 1, logs.c.log_idx == 0)
            row = connection.execute(copied).one()._asdict() | {"log_idx": number}
            connection.execute(logs.insert().values(**row))
    async with browsing(store) as http:
        (page,) = await pages_of(weights(http), f"{PAID}/logs")

    assert page.count("<strong>Transfer</strong>") == 8
    assert "The first" not in page


async def test_a_call_tree_comes_in_pages(longest: Store) -> None:
    async with browsing(longest) as http:
        pages = await pages_of(weights(http), f"{PAID}/calls")
        behind = await http.get(f"{PAID}/calls?cursor=300", headers={"accept": "application/json"})

    assert sum(page.count("delegatecall</span>") for page in pages) == CALLS_MAX
    assert all(f"The first {CALLS_MAX} calls are here." in page for page in pages)
    assert all(f'href="http://api.example/api/v1/transactions/{PAID[4:]}/trace"' in page for page in pages)
    assert (behind.status_code, "cursor" in behind.json()["detail"]) == (400, True)


@pytest.mark.parametrize(("kind", "mutability"), [("read", "view"), ("write", "payable")])
async def test_functions_of_a_contract_come_in_pages(longest: Store, kind: str, mutability: str) -> None:
    async with browsing(longest) as http:
        pages = await pages_of(weights(http), f"/address/{TOKEN}/{kind}")
        twin = (await http.get(f"/address/{TOKEN}/{kind}.json?cursor=100")).json()

    shown = [int(each) for page in pages for each in re.findall(rf"<strong>{mutability}(\d+)_", page)]
    assert shown == list(range(FUNCTIONS)), "each once"
    assert "".join(pages).count('<input type="hidden" name="f"') == FUNCTIONS + 1, (
        "and one that is called below"
    )
    assert "".join(pages).count("It takes 240 values, more than a page has room for") == (kind == "read")
    own = FUNCTIONS + (2 if kind == "read" else 1)
    assert (twin["function_count"], len(twin["functions"]), twin["next"]) == (own, own - 100, None)


async def test_a_form_is_weighed_once_and_one_of_too_many_fields_not_at_all(
    longest: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page takes milliseconds for the weight of hostile names, and is asked for by everybody."""
    abi = [
        {"type": "function", "name": name, "stateMutability": "view", "inputs": [{"name": f"{name}{place}", "type": "bool"} for place in range(count)]}
        for name, count in (("few", 20), ("most", room.FORM_INPUTS_MAX), ("many", room.FORM_INPUTS_MAX + 1))
    ]  # fmt: skip
    with longest.change() as connection:
        connection.execute(update(contracts).where(contracts.c.abi.is_not(None)).values(abi=json.dumps(abi)))
    weighed: Counter[str] = Counter()

    def clean(text: str, length_max: int) -> str:
        weighed[text] += 1
        return text[:length_max]

    monkeypatch.setattr(room, "clean", clean)
    async with browsing(longest) as http:
        page = (await http.get(f"/address/{TOKEN}/read")).text

    assert {name: weighed[f"{name}0"] for name in ("few", "most", "many")} == {"few": 1, "most": 1, "many": 0}
    assert re.findall(r"It takes (\d+) values", page) == ["64", "65"]
    assert page.count('<input type="hidden" name="f"') == 1


@pytest.mark.parametrize("typed", [HOSTILE * 1_600, "x" * 8_000, HOSTILE * 5_000])
async def test_a_long_answer_to_long_arguments_fits_and_says_so(longest: Store, typed: str) -> None:
    with longest.look() as connection:
        (text,) = connection.execute(select(contracts.c.abi).where(contracts.c.abi.is_not(None))).scalars()
    call, _, view = (f"0x{each.selector.hex()}" for each in parse_abi(text).entries[:3])
    is_shown = len(html.escape(typed)) <= 8_000
    async with browsing(longest) as http:
        get = weights(http)
        read = (await get(f"/address/{TOKEN}/read?{urlencode({'f': view, 'a': typed, 'cursor': 50})}")).text
        written = (
            await get(f"/address/{TOKEN}/write?{urlencode({'f': call, 'a': json.dumps(['x' * 7_000])})}")
        ).text

    answer = read[read.index('id="answer"') : read.index("Functions that only read")]
    assert "The first " in answer
    assert 5 < answer.count("<code><bdi") < TEXTS
    assert f"<strong>{'v' * 128}</strong>" in read, "its form stands there, wherever the reader was"
    assert (f'value="{html.escape(typed)}"' in read) == is_shown
    assert "this page as JSON, linked at its foot" in written


async def test_an_address_that_somebody_made_long_makes_no_page_longer(longest: Store) -> None:
    query = f"a={HOSTILE * 12_000}"
    async with browsing(longest) as http:
        for path in (f"/address/{TOKEN}/read", f"/address/{TOKEN}/write"):
            url = http.base_url.copy_with(raw_path=f"{path}?{query}".encode())
            assert "This page as JSON" not in (await weights(http)(url)).text  # type: ignore[arg-type]
