"""The three timers of consensus on the event loop's monotonic clock. A step of the wall clock moves none of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from metanode.consensus.effects import ExtendRoundTimer, StartBlockTimer, StartResendTimer, StartRoundTimer
from metanode.consensus.inputs import BlockTimeout, Input, ResendTimeout, RoundTimeout
from metanode.node.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timer:
    """One that runs. Its time is kept beside the handle: the handle of what is due at once has none in uvloop."""

    handle: asyncio.Handle
    at: float


class Timers:
    """One height's slot, one round's deadline, one resending. Owner: the driver's task."""

    def __init__(self, *, clock: Clock, period_s: int, feed: Callable[[Input], None]) -> None:
        self._clock = clock
        self._period_s = period_s
        self._feed = feed
        self._block: _Timer | None = None
        self._round: _Timer | None = None
        self._resend: _Timer | None = None
        self._round_started_at = 0.0

    @property
    def is_armed(self) -> bool:
        """Tell whether the slot or the round's deadline will come."""
        now = asyncio.get_running_loop().time()
        return any(timer is not None and timer.at >= now for timer in (self._block, self._round))

    def left_ms(self) -> dict[str, int | None]:
        """Return how long until the slot, the round's deadline and the next resending; None for a timer that does not run."""
        now = asyncio.get_running_loop().time()
        timers = {"slot": self._block, "round": self._round, "resend": self._resend}
        return {
            name: None if timer is None or timer.at < now else round((timer.at - now) * 1000)
            for name, timer in timers.items()
        }

    def start_block(self, effect: StartBlockTimer) -> None:
        """Wait for the slot, at least 0 and at most one period; the round of the height before is over."""
        wait_s = min(max(0.0, effect.due_s - self._clock.wall_ms() / 1000), float(self._period_s))
        _cancel(self._round)
        self._round = None
        _cancel(self._block)
        self._block = self._arm(wait_s, BlockTimeout(height=effect.height))

    def start_round(self, effect: StartRoundTimer) -> None:
        """Begin a round now."""
        self._round_started_at = asyncio.get_running_loop().time()
        _cancel(self._block)
        self._block = None
        self._set_round(effect)

    def extend_round(self, effect: ExtendRoundTimer) -> None:
        """Move the round's deadline, counted from its start."""
        self._set_round(effect)

    def start_resend(self, effect: StartResendTimer) -> None:
        """Wait until own messages are sent again."""
        _cancel(self._resend)
        self._resend = self._arm(effect.after_ms / 1000, ResendTimeout(height=effect.height))

    def cancel(self) -> None:
        """End all of them."""
        for timer in (self._block, self._round, self._resend):
            _cancel(timer)
        self._block = self._round = self._resend = None

    def _set_round(self, effect: StartRoundTimer | ExtendRoundTimer) -> None:
        _cancel(self._round)
        timeout = RoundTimeout(height=effect.height, round=effect.round)
        self._round = self._arm_at(self._round_started_at + effect.after_ms / 1000, timeout)

    def _arm(self, after_s: float, event: Input) -> _Timer:
        return self._arm_at(asyncio.get_running_loop().time() + after_s, event)

    def _arm_at(self, at: float, event: Input) -> _Timer:
        return _Timer(handle=asyncio.get_running_loop().call_at(at, self._feed, event), at=at)


def _cancel(timer: _Timer | None) -> None:
    if timer is not None:
        timer.handle.cancel()
