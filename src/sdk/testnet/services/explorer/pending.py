"""What waits in a node's pool, as pages show it: asked once a second for everybody, and no more of it than a page needs.

A pool may hold gigabytes of input. When its content is more than is read, lines come from the pool's summary, which says no hashes.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidEncoding, MetanodeError, Unavailable
from metanode.primitives.hexadecimal import decode_data, decode_quantity
from metanode.rpc.errors import NodeUnreachable

if TYPE_CHECKING:
    from sdk.testnet.services.node_pool import Node

SHOWN: Final = 100
"""Of a pool: what is read of it, and its JSON. A page of 60 kB has room for `reading.PAGE_ROWS` of them."""
AGE_S: Final = 1.0
"""How long an answer is taken for now: any number of readers cost one look a second."""
FAILURE_AGE_S: Final = 3.0
CONTENT_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of a pool's content: some thousand usual transactions, read in a fiftieth of a second."""
_SUMMARY: Final = re.compile(
    r"(0x[0-9a-fA-F]{40}|contract creation): ([0-9]+) wei \+ [0-9]+ gas \u00d7 ([0-9]+) wei"
)
"""A line of `txpool_inspect`, as geth writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A transaction of the pool."""

    hash: str
    """Empty where only the pool's summary was read."""
    sender: str
    recipient: str
    nonce: int
    value_wei: int
    fee_cap_wei: int
    method_id: bytes | None
    is_executable: bool
    """False while an earlier nonce is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The pool of one node."""

    executable: int
    queued: int
    items: tuple[Waiting, ...]
    is_summary: bool
    """Whether the content was too much to read."""


@dataclass(slots=True)
class PoolWatch:
    """Asks a node, at most once a second. Owned by the event loop."""

    nodes: Node
    _found: Pool | Unavailable | None = field(default=None, init=False)
    _until_s: float = field(default=float("-inf"), init=False)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def now(self) -> Pool:
        """Return what waits now. Raises Unavailable."""
        async with self._asking:
            if self._found is None or time.monotonic() >= self._until_s:
                try:
                    self._found, age_s = await self._look(), AGE_S
                except Unavailable as error:
                    self._found, age_s = error, FAILURE_AGE_S
                self._until_s = time.monotonic() + age_s
            if isinstance(self._found, Unavailable):
                raise self._found.with_traceback(None)
            return self._found

    async def _look(self) -> Pool:
        nodes = self.nodes.within(CONTENT_BYTES_MAX)
        try:
            status, content = await nodes.batch([("txpool_status", []), ("txpool_content", [])])
            return read_pool(status, content)
        except NodeUnreachable as error:
            if not error.has_answered:
                raise
        status, summary = await nodes.batch([("txpool_status", []), ("txpool_inspect", [])])
        return read_pool(status, summary, is_summary=True)


def read_pool(status: Any, content: Any, *, is_summary: bool = False) -> Pool:
    """Return the pool of `txpool_status` and `txpool_content` (or `txpool_inspect`); raises Unavailable for what is none of these."""
    for answer in (status, content):
        if isinstance(answer, MetanodeError):
            raise Unavailable(f"the node does not show its pool: {answer}")
    items: list[Waiting] = []
    try:
        for name, is_executable in (("pending", True), ("queued", False)):
            for sender, by_nonce in content[name].items():
                for nonce, found in by_nonce.items():
                    items.append(
                        _summarized(sender, nonce, found, is_executable=is_executable)
                        if is_summary
                        else waiting_of(found, is_executable=is_executable)
                    )
                if len(items) >= SHOWN:
                    break
        return Pool(
            executable=decode_quantity(status["pending"]),
            queued=decode_quantity(status["queued"]),
            items=tuple(items[:SHOWN]),
            is_summary=is_summary,
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidEncoding) as error:
        raise Unavailable(f"the node's pool can't be read: {error!r:.200}") from None


def waiting_of(found: dict[str, Any], *, is_executable: bool) -> Waiting:
    """Return a transaction as nodes tell it; raises KeyError, TypeError or InvalidEncoding for anything else."""
    data = decode_data((found.get("input") or "0x")[:10])
    recipient = found.get("to")
    return Waiting(
        hash=f"0x{decode_data(found['hash'], length=32).hex()}",
        sender=format_address(parse_address(found["from"])),
        recipient=format_address(parse_address(recipient)) if recipient else "",
        nonce=decode_quantity(found["nonce"]),
        value_wei=decode_quantity(found["value"]),
        fee_cap_wei=decode_quantity(found.get("maxFeePerGas") or found.get("gasPrice") or "0x0"),
        method_id=data if len(data) == 4 and recipient else None,
        is_executable=is_executable,
    )


def _summarized(sender: str, nonce: str, text: str, *, is_executable: bool) -> Waiting:
    found = _SUMMARY.fullmatch(text)
    if found is None:
        raise InvalidEncoding(f"pool: expected a transaction's summary, found {text!r:.80}")
    recipient = "" if found[1].startswith("contract") else format_address(parse_address(found[1]))
    return Waiting(
        hash="",
        sender=format_address(parse_address(sender)),
        recipient=recipient,
        nonce=int(nonce[:20]),
        value_wei=int(found[2]),
        fee_cap_wei=int(found[3]),
        method_id=None,
        is_executable=is_executable,
    )
