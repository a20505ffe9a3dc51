"""The faucet's clock: a wall clock that nobody can turn.

The wall's time is asked once, at the start; from then on the monotonic clock counts. Whoever sets the machine's clock forward or back opens
no window, also before a start: a ledger with newer requests than the wall's time moves the start to theirs, and the newest block of a chain
that makes blocks by the clock bounds it. Before the chain is known nothing is promised, so the wall's word is enough for what is shown.

A chain that stands still and a wall that is ahead look the same. Which it is, the next block says: until then `is_certain` is False, and
nothing is promised, for what is promised at a time that is too early would open its window when the clock catches up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

AHEAD_MS: Final = 60_000
"""So far the wall may be ahead of the newest block: a block period, a few failed rounds and the clocks of validators. A window opens at most
so much too early."""


def monotonic_ms() -> int:
    """Milliseconds that also pass while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def wall_ms() -> int:
    """Milliseconds since 1970, as the machine believes."""
    return time.time_ns() // 1_000_000


class FaucetClock:
    """Milliseconds since 1970; goes back at most once, when the first block is seen, and never while anything is promised by it.

    Written by the task that asks the node, read by any thread.
    """

    def __init__(
        self,
        not_before_ms: int,
        *,
        wall_ms: Callable[[], int] = wall_ms,
        monotonic_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._monotonic_ms = monotonic_ms
        started_ms = monotonic_ms()
        # Each is what has to be added to the monotonic clock.
        self._by_ledger_ms = not_before_ms - started_ms
        self._by_wall_ms = wall_ms() - started_ms
        self._by_chain_ms: int | None = None
        self._newest_block_ms = 0
        self._is_chain_moving = False
        self._is_wall_believed = False

    def now_ms(self) -> int:
        """The time by which limits are counted."""
        bounded_ms = self._by_wall_ms
        if self._by_chain_ms is not None:
            bounded_ms = min(bounded_ms, self._by_chain_ms + AHEAD_MS)
        return self._monotonic_ms() + max(self._by_ledger_ms, bounded_ms)

    def passed_ms(self) -> int:
        """A time that is over for sure: before anything but the wall has said what time it is, the newest request's."""
        if self._by_chain_ms is None and not self._is_wall_believed:
            return self._monotonic_ms() + self._by_ledger_ms
        return self.now_ms()

    def believe_wall(self) -> None:
        """Nothing else tells the time: this chain makes blocks only when somebody sends it something."""
        self._is_wall_believed = True

    def saw_block(self, timestamp_ms: int) -> None:
        """Say when the newest block was made of a chain that makes them by the clock."""
        offset_ms = timestamp_ms - self._monotonic_ms()
        if self._by_chain_ms is None:
            self._by_chain_ms, self._newest_block_ms = offset_ms, timestamp_ms
        elif timestamp_ms > self._newest_block_ms:
            # Time in blocks passes as time here does. Where it leaps, the chain has stood still until now, or the node catches up.
            self._is_chain_moving = offset_ms - self._by_chain_ms <= AHEAD_MS
            self._by_chain_ms, self._newest_block_ms = max(self._by_chain_ms, offset_ms), timestamp_ms

    @property
    def behind_ms(self) -> int:
        """How far the wall is beyond what the newest block allows; 0 while the two agree."""
        if self._by_chain_ms is None:
            return 0
        return max(0, self._by_wall_ms - self._by_chain_ms - AHEAD_MS)

    @property
    def is_certain(self) -> bool:
        """Whether wall and chain agree, or it is known that the wall is wrong, because blocks come at another time."""
        return not self.behind_ms or self._is_chain_moving
