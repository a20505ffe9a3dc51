"""Columns of charts with a line for each node, validator or method: which come and go, in a fixed size."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHARTS: Final = {
    "rpc_p95_ms": max,
    "cpu_percent": max,
    "loop_lag_p99_ms": max,
    "disk_free_gb": min,
    "round_trip_ms": max,
}
"""By chart, which of two values is the worse."""
BY_METHOD: Final = frozenset({"rpc_p95_ms"})
"""Charts with a line for each method; all others have one for each node or validator."""
NAMES_MAX: Final = 32
"""Of one chart. A day of a line is 173 kB, so all of all charts are 28 MB; a chart of more lines is read by nobody."""
OTHERS: Final = ""
"""The line of those that have none of their own: the worst of them."""


@dataclass(slots=True)
class _Column:
    """One line."""

    values: array[float]
    """Of four bytes: seven digits are more than a chart shows."""
    known_at: int
    """Number of the latest row that it has a value of."""


class LineColumns:
    """The lines of all charts, beside the rows of a ring that somebody else keeps the place in."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._count = 0
        """Rows that were ever written."""
        self._charts: dict[str, dict[str, _Column]] = {chart: {} for chart in CHARTS}

    def write(self, place: int, values: Mapping[str, Mapping[str, float]]) -> None:
        """Write the row at a place: the next one, or the oldest, which gives way."""
        self._count += 1
        for chart, columns in self._charts.items():
            row = self._given(chart, columns, values.get(chart, {}))
            for name, column in columns.items():
                value = row.get(name, math.nan)
                if place == len(column.values):
                    column.values.append(value)
                else:
                    column.values[place] = value
                if not math.isnan(value):
                    column.known_at = self._count

    def _given(
        self, chart: str, columns: dict[str, _Column], values: Mapping[str, float]
    ) -> dict[str, float]:
        """The row by the lines that there are, with a column for each."""
        row: dict[str, float] = {}
        for name, value in values.items():
            if name in columns or self._is_room(columns):
                row[name] = value
            else:
                name = OTHERS  # noqa: PLW2901 - the line that it is part of
                row[name] = CHARTS[chart](row.get(name, value), value)
            if name not in columns:
                # Of the rows before this one nothing is known.
                before = min(self._count - 1, self._rows)
                columns[name] = _Column(array("f", [math.nan]) * before, known_at=self._count)
        return row

    def _is_room(self, columns: dict[str, _Column]) -> bool:
        own = [name for name in columns if name != OTHERS]
        if len(own) < NAMES_MAX:
            return True
        # What has been silent for the whole ring is not known any more.
        gone = [name for name in own if self._count - columns[name].known_at >= self._rows]
        for name in gone:
            del columns[name]
        return bool(gone)

    def read(self, places: Sequence[int]) -> dict[str, dict[str, list[float | None]]]:
        """The values at these places by chart and line; lines that have none there are left out."""
        found: dict[str, dict[str, list[float | None]]] = {}
        for chart, columns in self._charts.items():
            found[chart] = {}
            for name, column in columns.items():
                values = [None if math.isnan(value := column.values[place]) else value for place in places]
                if any(value is not None for value in values):
                    found[chart][name] = values
        return found
