"""The faucet's clock: a wall clock that nobody can turn.

The wall's time is asked once, at the start; from then on the monotonic clock counts. Whoever sets the machine's clock forward or back opens
no window; and a ledger with newer requests than the wall's time moves the start to theirs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def monotonic_ms() -> int:
    """Milliseconds that also pass while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def wall_ms() -> int:
    """Milliseconds since 1970, as the machine believes."""
    return time.time_ns() // 1_000_000


class FaucetClock:
    """Milliseconds since 1970; never goes back."""

    def __init__(
        self,
        not_before_ms: int,
        *,
        wall_ms: Callable[[], int] = wall_ms,
        monotonic_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._monotonic_ms = monotonic_ms
        self._start_ms = max(wall_ms(), not_before_ms)
        self._started_ms = monotonic_ms()

    def now_ms(self) -> int:
        """The time by which limits are counted."""
        return self._start_ms + self._monotonic_ms() - self._started_ms
