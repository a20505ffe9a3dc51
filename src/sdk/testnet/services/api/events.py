"""Tells streams what the index has new: blocks, rounds that failed, changes of the set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from metanode.errors import Unavailable
from sdk.testnet.services.api import answers
from sdk.testnet.services.queries import Slice, blocks, consensus

if TYPE_CHECKING:
    from sdk.testnet.services.api.parts import Parts

log = structlog.get_logger()

TOPICS: Final = ("block", "round", "validator")
LOOK_EVERY_S: Final = 0.5
"""The index may be written by another process: its head is asked for."""
CATCH_UP_MAX: Final = 20
"""Blocks told at once; a stream is for what is new."""


async def tell_events(parts: Parts) -> None:
    """Publish what is new until cancelled; goes on by itself when the database was away."""
    seen: int | None = None
    while True:
        try:
            seen, events = await asyncio.to_thread(_new_events, parts, seen)
            for topic, data in events:
                parts.hub.publish(topic, data)
        except Unavailable as failure:
            log.warning("events_wait", reason=str(failure)[:200])
        await asyncio.sleep(LOOK_EVERY_S)


def _new_events(parts: Parts, seen: int | None) -> tuple[int | None, list[tuple[str, Any]]]:
    with parts.store.look() as connection:
        newest = blocks.latest_block(connection)
        if newest is None or newest.number == seen:
            return seen, []
        if seen is None or newest.number < seen:
            return newest.number, []
        count = min(CATCH_UP_MAX, newest.number - seen)
        found: list[tuple[str, Any]] = []
        for row in reversed(blocks.list_blocks(connection, Slice(limit=count)).items):
            found.append(("block", answers.block(row).model_dump()))
            # The parent's round is certain now.
            found += [
                ("round", answers.skip(one).model_dump())
                for one in consensus.skips_of(connection, row.number - 1, row.number - 1)
            ]
            found += [
                ("validator", answers.set_change(one).model_dump())
                for one in consensus.block_consensus(connection, row.number).set_changes
            ]
        return newest.number, found
