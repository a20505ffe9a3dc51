"""Blocks, and the rewards that they paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, func, select, tuple_

from sdk.testnet.services.queries.paging import (
    FIRST,
    INTEGER_MAX,
    Page,
    Slice,
    bounded,
    number_of,
    ordered,
    page_of,
    parse_cursor,
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
from sdk.testnet.services.queries.statistics import counter
from sdk.testnet.services.store.meanings import Counter, Traces
from sdk.testnet.services.store.tables import (
    blocks,
    withdrawals,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRow:
    """One finalized block."""

    number: int
    hash: bytes
    parent_hash: bytes
    consensus_hash: bytes | None
    """Hash of the consensus header; None where the node does not tell it, as all of consensus below."""
    timestamp: int
    """Seconds since 1970."""
    proposer: Party | None
    fee_recipient: Party
    proposal_round: int | None
    """Round in which the block was made."""
    round: int | None
    """Round in which it was decided."""
    validators_count: int
    seals_count: int
    seals_invalid: int
    is_canonical: bool
    """Whether the next block has fixed seals and round; until then they are one node's record."""
    gas_used: int
    gas_limit: int
    base_fee_wei: int
    fees_wei: int
    """What the senders paid, base fee included."""
    transaction_count: int
    failed_count: int
    log_count: int
    transfer_count: int
    internal_count: int
    withdrawal_count: int
    size_bytes: int
    traces: Traces
    logs_missing: int
    """Transactions with more logs than the node can tell: theirs are not indexed."""
    extra_data: bytes
    state_root: bytes

    @property
    def burnt_wei(self) -> int:
        """The base fees, which nobody gets."""
        return self.base_fee_wei * self.gas_used


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalRow:
    """A reward that a block paid."""

    number: int
    index: int
    account: Party
    validator_index: int
    amount_gwei: int


_COLUMNS = tuple(column for column in blocks.c if column.name not in {"proposer_id", "fee_recipient_id"})
_KINDS = (int,)


def latest_block(connection: Connection) -> BlockRow | None:
    """Return the newest indexed block; None of an empty index."""
    found = list_blocks(connection, Slice(limit=1)).items
    return found[0] if found else None


def get_block(connection: Connection, number: int) -> BlockRow | None:
    """Return a block by its number."""
    return _one(connection, select(blocks).where(blocks.c.number == number))


def find_block(connection: Connection, block_hash: bytes) -> BlockRow | None:
    """Return a block by its hash, or by the hash of its consensus header."""
    return _one(connection, select(blocks).where(blocks.c.hash == block_hash)) or _one(
        connection, select(blocks).where(blocks.c.consensus_hash == block_hash)
    )


def list_blocks(
    connection: Connection,
    which: Slice = FIRST,
    *,
    proposer: bytes | None = None,
    late_only: bool = False,
    with_transactions: bool = False,
    first_block: int | None = None,
    last_block: int | None = None,
) -> Page[BlockRow]:
    """Return blocks; of one proposer, of a range, or only those that were decided after round 0, or only those that are not empty."""
    if proposer is None:
        chosen = select(blocks).where(*range_of(blocks.c.number, first_block, last_block))
    else:
        found = account_id(connection, proposer)
        if found is None:
            return Page(items=(), next_cursor=None)
        chosen = _proposed_by(connection, found, which, first_block, last_block)
    if late_only:
        chosen = chosen.where(_late(connection, which))
    if with_transactions:
        chosen = chosen.where(blocks.c.transaction_count > 0)
    statement = _with_parties(bounded(chosen, (blocks.c.number,), _KINDS, which), which)
    return page_of(connection, statement, which, _block, lambda row: (row.number,))


def recent_blocks(connection: Connection, count: int) -> tuple[BlockRow, ...]:
    """Return the newest blocks, oldest first: for a strip."""
    return tuple(reversed(list_blocks(connection, Slice(limit=count)).items))


def timestamps_of(connection: Connection, numbers: Collection[int]) -> dict[int, int]:
    """Return the times of these blocks (at most 1,000), in seconds since 1970; numbers without a block are left out."""
    assert len(numbers) <= 1_000
    rows = connection.execute(select(blocks.c.number, blocks.c.timestamp).where(blocks.c.number.in_(numbers)))
    return {row.number: row.timestamp for row in rows}


def block_at(connection: Connection, timestamp: int, *, before: bool = True) -> BlockRow | None:
    """Return the last block at or before a time, or the first at or after it."""
    chosen = select(blocks)
    if before:
        chosen = chosen.where(blocks.c.timestamp <= timestamp).order_by(
            blocks.c.timestamp.desc(), blocks.c.number.desc()
        )
    else:
        chosen = chosen.where(blocks.c.timestamp >= timestamp).order_by(blocks.c.timestamp, blocks.c.number)
    return _one(connection, chosen.limit(1))


def block_withdrawals(connection: Connection, number: int) -> tuple[WithdrawalRow, ...]:
    """Return the rewards that a block paid."""
    who = accounts_as("who")
    statement = (
        select(withdrawals, *party_columns(who))
        .join(who, who.c.id == withdrawals.c.account_id)
        .where(withdrawals.c.number == number)
        .order_by(withdrawals.c.idx)
    )
    return tuple(_withdrawal(row) for row in connection.execute(statement))


def rewards_in(connection: Connection, address: bytes, first: int, last: int) -> dict[int, int]:
    """Return what blocks `first` to `last` paid an account, in gwei by block; blocks that paid it nothing are left out."""
    found = account_id(connection, address)
    rows = connection.execute(
        select(withdrawals.c.number, func.sum(withdrawals.c.amount_gwei))
        .where(withdrawals.c.account_id == found, withdrawals.c.number.between(first, last))
        .group_by(withdrawals.c.number)
    )
    return {row[0]: int(row[1]) for row in rows}


def account_withdrawals(connection: Connection, address: bytes, which: Slice = FIRST) -> Page[WithdrawalRow]:
    """Return the rewards that an account got."""
    found = account_id(connection, address)
    if found is None:
        return Page(items=(), next_cursor=None)
    key = (withdrawals.c.number, withdrawals.c.idx)
    chosen = bounded(
        select(withdrawals).where(withdrawals.c.account_id == found), key, (int, int), which
    ).subquery()
    who = accounts_as("who")
    order = [chosen.c.number, chosen.c.idx]
    statement = (
        select(chosen, *party_columns(who))
        .join(who, who.c.id == chosen.c.account_id)
        .order_by(*ordered(which, *order))
    )
    return page_of(connection, statement, which, _withdrawal, lambda row: (row.number, row.idx))


def _proposed_by(
    connection: Connection, account: int, which: Slice, first_block: int | None, last_block: int | None
) -> Select[Any]:
    """Return the choice of a proposer's blocks, as a range of the index by proposer and number.

    Said as an equation, PostgreSQL walks all blocks from the newest back until it has met enough of the proposer's, half a million
    of them where a validator left so long ago: it takes it that everybody's are spread evenly. SQLite takes the index, but would
    read the whole of a proposer's part of it for a range of pairs, as a block's number is the row's there.
    """
    within = range_of(blocks.c.number, first_block, last_block)
    if connection.dialect.name == "sqlite":
        return select(blocks).where(blocks.c.proposer_id == account, *within)
    low, high = first_block or 0, INTEGER_MAX if last_block is None else last_block
    if which.cursor is not None:
        (number,) = parse_cursor(which.cursor, _KINDS)
        assert isinstance(number, int), "as _KINDS has it"
        if which.newest_first:
            high = min(high, number - 1)
        else:
            low = max(low, min(number + 1, INTEGER_MAX))
    here = tuple_(blocks.c.proposer_id, blocks.c.number)
    return (
        select(blocks)
        .where(here >= tuple_(account, low), here <= tuple_(account, high))
        .order_by(*ordered(which, blocks.c.proposer_id))
    )


def _late(connection: Connection, which: Slice) -> ColumnElement[bool]:
    """Return the condition of blocks decided after round 0, as it is the shorter way to a page of them.

    Where they are rare, a walk from the newest block back meets few of them, and it is shorter to take all from the index by
    round; where they are frequent, the walk is.
    """
    late = counter(connection, Counter.LATE_BLOCKS)
    newest = connection.execute(select(func.max(blocks.c.number))).scalar() or 0
    if late * late > (which.skip + which.limit) * newest:
        return blocks.c.round > 0
    inner = blocks.alias()
    return blocks.c.number.in_(select(inner.c.number).where(inner.c.round > 0))


def _one(connection: Connection, chosen: Select[Any]) -> BlockRow | None:
    row = connection.execute(_with_parties(chosen, FIRST)).first()
    return None if row is None else _block(row)


def _with_parties(chosen: Select[Any], which: Slice) -> Select[Any]:
    inner = chosen.subquery()
    proposer, recipient = accounts_as("proposer"), accounts_as("recipient")
    return (
        select(
            *(inner.c[column.name] for column in _COLUMNS),
            *party_columns(proposer),
            *party_columns(recipient),
        )
        .select_from(inner)
        .outerjoin(proposer, proposer.c.id == inner.c.proposer_id)
        .join(recipient, recipient.c.id == inner.c.fee_recipient_id)
        .order_by(*ordered(which, inner.c.number))
    )


def _block(row: Any) -> BlockRow:
    count = len(_COLUMNS)
    return BlockRow(
        number=row.number,
        hash=bytes(row.hash),
        parent_hash=bytes(row.parent_hash),
        consensus_hash=None if row.consensus_hash is None else bytes(row.consensus_hash),
        timestamp=row.timestamp,
        proposer=party(row, count),
        fee_recipient=known_party(row, count + 3),
        proposal_round=row.proposal_round,
        round=row.round,
        validators_count=row.validators_count,
        seals_count=row.seals_count,
        seals_invalid=row.seals_invalid,
        is_canonical=bool(row.is_canonical),
        gas_used=row.gas_used,
        gas_limit=row.gas_limit,
        base_fee_wei=number_of(row.base_fee),
        fees_wei=number_of(row.fees),
        transaction_count=row.transaction_count,
        failed_count=row.failed_count,
        log_count=row.log_count,
        transfer_count=row.transfer_count,
        internal_count=row.internal_count,
        withdrawal_count=row.withdrawal_count,
        size_bytes=row.size,
        traces=Traces(row.traces),
        logs_missing=row.logs_missing,
        extra_data=bytes(row.extra_data),
        state_root=bytes(row.state_root),
    )


def _withdrawal(row: Any) -> WithdrawalRow:
    return WithdrawalRow(
        number=row.number,
        index=row.idx,
        account=known_party(row, len(withdrawals.c)),
        validator_index=row.validator_index,
        amount_gwei=row.amount_gwei,
    )
