"""Calls of contracts by the community API: reading functions asked, calls encoded, and what neither does. The node is a fake."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from tests.unit.services.indexed_contracts import write_contracts

from metanode.crypto.addresses import format_address
from metanode.crypto.hashing import keccak256
from metanode.rpc.errors import ExecutionReverted, ServerError
from sdk.testnet.services.api import ApiConfig, make_app
from sdk.testnet.services.explorer.proxies import SLOTS
from sdk.testnet.services.store import Store
from sdk.testnet.services.verification.judging import Verdict
from sdk.testnet.services.verification.saving import save

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

CONTRACT, PROXY, UNKNOWN = b"\xc0" * 20, b"\xc1" * 20, b"\xc2" * 20
HOLDER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def _function(name: str, kind: str, inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    return {"type": "function", "name": name, "stateMutability": kind, "inputs": inputs, "outputs": outputs}


def _one(kind: str, name: str = "") -> dict[str, Any]:
    return {"name": name, "type": kind}


PAIR = {"name": "", "type": "tuple[]", "components": [_one("address", "who"), _one("uint256", "amount")]}
ABI = [
    _function("balanceOf", "view", [_one("address", "account")], [_one("uint256", "balance")]),
    _function("pairs", "view", [PAIR], [PAIR, _one("bool"), _one("bytes4"), _one("string")]),
    _function("nothing", "pure", [], []),
    _function("add", "nonpayable", [_one("uint256", "amount")], []),
    _function("add", "nonpayable", [_one("uint256", "amount"), _one("bool", "twice")], []),
    _function("pay", "payable", [], []),
]


class Node:
    """Has a contract that answers what it is told to, and a proxy before it."""

    def __init__(self) -> None:
        self.answer: bytes | Exception = b""
        self.asked: list[dict[str, str]] = []

    async def call(self, method: str, *params: Any) -> Any:
        match method:
            case "eth_getCode":
                return "0x6001"
            case "eth_getStorageAt":
                is_proxy = params[0] == format_address(PROXY) and params[1] == f"0x{SLOTS[0][1].hex()}"
                return f"0x{((bytes(12) + CONTRACT) if is_proxy else bytes(32)).hex()}"
            case "eth_call":
                self.asked.append(params[0])
                if isinstance(self.answer, Exception):
                    raise self.answer
                return f"0x{self.answer.hex()}"
        raise AssertionError(method)

    async def batch(self, calls: Any) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An index with a verified contract, and two that are not."""
    found = Store(f"sqlite:///{tmp_path}/index.db")
    write_contracts(found, (CONTRACT, PROXY, UNKNOWN), chain_id=1)
    verdict = Verdict(
        runtime_match="exact_match", creation_match="exact_match", source_path="Sums.sol", name="Sums",
        compiler_version="0.8.37+commit.f401782d", language="Solidity", abi=ABI, metadata=None, arguments=b"", details={},
    )  # fmt: skip
    save(found, "none", CONTRACT, verdict, '{"language": "Solidity", "sources": {}}', b"\x60\x01")
    yield found
    found.close()


@asynccontextmanager
async def asking(store: Store, node: Node) -> AsyncIterator[Any]:
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any", anonymous_a_minute=100_000)
    app = make_app(store=store, node=node, config=config)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any") as http:

        async def ask(what: str, address: bytes, function: str, *arguments: Any) -> httpx.Response:
            body = {"function": function, "arguments": arguments}
            return await http.post(f"/api/v1/contracts/{format_address(address)}/{what}", json=body)

        yield ask


@pytest.mark.parametrize("address", [CONTRACT, PROXY], ids=["its own function", "of what a proxy runs"])
@pytest.mark.parametrize("function", ["balanceOf", "balanceOf(address)", "0x70a08231"])
async def test_a_reading_function_is_asked_by_any_of_its_names(
    function: str, address: bytes, store: Store, node: Node
) -> None:
    node.answer = encode(["uint256"], [2**255])
    async with asking(store, node) as ask:
        answer = await ask("call", address, function, HOLDER)

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "contract": format_address(address),
        "signature": "balanceOf(address)",
        "interface": "verified",
        "call": f"0x70a08231{int(HOLDER, 16):064x}",
        "succeeded": True,
        "values": [{"name": "balance", "type": "uint256", "value": str(2**255)}],
        "error": None,
        "returned": f"0x{node.answer.hex()}",
        "returned_bytes": 32,
    }
    assert (node.asked[0]["to"], node.asked[0]["data"]) == (format_address(address), answer.json()["call"])
    assert answer.headers["cache-control"] == "private, no-store"


async def test_what_a_function_returns_can_be_given_to_one_that_takes_it(store: Store, node: Node) -> None:
    types = ["(address,uint256)[]", "bool", "bytes4", "string"]
    pairs = [(HOLDER, 7), (HOLDER, 2**200)]
    node.answer = encode(types, [pairs, True, b"\x01\x02\x03\x04", "<b>\u202e"])
    async with asking(store, node) as ask:
        first = (await ask("call", CONTRACT, "pairs", [])).json()
        again = await ask("call", CONTRACT, "pairs", first["values"][0]["value"])

    assert [each["value"] for each in first["values"]] == [
        [[HOLDER, "7"], [HOLDER, str(2**200)]],
        True,
        "0x01020304",
        "<b>\u202e",
    ]
    assert again.json()["call"][10:] == encode(types[:1], [pairs]).hex()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ExecutionReverted("execution reverted", "0x08c379a0" + encode(["string"], ["too late"]).hex()), "too late"),
        (ExecutionReverted("execution reverted", "0x"), "without a reason"),
        (ServerError("out of gas"), "out of gas"),
        (b"\x01", "something else than this function promises"),
        (bytes(40_000), None),
    ],
    ids=["says why", "says nothing", "out of gas", "another type", "longer than anybody reads"],
)  # fmt: skip
async def test_a_call_without_values_says_why(
    answer: bytes | Exception, words: str | None, store: Store, node: Node
) -> None:
    node.answer = answer
    async with asking(store, node) as ask:
        found = await ask("call", CONTRACT, "balanceOf", HOLDER)

    assert found.status_code == 200, found.text
    told = found.json()
    assert (told["succeeded"], told["values"]) == (False, None)
    assert (words or "something else") in told["error"]
    assert len(told["returned"]) <= 2 + 2 * 32 * 1024
    if isinstance(answer, bytes):
        assert told["returned_bytes"] == len(answer)


async def test_a_call_is_encoded_and_nothing_is_sent(store: Store, node: Node) -> None:
    async with asking(store, node) as ask:
        answer = await ask("encode", CONTRACT, "add(uint256, bool)", "0x10", False)
        paying = await ask("encode", CONTRACT, "pay")

    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["to"] == format_address(CONTRACT)
    assert found["data"] == found["selector"] + f"{16:064x}{0:064x}"
    assert (found["signature"], found["state_mutability"]) == ("add(uint256,bool)", "nonpayable")
    assert paying.json()["state_mutability"] == "payable"
    assert node.asked == []


@pytest.mark.parametrize(
    ("what", "function", "arguments", "status", "words"),
    [
        ("call", "add(uint256)", [1], 400, "encode gives its call"),
        ("encode", "add", [1], 400, "several: add(uint256), add(uint256,bool)"),
        ("encode", "subtract", [], 404, "subtract"),
        ("encode", "pay", [1], 400, "expected 0 for pay(), found 1"),
        ("encode", "add(uint256)", [-1], 400, "cannot be encoded"),
        ("encode", "add(uint256)", [1.5], 400, "amount: expected a whole number"),
        ("encode", "add(uint256)", [None], 400, "amount: expected a whole number"),
        ("encode", "add(uint256)", [[1]], 400, "amount: expected a whole number"),
        ("encode", "add(uint256)", ["x" * 9_000], 400, "at most 8000 characters"),
        ("encode", "pairs", [[["0x12", 1]]], 400, "20 bytes"),
        ("encode", "pairs", [[[HOLDER, 1]] * 2_000], 400, "at most 32768 bytes of JSON"),
        ("encode", "pay", [0] * 257, 422, "at most 256"),
        ("encode", "", [], 422, "at least 1"),
    ],
)
async def test_what_cannot_be_called_is_refused_with_the_reason(
    what: str, function: str, arguments: list[Any], status: int, words: str, store: Store, node: Node
) -> None:
    async with asking(store, node) as ask:
        answer = await ask(what, CONTRACT, function, *arguments)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.text
    assert node.asked == []


async def test_a_contract_whose_functions_nobody_knows_is_404_and_says_what_would_help(
    store: Store, node: Node
) -> None:
    async with asking(store, node) as ask:
        answer = await ask("call", UNKNOWN, "balanceOf", HOLDER)

    assert answer.status_code == 404
    assert "once its source is verified" in answer.json()["hint"]


async def test_a_selector_means_what_verified_contracts_and_the_bundled_list_say(
    store: Store, node: Node
) -> None:
    topic = f"0x{keccak256(b'Transfer(address,address,uint256)').hex()}"
    added = f"0x{keccak256(b'add(uint256,bool)')[:4].hex()}"
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any", anonymous_a_minute=100_000)
    transport = httpx.ASGITransport(make_app(store=store, node=node, config=config))
    async with httpx.AsyncClient(transport=transport, base_url="http://any") as http:
        found = {
            selector: (await http.get(f"/api/v1/signatures/{selector}")).json()["items"]
            for selector in ("0xA9059CBB", topic, added, "0xffffffff")
        }

    assert found == {
        "0xA9059CBB": [{"selector": "0xa9059cbb", "text": "transfer(address,uint256)", "source": "common"}],
        topic: [{"selector": topic, "text": "Transfer(address,address,uint256)", "source": "common"}],
        added: [{"selector": added, "text": "add(uint256,bool)", "source": "verified"}],
        "0xffffffff": [],
    }


async def test_what_waits_is_told_with_the_nonces_that_are_missing(store: Store) -> None:
    told = {
        "from": format_address(CONTRACT), "to": format_address(PROXY), "hash": f"0x{7:064x}", "nonce": "0x5", "value": "0xa",
        "maxFeePerGas": "0x7", "input": "0xa9059cbb00",
    }  # fmt: skip
    late = told | {"hash": f"0x{8:064x}", "nonce": "0x9", "to": None, "input": "0x"}

    class Pool(Node):
        def within(self, _: int) -> Node:
            return self

        async def call(self, method: str, *_: Any) -> Any:
            if method == "txpool_status":
                return {"pending": "0x1", "queued": "0x1"}
            assert method == "txpool_content"
            return {"pending": {told["from"]: {"5": told}}, "queued": {told["from"]: {"9": late}}}

    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any")
    transport = httpx.ASGITransport(make_app(store=store, node=Pool(), config=config))
    async with httpx.AsyncClient(transport=transport, base_url="http://any") as http:
        found = (await http.get("/api/v1/transactions/pending")).json()

    assert (found["executable"], found["waiting"]) == (1, 1)
    first, second = found["items"]
    assert first == {
        "hash": told["hash"], "sender": told["from"], "recipient": told["to"], "nonce": 5, "value_wei": "10",
        "max_fee_per_gas_wei": "7", "method_id": "0xa9059cbb", "is_executable": True,
    }  # fmt: skip
    assert (second["hash"], second["recipient"], second["is_executable"]) == (late["hash"], None, False)


async def test_only_sources_may_be_megabytes(store: Store, node: Node) -> None:
    async with asking(store, node) as ask:
        answer = await ask("encode", CONTRACT, "pay", "x" * 1_100_000)

    assert answer.status_code == 413
