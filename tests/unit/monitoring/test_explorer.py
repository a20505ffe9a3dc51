"""Blocks by hand: what is found again, what is dropped, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import MethodNotFound
from sdk.testnet import TestnetExplorer
from sdk.testnet.command.output import run_program
from sdk.testnet.command.program import app
from sdk.testnet.explorer import CAPACITY_MAX, COUNT_MAX


def block(height: int, **changes: Any) -> dict[str, Any]:
    fields = {
        "height": height, "hash": f"0x{height:064x}", "timestamp": 1_000 + 2 * height, "transactions": [f"0x{height:063x}f"],
    }  # fmt: skip
    return fields | changes


def filled(*heights: int, **options: Any) -> TestnetExplorer:
    explorer = TestnetExplorer(**options)
    for height in heights:
        explorer.add_block(block(height))
    return explorer


def test_an_explorer_is_empty_and_shows_what_it_is_given() -> None:
    explorer = TestnetExplorer()
    assert (explorer.blocks, explorer.height, explorer.get_block(1), explorer.get_latest_blocks()) == (
        [],
        None,
        None,
        [],
    )

    explorer.add_block(block(1))
    assert explorer.blocks == [block(1)]
    assert explorer.get_block(1) == block(1)


def test_blocks_are_in_order_whatever_order_they_come_in() -> None:
    explorer = filled(5, 2, 9, 3)

    assert [found["height"] for found in explorer.blocks] == [2, 3, 5, 9]
    assert [found["height"] for found in explorer.get_latest_blocks(3)] == [9, 5, 3]
    assert explorer.get_latest_blocks(100) == list(reversed(explorer.blocks))


def test_a_number_in_either_notation_is_a_height() -> None:
    explorer = TestnetExplorer()
    explorer.add_block({"number": 7})
    explorer.add_block({"number": "0x1f", "hash": "0xAB"})

    assert [found["height"] for found in explorer.blocks] == [7, 31]
    assert explorer.get_block_by_hash("0xab") == {"number": "0x1f", "hash": "0xAB", "height": 31}


def test_a_block_of_the_same_height_replaces_the_one_before() -> None:
    explorer = filled(1, 2)
    explorer.add_block(block(2, hash="0xnew", transactions=["0xother"]))

    assert len(explorer) == 2
    assert explorer.get_block_by_hash(block(2)["hash"]) is None
    assert explorer.get_transaction(block(2)["transactions"][0]) is None
    assert explorer.get_transaction("0xOTHER") == {"hash": "0xother", "block_height": 2, "index": 0}


def test_transactions_keep_what_was_given_of_them() -> None:
    explorer = TestnetExplorer()
    explorer.add_block(block(4, transactions=["0xaa", {"hash": "0xBB", "value": "0x1"}]))

    assert explorer.get_transaction("0xbb") == {"hash": "0xbb", "value": "0x1", "block_height": 4, "index": 1}
    assert explorer.get_transaction("0xcc") is None


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("4", "block"), (" #4 ", "block"), ("0x" + "4".zfill(64), "block"), ("0x" + "4".zfill(63) + "F", "transaction"),
        ("5", None), ("", None), ("<script>", None), ("9" * 400, None), ("٤", None),
    ],
)  # fmt: skip
def test_search_finds_heights_and_hashes(query: str, kind: str | None) -> None:
    found = filled(4).search(query)

    assert (None if found is None else found["kind"]) == kind


@given(st.lists(st.integers(0, 60), max_size=200), st.integers(1, 20))
def test_the_highest_stay_and_the_rest_is_forgotten(heights: list[int], capacity: int) -> None:
    explorer = filled(*heights, capacity=capacity)

    assert [found["height"] for found in explorer.blocks] == sorted(set(heights))[-capacity:]
    assert len(explorer._by_hash) == len(explorer._transactions) == len(explorer) <= capacity


def test_statistics_are_of_what_is_kept() -> None:
    explorer = filled(10, 11, 14)

    assert explorer.get_stats() == {
        "total_blocks": 3,
        "latest_height": 14,
        "total_transactions": 3,
        "avg_block_time": 2.0,
    }
    assert TestnetExplorer().get_stats() == {
        "total_blocks": 0,
        "latest_height": None,
        "total_transactions": 0,
        "avg_block_time": None,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"height": -1},
        {"height": "7"},
        {"height": True},
        {"number": 1.5},
        {"height": None},
        {"height": 2**63},
    ],
)
def test_a_block_without_a_height_is_refused(wrong: dict[str, Any]) -> None:
    explorer = filled(1)
    with pytest.raises(InvalidInput, match=r"^height: found"):
        explorer.add_block(wrong)

    assert explorer.blocks == [block(1)]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidInput, match="expected a mapping"):
        TestnetExplorer().add_block([1])  # type: ignore[arg-type]
    for count in (0, -1, COUNT_MAX + 1, "3", True):
        with pytest.raises(InvalidInput, match=r"^count: found"):
            TestnetExplorer().get_latest_blocks(count)  # type: ignore[arg-type]
    for capacity in (0, CAPACITY_MAX + 1):
        with pytest.raises(InvalidInput, match=r"^capacity: found"):
            TestnetExplorer(capacity=capacity)
    with pytest.raises(InvalidInput, match="URL"):
        TestnetExplorer("127.0.0.1")
    with pytest.raises(InvalidInput, match="fed by hand"):
        asyncio.run(TestnetExplorer().update())


class Chain:
    """A node's answers: blocks up to a head, whose hashes begin with a letter."""

    def __init__(self) -> None:
        self.head, self.letter = 0, "a"
        self.asked = 0

    async def call(self, method: str, *params: Any) -> Any:
        await asyncio.sleep(0)
        return hex(self.head) if method == "eth_blockNumber" else self.block(int(params[0], 16))

    async def batch(self, calls: Any) -> list[Any]:
        await asyncio.sleep(0)
        self.asked += len(calls)
        return [self.block(int(params[0], 16)) for _, params in calls]

    def block(self, number: int) -> Any:
        if number > self.head:
            return None
        return {
            "number": hex(number),
            "hash": f"0x{self.letter}{number:063x}",
            "timestamp": "0x1",
            "transactions": [],
        }


def serve(chain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be the node at any address."""

    @contextlib.asynccontextmanager
    async def open_client(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(0)
        yield chain

    monkeypatch.setattr("sdk.testnet.explorer.open_client", open_client)


class Strange(Chain):
    """Something else at the address of a node."""

    def __init__(self, head: Any, block: Any) -> None:
        super().__init__()
        self.told_head, self.told_block = head, block

    async def call(self, *_: Any) -> Any:
        await asyncio.sleep(0)
        if isinstance(self.told_head, Exception):
            raise self.told_head
        return self.told_head

    def block(self, _: int) -> Any:
        return self.told_block


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (None, None), (7, None), ("0xzz", None), ({}, None), ("0x" + "f" * 20, None), (MethodNotFound("no such method"), None),
        ("0x1", {}), ("0x1", {"number": "0x1", "timestamp": 7}), ("0x1", {"number": "0x" + "f" * 20, "timestamp": "0x1"}),
    ],
    ids=repr,
)  # fmt: skip
def test_what_answers_otherwise_than_a_node_is_unavailable(
    head: Any, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(Strange(head, found), monkeypatch)

    with pytest.raises(Unavailable):
        asyncio.run(TestnetExplorer("http://127.0.0.1:9").update())


@pytest.mark.parametrize(
    "strange", [{"gasUsed": None}, {"timestamp": hex(2**62)}, {"transactions": 7}, {}], ids=repr
)
def test_the_command_says_that_a_block_cannot_be_read(
    strange: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"number": "0x1", "timestamp": "0x1", "transactions": [], "hash": "0xab", "gasUsed": "0x5208"}
    told = whole | strange if strange else {"number": "0x1", "timestamp": "0x1"}
    command = ["explorer", "blocks", "--count", "1", "--rpc-url", "http://127.0.0.1:9"]

    serve(Strange("0x1", whole), monkeypatch)
    assert run_program(lambda: app(command, standalone_mode=False)) == 0
    serve(Strange("0x1", told), monkeypatch)
    assert run_program(lambda: app(command, standalone_mode=False)) == 1

    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].split()[-2:] == ["21,000", "0xab"]
    assert "error: the node's block 1 can't be read: " in shown.err


@pytest.mark.parametrize("head", [3, 10, 12])
def test_a_chain_that_was_reset_leaves_nothing_of_the_old_one(
    head: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the new one is shorter, as long or longer already."""
    chain = Chain()

    async def check() -> TestnetExplorer:
        explorer = TestnetExplorer(rpc_url="http://127.0.0.1:9")
        chain.head = 10
        assert await explorer.update() == 11
        assert await explorer.update() == 0
        chain.head, chain.letter = head, "b"
        assert await explorer.update() == head + 1
        asked = chain.asked
        assert await explorer.update() == 0
        assert chain.asked == asked
        return explorer

    serve(chain, monkeypatch)
    explorer = asyncio.run(check())

    assert explorer.height == head
    assert all(found["hash"].startswith("0xb") for found in explorer.blocks)
    assert explorer.get_block_by_hash(f"0xa{2:063x}") is None
