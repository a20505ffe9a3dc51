"""A day of numbers, one row for each look: what charts show where no Prometheus runs. In memory, of a fixed size; `archive` keeps it over a restart."""

from __future__ import annotations

import bisect
import math
from array import array
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput
from sdk.testnet.monitoring.line_columns import LineColumns

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES: Final = (
    "height",
    "head_age_s",
    "round",
    "validators_online",
    "spare_validators",
    "tps",
    "block_interval_s",
    "gas_used_ratio",
    "pool_pending",
    "rpc_calls",
    "websocket_connections",
)
PEAKS: Final = frozenset({"head_age_s", "round", "block_interval_s"})
"""Of these a single row may be the fault that somebody looks for: where rows are left out, the most of them stands for them."""
ROWS: Final = 43_200
"""A day of looks every two seconds: 4 MB, and what the lines of nodes and methods take."""
POINTS_MAX: Final = 2_000
"""More than a wide screen has columns."""


class History:
    """Rows in the order of time; the oldest give way. A number that is not known is None."""

    def __init__(self, rows: int = ROWS) -> None:
        self._rows = rows
        self._at = array("d")
        self._columns = {name: array("d") for name in NAMES}
        self._lines = LineColumns(rows)
        self._next = 0
        """Where the next row goes, once all are taken."""
        self.count = 0
        """Rows that were ever written: who has read at one count reads the same until the next."""

    def __len__(self) -> int:
        return len(self._at)

    def append(
        self,
        at: float,
        values: Mapping[str, float | None],
        lines: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Add a row: Unix time, numbers by name, and numbers by chart and line."""
        row = {name: values.get(name) for name in NAMES}
        numbers = {name: math.nan if value is None else float(value) for name, value in row.items()}
        if self._at:
            # A clock that was set back: rows are found by their order.
            at = max(at, self._at[self._next - 1])
        self.count += 1
        if len(self._at) < self._rows:
            self._lines.write(len(self._at), lines or {})
            self._at.append(at)
            for name, column in self._columns.items():
                column.append(numbers[name])
            return
        self._lines.write(self._next, lines or {})
        self._at[self._next] = at
        for name, column in self._columns.items():
            column[self._next] = numbers[name]
        self._next = (self._next + 1) % self._rows

    def read(
        self, *, since: float, until: float = math.inf, points_max: int = 600
    ) -> dict[str, list[float | None]]:
        """The rows from a moment to another, `at` and each name; of many, evenly chosen ones and the newest, with the peaks of those before each.

        Raises:
            InvalidInput: when `points_max` is not 2 to 2,000.
        """
        rows = self._chosen(since, until, points_max)
        found: dict[str, list[float | None]] = {"at": [self._at[row] for row in rows]}
        for name, column in self._columns.items():
            values = _peaks(column, rows) if name in PEAKS else [column[row] for row in rows]
            found[name] = [None if math.isnan(value) else value for value in values]
        return found

    def read_lines(
        self, *, since: float, until: float = math.inf, points_max: int = 600
    ) -> dict[str, dict[str, list[float | None]]]:
        """The lines of the same rows, by chart and name; raises as `read`."""
        return self._lines.read(self._chosen(since, until, points_max))

    def _chosen(self, since: float, until: float, points_max: int) -> list[int]:
        if not 2 <= points_max <= POINTS_MAX:
            raise InvalidInput(f"points_max: found {points_max!r}; expected 2 to {POINTS_MAX}")
        count = len(self._at)

        def at(offset: int) -> float:
            return self._at[(self._next + offset) % count]

        first = bisect.bisect_left(range(count), since, key=at)
        after = bisect.bisect_right(range(count), until, key=at)
        offsets = list(range(first, after))
        if len(offsets) > points_max:
            step = (len(offsets) - 1) / (points_max - 1)
            offsets = [offsets[round(index * step)] for index in range(points_max)]
        return [(self._next + offset) % count for offset in offsets]


def _peaks(column: array[float], rows: list[int]) -> list[float]:
    """The most of each row and of those since the one chosen before it; not a number where none is known."""
    found = []
    before = rows[0] - 1 if rows else 0
    for row in rows:
        passed = column[before + 1 : row + 1] if before < row else column[before + 1 :] + column[: row + 1]
        found.append(max((value for value in passed if not math.isnan(value)), default=math.nan))
        before = row
    return found
