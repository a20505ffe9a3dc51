"""A node's answers have a limit; what is too large for one is asked for in pieces, and only what no answer can hold is missing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from metanode.errors import Unavailable
from metanode.rpc.errors import JSONRPCError, MethodNotFound, ServerBusy
from sdk.testnet.services.indexer.node import BLOCKS_MAX, GAS_MAX, ChainNode
from sdk.testnet.services.indexer.tracing import ALONE_MAX
from sdk.testnet.services.store.meanings import Traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.services.indexer.fetched import FetchedBlock

COUNT = 130
"""Transactions of the block: some pages of every kind."""
HUGE = 57
"""The one whose logs fit no answer."""


def too_large() -> JSONRPCError:
    return JSONRPCError("response too large", code=-32003)


class LimitedNode:
    """A node whose answers hold so many bytes, as ours refuses them: an item too large, or the batch as a whole."""

    def __init__(self, bytes_max: int, *, whole_batches: bool = False) -> None:
        self._bytes_max = bytes_max
        self._whole_batches = whole_batches
        self.transactions = [
            {"hash": f"0x{index:064x}", "input": "0x1234", "to": "0x" + "52" * 20} for index in range(COUNT)
        ]
        self.receipts = [
            {
                "transactionHash": one["hash"],
                "gasUsed": "0x9999",
                "logsBloom": "0x00",
                "logs": [{"data": "0x" + "00" * (20_000 if index == HUGE else 20), "removed": False}],
            }
            for index, one in enumerate(self.transactions)
        ]

    async def call(self, method: str, *params: Any) -> Any:
        (answer,) = await self._answers([(method, params)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        assert len(calls) <= 100, "a node takes no longer batch"
        answers = await self._answers(calls)
        fine = [answer for answer in answers if not isinstance(answer, Exception)]
        if len(orjson.dumps(fine)) > self._bytes_max:
            if self._whole_batches:
                raise too_large()
            answers = [too_large() for _ in answers]
        return answers

    async def _answers(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        found = [self._answer(method, list(params)) for method, params in calls]
        return [
            too_large()
            if not isinstance(answer, Exception) and len(orjson.dumps(answer)) > self._bytes_max
            else answer
            for answer in found
        ]

    def _answer(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_getBlockByNumber":
                listed = self.transactions if params[1] else [one["hash"] for one in self.transactions]
                return {"number": params[0], "transactions": listed}
            case "eth_getBlockReceipts":
                return self.receipts
            case "eth_getTransactionByBlockNumberAndIndex":
                return self.transactions[int(params[1], 16)]
            case "eth_getTransactionReceipt":
                return self.receipts[int(params[0], 16)]
            case "ots_getBlockTransactions":
                # Page 0 has the last ones.
                end = COUNT - params[1] * params[2]
                page = self.receipts[max(0, end - params[2]) : end]
                return {"receipts": [{**one, "logs": None} for one in page]}
            case "debug_traceBlockByNumber":
                return [
                    {"txHash": one["hash"], "result": {"type": "CALL", "calls": [], "mark": one["hash"]}}
                    for one in self.transactions
                ]
            case "debug_traceTransaction":
                return {"type": "CALL", "calls": [], "mark": params[0]}
            case _:
                return MethodNotFound(f"the method {method} does not exist")


def fetch(rpc: Any) -> FetchedBlock:
    async def run() -> FetchedBlock:
        node = ChainNode(rpc)
        node._tells_consensus = False
        (found,) = await node.fetch(range(7, 8), head=7)
        return found

    return asyncio.run(run())


@pytest.mark.parametrize("whole_batches", [False, True])
@pytest.mark.parametrize("bytes_max", [10_000_000, 60_000, 16_000, 10_000])
def test_a_block_is_the_same_however_little_an_answer_holds(bytes_max: int, whole_batches: bool) -> None:
    rpc = LimitedNode(bytes_max, whole_batches=whole_batches)

    found = fetch(rpc)

    assert found.block["transactions"] == rpc.transactions
    assert [one["transactionHash"] for one in found.receipts] == [one["hash"] for one in rpc.transactions]
    missing = bytes_max < 50_000
    assert found.logs_missing == int(missing)
    assert [index for index, one in enumerate(found.receipts) if not one["logs"]] == [HUGE] * missing
    # The traces of all together have 20 KB here; one by one they are asked for up to a number.
    traced = ALONE_MAX if missing else COUNT
    assert [tree and tree["mark"] for tree in found.calls] == [
        one["hash"] if place < traced else None for place, one in enumerate(rpc.transactions)
    ]
    assert found.traces is (Traces.INDEXED if traced == COUNT else Traces.UNAVAILABLE)


@pytest.mark.parametrize("bytes_max", [10_000_000, 60_000, 10_000])
def test_of_a_fetched_block_is_kept_what_rows_are_made_of(bytes_max: int) -> None:
    """A bloom in every receipt would be a third of a full block that waits."""
    found = fetch(LimitedNode(bytes_max))

    assert {name for receipt in found.receipts for name in receipt} == {"transactionHash", "gasUsed", "logs"}
    assert {name for receipt in found.receipts for log in receipt["logs"] for name in log} == {"data"}


def test_a_node_without_tracers_gives_an_index_without_internal_calls() -> None:
    class Plain(LimitedNode):
        def _answer(self, method: str, params: list[Any]) -> Any:
            if method.startswith("debug_"):
                return MethodNotFound("the method does not exist")
            return super()._answer(method, params)

    found = fetch(Plain(10_000_000))

    assert (found.traces, found.calls) == (Traces.UNAVAILABLE, [None] * COUNT)


def test_a_busy_node_is_asked_again_and_nothing_is_left_out() -> None:
    class Busy(LimitedNode):
        def _answer(self, method: str, params: list[Any]) -> Any:
            if method.startswith("debug_"):
                return ServerBusy("server is busy, try again later")
            return super()._answer(method, params)

    with pytest.raises(Unavailable, match="busy"):
        fetch(Busy(10_000_000))


@pytest.mark.parametrize("tells_headers", [True, False])
@pytest.mark.parametrize(
    ("gas", "expected"),
    [
        ([0] * 60, [24, 24, 12]),
        ([GAS_MAX + 1] * 3, [1, 1, 1]),
        ([18_000_000, 18_000_000, 12_000_000, 1], [1, 2, 1]),
        ([5], [1]),
    ],
)
def test_blocks_are_fetched_in_groups_whose_gas_can_say_no_more_than_fits(
    gas: list[int], expected: list[int], *, tells_headers: bool
) -> None:
    class Sized:
        async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
            return [
                {"gasUsed": hex(gas[int(params[0], 16) - 3])}
                if tells_headers or method == "eth_getBlockByNumber"
                else MethodNotFound("no such method")
                for method, params in calls
            ]

    rpc: Any = Sized()
    groups = asyncio.run(ChainNode(rpc).groups(3, 2 + len(gas)))

    assert [len(group) for group in groups] == expected
    assert [number for group in groups for number in group] == list(range(3, 3 + len(gas)))
    assert all(len(group) <= BLOCKS_MAX for group in groups)
