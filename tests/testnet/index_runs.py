"""Runs an indexer in a test until it has what is wanted, and compares indexes."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from sdk.testnet.services.indexer import Indexer, IndexerConfig
from sdk.testnet.services.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sdk.testnet.services.store import Store

DEADLINE_S = 60.0


async def wait_until(is_so: Callable[[], bool], what: Callable[[], object]) -> None:
    """Return when it is so; fail with what is instead after a minute."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(store: Store, *urls: str, **config: Any) -> AsyncIterator[Indexer]:
    """An indexer that runs for the length of the block."""
    indexer = Indexer(store, IndexerConfig(rpc_urls=urls, **config))
    task = asyncio.create_task(indexer.run())
    try:
        yield indexer
        if task.done():
            await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def index_to(store: Store, url: str, number: int, **config: Any) -> None:
    """Index until this block is there, and all contracts have been looked at."""
    async with running(store, url, **config) as indexer:
        await wait_until(lambda: (indexer.status.indexed or 0) >= number, lambda: indexer.status)
        await wait_until(lambda: not unprobed(store), lambda: unprobed(store))


def unprobed(store: Store) -> int:
    """How many contracts nobody has looked at."""
    tokens, contracts = metadata.tables["tokens"], metadata.tables["contracts"]
    with store.look() as connection:
        waiting = connection.execute(select(tokens.c.account_id).where(tokens.c.probes_left > 0)).all()
        waiting += connection.execute(
            select(contracts.c.account_id).where(contracts.c.code_hash.is_(None))
        ).all()
    return len(waiting)


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but for the time at which they were made."""
    found = {}
    with store.look() as connection:
        for name, table in metadata.tables.items():
            columns = [column for column in table.c if column.name != "indexed_at"]
            rows = connection.execute(select(*columns).order_by(*table.primary_key))
            found[name] = [
                tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
                for row in rows
            ]
    return found
