"""What happens to the core. Each input says when the driver gives it; none carries anything that the core could fetch itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.consensus.fork import Fork
from metanode.consensus.messages import Message
from metanode.consensus.witness import Heard
from metanode.primitives.types import Address, Hash32, Height, Round


class Mode(Enum):
    """How far a node may take part."""

    SYNCING = "syncing"
    """Others are known, or may be, ahead: import certified blocks, sign nothing."""
    CATCHING_UP = "catching up"
    """The execution client is behind what is decided: import, answer, and sign nothing but the seal of a decided block."""
    LIVE = "live"
    """Take part in everything."""
    HALTED = "halted"
    """Going on could contradict what is decided: do nothing more, in this life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The first input of a life, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived:
    """A well-formed message arrived from a peer, who may be only its relay."""

    message: Message
    peer: str
    """To whom an answer goes."""
    now_ms: int
    """Wall clock, for the one rule that needs it: how far ahead a fresh proposal's timestamp is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockTimeout:
    """The height's slot has come."""

    height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTimeout:
    """The round's deadline has passed."""

    height: Height
    round: Round


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendTimeout:
    """It is time to send the own messages of the height again."""

    height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadBuilt:
    """The execution client has built, and found valid, the block that RequestPayload asked for."""

    height: Height
    round: Round
    execution_rlp: bytes
    requests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadMissed:
    """The execution client could not build in time: this round gets no proposal from us."""

    height: Height
    round: Round


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictGiven:
    """The execution client has judged a block that CheckBlock asked about. "Unavailable" is no verdict: the driver asks again."""

    block_hash: Hash32
    is_valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Persisted:
    """Everything of Persist effects up to this number is on the disk."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyReceived:
    """A block that RequestBody asked for has come."""

    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockImported:
    """Sync has brought the next block with its certificate; the core checks both."""

    block: Block
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkProven:
    """A certificate verifies for another block than the one decided at its height: the answer to CompareDecided, or sync's find."""

    fork: Fork
    heard: Heard = ()
    """What this node's disk has of that height, to find who has lied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChanged:
    """The driver knows how far this node may take part."""

    mode: Mode
    silent_until: Height | None = None
    """From now on nothing is signed below this height; None leaves it as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WishesChanged:
    """The operator's wishes on membership: True to add, False to drop. Votes for them go into own blocks."""

    wishes: Mapping[Address, bool]


Input: TypeAlias = (
    Started
    | MessageReceived
    | BlockTimeout
    | RoundTimeout
    | ResendTimeout
    | PayloadBuilt
    | PayloadMissed
    | VerdictGiven
    | Persisted
    | BodyReceived
    | BlockImported
    | ForkProven
    | ModeChanged
    | WishesChanged
)
