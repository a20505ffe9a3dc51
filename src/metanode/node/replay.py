"""Brings an execution client that is behind the decided chain to it: after a start, and when it has restarted without its last blocks."""

from collections.abc import Awaitable, Callable

from metanode.chain.block import Block
from metanode.node.execution_worker import ExecutionWorker, check_block
from metanode.node.ports import ConsensusStore
from metanode.primitives.types import Hash32, Height

Fetch = Callable[[Height, Hash32], Awaitable[Block | None]]
"""Asks peers for a decided block until one gives it."""


async def replay(
    worker: ExecutionWorker,
    store: ConsensusStore,
    fetch: Fetch,
    *,
    head: Height,
    until: Height,
    found: Hash32 | None = None,
) -> None:
    """Give the client the decided blocks above its head, from our store, or from peers where the store has them no longer.

    `found` is the hash of its head, where that was not compared yet. Raises ConsensusHalted when it is another block than ours.
    """
    header = await store.header(head)
    if found is not None and header is not None:
        check_block(header, found)
    for number in range(head + 1, until + 1):
        height = Height(number)
        block = await store.block(height)
        if block is None:
            header = await store.header(height)
            assert header is not None
            block = await fetch(height, header.hash)
        assert block is not None
        await worker.replay(block)
    worker.end_restoring()
