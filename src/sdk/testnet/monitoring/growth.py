"""How much counters have grown in a window, kept up mark by mark: a page of a hundred validators costs no walk over half an hour."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Counters = dict[tuple[str, str], float]
"""By node, and what it counts: a validator, or nothing."""


class Marked(Protocol):
    """Counters at one moment."""

    @property
    def at_s(self) -> float:
        """When, of a clock that only goes forward."""

    @property
    def nodes(self) -> frozenset[str]:
        """Whose counters were read."""


@dataclass(slots=True)
class Growth:
    """The growth of one kind of counters in the last `window_s`, each on its own node; one that has fallen began anew."""

    name: str
    window_s: float
    total: Counters = field(default_factory=dict)
    """What has grown, and what was there and has not."""
    _steps: deque[tuple[float, Counters]] = field(default_factory=deque)
    """What has grown from one mark to the next; as many as there are marks in the window."""
    _seen_at_s: dict[tuple[str, str], float] = field(default_factory=dict)
    _last: Marked | None = None

    def follow(self, marks: Sequence[Marked]) -> Mapping[tuple[str, str], float]:
        """Take in the marks that are new, and return the growth up to the last."""
        for before, after in _new_pairs(marks, self._last):
            self._step(before, after)
        if marks:
            self._last = marks[-1]
            self._forget(marks[-1].at_s - self.window_s)
        return self.total

    def alone(self) -> Counters:
        """What has grown up to the last mark that was followed, from one mark to the next, while nothing else of the same node did."""
        found: Counters = {}
        for _, grown in self._steps:
            of_node: dict[str, list[tuple[str, str]]] = {}
            for key in grown:
                of_node.setdefault(key[0], []).append(key)
            for keys in of_node.values():
                if len(keys) == 1:
                    found[keys[0]] = found.get(keys[0], 0.0) + grown[keys[0]]
        return found

    def _step(self, before: Marked, after: Marked) -> None:
        old: Counters = getattr(before, self.name)
        grown: Counters = {}
        for key, value in getattr(after, self.name).items():
            if key[0] not in before.nodes:
                continue
            # A counter with a label begins when there is something to count.
            was = old.get(key, 0.0)
            more = value - was if value >= was else value
            self._seen_at_s[key] = after.at_s
            if more:
                grown[key] = more
            self.total[key] = self.total.get(key, 0.0) + more
        self._steps.append((after.at_s, grown))

    def _forget(self, before_s: float) -> None:
        while self._steps and self._steps[0][0] < before_s:
            for key, more in self._steps.popleft()[1].items():
                if key in self.total:
                    self.total[key] -= more
        for key in [key for key, at_s in self._seen_at_s.items() if at_s < before_s]:
            del self._seen_at_s[key], self.total[key]


def _new_pairs(marks: Sequence[Marked], last: Marked | None) -> list[tuple[Marked, Marked]]:
    """Each mark after `last` with the one before it, in their order."""
    found = []
    for place in range(len(marks) - 1, 0, -1):
        if marks[place] is last:
            break
        found.append((marks[place - 1], marks[place]))
    return found[::-1]
