"""A process that indexes, a block a transaction, and tells each on a line: `python -m tests.testnet.index_process URL DATABASE`."""

from __future__ import annotations

import asyncio
import sys

import structlog

from sdk.testnet.services.indexer import Indexer, IndexerConfig, node
from sdk.testnet.services.store import Store


async def main(url: str, database: str) -> None:
    """Index until killed."""
    # What is printed is read: a number a line.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    node.BLOCKS_MAX = 1
    store = Store(database)
    config = IndexerConfig(rpc_urls=(url,))
    await Indexer(store, config, upon_blocks=lambda number: print(number, flush=True)).run()  # noqa: T201 - it is a program


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
