"""Proofs of work checked on a few threads, with a short queue: a flood of false ones costs its senders more than the faucet."""

from __future__ import annotations

import asyncio
import os
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from metanode.errors import Unavailable
from sdk.testnet.faucet.proof_of_work import PUZZLES, Challenge, ChallengeInvalid, is_solved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUEUE_MAX: Final = 100
"""Proofs that wait for a thread: at 62 ms each and two threads, three seconds."""
RETRY_S: Final = 5
FAILURES_MAX: Final = 30
"""False proofs that a network has in an hour."""
FAILURES_OF_CHALLENGE_MAX: Final = 3
"""False proofs that one challenge has, whoever sends them: who solves it sends one, and that is right."""
HOUR_MS: Final = 3_600_000


class TooBusy(Unavailable):
    """More proofs wait than can be checked soon."""


class Verifier:
    """Checks proofs of work; `close` ends its threads."""

    def __init__(self, *, threads: int | None = None, queue_max: int = QUEUE_MAX) -> None:
        self._threads = threads or 2 * (os.cpu_count() or 1)
        self._queue_max = queue_max
        self._pool = ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix="proof-of-work")
        self._under_way = 0
        self._order = random.SystemRandom()

    async def check(self, challenge: Challenge, nonces: Sequence[int]) -> None:
        """Return when every nonce solves its puzzle.

        Raises:
            ChallengeInvalid: at the first that does not; the order in which they are looked at is random.
            TooBusy: when too many wait already.
        """
        if len(nonces) != PUZZLES or any(not 0 <= nonce < 2**64 for nonce in nonces):
            raise ChallengeInvalid(f"nonces: expected {PUZZLES} whole numbers of 64 bits")
        if self._under_way >= self._threads + self._queue_max:
            raise TooBusy("the faucet checks as many proofs of work as it can; try again in a few seconds")
        order = self._order.sample(range(PUZZLES), PUZZLES)
        self._under_way += 1
        # Counted until the thread is done, also for a client that has gone meanwhile.
        work = self._pool.submit(_first_wrong, challenge, nonces, order)
        work.add_done_callback(_on_loop(asyncio.get_running_loop(), self._count_down))
        wrong = await asyncio.wrap_future(work)
        if wrong is not None:
            raise ChallengeInvalid(
                f"nonces[{wrong}]: its hash does not begin with {challenge.bits} zero bits; a proof is made for one challenge and one address"
            )

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _count_down(self) -> None:
        self._under_way -= 1


def _first_wrong(challenge: Challenge, nonces: Sequence[int], order: Sequence[int]) -> int | None:
    return next((puzzle for puzzle in order if not is_solved(challenge, puzzle, nonces[puzzle])), None)


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Callable[[object], None]:
    def done(_: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(call)

    return done
