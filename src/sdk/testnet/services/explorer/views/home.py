"""The first page, and what of it is live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.chain.quorum import QuorumRule
from sdk.testnet.services.explorer.abi import common
from sdk.testnet.services.explorer.decoding import method_name
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.queries import Slice
from sdk.testnet.services.queries.blocks import BlockRow, recent_blocks
from sdk.testnet.services.queries.consensus import current_members
from sdk.testnet.services.queries.statistics import IndexStatus, Totals, index_status, totals
from sdk.testnet.services.queries.transactions import TransactionRow, list_transactions

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.explorer.reading import AsOf

LATEST: Final = 8
"""Rows of each list."""
STRIP_BLOCKS: Final = 60
"""Two minutes of blocks."""

_OfHead = tuple[tuple[BlockRow, ...], tuple[TransactionRow, ...], int]
"""The strip's blocks, the newest transactions, how many validate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What the first page shows."""

    as_of: AsOf
    head: BlockRow | None
    totals: Totals
    validators: int
    can_lose: int
    """Validators that may stop while blocks go on."""
    block_time_s: float | None
    """Mean of the blocks of the strip."""
    transactions_per_s: float | None
    gas_share: float | None
    """Of the strip's gas limits, 0 to 1."""
    blocks: tuple[BlockRow, ...]
    transactions: tuple[TransactionRow, ...]
    strip: tuple[BlockRow, ...]
    """Oldest first."""


def home_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""

    async def home(_: Request) -> View:
        return View(template="home.html", model=await read_home(parts), section="home", extra=extras())

    return {"/": home}


async def read_home(parts: ExplorerParts) -> Home:
    """Return the first page's model: the same for all readers at one block."""

    def ask(connection: Connection) -> tuple[IndexStatus | None, Totals, _OfHead]:
        status = index_status(connection)
        of_head = parts.reading.of_head.get("home", status, lambda: _of_head(connection))
        # Contracts are verified without a block.
        return status, totals(connection), of_head

    status, counts, (strip, transactions, validators) = await parts.reading.look(ask)
    seconds = strip[-1].timestamp - strip[0].timestamp if len(strip) > 1 else 0
    limit = sum(block.gas_limit for block in strip)
    return Home(
        as_of=await parts.reading.as_of(status),
        head=strip[-1] if strip else None,
        totals=counts,
        validators=validators,
        can_lose=QuorumRule.AUTHORITY.tolerance([1] * validators).crashes if validators else 0,
        # The genesis block may be much older than the first that was decided.
        block_time_s=_block_time(strip),
        transactions_per_s=sum(block.transaction_count for block in strip[1:]) / seconds if seconds else None,
        gas_share=sum(block.gas_used for block in strip) / limit if limit else None,
        blocks=tuple(reversed(strip[-LATEST:])),
        transactions=transactions,
        strip=strip,
    )


def _of_head(connection: Connection) -> _OfHead:
    return (
        recent_blocks(connection, STRIP_BLOCKS),
        list_transactions(connection, Slice(limit=LATEST)).items,
        len(current_members(connection)),
    )


def _block_time(strip: tuple[BlockRow, ...]) -> float | None:
    decided = [block for block in strip if block.number > 0]
    if len(decided) < 2:
        return None
    return (decided[-1].timestamp - decided[0].timestamp) / (len(decided) - 1)


def extras() -> dict[str, object]:
    """Return what the lists of transactions need beside their rows."""
    return {"method_name": lambda selector: method_name(selector, (common(),))}
