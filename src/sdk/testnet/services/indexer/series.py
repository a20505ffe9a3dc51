"""Sums by hour and by day, and totals of the chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, text

from sdk.testnet.services.indexer import writing
from sdk.testnet.services.store.tables import stats_daily, stats_hourly

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from sdk.testnet.services.store.meanings import Counter

HOUR_S: Final = 3_600
DAY_S: Final = 86_400


@dataclass(slots=True)
class Sums:
    """Of one hour or day; the fields are the table's columns."""

    start: int
    block_count: int = 0
    transaction_count: int = 0
    failed_count: int = 0
    transfer_count: int = 0
    contract_count: int = 0
    new_account_count: int = 0
    active_account_count: int = 0
    gas_used: int = 0
    gas_limit: int = 0
    fees: int = 0
    base_fee_sum: int = 0
    block_seconds: int = 0
    late_blocks: int = 0
    round_sum: int = 0


@dataclass(slots=True)
class SeriesBatch:
    """What a batch adds to sums and totals."""

    hours: dict[int, Sums] = field(default_factory=dict)
    days: dict[int, Sums] = field(default_factory=dict)
    totals: dict[Counter, int] = field(default_factory=dict)

    def at(self, timestamp: int) -> tuple[Sums, Sums]:
        """Return the hour's and the day's sums of a time."""
        hour, day = timestamp // HOUR_S * HOUR_S, timestamp // DAY_S * DAY_S
        found = self.hours.get(hour)
        if found is None:
            found = self.hours[hour] = Sums(hour)
        daily = self.days.get(day)
        if daily is None:
            daily = self.days[day] = Sums(day)
        return found, daily

    def count(self, counter: Counter, added: int) -> None:
        """Add to a total."""
        if added:
            self.totals[counter] = self.totals.get(counter, 0) + added

    def write(self, connection: Connection) -> None:
        """Add the batch to what is in the database."""
        _write(connection, stats_hourly, self.hours)
        _write(connection, stats_daily, self.days)
        if self.totals:
            connection.execute(
                text(
                    "INSERT INTO counters (name, value) VALUES (:name, :value) "
                    "ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value"
                ),
                [{"name": str(name), "value": value} for name, value in self.totals.items()],
            )


_U256: Final = ("fees", "base_fee_sum")


def _write(connection: Connection, table: Table, added: dict[int, Sums]) -> None:
    if not added:
        return
    names = [column.name for column in table.c]
    before = {
        row.start: row._mapping  # noqa: SLF001 - the library's public door
        for row in connection.execute(select(table).where(table.c.start.in_(sorted(added))))
    }
    rows = []
    for start, sums in added.items():
        row = []
        for name in names:
            value = getattr(sums, name)
            had = before[start][name] if start in before else 0
            if name in _U256:
                had = int.from_bytes(had, "big") if isinstance(had, bytes) else 0
                row.append(min(had + value, 2**256 - 1).to_bytes(32, "big"))
            else:
                row.append(start if name == "start" else had + value)
        rows.append(tuple(row))
    writing.upsert(connection, table, rows)
