"""A histogram as plain numbers, for parts that measure and do not know where it is shown."""

from __future__ import annotations

from bisect import bisect_left
from typing import Self


class Tally:
    """Values by bucket; `counts` has one number for each bound and one for what is over the last. Not cumulative."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Begin with nothing. The bounds ascend; a value equal to one is in its bucket."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    @classmethod
    def of(cls, bounds: tuple[float, ...], counts: list[int], total: float) -> Self:
        """Return what another part has counted."""
        assert len(counts) == len(bounds) + 1, (len(counts), len(bounds))
        tally = cls(bounds)
        tally.counts, tally.total = counts, total
        return tally

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Take a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
