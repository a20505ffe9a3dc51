"""Totals and series of the whole chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import select

from metanode.errors import InvalidInput
from sdk.testnet.services.queries.paging import number_of
from sdk.testnet.services.store.meanings import Counter
from sdk.testnet.services.store.tables import blocks, counters, index_state, stats_daily, stats_hourly

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DAY_S: Final = 86_400
POINTS_MAX: Final = 1_000
"""Of one series: more do not fit on a screen."""
INTERVALS: Final = {"hour": stats_hourly, "day": stats_daily}


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStatus:
    """Which chain this is an index of, and how far."""

    chain_id: int
    genesis_hash: bytes
    number: int
    """Newest indexed block."""
    hash: bytes
    indexed_at: int
    """When it was indexed, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts over the whole chain."""

    transactions: int
    failed_transactions: int
    accounts: int
    contracts: int
    verified_contracts: int
    tokens: int
    transfers: int
    internal_calls: int
    logs: int
    late_blocks: int
    """Decided after round 0."""
    invalid_seals: int
    untraced_blocks: int
    """Blocks that ran code and could not be traced: their internal calls are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsRow:
    """Sums over the blocks of an hour or a day of UTC."""

    start: int
    """Seconds since 1970."""
    block_count: int
    transaction_count: int
    failed_count: int
    transfer_count: int
    contract_count: int
    new_account_count: int
    active_account_count: int
    """Distinct senders."""
    gas_used: int
    gas_limit: int
    fees_wei: int
    base_fee_mean_wei: int
    block_seconds: int
    """Sum of the times from block to block; from block 1 on, for genesis is as old as its author wanted."""
    interval_count: int
    """How many such times these are."""
    late_blocks: int
    round_sum: int

    @property
    def block_time_s(self) -> float | None:
        """Mean time from block to block."""
        return self.block_seconds / self.interval_count if self.interval_count > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityDay:
    """What people did on a day of UTC."""

    start: int
    """Seconds since 1970."""
    active_addresses: int
    """Those that sent a transaction, each once."""
    new_addresses: int
    """Those that no block had named before."""
    transactions: int
    is_over: bool
    """False of the day that the newest indexed block is of: more may come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """How a network is used."""

    unique_addresses: int
    """All that a block has ever named."""
    transactions: int
    """Since the beginning."""
    days: tuple[ActivityDay, ...]
    """The last ones, oldest first, days without blocks too; the last is that of the newest indexed block. Empty of an empty index."""

    @property
    def today(self) -> ActivityDay | None:
        """The day of the newest block."""
        return self.days[-1] if self.days else None


def index_status(connection: Connection) -> IndexStatus | None:
    """Return how far the index is; None before its first block."""
    row = connection.execute(select(index_state)).first()
    if row is None:
        return None
    return IndexStatus(
        chain_id=row.chain_id,
        genesis_hash=bytes(row.genesis_hash),
        number=row.number,
        hash=bytes(row.hash),
        indexed_at=row.indexed_at,
    )


def totals(connection: Connection) -> Totals:
    """Return the maintained counters."""
    found = {row.name: row.value for row in connection.execute(select(counters))}
    return Totals(**{counter.value: found.get(counter.value, 0) for counter in Counter})


def counter(connection: Connection, which: Counter) -> int:
    """Return one of the maintained counters."""
    found: int | None = connection.execute(
        select(counters.c.value).where(counters.c.name == which.value)
    ).scalar()
    return found or 0


def series(
    connection: Connection, interval: Literal["hour", "day"], first: int, last: int
) -> tuple[StatisticsRow, ...]:
    """Return the hours or days that begin between two times (seconds since 1970, ends included), oldest first.

    Raises:
        InvalidInput: for another interval, and for over 1,000 points.
    """
    table = INTERVALS.get(interval)
    if table is None:
        raise InvalidInput(f"interval: found {interval!r}; expected hour or day")
    step = 3600 if interval == "hour" else 86_400
    if (last - first) // step >= POINTS_MAX:
        raise InvalidInput(f"from, to: at most {POINTS_MAX} points; ask for less, or for days")
    rows = connection.execute(
        select(table).where(table.c.start.between(first, last)).order_by(table.c.start).limit(POINTS_MAX)
    )
    # No time leads to genesis, and none that counts to block 1.
    begins = [
        row[0] // step * step
        for row in connection.execute(select(blocks.c.timestamp).where(blocks.c.number.in_((0, 1))))
    ]
    return tuple(_statistics(row, row.block_count - begins.count(row.start)) for row in rows)


def activity(connection: Connection, *, days: int = 30) -> Activity:
    """Return unique addresses, and active and new ones and transactions of the last days. Raises InvalidInput for over 1,000 days."""
    if not 1 <= days <= POINTS_MAX:
        raise InvalidInput(f"days: found {days}; expected 1 to {POINTS_MAX}")
    sums = totals(connection)
    newest = connection.execute(select(blocks.c.timestamp).order_by(blocks.c.number.desc()).limit(1)).scalar()
    if newest is None:
        return Activity(unique_addresses=0, transactions=0, days=())
    last = newest // _DAY_S * _DAY_S
    first = last - (days - 1) * _DAY_S
    found = {
        row.start: row
        for row in connection.execute(select(stats_daily).where(stats_daily.c.start.between(first, last)))
    }
    # A network is not shown older than it is.
    begun = min(found, default=last)
    return Activity(
        unique_addresses=sums.accounts,
        transactions=sums.transactions,
        days=tuple(
            ActivityDay(
                start=start,
                active_addresses=found[start].active_account_count if start in found else 0,
                new_addresses=found[start].new_account_count if start in found else 0,
                transactions=found[start].transaction_count if start in found else 0,
                is_over=start < last,
            )
            for start in range(max(first, begun), last + 1, _DAY_S)
        ),
    )


def _statistics(row: Any, interval_count: int) -> StatisticsRow:
    return StatisticsRow(
        start=row.start,
        block_count=row.block_count,
        transaction_count=row.transaction_count,
        failed_count=row.failed_count,
        transfer_count=row.transfer_count,
        contract_count=row.contract_count,
        new_account_count=row.new_account_count,
        active_account_count=row.active_account_count,
        gas_used=row.gas_used,
        gas_limit=row.gas_limit,
        fees_wei=number_of(row.fees),
        base_fee_mean_wei=number_of(row.base_fee_sum) // max(1, row.block_count),
        block_seconds=row.block_seconds,
        interval_count=interval_count,
        late_blocks=row.late_blocks,
        round_sum=row.round_sum,
    )
