"""All that a core knows about the height it is deciding. A new height begins with a new object, so nothing can be left over."""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.forks import Timeouts
from metanode.consensus.justification import Electorate
from metanode.consensus.messages import (
    Commit,
    Justification,
    Prepare,
    PreparedCertificate,
    Proposal,
    SignedMessage,
    Step,
    step_of,
)
from metanode.consensus.votes import ROUNDS_BEHIND_MAX, RoundChangeBook, VoteBook
from metanode.primitives.types import Address, Hash32, Height, Round

BODIES_MAX: Final = 8
"""Blocks kept by hash, beside the accepted and the prepared one."""
SEEN_MAX: Final = 8
"""Rounds whose first proposal is remembered."""
OWN_COMMITS_MAX: Final = ROUNDS_BEHIND_MAX
"""Own commits of past rounds kept for sending again; others keep as many."""


class Phase(Enum):
    """Where a round stands."""

    WAITING = "waiting for the slot"
    PROPOSAL = "waiting for a proposal"
    PREPARE = "waiting for prepares"
    COMMIT = "waiting for commits"


def _prepares() -> VoteBook[Prepare]:
    return VoteBook(rounds_behind_max=0)


def _commits() -> VoteBook[Commit]:
    return VoteBook(rounds_behind_max=ROUNDS_BEHIND_MAX)


@dataclass(slots=True, kw_only=True)
class HeightState:
    """One height in one core. The phases are its only writers."""

    electorate: Electorate
    timeouts: Timeouts

    round: Round = Round(0)  # noqa: RUF009 - an int
    has_begun: bool = False
    """The slot has come, or a later round was entered."""
    is_shared: bool = True
    """A quorum is in this round or beyond it, as all are in round 0: its deadline runs."""
    rounds_alone: int = 0
    """Rounds that were left because no quorum came to them."""
    phase: Phase = Phase.WAITING

    seen: dict[Round, Proposal] = field(default_factory=dict)
    """The first proposal of each of the latest rounds, whether we accepted or refused it: a different one is evidence."""
    accepted: Proposal | None = None
    """The proposal that we vote for, when its body is here and valid."""
    held: set[Round] = field(default_factory=set)
    """Rounds of which a proposal waits until its timestamp is not too far ahead; a later one is there only when a quorum asks for it."""
    basis: Justification | None = None
    """Why we may propose in this round; fixed when a quorum of round changes was there."""
    has_requested_payload: bool = False

    prepared: PreparedCertificate | None = None
    """Of the highest round, for ever."""
    awaited: Certificate | None = None
    """Decides the height as soon as the body comes."""

    prepares: VoteBook[Prepare] = field(default_factory=_prepares)
    commits: VoteBook[Commit] = field(default_factory=_commits)
    round_changes: RoundChangeBook = field(default_factory=RoundChangeBook)

    bodies: dict[Hash32, Block] = field(default_factory=dict)
    saved_bodies: set[Hash32] = field(default_factory=set)
    """Hashes of the bodies that were put into a Persist."""
    wanted: dict[Hash32, None] = field(default_factory=dict)
    """Bodies asked of the network, oldest first."""
    asked: set[Hash32] = field(default_factory=set)
    """Blocks given to the execution client."""
    valid: set[Hash32] = field(default_factory=set)

    own_messages: dict[tuple[Step, Round], SignedMessage] = field(default_factory=dict)
    released: set[tuple[Step, Round]] = field(default_factory=set)
    """Those of the own messages that are durable."""
    answered: dict[Address, Round] = field(default_factory=dict)
    """The stale round in which each straggler was last told where we are."""
    told_behind: Height | None = None

    def enter_round(self, round_: Round) -> None:
        """Begin a later round."""
        assert round_ > self.round, (round_, self.round)
        self.round = round_
        self.has_begun = True
        self.is_shared = False
        self.phase = Phase.PROPOSAL
        self.accepted = self.basis = None
        self.held = {later for later in self.held if later >= round_}
        self.has_requested_payload = False
        self.prepares.enter_round(round_)
        self.commits.enter_round(round_)
        self.round_changes.enter_round(round_)

    def keep_body(self, block: Block) -> None:
        """Keep a block by its hash; the oldest ones that nothing refers to make room."""
        self.wanted.pop(block.hash, None)
        self.bodies[block.hash] = block
        precious = {block.hash}
        if self.accepted is not None:
            precious.add(self.accepted.block_hash)
        if self.prepared is not None:
            precious.add(self.prepared.block_hash)
        spare = [block_hash for block_hash in self.bodies if block_hash not in precious]
        for block_hash in spare[: max(0, len(spare) - BODIES_MAX)]:
            del self.bodies[block_hash]
            self.asked.discard(block_hash)
            self.valid.discard(block_hash)

    def see(self, proposal: Proposal) -> None:
        """Remember a round's first proposal, without its body."""
        self.seen.setdefault(proposal.round, replace(proposal, block=None))
        while len(self.seen) > SEEN_MAX:
            del self.seen[min(self.seen)]

    def want_body(self, block_hash: Hash32) -> bool:
        """Note that a body is asked of the network; tell whether that is new."""
        if block_hash in self.wanted:
            return False
        self.wanted[block_hash] = None
        while len(self.wanted) > BODIES_MAX:
            # The body of the decision ends the height: it is never given up for those of proposals.
            awaited = self.awaited.block_hash if self.awaited is not None else None
            del self.wanted[next(wanted for wanted in self.wanted if wanted != awaited)]
        return True

    def keep_own(self, message: SignedMessage) -> None:
        """Keep an own message, and of each kind only what may still be asked for: the newest, of commits the newest few."""
        step = step_of(message)
        self.own_messages[step, message.round] = message
        rounds = sorted(round_ for kind, round_ in self.own_messages if kind is step)
        kept = OWN_COMMITS_MAX if step is Step.COMMIT else 1
        for old in rounds[:-kept]:
            del self.own_messages[step, old]
            self.released.discard((step, old))

    def sent_messages(self) -> list[SignedMessage]:
        """Return the durable own messages worth sending again: round change and proposal of this round, the last prepare and commit."""
        found: dict[Step, SignedMessage] = {}
        for key in sorted(self.released):
            step, round_ = key
            if step in {Step.PREPARE, Step.COMMIT} or round_ == self.round:
                found[step] = self.own_messages[key]
        return [found[step] for step in sorted(found)]

    @property
    def kept(self) -> int:
        """Messages and bodies in memory."""
        return (
            len(self.prepares)
            + len(self.commits)
            + len(self.round_changes)
            + len(self.bodies)
            + len(self.own_messages)
        )
