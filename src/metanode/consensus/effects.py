"""What the core wants done. The driver performs effects in the order given; that order is the durability contract.

Nothing signed leaves before it is durable: a message appears as Broadcast only after the Persisted input of the Persist that holds it, and
a decision as Finalize only after its own.
"""

from dataclasses import dataclass
from typing import TypeAlias

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.state import ConsensusState
from metanode.consensus.evidence import Evidence
from metanode.consensus.fork import Fork
from metanode.consensus.messages import Message, Proposal, Step
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.watermark import SignedStep
from metanode.primitives.types import Address, Hash32, Height, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A block that is final."""

    block: Block
    certificate: Certificate
    state: ConsensusState
    """The state after the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Make durable, in this order: the signatures in the signer's file; then decision, record and bodies in one transaction.

    Answer with Persisted(number). A signer that refuses, or a disk that fails, stops the node: then nothing of this leaves it.
    """

    number: int
    """1, 2, 3 ... in one life."""
    signatures: tuple[SignedStep, ...]
    """Ascending; each was permitted by the watermark before it."""
    record: ConsensusRecord
    """Replaces the one before."""
    bodies: tuple[Block, ...]
    """Blocks that the record now needs and that no earlier Persist of this height held."""
    decided: Decided | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """Send a message to all peers. It is durable."""

    message: Message
    is_repeat: bool = False
    """Sent before; proposals then go without their body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send one peer a message that is durable: the answer to a message of an earlier round."""

    peer: str
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDecision:
    """Send one peer the certificate of a past height, if it has not had it within the last second."""

    peer: str
    height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class StartBlockTimer:
    """Give BlockTimeout when the wall clock reaches `due_s`, after at least 0 and at most one period from now."""

    height: Height
    due_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRoundTimer:
    """The round starts now: remember the instant, give RoundTimeout after `after_ms`. Replaces the timer of any other round."""

    height: Height
    round: Round
    after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendRoundTimer:
    """Move the round's deadline to `after_ms` after its start."""

    height: Height
    round: Round
    after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartResendTimer:
    """Give ResendTimeout after `after_ms`. Replaces the one before."""

    height: Height
    after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparePayload:
    """This node proposes in round 0: begin to build early."""

    height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPayload:
    """Build a fresh block now; answer with PayloadBuilt or PayloadMissed."""

    height: Height
    round: Round


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckBlock:
    """Ask the execution client; answer with VerdictGiven. Retry while it is unavailable and the height lasts."""

    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestBody:
    """Fetch a block by its hash from anybody, first from those who must have it; answer with BodyReceived. Retry while the height lasts."""

    height: Height
    block_hash: Hash32
    holders: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalize:
    """The decision is durable: have the execution client finalize it, then show it. Serial, in order of height."""

    decided: Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldProposal:
    """Give this proposal again, as MessageReceived, after so long: its timestamp is too far ahead of the clock."""

    proposal: Proposal
    peer: str
    after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FallBehind:
    """Somebody honest is at least two heights ahead, or this certified height is: sync up to it."""

    height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareDecided:
    """A certificate of a height before the tip: compare it with the one that is stored; answer with ForkProven, or charge its sender."""

    certificate: Certificate
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePeer:
    """A peer sent a certificate that proves nothing, which no correct node does."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveEvidence:
    """Keep the proof that a validator lied."""

    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEntered:
    """For logs and metrics; round 0 is entered once a height, when its slot has come."""

    height: Height
    round: Round
    proposer: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRefused:
    """For logs: a proposal of the round's proposer, or a certified block, breaks a rule."""

    height: Height
    round: Round
    block_hash: Hash32
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Stop this node, loudly: going on could contradict what is decided. Keep the fork durably, so that no later life goes on either."""

    reason: str
    fork: Fork | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInUse:
    """Tell the operator: another process signs with this validator's key. This one signs nothing more until it is started again."""

    height: Height
    round: Round
    step: Step
    """Of the message that shows it."""


Effect: TypeAlias = (
    Persist
    | Broadcast
    | Send
    | SendDecision
    | StartBlockTimer
    | StartRoundTimer
    | ExtendRoundTimer
    | StartResendTimer
    | PreparePayload
    | RequestPayload
    | CheckBlock
    | RequestBody
    | Finalize
    | HoldProposal
    | FallBehind
    | CompareDecided
    | ChargePeer
    | SaveEvidence
    | RoundEntered
    | BlockRefused
    | Halt
    | KeyInUse
)
