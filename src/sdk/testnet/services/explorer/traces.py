"""The tree of calls of a transaction, from the node's call tracer: asked for when somebody looks, and kept, for blocks are final."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidEncoding, MetanodeError, Unavailable
from metanode.primitives.hexadecimal import decode_data, decode_quantity

if TYPE_CHECKING:
    from sdk.testnet.services.node_pool import NodePool

CALLS_MAX: Final = 300
"""Lines of a tree; the JSON-RPC has the rest."""
TREES_MAX: Final = 64
"""Kept trees, about 100 kB each at most."""
TRACES_MAX: Final = 2
"""Traces that are made at the same time: each is a node's core for up to seconds."""
WAITING_MAX: Final = 50
TRACE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of a tracer's answer: ten thousand usual calls. What is longer is the JSON-RPC's."""
FAILURE_AGE_S: Final = 15.0
"""What could not be made is not tried again for so long."""
_INPUT_BYTES: Final = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLine:
    """One call of the tree, in the order of execution."""

    depth: int
    kind: str
    """CALL, STATICCALL, DELEGATECALL, CREATE, CREATE2, SELFDESTRUCT ..."""
    sender: str
    recipient: str
    """Empty of a creation that failed."""
    value_wei: int
    gas_used: int
    input: bytes
    output: bytes
    error: str
    """Empty when it went well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTree:
    """What a transaction did inside."""

    calls: tuple[CallLine, ...]
    is_whole: bool
    """False when there were more calls than are shown."""


@dataclass(slots=True)
class CallTrees:
    """The trees that were asked for last. Owned by the event loop."""

    nodes: NodePool
    _kept: OrderedDict[str, CallTree | MetanodeError] = field(default_factory=OrderedDict, init=False)
    _failed_s: dict[str, float] = field(default_factory=dict, init=False)
    _asking: dict[str, asyncio.Lock] = field(default_factory=dict, init=False)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TRACES_MAX), init=False)

    async def tree(self, transaction_hash: str) -> CallTree:
        """Return a finalized transaction's tree; raises a MetanodeError when no node can make it, and Unavailable when too many are asked for."""
        lock = self._asking.setdefault(transaction_hash, asyncio.Lock())
        try:
            # Who comes for the same one waits for it.
            async with lock:
                found = self._known(transaction_hash)
                if found is None:
                    found = await self._make(transaction_hash)
                    self._keep(transaction_hash, found)
        finally:
            if not lock.locked():
                self._asking.pop(transaction_hash, None)
        if isinstance(found, MetanodeError):
            raise found.with_traceback(None)
        return found

    async def _make(self, transaction_hash: str) -> CallTree | MetanodeError:
        if len(self._asking) > WAITING_MAX:
            return Unavailable("more call trees are asked for than nodes make; try again in a minute")
        async with self._places:
            try:
                answer = await self.nodes.within(TRACE_BYTES_MAX).call(
                    "debug_traceTransaction", transaction_hash, {"tracer": "callTracer"}
                )
                return read_tree(answer)
            except MetanodeError as error:
                return error

    def _known(self, transaction_hash: str) -> CallTree | MetanodeError | None:
        failed_s = self._failed_s.get(transaction_hash)
        if failed_s is not None and time.monotonic() - failed_s >= FAILURE_AGE_S:
            self._forget(transaction_hash)
        return self._kept.get(transaction_hash)

    def _keep(self, transaction_hash: str, found: CallTree | MetanodeError) -> None:
        self._kept[transaction_hash] = found
        self._kept.move_to_end(transaction_hash)
        if isinstance(found, MetanodeError):
            self._failed_s[transaction_hash] = time.monotonic()
        while len(self._kept) > TREES_MAX:
            self._forget(next(iter(self._kept)))

    def _forget(self, transaction_hash: str) -> None:
        self._kept.pop(transaction_hash, None)
        self._failed_s.pop(transaction_hash, None)


def read_tree(answer: Any) -> CallTree:
    """Return the tree of a tracer's answer; raises InvalidEncoding for what is none."""
    lines: list[CallLine] = []
    waiting = [(0, answer)]
    while waiting and len(lines) < CALLS_MAX:
        depth, call = waiting.pop()
        if not isinstance(call, dict):
            raise InvalidEncoding(f"trace: expected an object, found {call!r:.80}")
        lines.append(_line(depth, call))
        inner = call.get("calls") or []
        waiting += [(depth + 1, each) for each in reversed(inner)] if isinstance(inner, list) else []
    return CallTree(calls=tuple(lines), is_whole=not waiting)


def _line(depth: int, call: dict[str, Any]) -> CallLine:
    try:
        return CallLine(
            depth=depth,
            kind=str(call.get("type", "CALL"))[:20],
            sender=_address(call.get("from")),
            recipient=_address(call.get("to")),
            value_wei=decode_quantity(call.get("value") or "0x0"),
            gas_used=decode_quantity(call.get("gasUsed") or "0x0"),
            input=decode_data((call.get("input") or "0x")[: 2 + 2 * _INPUT_BYTES]),
            output=decode_data((call.get("output") or "0x")[: 2 + 2 * _INPUT_BYTES]),
            error=str(call.get("error") or "")[:200],
        )
    except (TypeError, MetanodeError) as error:
        raise InvalidEncoding(f"trace: {error}") from None


def _address(text: Any) -> str:
    return format_address(parse_address(text)) if text else ""
