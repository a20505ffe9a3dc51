"""The dashboard's looks in the index's database: a ring of a day, 5 to 20 MB."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from sqlalchemy import delete, select

from metanode.errors import StorageDamaged
from sdk.testnet.monitoring.archive import Look
from sdk.testnet.services.own_thread import OwnThread
from sdk.testnet.services.store.tables import looks as table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.monitoring.history import History
    from sdk.testnet.services.store import Store

log = structlog.get_logger(__name__)

DAY_MS: Final = 86_400_000
ROWS_AT_ONCE: Final = 500
"""Of a reading: some hundred kilobytes."""


class LookArchive:
    """Keeps the looks of one monitor, on a thread of its own. Used as `async with`.

    Of two explorers on one database each keeps its own, and charts after a restart have those of both.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = OwnThread("looks")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._thread.__aexit__()

    async def recall(self, history: History) -> None:
        """Add the last day to an empty history. Raises StorageFailed."""
        await self._thread.call(self._recall, history)

    async def keep(self, looks: Sequence[Look]) -> None:
        """Keep these, and forget what is older than a day before them. Raises StorageFailed."""
        await self._thread.call(self._keep, looks)

    def _recall(self, history: History) -> None:
        with self._store.look() as connection:
            newest = connection.execute(
                select(table.c.at_ms).order_by(table.c.at_ms.desc()).limit(1)
            ).scalar()
            after = -1 if newest is None else newest - DAY_MS
            while True:
                found = connection.execute(
                    select(table).where(table.c.at_ms > after).order_by(table.c.at_ms).limit(ROWS_AT_ONCE)
                ).all()
                for row in found:
                    try:
                        for look in decode(row.content):
                            history.append(look.at, look.values, look.lines)
                    except StorageDamaged as error:
                        log.warning("monitor_look_unreadable", at_ms=row.at_ms, reason=str(error))
                if len(found) < ROWS_AT_ONCE:
                    return
                after = found[-1].at_ms

    def _keep(self, looks: Sequence[Look]) -> None:
        at_ms = round(1000 * looks[-1].at)
        with self._store.change() as connection:
            # A clock that was set back, or another explorer in the same millisecond: the later one stays.
            connection.execute(
                delete(table).where((table.c.at_ms <= at_ms - DAY_MS) | (table.c.at_ms == at_ms))
            )
            connection.execute(table.insert().values(at_ms=at_ms, content=encode(looks)))


def encode(looks: Sequence[Look]) -> bytes:
    """Looks as packed JSON: [[at, {name: number or null}, {chart: {line: number}}], ...]."""
    rows = [[round(look.at, 3), look.values, look.lines] for look in looks]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode())


def decode(content: bytes) -> list[Look]:
    """The looks of a row; raises StorageDamaged for what is none. What a later version has written more is left out by who reads."""
    try:
        rows: Any = json.loads(zlib.decompress(content))
        return [
            Look(
                float(at),
                {str(name): None if value is None else float(value) for name, value in values.items()},
                {
                    str(chart): {str(name): float(value) for name, value in line.items()}
                    for chart, line in lines.items()
                },
            )
            for at, values, lines in rows
        ]
    except (zlib.error, ValueError, TypeError, AttributeError) as error:
        raise StorageDamaged(f"looks.content: expected packed JSON of looks: {error}") from None
