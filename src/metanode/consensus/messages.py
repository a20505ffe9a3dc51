"""The messages of a height. An object that exists was well formed, and its author is who signed it.

What is signed: of a PROPOSAL, a PREPARE and a COMMIT (height, round, block hash); of a ROUND_CHANGE (height, round, prepared round,
prepared hash). Everything else travels beside the signature and proves itself: the block by its hash, a prepared certificate and a
justification by the signatures in them. The signature of a COMMIT is the commit seal.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.primitives.types import Address, Hash32, Height, Round


class Step(IntEnum):
    """What a validator may sign in a round, in the only order in which it may: the watermark compares these."""

    ROUND_CHANGE = 0
    PROPOSAL = 1
    PREPARE = 2
    COMMIT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One validator's signature, where the content is known from around it."""

    author: Address
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCertificate:
    """A proposal and the prepares that make a quorum with it: proof that a block could have been decided in this round."""

    round: Round
    block_hash: Hash32
    proposal: Seal
    prepares: tuple[Seal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundChangeClaim:
    """The signed part of a ROUND_CHANGE; height and round are those of the proposal that it justifies."""

    prepared: tuple[Round, Hash32] | None
    """Round and hash of the highest block that the author prepared."""
    author: Address
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Justification:
    """Why a proposal of a later round may be made: round changes of a quorum, and the certificate of the highest prepared block in them."""

    claims: tuple[RoundChangeClaim, ...]
    prepared: PreparedCertificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The round's proposer asks to decide a block. It counts as the proposer's prepare."""

    height: Height
    round: Round
    header: ConsensusHeader
    block: Block | None
    """None in a re-broadcast: whoever misses the body asks for it by hash."""
    justification: Justification | None
    """None exactly in round 0."""
    author: Address
    signature: bytes

    @property
    def block_hash(self) -> Hash32:
        """The consensus hash that is signed."""
        return self.header.hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """The author has found the round's proposal valid."""

    height: Height
    round: Round
    block_hash: Hash32
    author: Address
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The author has seen a quorum prepare the block, and holds the proof durably."""

    height: Height
    round: Round
    block_hash: Hash32
    author: Address
    signature: bytes
    """The commit seal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundChange:
    """The author has left all rounds before this one."""

    height: Height
    round: Round
    """The round it wants, at least 1."""
    prepared: PreparedCertificate | None
    """Of the highest block that the author prepared."""
    author: Address
    signature: bytes

    @property
    def claim(self) -> RoundChangeClaim:
        """The part that goes into a justification."""
        prepared = (self.prepared.round, self.prepared.block_hash) if self.prepared else None
        return RoundChangeClaim(prepared=prepared, author=self.author, signature=self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A certificate for those who missed the commits; the body is asked for by hash. Not signed: it proves itself."""

    certificate: Certificate

    @property
    def height(self) -> Height:
        """The decided height."""
        return self.certificate.height

    @property
    def round(self) -> Round:
        """Round of the decision."""
        return self.certificate.round


Vote: TypeAlias = Prepare | Commit
SignedMessage: TypeAlias = Proposal | Prepare | Commit | RoundChange
Message: TypeAlias = SignedMessage | Decision


def step_of(message: SignedMessage) -> Step:
    """Return where in the order of signing a message stands."""
    match message:
        case Proposal():
            return Step.PROPOSAL
        case Prepare():
            return Step.PREPARE
        case Commit():
            return Step.COMMIT
        case RoundChange():
            return Step.ROUND_CHANGE
