"""Tells streams what the index has new: blocks, their transactions, rounds that failed, changes of the set.

What is told besides (alerts, claims) is in `watching`. Everything is told while anybody listens, whatever they listen to: who comes back gets what was
missed from what all were told.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from metanode.errors import Unavailable
from sdk.testnet.services.api import answers
from sdk.testnet.services.queries import Slice, blocks, consensus, transactions
from sdk.testnet.services.web.live import QUEUE_EVENTS_MAX

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sdk.testnet.services.api.parts import Parts

log = structlog.get_logger()

TOPICS: Final = ("block", "tx", "round", "validator", "alert", "claim")
LOOK_EVERY_S: Final = 0.5
"""The index may be written by another process: its head is asked for, unless somebody says when it has moved."""
STEP_BLOCKS: Final = QUEUE_EVENTS_MAX // 2
"""Blocks told at once, with their transactions: they fit what waits for a client."""
STEP_PAUSE_S: Final = 0.25
"""In which clients read them."""
BEHIND_BLOCKS_MAX: Final = 64
"""Blocks that are told one after the other; after a longer silence everybody loads the page again."""
TRANSACTIONS_MAX: Final = 50
"""Of a block, that are told; some 50 KB, of which 64 blocks are kept for who comes back."""


async def tell_events(parts: Parts) -> None:
    """Publish what is new until cancelled; goes on by itself whatever one look met."""
    seen: int | None = None
    while True:
        if not parts.hub.watched():
            # Nobody listens, so nothing is looked up. Who comes is found soon, and told of every block from then on; who comes back from before
            # has to load again.
            if seen is not None:
                parts.hub.resync()
                seen = None
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        pause_s = LOOK_EVERY_S
        since = 0 if parts.heads is None else parts.heads.told
        try:
            seen, is_more = await _tell(parts, seen)
            pause_s = STEP_PAUSE_S if is_more else LOOK_EVERY_S
        except Unavailable as failure:
            log.warning("events_wait", reason=str(failure)[:200])
        except Exception:
            log.exception("events_failed")
        if parts.heads is None or pause_s < LOOK_EVERY_S:
            await asyncio.sleep(pause_s)
        else:
            await parts.heads.wait(pause_s, since=since)


async def _tell(parts: Parts, seen: int | None) -> tuple[int | None, bool]:
    """Publish the blocks behind `seen`, as many as clients take at once; returns the last one, and whether there are more."""
    newest, events = await asyncio.to_thread(_new_events, parts, seen)
    if newest is None or seen is None or newest < seen:
        return newest, False
    if newest - seen > BEHIND_BLOCKS_MAX:
        parts.hub.resync()
        return newest, False
    for topic, data in events:
        parts.hub.publish(topic, data)
    told = min(newest, seen + STEP_BLOCKS)
    return told, told < newest


def _new_events(parts: Parts, seen: int | None) -> tuple[int | None, list[tuple[str, Any]]]:
    """The newest block, and the events of the first blocks behind `seen`."""
    with parts.store.look() as connection:
        newest = blocks.latest_block(connection)
        if newest is None:
            return None, []
        if seen is None or not 0 < newest.number - seen <= BEHIND_BLOCKS_MAX:
            return newest.number, []
        behind = Slice(cursor=str(seen), limit=STEP_BLOCKS, newest_first=False)
        rows = blocks.list_blocks(connection, behind).items
        first, last = rows[0].number, rows[-1].number
        found: list[tuple[int, str, Any]] = [
            (row.number, "block", answers.block(row).model_dump()) for row in rows
        ]
        found += [(row.number, "tx", _transactions(connection, row)) for row in rows if row.transaction_count]
        # With a block its parent's round is certain.
        found += [
            (one.number + 1, "round", answers.skip(one).model_dump())
            for one in consensus.skips_of(connection, first - 1, last - 1)
        ]
        found += [
            (one.number, "validator", answers.set_change(one).model_dump())
            for one in consensus.set_changes_of(connection, first, last)
        ]
        found.sort(key=lambda one: one[0])
        return newest.number, [(topic, data) for _, topic, data in found]


def _transactions(connection: Connection, block: blocks.BlockRow) -> dict[str, Any]:
    """The first transactions of a block, and how many there are."""
    first = Slice(limit=TRANSACTIONS_MAX, newest_first=False)
    rows = transactions.block_transactions(connection, block.number, first).items
    return {
        "block": block.number,
        "total": block.transaction_count,
        "items": [answers.transaction(row).model_dump() for row in rows],
    }
