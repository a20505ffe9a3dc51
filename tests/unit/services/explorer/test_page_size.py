"""No page is larger than 60 kB, whatever is on the chain: what has no room is behind a link, whole."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from sqlalchemy import update
from tests.unit.services.told_chain import SENDER, ToldChain, account, write_chain

from metanode.rpc.errors import MethodNotFound
from sdk.testnet.services.explorer.app import NAVIGATION, make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import accounts, contracts, transactions
from sdk.testnet.services.verification.judging import Verdict
from sdk.testnet.services.verification.saving import save
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
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
            case "txpool_status":
                return {"pending": hex(50), "queued": hex(150)}
            case "txpool_content":
                return {"pending": _waiting(50), "queued": _waiting(150)}
        raise MethodNotFound(method)

    async def batch(self, calls: Any) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]


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
