"""The newest block's certificate as one node has recorded it, with the name of that node.

Which seals a node holds when its quorum is full is its own affair: until the next block fixes them, honest nodes have different ones of the same block.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.addresses import parse_address
from metanode.errors import MetanodeError
from metanode.primitives.hexadecimal import decode_data, decode_quantity, encode_quantity
from sdk.testnet.services.explorer.reading import LIVE_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk.testnet.services.node_pool import NodePool

AGE_S: Final = 1.0
"""How long a record is taken for now: any number of viewers cost one call a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one node has recorded of a block's decision."""

    node: str
    """Its name."""
    block_hash: bytes
    """Of the consensus header."""
    round: int
    seals: Mapping[bytes, bytes]
    """Signatures by the addresses of validators."""


@dataclass(slots=True)
class RecordWatch:
    """Asks a node, at most once a second for a block. Owned by the event loop."""

    nodes: NodePool
    names: Sequence[str] = ()
    """Of the nodes, by their places; `node-1` and so on where nobody named them."""
    _number: int = field(default=-1, init=False)
    _found: Record | None = field(default=None, init=False)
    _at_s: float = field(default=-AGE_S, init=False)

    async def of(self, number: int) -> Record | None:
        """Return what a node has recorded of a block; None when none answers, or knows it."""
        now_s = time.monotonic()
        if number != self._number or now_s - self._at_s >= AGE_S:
            self._number, self._at_s, self._found = number, now_s, None
            try:
                async with asyncio.timeout(LIVE_TIMEOUT_S):
                    place, answer = await self.nodes.placed_call(
                        "ibft_getCommitCertificate", encode_quantity(number)
                    )
                found = _read(self.name_of(place), answer)
            except (TimeoutError, MetanodeError, KeyError, TypeError):
                found = None
            if number == self._number:
                self._found = found
            return found
        return self._found

    def name_of(self, place: int) -> str:
        """Return what people call the node at a place of the configuration."""
        return self.names[place] if place < len(self.names) else f"node-{place + 1}"


def _read(node: str, answer: Any) -> Record:
    return Record(
        node=node,
        block_hash=decode_data(answer["blockHash"], length=32),
        round=decode_quantity(answer["round"]),
        seals={
            parse_address(seal["validator"]): decode_data(seal["signature"], length=65)
            for seal in answer["seals"]
        },
    )
