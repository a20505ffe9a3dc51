"""What the driver counts since its start, for metrics and for `ibft_getConsensusState`."""

from collections import Counter
from dataclasses import dataclass, field

from metanode.primitives.types import Address, Height, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class LastMessage:
    """The last thing heard of a validator."""

    kind: str
    height: Height
    round: Round
    at_ms: int
    """Wall clock."""


@dataclass(slots=True, kw_only=True)
class Statistics:
    """Counters since the start, for metrics."""

    received: Counter[str] = field(default_factory=Counter)
    """By type of message."""
    repeated: int = 0
    unwelcome: int = 0
    """Late, early, or not by a validator."""
    malformed: int = 0
    shed: int = 0
    """Dropped because too many inputs waited."""
    sent: Counter[str] = field(default_factory=Counter)
    """By type of message."""
    decided: int = 0
    imported: int = 0
    rounds_changed: int = 0
    proposals_refused: int = 0
    evidence: int = 0
    missed: Counter[Address] = field(default_factory=Counter)
    """Rounds that ended without a decision, by their proposer."""
    round_started_ms: int = 0
    """Wall clock."""
    decision_ms: int = 0
    """From the start of its round to the latest decision."""
    last_messages: dict[Address, LastMessage] = field(default_factory=dict)
