"""What one process of a faucet has counted since it began, for Prometheus: promises, refusals, what went wrong on the way, and how long things took."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sdk.testnet.counting import Durations
from sdk.testnet.faucet.policy import RefusalCode

if TYPE_CHECKING:
    from collections.abc import Mapping

FUNDS_BOUNDS_S: Final = (1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)
"""From promise to final block: the time between blocks is the least."""
SOLVING_BOUNDS_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
"""A challenge lives for the last."""
CHECKING_BOUNDS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""A proof is eight hashes of eight milliseconds, and may wait three seconds for a thread."""
RECIPIENT: Final = "recipient"
"""A refusal that no limit made: no address, or one that never gets anything."""
PROOF: Final = "proof"
"""And this one: a proof of work that was wrong."""
REASONS: Final = (*(code.value for code in RefusalCode), RECIPIENT, PROOF)


class Channel(StrEnum):
    """Which way a promise was asked for."""

    WEB = "web"
    PASS = "pass"  # noqa: S105 - no password
    """With a voucher or key."""
    PROGRAM = "program"
    """By `request_tokens`."""


class Puzzle(StrEnum):
    """What becomes of challenges."""

    ISSUED = "issued"
    REFUSED = "refused"
    """None was handed out: a claim would be refused."""
    SOLVED = "solved"
    WRONG = "wrong"
    EXPIRED = "expired"
    """The proof came after its ten minutes."""


class Incident(StrEnum):
    """What happens to transactions on their way."""

    NONCE_CONFLICT = "nonce_conflict"
    """The account has sent what this faucet did not sign: something else has its key, or the ledger is an older copy."""
    SENT_AGAIN = "sent_again"
    """No block took it for some time."""
    FEE_RAISED = "fee_raised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What the page of metrics asks a faucet beside its statistics."""

    counts: Counts
    puzzle_bits: int
    """Of a puzzle for somebody new; 0 where no work is asked."""
    oldest_waiting_s: float
    """Since the promise that waits the longest; 0 when none does."""
    is_signer: bool
    """Whether this process is the one that pays."""


class Counts:
    """Counters of one process; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refusals: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._promises: Counter[str] = Counter(dict.fromkeys(Channel, 0))
        self._incidents: Counter[str] = Counter(dict.fromkeys(Incident, 0))
        self._puzzles: Counter[str] = Counter(dict.fromkeys(Puzzle, 0))
        self.until_funds = Durations(FUNDS_BOUNDS_S)
        self.solving = Durations(SOLVING_BOUNDS_S)
        self.checking = Durations(CHECKING_BOUNDS_S)
        """Of proofs, right and wrong, from their arrival on."""

    def refused(self, reason: str) -> None:
        """A request was refused, for one of `REASONS`."""
        with self._lock:
            self._refusals[reason] += 1

    def promised(self, channel: Channel) -> None:
        """A payout was promised."""
        with self._lock:
            self._promises[channel] += 1

    def happened(self, incident: Incident) -> None:
        """Something happened to a transaction."""
        with self._lock:
            self._incidents[incident] += 1

    def challenged(self, became: Puzzle) -> None:
        """A challenge was asked for, or a proof of one came."""
        with self._lock:
            self._puzzles[became] += 1

    def challenges(self) -> Mapping[str, int]:
        """Challenges by what became of them; each kind from 0 on."""
        with self._lock:
            return dict(self._puzzles)

    def read(self) -> tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]:
        """Refusals by reason, promises by channel, incidents by kind; each kind from 0 on."""
        with self._lock:
            return dict(self._refusals), dict(self._promises), dict(self._incidents)
