"""Blocks: the list, and one block with the certificate that proves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk.testnet.services.explorer.certificates import CertificateView, view_certificate, view_record
from sdk.testnet.services.explorer.reading import (
    NEWEST,
    AsOf,
    first_url,
    flag_in,
    hash_in,
    is_newest,
    next_url,
    number_in,
    slice_of,
)
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.explorer.views.home import extras
from sdk.testnet.services.queries.blocks import (
    BlockRow,
    WithdrawalRow,
    block_withdrawals,
    find_block,
    get_block,
    list_blocks,
    timestamps_of,
)
from sdk.testnet.services.queries.consensus import BlockConsensus, block_consensus, members_of
from sdk.testnet.services.queries.statistics import IndexStatus, index_status
from sdk.testnet.services.queries.transactions import TransactionRow, block_transactions
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.queries import Page, Slice
    from sdk.testnet.services.queries.parties import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """A page of blocks."""

    as_of: AsOf
    items: tuple[BlockRow, ...]
    next: str | None
    """Cursor of the next page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block."""

    as_of: AsOf
    block: BlockRow
    parent_timestamp: int | None
    consensus: BlockConsensus
    certificate: CertificateView
    rewards: tuple[WithdrawalRow, ...]
    transactions: tuple[TransactionRow, ...]
    next: str | None
    """Cursor of the next page of transactions."""

    @property
    def is_newest(self) -> bool:
        """Whether there is no block after it yet."""
        return self.block.number >= self.as_of.block


def block_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""
    reading = parts.reading

    async def blocks(request: Request) -> View:
        late, full = flag_in(request, "late"), flag_in(request, "with_transactions")
        model = await read_blocks(parts, slice_of(request), late=late, full=full)
        extra = {
            "next_url": next_url(request, model.next),
            "first_url": first_url(request),
            "late": late,
            "with_transactions": full,
            "is_live": is_newest(request),
        }
        return View(template="blocks.html", model=model, section="blocks", extra=extra)

    async def block(request: Request) -> View:
        key = request.path_params["key"]
        which = slice_of(request, newest_first=False)
        number = number_in(key)
        if key == "latest":
            number = max(0, (await reading.now()).block)
        if number is None:
            hash_in(key, "block")

        def ask(
            connection: Connection,
        ) -> (
            tuple[
                BlockRow,
                int | None,
                BlockConsensus,
                tuple[Party, ...],
                tuple[WithdrawalRow, ...],
                Page[TransactionRow],
            ]
            | None
        ):
            if number is not None:
                found = get_block(connection, number)
            else:
                found = find_block(connection, hash_in(key, "block"))
            if found is None:
                return None
            before = timestamps_of(connection, [found.number - 1])
            return (
                found,
                before.get(found.number - 1),
                block_consensus(connection, found.number),
                members_of(connection, found.number),
                block_withdrawals(connection, found.number),
                block_transactions(connection, found.number, which),
            )

        found = await reading.look(ask)
        as_of = await reading.now()
        if found is None:
            raise _absent(key, number, as_of)
        row, parent_timestamp, consensus, members, rewards, page = found
        rule = await parts.rules.rule()
        model = Block(
            as_of=as_of,
            block=row,
            parent_timestamp=parent_timestamp,
            consensus=consensus,
            # The next block says which seals count; until then each node has its own.
            certificate=view_certificate(row, consensus, members, rule)
            if row.is_canonical
            else view_record(row, consensus, members, rule, await parts.record.of(row.number)),
            rewards=rewards,
            transactions=page.items,
            next=page.next_cursor,
        )
        extra = {
            "next_url": next_url(request, page.next_cursor),
            "first_url": first_url(request),
        } | extras()
        return View(
            template="block.html",
            model=model,
            section="blocks",
            # The seals of the newest are fixed by the one after it.
            is_fixed=row.is_canonical and key != "latest",
            extra=extra,
        )

    return {"/blocks": blocks, "/block/{key}": block}


async def read_blocks(
    parts: ExplorerParts, which: Slice = NEWEST, *, late: bool = False, full: bool = False
) -> Blocks:
    """Return a page of the list; without arguments the one that everybody sees first."""

    def ask(connection: Connection) -> tuple[IndexStatus | None, Page[BlockRow]]:
        status = index_status(connection)
        if which != NEWEST or late or full:
            return status, list_blocks(connection, which, late_only=late, with_transactions=full)
        return status, parts.reading.of_head.get("blocks", status, lambda: list_blocks(connection, which))

    status, page = await parts.reading.look(ask)
    return Blocks(as_of=await parts.reading.as_of(status), items=page.items, next=page.next_cursor)


def _absent(key: str, number: int | None, as_of: AsOf) -> NotFound:
    if number is None:
        return NotFound(
            f"No block of this chain has the hash {key}.",
            "Hashes of transactions have their pages too: search for it.",
        )
    if as_of.chain_head is not None and number <= as_of.chain_head:
        return NotFound(
            f"Block {number} is decided, and not indexed yet: the index is at {as_of.block}.",
            "It comes in a moment.",
        )
    newest = as_of.block if as_of.chain_head is None else max(as_of.block, as_of.chain_head)
    return NotFound(
        f"There is no block {number} yet; the newest is {newest}.", "A block comes every few seconds."
    )
