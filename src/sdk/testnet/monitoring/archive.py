"""Looks that are kept where a restart does not reach them, so that charts go on where they were."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from metanode.errors import MetanodeError
from sdk.testnet.monitoring.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = structlog.get_logger(__name__)

KEEP_EVERY_S: Final = 10.0
"""What kill -9 may take of the charts; more often would be more writing than the looks are worth."""
RECALL_S: Final = 5.0
"""How long the first look waits for those before it: a day of them is read within a second or two. An archive that hangs must not make the verdict old."""
WAITING_MAX: Final = 1_800
"""An hour of looks while the archive is away, under 2 MB."""


@dataclass(frozen=True, slots=True)
class Look:
    """One row of the history."""

    at: float
    """Unix time."""
    values: Mapping[str, float | None]
    """By name of `history.NAMES`."""
    lines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By chart and line."""


class Archive(Protocol):
    """Where looks are kept. Only one task calls it, one call after the other; both calls raise a MetanodeError when they can't."""

    async def recall(self, history: History) -> None:
        """Add what is kept of the last day to an empty history, the oldest first."""

    async def keep(self, looks: Sequence[Look]) -> None:
        """Keep these, the oldest first, all of them or none; what is older than a day may go."""


class Keeping:
    """Looks on their way into an archive; what can't be kept waits for the next time, the newest of it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._waiting: deque[Look] = deque(maxlen=WAITING_MAX)
        self._is_away = False

    async def recall(self) -> History:
        """The history as it is kept; an empty one when that can't be had in time."""
        history = History()
        try:
            async with asyncio.timeout(RECALL_S):
                await self._archive.recall(history)
        except (TimeoutError, MetanodeError) as error:
            log.warning("monitor_looks_not_recalled", reason=str(error) or f"it took over {RECALL_S:g} s")
            # Whoever was too slow may still be filling that one.
            return History()
        return history

    def add(self, look: Look) -> None:
        """Let a look wait for its turn."""
        self._waiting.append(look)

    async def run(self) -> None:
        """Keep what waits, every ten seconds, until cancelled."""
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Keep what waits, if it can be had; never raises."""
        looks = list(self._waiting)
        if not looks:
            return
        try:
            await self._archive.keep(looks)
        except MetanodeError as error:
            if not self._is_away:
                log.warning("monitor_looks_not_kept", reason=str(error))
            self._is_away = True
            return
        except Exception:
            # A fault of ours costs these looks after the next restart, and not the watch.
            log.exception("monitor_looks_failed")
            self._waiting.clear()
            return
        self._is_away = False
        # Others have come meanwhile; of a full queue they have pushed out some of these.
        while self._waiting and self._waiting[0].at <= looks[-1].at:
            self._waiting.popleft()
