"""How long things took, counted by bounds as Prometheus' histograms are; any thread may note."""

from __future__ import annotations

import threading
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Durations:
    """A histogram of one process, from its beginning on.

    Args:
        bounds_s: Upper ends of the buckets in seconds, rising; what takes longer than the last one is in a bucket of its own.
    """

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self._sum_s = 0.0
        self._lock = threading.Lock()

    def note(self, seconds: float) -> None:
        """Something took so long; a clock that went back counts as no time."""
        seconds = max(0.0, seconds)
        place = next((n for n, bound in enumerate(self._bounds_s) if seconds <= bound), len(self._bounds_s))
        with self._lock:
            self._counts[place] += 1
            self._sum_s += seconds

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """The buckets as Prometheus has them, each with all that took at most so long, and the sum in seconds."""
        with self._lock:
            counts, sum_s = list(self._counts), self._sum_s
        ends = [f"{float(bound)}" for bound in self._bounds_s] + ["+Inf"]
        return list(zip(ends, map(float, accumulate(counts)), strict=True)), sum_s
