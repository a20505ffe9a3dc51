"""How the network's faucet fares, for the dashboard: who asks for coins is the first to be hurt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from metanode.errors import MetanodeError
from sdk.testnet.services.explorer.reading import LIVE_TIMEOUT_S

AGE_S: Final = 4.0
"""How long an answer is taken for now: two looks of the monitor."""

AskFaucet = Callable[[], Awaitable[dict[str, Any]]]
"""Gives the document of `/api/v1/faucet`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaucetStanding:
    """What a faucet says of itself."""

    paused: str | None
    """Why it pays nothing; None while it pays."""
    payouts_left: int | None
    """What its balance is enough for; None while it does not know."""
    payouts_left_today: int
    payouts_a_day: int
    waiting: int
    """Payouts that are promised and not sent."""

    @property
    def word(self) -> str:
        """The state in a word; nothing while it pays."""
        if self.paused is not None:
            return "Paused"
        if self.payouts_left == 0:
            return "Empty"
        return "" if self.payouts_left_today else "Day is over"


@dataclass(slots=True)
class FaucetWatch:
    """Asks the faucet, at most every few seconds. Owned by the event loop."""

    ask: AskFaucet | None = None
    """None for a network without a faucet."""
    _found: FaucetStanding | None = field(default=None, init=False)
    _until_s: float = field(default=float("-inf"), init=False)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def now(self) -> FaucetStanding | None:
        """Return how it fares; None when it does not answer."""
        if self.ask is None:
            return None
        async with self._asking:
            if time.monotonic() >= self._until_s:
                try:
                    async with asyncio.timeout(LIVE_TIMEOUT_S):
                        self._found = read_standing(await self.ask())
                except (TimeoutError, MetanodeError, KeyError, TypeError, ValueError):
                    self._found = None
                self._until_s = time.monotonic() + AGE_S
            return self._found


def read_standing(document: dict[str, Any]) -> FaucetStanding:
    """Return the standing of `/api/v1/faucet`; raises KeyError, TypeError or ValueError for anything else."""
    left = document["claims_left"]
    paused = document["paused"]
    return FaucetStanding(
        paused=None if paused is None else str(paused),
        payouts_left=None if left is None else int(left),
        payouts_left_today=int(document["claims_left_today"]),
        payouts_a_day=int(document["rules"]["per_day"]),
        waiting=int(document["queue_length"]),
    )
