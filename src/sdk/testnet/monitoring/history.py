"""A day of numbers, one row for each look: what charts show where no Prometheus runs. In memory, of a fixed size."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput

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
ROWS: Final = 43_200
"""A day of looks every two seconds: 4 MB."""
POINTS_MAX: Final = 2_000
"""More than a wide screen has columns."""


class History:
    """Rows in the order of time; the oldest give way. A number that is not known is None."""

    def __init__(self, rows: int = ROWS) -> None:
        self._rows = rows
        self._at = array("d")
        self._columns = {name: array("d") for name in NAMES}
        self._next = 0
        """Where the next row goes, once all are taken."""

    def __len__(self) -> int:
        return len(self._at)

    def append(self, at: float, values: Mapping[str, float | None]) -> None:
        """Add a row: Unix time and numbers by name."""
        row = {name: values.get(name) for name in NAMES}
        numbers = {name: math.nan if value is None else float(value) for name, value in row.items()}
        if len(self._at) < self._rows:
            self._at.append(at)
            for name, column in self._columns.items():
                column.append(numbers[name])
            return
        self._at[self._next] = at
        for name, column in self._columns.items():
            column[self._next] = numbers[name]
        self._next = (self._next + 1) % self._rows

    def read(self, *, since: float, points_max: int = 600) -> dict[str, list[float | None]]:
        """The rows from a moment on, `at` and each name; of many, evenly chosen ones and the newest.

        Raises:
            InvalidInput: when `points_max` is not 2 to 2,000.
        """
        if not 2 <= points_max <= POINTS_MAX:
            raise InvalidInput(f"points_max: found {points_max!r}; expected 2 to {POINTS_MAX}")
        count = len(self._at)
        rows = [(self._next + offset) % count for offset in range(count)]
        rows = [row for row in rows if self._at[row] >= since]
        if len(rows) > points_max:
            step = (len(rows) - 1) / (points_max - 1)
            rows = [rows[round(index * step)] for index in range(points_max)]
        found: dict[str, list[float | None]] = {"at": [self._at[row] for row in rows]}
        for name, column in self._columns.items():
            found[name] = [None if math.isnan(column[row]) else column[row] for row in rows]
        return found
