"""The trees of calls of a block's transactions, for a price that nobody can drive up: what costs more is missing, and the block says so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from metanode.primitives.hexadecimal import encode_quantity
from metanode.rpc.errors import JSONRPCError, MethodNotFound, NodeUnreachable
from sdk.testnet.services.indexer.told import TOO_LARGE, is_too_large, told
from sdk.testnet.services.store.meanings import Traces

if TYPE_CHECKING:
    from metanode.rpc.client import JSONRPCClient

ALONE_MAX: Final = 16
"""Transactions of one block that are traced one by one, when all together are too much for one answer. The node runs all earlier ones of the block
again for each: who fills blocks with small calls beside a long one would otherwise choose how long an indexer takes."""
ALONE_S: Final = 2.0
"""And no more is asked for after this, a block's own time on most networks."""
_TRACER: Final = {"tracer": "callTracer", "timeout": "20s"}
_PLAIN_TRANSFER_GAS: Final = "0x5208"

Trees = list["dict[str, Any] | None"]


class Tracer:
    """Asks one node for traces. Raises Unavailable when the node does not answer."""

    def __init__(self, rpc: JSONRPCClient) -> None:
        self._rpc = rpc
        self._is_there = True

    async def trees_of(
        self, number: int, transactions: list[Any], receipts: list[Any]
    ) -> tuple[Trees, Traces]:
        """Return the tree of each transaction, None where there is none; an empty list when none ran code."""
        with told(f"block {number}"):
            needed = [one["hash"] for one in _that_ran_code(transactions, receipts)]
        if not needed:
            return [], Traces.NOT_NEEDED
        if not self._is_there:
            return [None] * len(transactions), Traces.UNAVAILABLE
        answer = await self._whole(number)
        if isinstance(answer, MethodNotFound):
            self._is_there = False
        with told(f"the traces of block {number}"):
            if isinstance(answer, list) and len(answer) == len(transactions):
                return [_tree(entry.get("result")) for entry in answer], Traces.INDEXED
            if not is_too_large(answer):
                return [None] * len(transactions), Traces.UNAVAILABLE
            found = await self._alone(needed)
            trees = [found.get(one["hash"]) for one in transactions]
        is_whole = all(found.get(one) is not None for one in needed)
        return trees, Traces.INDEXED if is_whole else Traces.UNAVAILABLE

    async def _whole(self, number: int) -> Any:
        """All trees of a block, or why not; a refusal that says nothing of size may be of the moment, and is asked again once."""
        call = ("debug_traceBlockByNumber", encode_quantity(number), _TRACER)
        answer = await self._ask(*call)
        if isinstance(answer, JSONRPCError) and not isinstance(answer, MethodNotFound):
            return answer if is_too_large(answer) else await self._ask(*call)
        return answer

    async def _alone(self, needed: list[str]) -> dict[str, dict[str, Any] | None]:
        """The trees of the first of these, without what the index does not keep."""
        found: dict[str, dict[str, Any] | None] = {}
        until_s = time.monotonic() + ALONE_S
        for one in needed[:ALONE_MAX]:
            if found and time.monotonic() > until_s:
                break
            found[one] = _trimmed(_tree(await self._ask("debug_traceTransaction", one, _TRACER)))
        return found

    async def _ask(self, *call: Any) -> Any:
        try:
            return await self._rpc.call(*call)
        except JSONRPCError as error:
            return error
        except NodeUnreachable as error:
            if not error.has_answered:
                raise
            # Calls nested deeper than a reader of JSON goes (1,024) are no reason to stand before this block for ever.
            return JSONRPCError("the answer cannot be read", code=TOO_LARGE)


def _that_ran_code(transactions: list[Any], receipts: list[Any]) -> list[Any]:
    """Those that are more than a plain transfer: code costs gas, and so does input."""
    return [
        transaction
        for transaction, receipt in zip(transactions, receipts, strict=True)
        if receipt["gasUsed"] != _PLAIN_TRANSFER_GAS
        or transaction["input"] != "0x"
        or transaction["to"] is None
    ]


def _tree(answer: Any) -> dict[str, Any] | None:
    return answer if isinstance(answer, dict) and "type" in answer else None


def _trimmed(tree: dict[str, Any] | None) -> dict[str, Any] | None:
    """A tree without the data of its inner calls, which several large ones would fill the memory with."""
    waiting = [] if tree is None else [tree]
    while waiting:
        call = waiting.pop()
        call.pop("input", None)
        if call is not tree:
            call.pop("output", None)
        waiting += call.get("calls") or ()
    return tree
