"""Transactions, and what they did: logs, moves of tokens, and of value inside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Select, func, select, tuple_

from metanode.errors import InvalidInput
from sdk.testnet.services.queries.moves import (
    InternalRow,
    LogRow,
    TransferRow,
    internal_rows,
    log_rows,
    transfer_rows,
)
from sdk.testnet.services.queries.paging import (
    FIRST,
    LIMIT_MAX,
    Page,
    Slice,
    bounded,
    number_of,
    ordered,
    page_of,
    range_of,
)
from sdk.testnet.services.queries.parties import (
    Party,
    account_id,
    accounts_as,
    known_party,
    party,
    party_columns,
)
from sdk.testnet.services.store.meanings import Direction
from sdk.testnet.services.store.tables import (
    account_transactions,
    blocks,
    internal_calls,
    logs,
    transaction_inputs,
    transactions,
    transfers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_PLACES: Final = 1_000
"""Of one statement; SQLite takes 32,766 values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRow:
    """One transaction of a finalized block."""

    number: int
    index: int
    """Its place in the block, from 0."""
    hash: bytes
    block_hash: bytes
    timestamp: int
    """The block's, in seconds since 1970."""
    sender: Party
    recipient: Party | None
    """None when it creates a contract."""
    created: Party | None
    """The contract that it created."""
    nonce: int
    value_wei: int
    method_id: bytes | None
    """The first four bytes of a call's input; None for plain transfers and creations."""
    type: int
    succeeded: bool
    gas_limit: int
    gas_used: int
    cumulative_gas_used: int
    gas_price_wei: int
    """The effective one."""
    log_count: int
    transfer_count: int
    internal_count: int
    revert: bytes | None
    """What it returned when it failed, cut at 1,024 bytes; None where that is not known."""
    direction: Direction | None = None
    """In an account's feed: how it concerns the account."""

    @property
    def fee_wei(self) -> int:
        """What the sender paid for the gas."""
        return self.gas_used * self.gas_price_wei


_COLUMNS = tuple(column for column in transactions.c if column.name not in {"from_id", "to_id", "created_id"})
_KEY = (transactions.c.number, transactions.c.idx)
_IN_ORDER = Slice(limit=LIMIT_MAX, newest_first=False)


def list_transactions(
    connection: Connection,
    which: Slice = FIRST,
    *,
    first_block: int | None = None,
    last_block: int | None = None,
) -> Page[TransactionRow]:
    """Return the transactions of the chain; of a range of blocks, ends included."""
    chosen = select(transactions).where(*range_of(transactions.c.number, first_block, last_block))
    return _page(connection, bounded(chosen, _KEY, (int, int), which), which)


def block_transactions(
    connection: Connection, number: int, which: Slice | None = None
) -> Page[TransactionRow]:
    """Return a block's transactions, in its order unless the slice says otherwise."""
    which = which or Slice(newest_first=False)
    chosen = select(transactions).where(transactions.c.number == number)
    return _page(connection, bounded(chosen, _KEY, (int, int), which), which)


def get_transaction(connection: Connection, transaction_hash: bytes) -> TransactionRow | None:
    """Return a transaction by its hash."""
    return _one(connection, select(transactions).where(transactions.c.hash == transaction_hash))


def hashes_of_sender(connection: Connection, sender: bytes, nonces: Sequence[int]) -> dict[int, bytes]:
    """Return the hashes of the transactions with which an account used some nonces; those that it has not used are left out."""
    found = account_id(connection, sender)
    if found is None:
        return {}
    statement = select(transactions.c.nonce, transactions.c.hash).where(
        transactions.c.from_id == found, transactions.c.nonce.in_(nonces)
    )
    return {row.nonce: bytes(row.hash) for row in connection.execute(statement)}


def transaction_input(connection: Connection, transaction: TransactionRow) -> bytes:
    """Return what the transaction was given: a call's data, or code that creates a contract."""
    found = connection.execute(
        select(transaction_inputs.c.input).where(
            transaction_inputs.c.number == transaction.number, transaction_inputs.c.idx == transaction.index
        )
    ).scalar()
    return b"" if found is None else bytes(found)


def inputs_of(
    connection: Connection, places: Sequence[tuple[int, int]], *, bytes_max: int
) -> dict[tuple[int, int], bytes]:
    """Return the inputs of several transactions by block number and index; empty ones are left out.

    Raises:
        InvalidInput: when they have more bytes than that.
    """
    found: dict[tuple[int, int], bytes] = {}
    table = transaction_inputs
    here = tuple_(table.c.number, table.c.idx)
    parts = [places[start : start + _PLACES] for start in range(0, len(places), _PLACES)]
    total = 0
    for part in parts:
        # The length of what is stored is known without reading it.
        total += connection.execute(
            select(func.coalesce(func.sum(func.length(table.c.input)), 0)).where(here.in_(part))
        ).scalar_one()
        if total > bytes_max:
            raise InvalidInput(f"the inputs of these transactions have over {bytes_max} bytes; ask for fewer")
    for part in parts:
        for row in connection.execute(select(table).where(here.in_(part))):
            found[row.number, row.idx] = bytes(row.input)
    return found


def transaction_logs(connection: Connection, transaction: TransactionRow) -> tuple[LogRow, ...]:
    """Return its logs in order; at most 10,000."""
    return transaction_logs_page(connection, transaction, _IN_ORDER).items


def transaction_logs_page(
    connection: Connection, transaction: TransactionRow, which: Slice = FIRST
) -> Page[LogRow]:
    """Return a page of its logs."""
    chosen = select(logs).where(logs.c.number == transaction.number, logs.c.tx_idx == transaction.index)
    return log_rows(connection, chosen, (logs.c.number, logs.c.log_idx), which)


def transaction_transfers(connection: Connection, transaction: TransactionRow) -> tuple[TransferRow, ...]:
    """Return the tokens that it moved, in order; at most 10,000 moves."""
    return transaction_transfers_page(connection, transaction, _IN_ORDER).items


def transaction_transfers_page(
    connection: Connection, transaction: TransactionRow, which: Slice = FIRST
) -> Page[TransferRow]:
    """Return a page of the tokens that it moved."""
    chosen = select(transfers).where(
        transfers.c.number == transaction.number, transfers.c.tx_idx == transaction.index
    )
    return transfer_rows(connection, chosen, which)


def transaction_internal_calls(
    connection: Connection, transaction: TransactionRow
) -> tuple[InternalRow, ...]:
    """Return value that moved and contracts that were created inside it, in order; at most 10,000."""
    return transaction_internal_calls_page(connection, transaction, _IN_ORDER).items


def transaction_internal_calls_page(
    connection: Connection, transaction: TransactionRow, which: Slice = FIRST
) -> Page[InternalRow]:
    """Return a page of the value that moved and the contracts that were created inside it."""
    chosen = select(internal_calls).where(
        internal_calls.c.number == transaction.number, internal_calls.c.tx_idx == transaction.index
    )
    return internal_rows(connection, chosen, which)


def account_transactions_page(
    connection: Connection,
    address: bytes,
    which: Slice = FIRST,
    *,
    first_block: int | None = None,
    last_block: int | None = None,
) -> Page[TransactionRow]:
    """Return what an account sent, was sent, or was created by; of a range of blocks, ends included."""
    found = account_id(connection, address)
    if found is None:
        return Page(items=(), next_cursor=None)
    feed = account_transactions
    chosen = select(feed).where(feed.c.account_id == found, *range_of(feed.c.number, first_block, last_block))
    part = bounded(chosen, (feed.c.number, feed.c.idx), (int, int), which).subquery()
    joined = select(transactions, part.c.direction.label("direction")).join(
        part, (transactions.c.number == part.c.number) & (transactions.c.idx == part.c.idx)
    )
    return _page(connection, joined, which)


def _page(connection: Connection, chosen: Select[Any], which: Slice) -> Page[TransactionRow]:
    return page_of(
        connection, _with_parties(chosen, which), which, _transaction, lambda row: (row.number, row.idx)
    )


def _one(connection: Connection, chosen: Select[Any]) -> TransactionRow | None:
    row = connection.execute(_with_parties(chosen.limit(1), FIRST)).first()
    return None if row is None else _transaction(row)


def _with_parties(chosen: Select[Any], which: Slice) -> Select[Any]:
    inner = chosen.subquery()
    sender, recipient, created = accounts_as("sender"), accounts_as("recipient"), accounts_as("created")
    order = [inner.c.number, inner.c.idx]
    columns = [inner.c[column.name] for column in _COLUMNS]
    if "direction" in inner.c:
        columns.append(inner.c.direction)
    return (
        select(
            *party_columns(sender),
            *party_columns(recipient),
            *party_columns(created),
            blocks.c.timestamp,
            blocks.c.hash.label("block_hash"),
            *columns,
        )
        .select_from(inner)
        .join(blocks, blocks.c.number == inner.c.number)
        .join(sender, sender.c.id == inner.c.from_id)
        .outerjoin(recipient, recipient.c.id == inner.c.to_id)
        .outerjoin(created, created.c.id == inner.c.created_id)
        .order_by(*ordered(which, *order))
    )


def _transaction(row: Any) -> TransactionRow:
    direction = getattr(row, "direction", None)
    return TransactionRow(
        number=row.number,
        index=row.idx,
        hash=bytes(row.hash),
        block_hash=bytes(row.block_hash),
        timestamp=row.timestamp,
        sender=known_party(row, 0),
        recipient=party(row, 3),
        created=party(row, 6),
        nonce=row.nonce,
        value_wei=number_of(row.value),
        method_id=None if row.method_id is None else bytes(row.method_id),
        type=row.type,
        succeeded=row.status == 1,
        gas_limit=row.gas_limit,
        gas_used=row.gas_used,
        cumulative_gas_used=row.cumulative_gas_used,
        gas_price_wei=number_of(row.gas_price),
        log_count=row.log_count,
        transfer_count=row.transfer_count,
        internal_count=row.internal_count,
        revert=None if row.revert is None else bytes(row.revert),
        direction=None if direction is None else Direction(direction),
    )
