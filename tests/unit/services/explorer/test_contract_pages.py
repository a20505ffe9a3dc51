"""Pages of contracts over a real database: sources, reading and writing through proxies, and the form that takes sources. The node is a fake."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from tests.unit.services.indexed_contracts import write_contracts

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.explorer.proxies import (
    SLOTS,
    Implementation,
    find_implementation,
    implementation_in,
)
from sdk.testnet.services.explorer.views.writing_contracts import parse_coins
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import verifications
from sdk.testnet.services.verification import Verifier, find_compilers, jobs
from sdk.testnet.services.verification.judging import Verdict
from sdk.testnet.services.verification.saving import save
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

CONTRACT, PROXY, OTHER = b"\xc0" * 20, b"\xc1" * 20, b"\xc2" * 20
ABI = [
    {"type": "constructor", "stateMutability": "nonpayable", "inputs": [{"name": "first", "type": "uint256"}]},
    {"type": "function", "name": "total", "stateMutability": "view", "inputs": [], "outputs": [{"name": "", "type": "uint256"}]},
    {"type": "function", "name": "add", "stateMutability": "nonpayable", "inputs": [{"name": "amount", "type": "uint256"}], "outputs": []},
    {"type": "function", "name": "pay", "stateMutability": "payable", "inputs": [], "outputs": []},
]  # fmt: skip
SOURCE = "contract Sums {\n\tuint256 total; /* \u202e } <script>alert(1)</script> */\n}\n"
ADD = "0x1003e2d2"


class Nodes:
    """A node whose contracts have code, and a proxy a slot."""

    def __init__(self) -> None:
        self.code = {CONTRACT: b"\x60\x01", PROXY: b"\x60\x02", OTHER: b""}
        self.slots: dict[tuple[bytes, bytes], bytes] = {(PROXY, SLOTS[0][1]): bytes(12) + CONTRACT}
        self.answers: dict[bytes, bytes] = {}

    async def call(self, method: str, *params: Any) -> Any:
        match method:
            case "eth_getCode":
                return f"0x{self.code.get(bytes.fromhex(params[0][2:]), b'').hex()}"
            case "eth_getStorageAt":
                key = (bytes.fromhex(params[0][2:]), bytes.fromhex(params[1][2:]))
                return f"0x{self.slots.get(key, bytes(32)).hex()}"
            case "eth_call":
                return f"0x{self.answers[bytes.fromhex(params[0]['to'][2:])].hex()}"
            case "eth_blockNumber" | "eth_getBalance" | "eth_getTransactionCount":
                return "0x1"
        raise InvalidInput(method)

    async def batch(self, calls: Any) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An index with a verified contract and a proxy."""
    found = Store(f"sqlite:///{tmp_path}/index.db")
    write_contracts(found, (CONTRACT, PROXY, OTHER), chain_id=1337)
    standard_json = json.dumps(
        {
            "language": "Solidity",
            "sources": {
                "src/Sums.sol": {"content": SOURCE},
                "lib/Other.sol": {"content": "library Other {}"},
            },
            "settings": {"optimizer": {"enabled": True, "runs": 999}},
        }
    )
    verdict = Verdict(
        runtime_match="exact_match", creation_match="exact_match", source_path="src/Sums.sol", name="Sums",
        compiler_version="0.8.37+commit.f401782d", language="Solidity", abi=ABI, metadata=None, arguments=encode(["uint256"], [4711]),
        details={"runtime": {"immutable": {"7": "0x" + "ab" * 32}}, "creation": {}},
    )  # fmt: skip
    save(found, "none", CONTRACT, verdict, standard_json, b"\x60\x01")
    yield found
    found.close()


@asynccontextmanager
async def browsing(
    store: Store, nodes: Nodes | None = None, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    nodes = nodes or Nodes()
    verifier = Verifier(store=store, node=nodes, compilers=find_compilers())
    site = Site(
        network_name="test", chain_id=1337, rpc_url="http://rpc.example", own_url="http://explorer.example"
    )
    parts = ExplorerParts.of(site=site, store=store, nodes=nodes, verifier=verifier, **options)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=make_app(parts).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer.example") as http:
        yield http


async def test_a_verified_contract_shows_how_it_was_made(store: Store) -> None:
    async with browsing(store) as http:
        page = (await http.get(f"/address/{format_address(CONTRACT)}/contract")).text
        other = (await http.get(f"/address/{format_address(CONTRACT)}/contract?file=lib/Other.sol")).text

    assert "Verified exactly" in page
    assert "yes, for 999 runs" in page
    assert "4711" in page
    assert "ab" * 32 in page
    assert "library Other {}" in other
    # What hides or turns text is written out, and nothing of a source is HTML.
    assert "\u202e" not in page
    assert "\\u202e" in page
    assert "<script>alert" not in page


async def test_a_call_is_made_of_what_a_form_says(store: Store) -> None:
    link = f"/address/{format_address(CONTRACT)}/write"
    async with browsing(store) as http:
        page = (await http.get(link)).text
        call = (await http.get(f"{link}.json?f={ADD}&a=5")).json()["call"]
        wrong = (await http.get(f"{link}.json?f={ADD}&a=many")).json()["call"]
        coins = (await http.get(f"{link}.json?f={ADD}&a=5&value=1")).json()["call"]
        unknown = await http.get(f"{link}.json?f=0x12345678")
        shown = (await http.get(f"{link}?f={ADD}&a=5")).text

    assert page.count("<form") - page.count('role="search"') == 2
    assert call["to"] == format_address(CONTRACT)
    assert call["data"] == ADD + f"{5:064x}"
    assert (call["value_wei"], call["error"]) == ("0", "")
    assert "whole number" in wrong["error"]
    assert "takes no coins" in coins["error"]
    assert unknown.status_code == 400
    assert ADD + f"{5:064x}" in shown


@pytest.mark.parametrize(
    ("text", "wei"),
    [("", 0), ("1", 10**18), ("0.5", 5 * 10**17), ("0.000000000000000001", 1), (" 2 ", 2 * 10**18)],
)
def test_coins_are_read_exactly(text: str, wei: int) -> None:
    assert parse_coins(text) == wei


@pytest.mark.parametrize("text", ["-1", "1e18", ".5", "1.", "0.0000000000000000001", "0x1", "1" * 13])
def test_what_is_no_amount_of_coins_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="value"):
        parse_coins(text)


async def test_a_proxy_is_called_through_the_contract_whose_code_it_runs(store: Store) -> None:
    nodes = Nodes()
    nodes.answers[PROXY] = encode(["uint256"], [99])
    link = f"/address/{format_address(PROXY)}"
    async with browsing(store, nodes) as http:
        read = (await http.get(f"{link}/read")).text
        answer = (await http.get(f"{link}/read.json?f=0x2ddbd13a")).json()
        written = (await http.get(f"{link}/write.json?f={ADD}&a=1")).json()
        tab = (await http.get(f"{link}/contract")).text

    assert "EIP-1967" in read
    assert answer["answer"]["decoded"]["values"][0]["text"] == "99"
    assert written["call"]["to"] == format_address(PROXY)
    assert written["implementation"]["address"] == format_address(CONTRACT)
    assert "EIP-1967" in tab


@pytest.mark.parametrize(
    ("code", "standard"),
    [
        (bytes.fromhex("ef0100") + CONTRACT, "EIP-7702"),
        (
            bytes.fromhex("363d3d373d3d3d363d73")
            + CONTRACT
            + bytes.fromhex("5af43d82803e903d91602b57fd5bf3"),
            "EIP-1167",
        ),
    ],
)
def test_code_may_name_the_contract_it_runs(code: bytes, standard: str) -> None:
    assert implementation_in(code) == Implementation(address=CONTRACT, standard=standard)
    assert implementation_in(code + b"\x00") is None


async def test_a_beacon_is_asked() -> None:
    nodes = Nodes()
    nodes.slots = {(PROXY, SLOTS[2][1]): bytes(12) + OTHER}
    nodes.answers[OTHER] = bytes(12) + CONTRACT

    found = await find_implementation(nodes, PROXY)  # type: ignore[arg-type]

    assert found == Implementation(address=CONTRACT, standard="EIP-1967 beacon")


async def test_the_form_takes_a_file_and_its_page_follows_the_job(store: Store) -> None:
    document = {"language": "Vyper", "sources": {"a.vy": {"content": "x: uint256"}}, "settings": {}}
    fields = {"address": format_address(PROXY), "compiler": "Vyper:0.4.3", "contract": "a.vy:a"}
    async with browsing(store) as http:
        form = (await http.get(f"/verify?address={format_address(PROXY)}")).text
        sent = await http.post("/verify", data=fields, files={"document": ("in.json", json.dumps(document))})
        assert sent.status_code == 303, sent.text
        waiting = (await http.get(sent.headers["location"])).text
        job_id = sent.headers["location"].rpartition("/")[2]
        jobs.fail(store, job_id, "no_match", "other <b>code</b>")
        failed = (await http.get(sent.headers["location"])).text
        twin = (await http.get(f"{sent.headers['location']}.json")).json()
        nothing = await http.get("/verification/00000000-0000-4000-8000-000000000000")

    assert format_address(PROXY) in form
    assert "Vyper 0.4.3" in form
    assert "In the queue" in waiting
    assert "not this contract" in failed
    assert "other &lt;b&gt;code" in failed
    assert (twin["state"], twin["error_code"]) == ("failed", "no_match")
    assert nothing.status_code == 404


@pytest.mark.parametrize(
    ("changes", "files", "status", "told"),
    [
        ({"address": "0x12"}, {}, 400, "address"),
        ({}, {}, 400, "Choose the file"),
        ({"compiler": "Vyper:0.1.0", "source": "x: uint256"}, {}, 400, "is not here"),
        ({"compiler": ""}, {}, 400, "compiler"),
        ({}, {"document": ("in.json", "{")}, 400, "standard JSON"),
        ({}, {"document": ("in.json", b"\xff")}, 400, "UTF-8"),
        (
            {"address": format_address(OTHER), "source": "x: uint256"},
            {},
            404,
            "This chain has no contract at",
        ),
        ({"address": format_address(CONTRACT), "source": "x: uint256"}, {}, 409, "known exactly"),
    ],
)
async def test_a_wrong_form_is_shown_again_with_the_reason(
    store: Store, changes: dict[str, str], files: dict[str, Any], status: int, told: str
) -> None:
    fields = {"address": format_address(PROXY), "compiler": "Vyper:0.4.3", "contract": "a"} | changes
    async with browsing(store) as http:
        answer = await http.post("/verify", data=fields, files=files or {"none": ("", b"")})

    assert answer.status_code == status, answer.text
    assert told in answer.text


async def test_another_site_can_not_send_the_form(store: Store) -> None:
    async with browsing(store) as http:
        answer = await http.post("/verify", data={"address": "0x"}, headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 403
    with store.look() as connection:
        assert connection.execute(verifications.select()).all() == []


async def test_wallets_are_told_of_the_network(store: Store) -> None:
    async with browsing(store) as http:
        document = (await http.get("/network.json")).json()

    assert (document["chainId"], document["rpcUrls"]) == ("0x539", ["http://rpc.example"])
    assert document["blockExplorerUrls"] == ["http://explorer.example"]
