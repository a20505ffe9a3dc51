"""Charts: hours or days of the chain as lines, and as a table for who reads without pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.queries.statistics import StatisticsRow, index_status, series

if TYPE_CHECKING:
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.explorer.reading import AsOf

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
RANGES: Final[dict[str, tuple[Literal["hour", "day"], int]]] = {
    "day": ("hour", DAY_S),
    "week": ("hour", 7 * DAY_S),
    "quarter": ("day", 90 * DAY_S),
}
"""What `?range=` takes: the step of its points, and how far it goes back in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An hour or a day."""

    start: int
    """Seconds since 1970."""
    blocks: int
    transactions: int
    failed: int
    active_accounts: int
    """Distinct senders."""
    new_accounts: int
    gas_percent: float
    """Of the blocks' gas limits."""
    block_time_s: float | None
    late_blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """Points of a range, oldest first; hours without blocks are left out."""

    as_of: AsOf
    range: str
    step_s: int
    items: tuple[Point, ...]

    @property
    def transactions(self) -> int:
        """Of the whole range."""
        return sum(point.transactions for point in self.items)


def chart_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""

    async def charts(request: Request) -> View:
        name = request.query_params.get("range", "day")
        if name not in RANGES:
            raise InvalidInput(f"range: expected one of {', '.join(RANGES)}, found {name!r:.40}")
        interval, length_s = RANGES[name]
        now = int(time.time())
        status, rows = await parts.reading.look(
            lambda connection: (
                index_status(connection),
                series(connection, interval, now - length_s, now),
            )
        )
        model = Charts(
            as_of=await parts.reading.as_of(status),
            range=name,
            step_s=HOUR_S if interval == "hour" else DAY_S,
            items=tuple(_point(row) for row in rows),
        )
        return View(template="charts.html", model=model, section="charts", extra={"ranges": list(RANGES)})

    return {"/charts": charts}


def _point(row: StatisticsRow) -> Point:
    return Point(
        start=row.start,
        blocks=row.block_count,
        transactions=row.transaction_count,
        failed=row.failed_count,
        active_accounts=row.active_account_count,
        new_accounts=row.new_account_count,
        gas_percent=round(100 * row.gas_used / row.gas_limit, 3) if row.gas_limit else 0.0,
        block_time_s=None if row.block_time_s is None else round(row.block_time_s, 3),
        late_blocks=row.late_blocks,
    )
