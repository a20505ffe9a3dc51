"""The core: one validator, or one follower, at one height after another.

`Consensus.handle(input)` changes the state and returns effects. There is no clock, no randomness, no IO, no log and no await here, and an
input that is rejected leaves the state as it was. The state is a `Core`; what changes it are the phases, each a file of plain functions:

    accepting   the round's one proposal                  voting      prepares, commits, quorums
    rounds      deadlines and round changes               deciding    from one height to the next
    proposing   our own turn                              forking     two decided blocks at one height
    joining     a new life; becoming live                 past        messages of heights that are over
    signing     the watermark, and the next Persist       releasing   what leaves once it is durable
    timers      deadlines                                 witnessing  what everybody has signed, and who has lied

How a message of our own comes to be: `signing.sign` asks the watermark and signs; the message joins the next Persist with the record that it
depends on; Persisted releases it, and only then do we count it ourselves. So no vote counts, here or anywhere, that a crash could undo.

Source: docs/spec/consensus.md.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.parameters import ChainRules
from metanode.chain.state import ConsensusState
from metanode.consensus.core import Core, begin_height
from metanode.consensus.effects import Effect, FallBehind
from metanode.consensus.evidence import Statement
from metanode.consensus.height import Phase
from metanode.consensus.inputs import (
    BlockImported,
    BlockTimeout,
    BodyReceived,
    ForkProven,
    Input,
    MessageReceived,
    Mode,
    ModeChanged,
    PayloadBuilt,
    PayloadMissed,
    Persisted,
    ResendTimeout,
    RoundTimeout,
    Started,
    VerdictGiven,
    WishesChanged,
)
from metanode.consensus.justification import Electorate
from metanode.consensus.messages import (
    Commit,
    Decision,
    Prepare,
    Proposal,
    RoundChange,
    SignedMessage,
    Step,
    step_of,
)
from metanode.consensus.phases import (
    accepting,
    deciding,
    guarding,
    joining,
    past,
    proposing,
    releasing,
    rounds,
    signing,
    voting,
    witnessing,
)
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.tip import Snapshot, Tip
from metanode.consensus.watermark import SignedStep
from metanode.consensus.witness import Heard
from metanode.primitives.types import Address, Hash32, Height, Round


class Consensus:
    """One node's consensus. Owner: the driver's one task."""

    def __init__(
        self,
        *,
        rules: ChainRules,
        header: ConsensusHeader,
        state: ConsensusState,
        certificate: Certificate | None,
        own: Address | None = None,
        sign: Callable[[Hash32], bytes] | None = None,
        watermark: SignedStep | None = None,
        record: ConsensusRecord | None = None,
        bodies: Sequence[Block] = (),
        heard: Sequence[tuple[Height, Heard]] = (),
        silent_until: Height | None = None,
        mode: Mode = Mode.SYNCING,
    ) -> None:
        """Begin after a decided block. `own` and `sign` are absent in a follower.

        Nothing is signed below `silent_until`. `record` and `bodies` are what the last life persisted for the next height, `heard` what
        it kept of the signatures of the latest ones.
        """
        assert (own is None) == (sign is None)
        assert state.height == header.height, (state.height, header.height)
        seals: dict[Address, bytes] = {}
        if certificate is not None:
            signers = certificate.addresses(state.last_validators)
            seals = dict(zip(signers, certificate.seals, strict=True))
        tip = Tip(header=header, state=state, certificate=certificate, seals=seals)
        current = begin_height(tip, rules)
        height = current.electorate.height
        self._core = Core(
            rules=rules,
            own=own,
            sign_digest=sign,
            mode=mode,
            silent_until=silent_until or Height(0),
            tip=tip,
            current=current,
            watermark=watermark,
            restored=record if record is not None and record.height == height else None,
            restored_bodies=tuple(block for block in bodies if block.height == height),
            restored_heard=tuple(heard),
        )
        self._core.witness.enter_height(height)

    # --- what others may ask -----------------------------------------------------------------------------------------------------------

    @property
    def height(self) -> Height:
        """The height that is being decided."""
        return self._core.height

    @property
    def round(self) -> Round:
        """The current round."""
        return self._core.current.round

    @property
    def is_round_shared(self) -> bool:
        """Whether the current round has a deadline: a quorum is in it or beyond it."""
        return self._core.current.is_shared

    @property
    def phase(self) -> Phase:
        """Where the current round stands."""
        return self._core.current.phase

    @property
    def own(self) -> Address | None:
        """This validator's address; None in a follower."""
        return self._core.own

    @property
    def tip(self) -> Tip:
        """The latest decided block."""
        return self._core.tip

    @property
    def mode(self) -> Mode:
        """How far this node takes part."""
        return self._core.mode

    @property
    def electorate(self) -> Electorate:
        """Who decides the current height."""
        return self._core.current.electorate

    @property
    def view(self) -> tuple[Height, Round]:
        """The height that is open, and its round."""
        return self.height, self._core.current.round

    @property
    def snapshot(self) -> Snapshot:
        """The state for people and metrics."""
        accepted = self._core.current.accepted
        validators = self._core.current.electorate.validators
        preparers: list[Address] = []
        committers: list[Address] = []
        if accepted is not None:
            preparers = [
                accepted.author,
                *self._core.current.prepares.seals(self._core.current.round, accepted.block_hash),
            ]
            committers = list(self._core.current.commits.seals(self._core.current.round, accepted.block_hash))
        return Snapshot(
            height=self.height,
            round=self._core.current.round,
            phase=self._core.current.phase,
            mode=self._core.mode,
            is_shared=self._core.current.is_shared,
            proposer=self._core.current.electorate.proposer(self._core.current.round),
            accepted=accepted.block_hash if accepted else None,
            prepared_round=self._core.current.prepared.round if self._core.current.prepared else None,
            prepare_weight=validators.weight(preparers),
            commit_weight=validators.weight(committers),
            round_change_weight=validators.weight(
                change.author for change in self._core.current.round_changes.at(self._core.current.round)
            ),
            quorum_weight=self._core.rules.quorum_rule.quorum_weight(validators.total_power),
            total_power=validators.total_power,
            round_change_rounds=self._core.current.round_changes.highest_rounds(),
            signs=self._core.takes_part,
            silent_until=self._core.silent_until,
            missing_body=self._missing_body(),
            is_accepted_valid=accepted is not None and accepted.block_hash in self._core.current.valid,
            kept=self.kept,
        )

    def _missing_body(self) -> Hash32 | None:
        current = self._core.current
        if current.awaited is not None:
            return current.awaited.block_hash
        accepted = current.accepted
        return accepted.block_hash if accepted is not None and accepted.block is None else None

    @property
    def kept(self) -> int:
        """How many messages and bodies are in memory."""
        return self._core.current.kept + len(self._core.early)

    @property
    def own_messages(self) -> tuple[SignedMessage, ...]:
        """Own durable messages of the height, for a peer that has just connected."""
        return tuple(self._core.current.sent_messages())

    def may_author(self, step: Step, height: Height, round_: Round, author: Address) -> bool:
        """Tell whether a message of this author could matter here: asked while bytes are decoded."""
        if height == self.height:
            if step is Step.PROPOSAL:
                return author == self._core.current.electorate.proposer(round_)
            return author in self._core.current.electorate.validators
        state = self._core.tip.state
        if height > self.height:
            return author in state.validators or author in state.next_validators
        return author in state.last_validators or author in state.validators

    def find_body(self, block_hash: Hash32) -> Block | None:
        """Return an undecided block of the current height, to serve to others."""
        return self._core.current.bodies.get(block_hash)

    def heard(self, height: Height) -> bytes:
        """Return what everybody has signed at one of the latest heights, for the disk."""
        return self._core.witness.encode(height)

    def statements(self, height: Height) -> Iterator[tuple[Address, Statement]]:
        """Yield what everybody has signed at one of the latest heights, of each author the first of each kind and round."""
        return self._core.witness.statements(height)

    def verify_import(self, block: Block, certificate: Certificate) -> None:
        """Raise InvalidCertificate unless a quorum has decided this block at the current height. A rule that it breaks then halts the node."""
        deciding.verify(self._core, certificate, block.hash)

    # --- inputs ------------------------------------------------------------------------------------------------------------------------

    def handle(self, event: Input) -> list[Effect]:
        """Take one input; return what is to be done, in order. Nothing is, once halted."""
        core = self._core
        assert not core.effects
        if core.mode is Mode.HALTED:
            return []
        self._dispatch(event)
        while core.due:
            message, peer = core.due.popleft()
            # One of these may decide; the rest is then for a past height.
            if message.height == core.height:
                self._upon_current_message(message, peer)
        rounds.share(core)
        signing.flush(core)
        effects, core.effects = core.effects, []
        return effects

    def _dispatch(self, event: Input) -> None:
        core = self._core
        match event:
            case MessageReceived():
                core.now_ms = event.now_ms
                self._upon_message(event)
            case Persisted():
                releasing.upon_persisted(core, event.number)
            case VerdictGiven():
                accepting.upon_verdict(core, event.block_hash, is_valid=event.is_valid)
            case PayloadBuilt():
                proposing.upon_payload_built(core, event)
            case PayloadMissed():
                pass
            case BlockTimeout():
                rounds.upon_block_timeout(core, event.height)
            case RoundTimeout():
                rounds.upon_round_timeout(core, event.height, event.round)
            case ResendTimeout():
                releasing.upon_resend_timeout(core, event.height)
            case BodyReceived():
                accepting.upon_body(core, event.block)
            case BlockImported():
                deciding.upon_block_imported(core, event.block, event.certificate)
            case ForkProven():
                core.accuse(core.witness.restore(event.fork.height, event.heard))
                core.halt(event.fork.describe(), event.fork)
            case ModeChanged():
                joining.upon_mode_changed(core, event)
            case WishesChanged():
                core.wishes = dict(event.wishes)
            case Started():
                joining.upon_started(core)
            case _:
                assert_never(event)

    def _upon_message(self, event: MessageReceived) -> None:
        """Give a message to the past, the present or the future."""
        core, message = self._core, event.message
        if isinstance(message, Decision):
            deciding.upon_decision(core, message.certificate, event.peer)
            return
        if not self.may_author(step_of(message), message.height, message.round, message.author):
            return
        witnessing.upon_message(core, message)
        guarding.look_for_other_signer(core, message)
        if message.height > core.height:
            core.early.add(message, event.peer, current=core.height)
            behind = core.early.honest_height(core.current.electorate)
            if behind is not None and behind != core.current.told_behind:
                core.current.told_behind = behind
                core.emit(FallBehind(height=Height(behind - 1)))
        elif message.height < core.height:
            past.upon_message(core, message, event.peer)
        else:
            self._upon_current_message(message, event.peer)

    def _upon_current_message(self, message: SignedMessage, peer: str) -> None:
        match message:
            case Proposal():
                accepting.upon_proposal(self._core, message, peer)
            case Prepare():
                voting.upon_prepare(self._core, message)
            case Commit():
                voting.upon_commit(self._core, message)
            case RoundChange():
                rounds.upon_round_change(self._core, message, peer)
