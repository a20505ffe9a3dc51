"""How often somebody did something within a window of time, in memory: forgetting it costs processor time, and no coins."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sdk.testnet.faucet.client_address import Origin

NETWORKS_MAX: Final = 10_000
"""Of one limit: a few megabytes at most. Who is new while all of them are within their window waits."""
WIDE_SHARE: Final = 4
"""So many times the limit of a customer has the network around it: an IPv6 /48 has 65,536 customers, or one who pretends."""


class Attempts:
    """Counts by who it was. Nobody who is within a window is forgotten for somebody new."""

    def __init__(self, *, maximum: int, window_ms: int) -> None:
        self._maximum = maximum
        self._window_ms = window_ms
        self._times_ms: OrderedDict[Hashable, list[int]] = OrderedDict()
        """By the newest attempt, the oldest first."""
        self._lock = threading.Lock()

    def wait_s(self, who: Hashable, now_ms: int) -> int | None:
        """Return how long this one has to wait, or None when it may go on."""
        with self._lock:
            inside = self._inside(who, now_ms)
            if len(inside) >= self._maximum:
                return self._until_over(inside[-self._maximum], now_ms)
            if who in self._times_ms or len(self._times_ms) < NETWORKS_MAX:
                return None
            self._forget_old(now_ms)
            if len(self._times_ms) < NETWORKS_MAX:
                return None
            return self._until_over(next(iter(self._times_ms.values()))[-1], now_ms)

    def count(self, who: Hashable, now_ms: int) -> None:
        """One more."""
        with self._lock:
            if who not in self._times_ms and len(self._times_ms) >= NETWORKS_MAX:
                self._forget_old(now_ms)
                if len(self._times_ms) >= NETWORKS_MAX:
                    # It was told to wait.
                    return
            self._times_ms[who] = [*self._inside(who, now_ms), now_ms][-self._maximum :]
            self._times_ms.move_to_end(who)

    def _inside(self, who: Hashable, now_ms: int) -> list[int]:
        return [one for one in self._times_ms.get(who, ()) if one > now_ms - self._window_ms]

    def _until_over(self, attempt_ms: int, now_ms: int) -> int:
        return max(1, -(-(attempt_ms + self._window_ms - now_ms) // 1000))

    def _forget_old(self, now_ms: int) -> None:
        while self._times_ms:
            who, times_ms = next(iter(self._times_ms.items()))
            if times_ms[-1] > now_ms - self._window_ms:
                return
            del self._times_ms[who]


class OriginAttempts:
    """Counts clients by their network and by the one around it, which has `WIDE_SHARE` times as much."""

    def __init__(self, *, maximum: int, window_ms: int) -> None:
        self._narrow = Attempts(maximum=maximum, window_ms=window_ms)
        self._wide = Attempts(maximum=WIDE_SHARE * maximum, window_ms=window_ms)

    def wait_s(self, origin: Origin, now_ms: int) -> int | None:
        """Return how long this client has to wait, or None when it may go on."""
        waits = (self._narrow.wait_s(origin.narrow, now_ms), self._wide.wait_s(origin.wide, now_ms))
        return max((wait for wait in waits if wait is not None), default=None)

    def count(self, origin: Origin, now_ms: int) -> None:
        """One more."""
        self._narrow.count(origin.narrow, now_ms)
        self._wide.count(origin.wide, now_ms)
