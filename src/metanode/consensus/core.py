"""What a core holds, and the few words that every phase says: what to do, what went wrong, whether this node takes part.

The phases (`consensus.phases`) are functions of one `Core`; `consensus.machine` gives each input to its phase.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from metanode.chain.block import Block
from metanode.chain.parameters import ChainRules
from metanode.consensus.early import EarlyMessages
from metanode.consensus.effects import BlockRefused, Decided, Effect, Halt, RequestBody, SaveEvidence
from metanode.consensus.evidence import Evidence
from metanode.consensus.fork import Fork
from metanode.consensus.height import HeightState
from metanode.consensus.inputs import Mode
from metanode.consensus.justification import Electorate
from metanode.consensus.messages import SignedMessage
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.tip import Tip
from metanode.consensus.watermark import SignedStep
from metanode.consensus.witness import Heard, Witness
from metanode.primitives.types import Address, Hash32, Height, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreleased:
    """What the Persisted input of a number releases."""

    number: int
    messages: tuple[SignedMessage, ...]
    decided: Decided | None
    is_announced: bool
    """The decision is sent to all by the proposer of its round; stragglers are answered by everyone."""


@dataclass(slots=True, kw_only=True)
class Core:
    """The state of one core. Owner: the one `Consensus` that made it; only the phases change it."""

    rules: ChainRules
    own: Address | None
    """None in a follower."""
    sign_digest: Callable[[Hash32], bytes] | None
    mode: Mode
    silent_until: Height
    """Nothing is signed below this height."""
    tip: Tip
    current: HeightState
    """The height after the tip."""

    is_key_shared: bool = False
    """Another process was seen to sign with our key: nothing is signed any more."""
    wishes: Mapping[Address, bool] = field(default_factory=dict)
    """The operator's, on membership."""
    now_ms: int = 0
    """Wall clock of the latest message."""
    early: EarlyMessages = field(default_factory=EarlyMessages)
    due: deque[tuple[SignedMessage, str]] = field(default_factory=deque)
    """Messages that came early and whose height has begun."""
    witness: Witness = field(default_factory=Witness)
    """What everybody has signed at the latest heights."""
    restored: ConsensusRecord | None = None
    """What the last life recorded of the current height, and its bodies; until the core has started."""
    restored_bodies: tuple[Block, ...] = ()
    restored_heard: tuple[tuple[Height, Heard], ...] = ()
    """What it kept of the signatures of decided heights; until the core has started."""

    effects: list[Effect] = field(default_factory=list)
    """Of the input that is being handled."""

    # What is signed and not yet part of a Persist, and what waits for one.
    watermark: SignedStep | None = None
    steps: list[SignedStep] = field(default_factory=list)
    unsent: list[SignedMessage] = field(default_factory=list)
    is_dirty: bool = False
    """The record has changed."""
    persist_number: int = 0
    unreleased: deque[Unreleased] = field(default_factory=deque)

    @property
    def height(self) -> Height:
        """The height that is being decided."""
        return self.current.electorate.height

    @property
    def takes_part(self) -> bool:
        """Whether this node votes at this height."""
        return self.mode is Mode.LIVE and self._is_voter

    @property
    def may_seal(self) -> bool:
        """Whether a decided block may get our seal: also while the execution client is behind."""
        return self.mode in {Mode.LIVE, Mode.CATCHING_UP} and self._is_voter

    @property
    def _is_voter(self) -> bool:
        return self.own in self.current.electorate.validators and self.height >= self.silent_until

    def emit(self, effect: Effect | None) -> None:
        """Have something done; None is nothing."""
        if effect is not None:
            self.effects.append(effect)

    def refuse(self, round_: Round, block_hash: Hash32, reason: str) -> None:
        """Say that a block breaks a rule."""
        self.emit(BlockRefused(height=self.height, round=round_, block_hash=block_hash, reason=reason))

    def request_body(self, block_hash: Hash32, holders: tuple[Address, ...]) -> None:
        """Ask the network for a block, once."""
        if self.current.want_body(block_hash):
            self.emit(RequestBody(height=self.height, block_hash=block_hash, holders=holders))

    def accuse(self, found: Iterable[Evidence]) -> None:
        """Have proofs kept."""
        for evidence in found:
            self.emit(SaveEvidence(evidence=evidence))

    def halt(self, reason: str, fork: Fork | None = None) -> None:
        """Stop for good, with the first reason. What was signed and is not durable yet never leaves."""
        if self.mode is not Mode.HALTED:
            self.mode = Mode.HALTED
            if fork is not None:
                for certificate in fork.certificates:
                    self.accuse(self.witness.hear_certificate(certificate, fork.validators))
            self.emit(Halt(reason=reason, fork=fork))


def begin_height(tip: Tip, rules: ChainRules) -> HeightState:
    """Return the start of the height after a tip."""
    return HeightState(
        electorate=Electorate.after(tip.state, rules.quorum_rule),
        timeouts=rules.parameters.fork(tip.header.timestamp).timeouts,
    )
