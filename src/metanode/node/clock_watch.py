"""When a node's wall clock is too far from the validators' to be left alone (docs/spec/consensus.md, A round). Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

WARN_S: Final = 0.25
ERROR_S: Final = 0.5
STEADY_TURNS: Final = 30
"""So many looks in a row tell a clock from a hiccup of one connection: 3 s."""


class ClockState(Enum):
    """How far this clock is from the median of the validators'."""

    GOOD = "good"
    WARNING = "warning"
    """Proposals of ours are soon held by others."""
    ERROR = "error"
    """Our own turns are about to be lost."""


class ClockWatch:
    """The state that has held for a while."""

    def __init__(self) -> None:
        self.state = ClockState.GOOD
        self._seen = ClockState.GOOD
        self._turns = 0

    def observe(self, offset_s: float | None) -> bool:
        """Note a look at the offset, None without validators; tell whether the state has changed."""
        seen = _state(abs(offset_s or 0.0))
        self._turns = self._turns + 1 if seen is self._seen else 1
        self._seen = seen
        if self._turns < STEADY_TURNS or seen is self.state:
            return False
        self.state = seen
        return True


def _state(distance_s: float) -> ClockState:
    if distance_s >= ERROR_S:
        return ClockState.ERROR
    return ClockState.WARNING if distance_s >= WARN_S else ClockState.GOOD
