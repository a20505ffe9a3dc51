"""How histograms of nodes have grown in a window, look by look, and what that says of percentiles. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk.testnet.monitoring.page import MetricsPage

Counts = dict[float, float]
"""Observations up to each bound; those of all up to infinity."""


@dataclass(slots=True)
class Distribution:
    """The last `window_s` of one histogram: by the values of a label over all nodes, or by node where no label is named.

    Only what has grown is kept, so that a page of a hundred methods costs what the few cost that were called.
    """

    name: str
    label: str | None
    window_s: float
    counts_in: Callable[[Mapping[str, str]], bool] | None = None
    """Of a series' labels, whether it is counted; all are where nobody says."""
    _last: dict[str, dict[str, Counts]] = field(default_factory=dict)
    """By node what its page said last; as many as there are endpoints."""
    _steps: deque[tuple[float, dict[str, Counts]]] = field(default_factory=deque)
    """What has grown from one look to the next; as many as there are looks in the window."""
    _total: dict[str, Counts] = field(default_factory=dict)

    def take(self, at_s: float, pages: Mapping[str, MetricsPage]) -> None:
        """Take in the pages of one look. What a node had counted before its first look, nobody knows the time of."""
        grown: dict[str, Counts] = {}
        for node, page in pages.items():
            found = page.histograms(self.name, self.label, counts_in=self.counts_in)
            before = self._last.get(node)
            self._last[node] = found
            if before is None:
                continue
            for key, counts in found.items():
                more = _increase(before.get(key, {}), counts)
                if more.get(math.inf, 0.0) > 0:
                    _add(grown.setdefault(node if self.label is None else key, {}), more)
        for key, more in grown.items():
            _add(self._total.setdefault(key, {}), more)
        self._steps.append((at_s, grown))
        while self._steps[0][0] <= at_s - self.window_s:
            for key, more in self._steps.popleft()[1].items():
                _add(self._total[key], {bound: -count for bound, count in more.items()})
                if self._total[key][math.inf] <= 0:
                    del self._total[key]

    def percentiles(self, share: float) -> dict[str, float]:
        """Below what this share of the observations lies, as Prometheus' `histogram_quantile` has it: even within a bucket.

        Of what lies over the last bound only that is known: it is that bound.
        """
        return {key: _percentile(counts, share) for key, counts in self._total.items()}


def _increase(before: Counts, now: Counts) -> Counts:
    # A histogram that has fallen belongs to a node that was started anew.
    if any(count < before.get(bound, 0.0) for bound, count in now.items()):
        return now
    return {bound: count - before.get(bound, 0.0) for bound, count in now.items()}


def _add(to: Counts, more: Counts) -> None:
    for bound, count in more.items():
        to[bound] = to.get(bound, 0.0) + count


def _percentile(counts: Counts, share: float) -> float:
    wanted = share * counts[math.inf]
    low, below = 0.0, 0.0
    for bound in sorted(counts):
        here = counts[bound]
        if here >= wanted and here > below:
            return low if math.isinf(bound) else low + (bound - low) * (wanted - below) / (here - below)
        low, below = bound, max(below, here)
    return low
