"""When the event loop is so late that heavy RPC calls have to wait for another time. Pure."""

from __future__ import annotations

from typing import Final

LAG_MAX_S: Final = 0.05
"""A turn that is later than this counts against the RPC's heavy calls: consensus is late too."""
LATE_TURNS: Final = 3
"""So many late turns in a row begin the shedding. One is a hiccup that costs consensus nothing and a wallet its transaction."""
PUNCTUAL_TURNS: Final = 10
"""So many punctual turns in a row end it: a second."""


class Shedding:
    """Whether heavy calls are refused, told by the lateness of each turn."""

    def __init__(self) -> None:
        self.is_active = False
        self._late = 0
        self._punctual = 0

    def observe(self, lag_s: float) -> bool:
        """Note one turn; whether `is_active` has changed."""
        is_late = lag_s > LAG_MAX_S
        self._late = self._late + 1 if is_late else 0
        self._punctual = 0 if is_late else self._punctual + 1
        before = self.is_active
        if self._late >= LATE_TURNS:
            self.is_active = True
        elif self._punctual >= PUNCTUAL_TURNS:
            self.is_active = False
        return self.is_active is not before
