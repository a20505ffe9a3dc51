"""Logs, token transfers and internal calls as rows, whichever list they are of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Select, func, select

from sdk.testnet.services.queries.paging import Page, Slice, bounded, number_of, ordered, page_of
from sdk.testnet.services.queries.parties import Party, accounts_as, known_party, party, party_columns
from sdk.testnet.services.store.meanings import CallKind, Direction, TokenKind
from sdk.testnet.services.store.tables import (
    blocks,
    internal_calls,
    logs,
    tokens,
    transactions,
    transfers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of the data of one page of logs: a single one may have over a megabyte, and a page many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What Etherscan's dialect says beside each log and move: of the block, and of the transaction."""

    block_hash: bytes
    nonce: int
    gas_limit: int
    gas_used: int
    cumulative_gas_used: int
    gas_price_wei: int
    """The effective one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One event of a contract."""

    number: int
    log_index: int
    """Its place in the block."""
    transaction_index: int
    transaction_hash: bytes
    timestamp: int
    contract: Party
    topics: tuple[bytes, ...]
    data: bytes
    source: SourceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRef:
    """A token in somebody's row."""

    contract: Party
    kind: TokenKind
    name: str | None
    """What the contract says, cleaned; None when it says nothing. Anybody can call a token anything."""
    symbol: str | None
    decimals: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRow:
    """A move of tokens, as its event says. The zero address stands for made and burnt."""

    number: int
    log_index: int
    sub_index: int
    """Place in an ERC-1155 batch, else 0."""
    transaction_index: int
    transaction_hash: bytes
    timestamp: int
    token: TokenRef
    sender: Party
    recipient: Party
    amount: int
    """In the token's smallest unit; 1 for ERC-721."""
    token_number: int | None
    """Which of an ERC-721's or ERC-1155's tokens."""
    source: SourceFacts
    direction: Direction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalRow:
    """Value that moved, or a contract that was created or destroyed itself, inside a transaction."""

    number: int
    transaction_index: int
    position: int
    """Its place among the transaction's."""
    transaction_hash: bytes
    timestamp: int
    trace_path: str
    kind: CallKind
    sender: Party
    recipient: Party | None
    value_wei: int
    error: str | None
    """Why it was undone; None when it was not."""
    direction: Direction | None = None


def log_rows(
    connection: Connection, chosen: Select[Any], key: Sequence[ColumnElement[Any]], which: Slice
) -> Page[LogRow]:
    """Return a page of a choice of `logs`; a shorter one where their data would be more than `PAGE_BYTES_MAX`."""
    which = _that_fit(connection, chosen, key, which)
    inner = bounded(chosen, key, (int, int), which).subquery()
    contract = accounts_as("contract")
    statement = (
        select(*party_columns(contract), blocks.c.timestamp, transactions.c.hash, *_FACTS, inner)
        .select_from(inner)
        .join(contract, contract.c.id == inner.c.account_id)
        .join(blocks, blocks.c.number == inner.c.number)
        .join(
            transactions,
            (transactions.c.number == inner.c.number) & (transactions.c.idx == inner.c.tx_idx),
        )
        .order_by(*ordered(which, inner.c.number, inner.c.log_idx))
    )
    return page_of(connection, statement, which, _log, lambda row: (row.number, row.log_idx))


def _that_fit(
    connection: Connection, chosen: Select[Any], key: Sequence[ColumnElement[Any]], which: Slice
) -> Slice:
    """The slice cut to the logs whose data fit a page; at least one. Data of a log may have megabytes, and its length is known without reading it."""
    size = func.length(logs.c.data).label("size")
    lengths = bounded(chosen, key, (int, int), which).with_only_columns(size)
    taken = count = 0
    for length in connection.execute(lengths).scalars():
        taken += length
        if count and taken > PAGE_BYTES_MAX:
            break
        count += 1
    return replace(which, limit=min(which.limit, max(1, count)))


def transfer_rows(
    connection: Connection, chosen: Select[Any], which: Slice, *, is_bounded: bool = False
) -> Page[TransferRow]:
    """Return a page of a choice of `transfers`; `is_bounded` when `bounded` has cut it already."""
    if not is_bounded:
        key = (transfers.c.number, transfers.c.log_idx, transfers.c.sub_idx)
        chosen = bounded(chosen, key, (int, int, int), which)
    inner = chosen.subquery()
    token, sender, recipient = accounts_as("token"), accounts_as("sender"), accounts_as("recipient")
    columns = [
        inner.c[name] for name in ("number", "log_idx", "sub_idx", "tx_idx", "kind", "amount", "token_ref")
    ]
    if "direction" in inner.c:
        columns.append(inner.c.direction)
    statement = (
        select(
            *party_columns(token),
            *party_columns(sender),
            *party_columns(recipient),
            tokens.c.name.label("token_name"),
            tokens.c.symbol,
            tokens.c.decimals,
            blocks.c.timestamp,
            transactions.c.hash,
            *_FACTS,
            *columns,
        )
        .select_from(inner)
        .join(token, token.c.id == inner.c.token_id)
        .join(tokens, tokens.c.account_id == inner.c.token_id)
        .join(sender, sender.c.id == inner.c.from_id)
        .join(recipient, recipient.c.id == inner.c.to_id)
        .join(blocks, blocks.c.number == inner.c.number)
        .join(
            transactions,
            (transactions.c.number == inner.c.number) & (transactions.c.idx == inner.c.tx_idx),
        )
        .order_by(*ordered(which, inner.c.number, inner.c.log_idx, inner.c.sub_idx))
    )
    return page_of(
        connection, statement, which, _transfer, lambda row: (row.number, row.log_idx, row.sub_idx)
    )


def internal_rows(
    connection: Connection, chosen: Select[Any], which: Slice, *, is_bounded: bool = False
) -> Page[InternalRow]:
    """Return a page of a choice of `internal_calls`."""
    if not is_bounded:
        key = (internal_calls.c.number, internal_calls.c.tx_idx, internal_calls.c.position)
        chosen = bounded(chosen, key, (int, int, int), which)
    inner = chosen.subquery()
    sender, recipient = accounts_as("sender"), accounts_as("recipient")
    columns = [
        inner.c[name] for name in ("number", "tx_idx", "position", "trace_path", "kind", "value", "error")
    ]
    if "direction" in inner.c:
        columns.append(inner.c.direction)
    statement = (
        select(
            *party_columns(sender),
            *party_columns(recipient),
            blocks.c.timestamp,
            transactions.c.hash,
            *columns,
        )
        .select_from(inner)
        .join(sender, sender.c.id == inner.c.from_id)
        .outerjoin(recipient, recipient.c.id == inner.c.to_id)
        .join(blocks, blocks.c.number == inner.c.number)
        .join(
            transactions,
            (transactions.c.number == inner.c.number) & (transactions.c.idx == inner.c.tx_idx),
        )
        .order_by(*ordered(which, inner.c.number, inner.c.tx_idx, inner.c.position))
    )
    return page_of(
        connection, statement, which, _internal, lambda row: (row.number, row.tx_idx, row.position)
    )


_FACTS = (
    blocks.c.hash.label("block_hash"),
    transactions.c.nonce,
    transactions.c.gas_limit.label("transaction_gas_limit"),
    transactions.c.gas_used.label("transaction_gas_used"),
    transactions.c.cumulative_gas_used,
    transactions.c.gas_price,
)


def _facts(row: Any) -> SourceFacts:
    return SourceFacts(
        block_hash=bytes(row.block_hash),
        nonce=row.nonce,
        gas_limit=row.transaction_gas_limit,
        gas_used=row.transaction_gas_used,
        cumulative_gas_used=row.cumulative_gas_used,
        gas_price_wei=number_of(row.gas_price),
    )


def _log(row: Any) -> LogRow:
    topics = (row.topic0, row.topic1, row.topic2, row.topic3)
    return LogRow(
        number=row.number,
        log_index=row.log_idx,
        transaction_index=row.tx_idx,
        transaction_hash=bytes(row.hash),
        timestamp=row.timestamp,
        contract=known_party(row, 0),
        topics=tuple(bytes(topic) for topic in topics if topic is not None),
        data=bytes(row.data),
        source=_facts(row),
    )


def _direction(row: Any) -> Direction | None:
    found = getattr(row, "direction", None)
    return None if found is None else Direction(found)


def _transfer(row: Any) -> TransferRow:
    return TransferRow(
        number=row.number,
        log_index=row.log_idx,
        sub_index=row.sub_idx,
        transaction_index=row.tx_idx,
        transaction_hash=bytes(row.hash),
        timestamp=row.timestamp,
        token=TokenRef(
            contract=known_party(row, 0),
            kind=TokenKind(row.kind),
            name=row.token_name,
            symbol=row.symbol,
            decimals=row.decimals,
        ),
        sender=known_party(row, 3),
        recipient=known_party(row, 6),
        amount=number_of(row.amount),
        token_number=None if row.token_ref is None else number_of(row.token_ref),
        source=_facts(row),
        direction=_direction(row),
    )


def _internal(row: Any) -> InternalRow:
    return InternalRow(
        number=row.number,
        transaction_index=row.tx_idx,
        position=row.position,
        transaction_hash=bytes(row.hash),
        timestamp=row.timestamp,
        trace_path=row.trace_path,
        kind=CallKind(row.kind),
        sender=known_party(row, 0),
        recipient=party(row, 3),
        value_wei=number_of(row.value),
        error=row.error,
        direction=_direction(row),
    )
