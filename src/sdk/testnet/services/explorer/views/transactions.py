"""Transactions: the list, one of them with everything it did, and those that wait."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from metanode.errors import InvalidEncoding, MetanodeError, Unavailable
from metanode.primitives.hexadecimal import decode_quantity
from sdk.testnet.services.explorer.abi import Interface, common, parse_texts
from sdk.testnet.services.explorer.decoding import (
    Decoded,
    Revert,
    decode_call,
    decode_event,
    decode_revert,
    method_name,
)
from sdk.testnet.services.explorer.functions import interfaces_of
from sdk.testnet.services.explorer.pending import Waiting, waiting_of
from sdk.testnet.services.explorer.reading import (
    NEWEST,
    PAGE_ROWS,
    AsOf,
    first_url,
    hash_in,
    is_newest,
    is_twin,
    next_url,
    place_of,
    slice_of,
)
from sdk.testnet.services.explorer.room import (
    CALL_BYTES,
    EVENT_BYTES,
    LIST_BYTES,
    call_bytes,
    event_bytes,
    first_that_fit,
    first_values,
)
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.explorer.views.home import extras
from sdk.testnet.services.queries import Slice
from sdk.testnet.services.queries.blocks import BlockRow, get_block
from sdk.testnet.services.queries.contracts import find_signatures
from sdk.testnet.services.queries.statistics import IndexStatus, index_status
from sdk.testnet.services.queries.transactions import (
    TransactionRow,
    get_transaction,
    hashes_of_sender,
    list_transactions,
    transaction_input,
    transaction_internal_calls_page,
    transaction_logs_page,
    transaction_transfers_page,
)
from sdk.testnet.services.told import told_object, told_quantity, unreadable
from sdk.testnet.services.web.problems import NotFound, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.explorer.traces import CallLine, CallTree
    from sdk.testnet.services.queries.moves import InternalRow, LogRow, TransferRow
    from sdk.testnet.services.queries.paging import Page

Tab = Literal["overview", "transfers", "logs", "internal", "calls", "input"]
MOVES_SHOWN: Final = 10
"""Token moves on the first page of a transaction; a tab of their own has all."""
INPUT_SHOWN: Final = 4 * 1024
"""Bytes of input on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """A page of transactions."""

    as_of: AsOf
    items: tuple[TransactionRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A log, and what it says if that is known."""

    log: LogRow
    decoded: Decoded | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction of a block."""

    as_of: AsOf
    transaction: TransactionRow
    block: BlockRow | None
    input: bytes
    call: Decoded | None
    revert: Revert | None
    transfers: tuple[TransferRow, ...] | None
    """A page of them on their tab, the first on the overview; None elsewhere, as of `internal` and `events`."""
    internal: tuple[InternalRow, ...] | None
    events: tuple[Event, ...] | None
    next: str | None
    """Cursor of the tab's next page."""
    previous: bytes | None
    """Hash of the sender's transaction before."""
    following: bytes | None
    """And after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The pool of one node."""

    as_of: AsOf
    executable: int
    queued: int
    is_summary: bool
    """Whether the pool has too much to be read whole: then its transactions come without their hashes."""
    items: tuple[Waiting, ...]

    @property
    def shown(self) -> tuple[Waiting, ...]:
        """Those that the page has room for; its JSON has more."""
        return self.items[:PAGE_ROWS]


def transaction_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""
    reading = parts.reading

    async def transactions(request: Request) -> View:
        model = await read_transactions(parts, slice_of(request))
        extra = {
            "next_url": next_url(request, model.next),
            "first_url": first_url(request),
            "is_live": is_newest(request),
        } | extras()
        return View(template="transactions.html", model=model, section="transactions", extra=extra)

    def tabbed(tab: Tab) -> Handler:
        async def transaction(request: Request) -> View:
            wanted = hash_in(request.path_params["hash"], "transaction")
            which = slice_of(request, newest_first=False)
            room = None if is_twin(request) else LIST_BYTES
            found = await reading.look(lambda connection: _read(connection, wanted, tab, which, room))
            as_of = await reading.now()
            if found is None:
                return await _unindexed(parts, wanted, as_of)
            model = Transaction(as_of=as_of, **found)
            tree, reason, next_cursor = None, "", model.next
            calls: tuple[CallLine, ...] = ()
            if tab == "calls":
                parts.clients.count_stranger(request)
                tree, reason = await _tree(parts, model)
            if tree is not None:
                place = place_of(request, len(tree.calls))
                calls = first_that_fit(tree.calls[place:], call_bytes, LIST_BYTES)
                end = place + len(calls)
                next_cursor = str(end) if end < len(tree.calls) else None
            extra = {
                "tab": tab,
                "tree": tree,
                "tree_calls": calls,
                "tree_reason": reason,
                "next_url": next_url(request, next_cursor) if tab != "overview" else "",
                "first_url": first_url(request),
                "input_shown": INPUT_SHOWN,
                "call_values": first_values(model.call.values, CALL_BYTES) if model.call else (),
                "event_values": lambda decoded: first_values(decoded.values, EVENT_BYTES),
                "call_name": lambda data: method_name(data[:4] if len(data) >= 4 else None, (common(),)),
            } | extras()
            # Every indexed block is final; a call tree is what a node still knows.
            return View(
                template="transaction.html",
                model=model,
                section="transactions",
                is_fixed=tab != "calls",
                extra=extra,
            )

        return transaction

    async def pending(_: Request) -> View:
        model = await read_pending(parts)
        return View(template="pending.html", model=model, section="pending", extra=extras())

    return {
        "/transactions": transactions,
        "/pending": pending,
        "/tx/{hash}": tabbed("overview"),
        "/tx/{hash}/transfers": tabbed("transfers"),
        "/tx/{hash}/logs": tabbed("logs"),
        "/tx/{hash}/internal": tabbed("internal"),
        "/tx/{hash}/calls": tabbed("calls"),
        "/tx/{hash}/input": tabbed("input"),
    }


def _guesses(connection: Connection, selector: bytes, kind: Literal["function", "event"]) -> Interface:
    return parse_texts((row.text for row in find_signatures(connection, selector)), kind)


def _read(
    connection: Connection, wanted: bytes, tab: Tab, which: Slice, room: int | None
) -> dict[str, Any] | None:
    row = get_transaction(connection, wanted)
    if row is None:
        return None
    data = transaction_input(connection, row)
    target = row.recipient or row.created
    known = interfaces_of(connection, None if target is None else target.address)
    guesses: tuple[Interface, ...] = (common(),)
    call = None
    if row.recipient is not None and len(data) >= 4:
        call = decode_call(data, (*known, *guesses, _guesses(connection, data[:4], "function")))
    beside = hashes_of_sender(connection, row.sender.address, (row.nonce - 1, row.nonce + 1))
    return {
        "transaction": row,
        "block": get_block(connection, row.number),
        "input": data,
        "call": call,
        "revert": None if row.succeeded else decode_revert(row.revert, (*known, *guesses)),
        **_moves(connection, row, tab, which, room),
        "previous": beside.get(row.nonce - 1),
        "following": beside.get(row.nonce + 1),
    }


def _moves(
    connection: Connection, row: TransactionRow, tab: Tab, which: Slice, room: int | None
) -> dict[str, Any]:
    """What the tab shows of what the transaction did: a page, however much it did, and however long each event is."""
    transfers: Page[TransferRow] | None = None
    internal: Page[InternalRow] | None = None
    logs: Page[LogRow] | None = None
    events: tuple[Event, ...] = ()
    match tab:
        case "overview":
            transfers = transaction_transfers_page(
                connection, row, Slice(limit=MOVES_SHOWN, newest_first=False)
            )
        case "transfers":
            transfers = transaction_transfers_page(connection, row, which)
        case "internal":
            internal = transaction_internal_calls_page(connection, row, which)
        case "logs":
            logs = transaction_logs_page(connection, row, which)
            decoded = _events(connection, logs.items)
            if room is None:
                events = tuple(decoded)
            else:
                events = first_that_fit(decoded, lambda each: event_bytes(each.log, each.decoded), room)
            if len(events) < len(logs.items):
                # The same page again, which ends where there is no more room.
                logs = transaction_logs_page(connection, row, replace(which, limit=len(events)))
        case "calls" | "input":
            pass
    return {
        "transfers": None if transfers is None else transfers.items,
        "internal": None if internal is None else internal.items,
        "events": None if logs is None else events,
        "next": next((page.next_cursor for page in (transfers, internal, logs) if page is not None), None),
    }


def _events(connection: Connection, logs: tuple[LogRow, ...]) -> Iterator[Event]:
    """What they say, one after the other: a page may have no room for them all."""
    known: dict[bytes, tuple[Interface, ...]] = {}
    for log in logs:
        address = log.contract.address
        if address not in known:
            known[address] = interfaces_of(connection, address)
        decoded = decode_event(log.topics, log.data, (*known[address], common()))
        if decoded is None and log.topics:
            decoded = decode_event(log.topics, log.data, (_guesses(connection, log.topics[0], "event"),))
        yield Event(log=log, decoded=decoded)


async def _tree(parts: ExplorerParts, model: Transaction) -> tuple[CallTree | None, str]:
    try:
        return await parts.trees.tree(f"0x{model.transaction.hash.hex()}"), ""
    except Unavailable as error:
        return None, reason_of(error)[:200]
    except MetanodeError as error:
        return None, str(error)[:200]


async def _unindexed(parts: ExplorerParts, wanted: bytes, as_of: AsOf) -> View:
    """The page of a transaction that no indexed block has: it waits, or comes in a moment, or is not there."""
    text = f"0x{wanted.hex()}"
    found = await parts.nodes.call("eth_getTransactionByHash", text)
    if found is None:
        raise NotFound(
            f"Neither the chain nor the pool has the transaction {text}.",
            "It may have been sent to another network, or replaced by one with the same nonce and a higher fee.",
        )
    block = told_object(found).get("blockNumber")
    number = None if block is None else told_quantity(block)
    try:
        model = waiting_of(found, is_executable=True)
    except (KeyError, TypeError, InvalidEncoding):
        raise unreadable() from None
    due = None if number is not None else await _due_nonce(parts, model.sender)
    if due is not None and due < model.nonce:
        model = replace(model, is_executable=False)
    return View(
        template="waiting.html",
        model=model,
        section="pending",
        is_kept=False,
        extra={"number": number, "due": due, "as_of": as_of} | extras(),
    )


async def _due_nonce(parts: ExplorerParts, sender: str) -> int | None:
    """The nonce that an account has to send next, behind all that can be in a block now; None when the node does not say."""
    try:
        return decode_quantity(await parts.nodes.call("eth_getTransactionCount", sender, "pending"))
    except (MetanodeError, TypeError):
        return None


async def read_transactions(parts: ExplorerParts, which: Slice = NEWEST) -> Transactions:
    """Return a page of the list; without arguments the one that everybody sees first."""

    def ask(connection: Connection) -> tuple[IndexStatus | None, Page[TransactionRow]]:
        status = index_status(connection)
        if which != NEWEST:
            return status, list_transactions(connection, which)
        return status, parts.reading.of_head.get(
            "transactions", status, lambda: list_transactions(connection, which)
        )

    status, page = await parts.reading.look(ask)
    return Transactions(as_of=await parts.reading.as_of(status), items=page.items, next=page.next_cursor)


async def read_pending(parts: ExplorerParts) -> Pending:
    """Return what waits in a node's pool; raises Unavailable when none shows it."""
    pool = await parts.pool.now()
    return Pending(
        as_of=await parts.reading.now(),
        executable=pool.executable,
        queued=pool.queued,
        is_summary=pool.is_summary,
        items=pool.items,
    )
