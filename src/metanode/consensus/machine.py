"""The core: one validator, or one follower, at one height after another.

`Consensus.handle(input)` changes the state and returns effects. There is no clock, no randomness, no IO, no log and no await here, and an
input that is rejected leaves the state as it was. Everything that changes the round lives in `_enter_round`, everything that changes the
height in `_decide`, everything that is signed passes `_sign`, and everything signed waits in `_unreleased` until it is durable.

How a message of our own comes to be: `_sign` asks the watermark and signs; the message joins the next Persist with the record that it
depends on; Persisted releases it, and only then do we count it ourselves. So no vote counts, here or anywhere, that a crash could undo.

Sources: PROTOCOL sections 1 to 4; consensus.md 1.5 to 1.8, 1.11, 1.12, 1.14 to 1.16.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate, verify_certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.parameters import ChainRules
from metanode.chain.proposal import make_block, validate_block
from metanode.chain.quorum import QuorumRule
from metanode.chain.state import ConsensusState, next_state
from metanode.chain.timing import calculate_due, calculate_hold_ms
from metanode.chain.voting import choose_vote
from metanode.consensus.early import EarlyMessages
from metanode.consensus.effects import (
    BlockRefused,
    Broadcast,
    ChargePeer,
    CheckBlock,
    CompareDecided,
    Decided,
    Effect,
    ExtendRoundTimer,
    FallBehind,
    Finalize,
    Halt,
    HoldProposal,
    Persist,
    PreparePayload,
    RequestBody,
    RequestPayload,
    RoundEntered,
    Send,
    SendDecision,
    StartBlockTimer,
    StartResendTimer,
    StartRoundTimer,
)
from metanode.consensus.equivocations import compare_proposal, prove
from metanode.consensus.fork import Fork, find_fork_below, prove_fork
from metanode.consensus.height import HeightState, Phase
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
from metanode.consensus.justification import (
    Electorate,
    InvalidJustification,
    make_justification,
    verify_justification,
    verify_prepared,
)
from metanode.consensus.messages import (
    Commit,
    Decision,
    Prepare,
    PreparedCertificate,
    Proposal,
    RoundChange,
    Seal,
    SignedMessage,
    Step,
    step_of,
)
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.tip import Snapshot, Tip
from metanode.consensus.watermark import SignedStep, permits
from metanode.errors import InvalidInput
from metanode.primitives.types import Address, Hash32, Height, Round

RESEND_MS_MAX: Final = 4_000
"""Own messages are sent again this often, or every round timeout if that is shorter (consensus.md, decision 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unreleased:
    """What the Persisted input of a number releases."""

    number: int
    messages: tuple[SignedMessage, ...]
    decided: Decided | None
    is_announced: bool
    """The decision is sent to all by the proposer of its round; stragglers are answered by everyone."""


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
        silent_until: Height | None = None,
        mode: Mode = Mode.SYNCING,
    ) -> None:
        """Begin after a decided block. `own` and `sign` are absent in a follower.

        Nothing is signed below `silent_until`. `record` and `bodies` are what the last life persisted for the next height.
        """
        assert (own is None) == (sign is None)
        assert state.height == header.height, (state.height, header.height)
        self._rules = rules
        self._own = own
        self._sign_digest = sign
        self._watermark = watermark
        self._silent_until = silent_until or 0
        self._mode = mode
        self._wishes: Mapping[Address, bool] = {}
        self._now_ms = 0
        seals: dict[Address, bytes] = {}
        if certificate is not None:
            signers = certificate.addresses(state.last_validators)
            seals = dict(zip(signers, certificate.seals, strict=True))
        self._tip = Tip(header=header, state=state, certificate=certificate, seals=seals)
        self._early = EarlyMessages()
        self._effects: list[Effect] = []
        self._persist_number = 0
        self._unreleased: deque[_Unreleased] = deque()
        self._seen_before: dict[Round, Proposal] = {}
        """First proposals of the tip's rounds, to know a liar who comes late."""
        self._steps: list[SignedStep] = []
        self._unsent: list[SignedMessage] = []
        self._dirty = False
        self._current = self._begin_height()
        self._restored = record if record is not None and record.height == self.height else None
        self._restored_bodies = tuple(block for block in bodies if block.height == self.height)

    # --- what others may ask -----------------------------------------------------------------------------------------------------------

    @property
    def height(self) -> Height:
        """The height that is being decided."""
        return self._current.electorate.height

    @property
    def round(self) -> Round:
        """The current round."""
        return self._current.round

    @property
    def own(self) -> Address | None:
        """This validator's address; None in a follower."""
        return self._own

    @property
    def tip(self) -> Tip:
        """The latest decided block."""
        return self._tip

    @property
    def mode(self) -> Mode:
        """How far this node takes part."""
        return self._mode

    @property
    def electorate(self) -> Electorate:
        """Who decides the current height."""
        return self._current.electorate

    @property
    def snapshot(self) -> Snapshot:
        """The state for people and metrics."""
        accepted = self._current.accepted
        validators = self._current.electorate.validators
        preparers: list[Address] = []
        committers: list[Address] = []
        if accepted is not None:
            preparers = [
                accepted.author,
                *self._current.prepares.seals(self._current.round, accepted.block_hash),
            ]
            committers = list(self._current.commits.seals(self._current.round, accepted.block_hash))
        return Snapshot(
            height=self.height,
            round=self._current.round,
            phase=self._current.phase,
            mode=self._mode,
            proposer=self._current.electorate.proposer(self._current.round),
            accepted=accepted.block_hash if accepted else None,
            prepared_round=self._current.prepared.round if self._current.prepared else None,
            prepare_weight=validators.weight(preparers),
            commit_weight=validators.weight(committers),
            quorum_weight=self._rules.quorum_rule.quorum_weight(validators.total_power),
            total_power=validators.total_power,
            round_change_rounds=self._current.round_changes.highest_rounds(),
            kept=self._current.kept + len(self._early),
        )

    @property
    def own_messages(self) -> tuple[SignedMessage, ...]:
        """Own durable messages of the height, for a peer that has just connected."""
        return tuple(self._current.sent_messages())

    def may_author(self, step: Step, height: Height, round_: Round, author: Address) -> bool:
        """Tell whether a message of this author could matter here: asked while bytes are decoded."""
        if height == self.height:
            if step is Step.PROPOSAL:
                return author == self._current.electorate.proposer(round_)
            return author in self._current.electorate.validators
        state = self._tip.state
        if height > self.height:
            return author in state.validators or author in state.next_validators
        return author in state.last_validators or author in state.validators

    def find_body(self, block_hash: Hash32) -> Block | None:
        """Return an undecided block of the current height, to serve to others."""
        return self._current.bodies.get(block_hash)

    def verify_import(self, block: Block, certificate: Certificate) -> None:
        """Raise InvalidCertificate unless a quorum has decided this block at the current height. A rule that it breaks then halts the node."""
        self._verify_certificate(certificate, block.hash)

    # --- inputs ------------------------------------------------------------------------------------------------------------------------

    def handle(self, event: Input) -> list[Effect]:
        """Take one input; return what is to be done, in order. Nothing is, once halted."""
        assert not self._effects
        if self._mode is Mode.HALTED:
            return []
        match event:
            case MessageReceived():
                self._now_ms = event.now_ms
                self._upon_message(event)
            case Persisted():
                self._upon_persisted(event.number)
            case VerdictGiven():
                self._upon_verdict(event.block_hash, is_valid=event.is_valid)
            case PayloadBuilt():
                self._upon_payload_built(event)
            case PayloadMissed():
                pass
            case BlockTimeout():
                self._upon_block_timeout(event.height)
            case RoundTimeout():
                self._upon_round_timeout(event.height, event.round)
            case ResendTimeout():
                self._upon_resend_timeout(event.height)
            case BodyReceived():
                self._upon_body(event.block)
            case BlockImported():
                self._upon_block_imported(event.block, event.certificate)
            case ForkProven():
                self._halt_forked(event.fork)
            case ModeChanged():
                self._upon_mode_changed(event)
            case WishesChanged():
                self._wishes = dict(event.wishes)
            case Started():
                self._upon_started()
            case _:
                assert_never(event)
        self._flush()
        effects, self._effects = self._effects, []
        return effects

    def _upon_started(self) -> None:
        restored = self._restored
        if restored is not None:
            self._restore(restored)
        self._arm_height()
        # The watermark survives the loss of the record: a round that was left is never entered again.
        mark = self._watermark
        round_ = Round(restored.round if restored else 0)
        if mark is not None and mark.height == self.height:
            round_ = max(round_, mark.round)
        if round_ > 0:
            self._change_round(round_)
        if restored is not None:
            self._resume(restored)

    def _restore(self, record: ConsensusRecord) -> None:
        """Bring back what the record holds; nothing of it is judged again but by the execution client."""
        for block in self._restored_bodies:
            self._current.bodies[block.hash] = block
            self._current.saved_bodies.add(block.hash)
        self._current.prepared = record.prepared
        for message in record.messages:
            self._current.own_messages[step_of(message), message.round] = message
            self._current.released.add((step_of(message), message.round))

    def _resume(self, record: ConsensusRecord) -> None:
        """Go on in the recorded round: send again what was sent, count it, and stand where the record says."""
        if self._mode is Mode.LIVE:
            for message in record.messages:
                self._emit(Broadcast(message=message, is_repeat=True))
        prepared = self._current.prepared
        if (
            prepared is not None
            and prepared.round == self._current.round
            and prepared.block_hash in self._current.bodies
        ):
            block = self._current.bodies[prepared.block_hash]
            self._current.accepted = Proposal(
                height=self.height,
                round=prepared.round,
                header=block.header,
                block=block,
                justification=None,
                author=prepared.proposal.author,
                signature=prepared.proposal.signature,
            )
            self._current.phase = Phase.COMMIT
            self._current.valid.add(block.hash)
        for message in record.messages:
            self._count_own(message)

    def _upon_block_timeout(self, height: Height) -> None:
        if height != self.height or self._current.has_begun:
            return
        self._current.has_begun = True
        if self._current.phase is Phase.WAITING:
            self._current.phase = Phase.PROPOSAL
        self._emit(
            RoundEntered(
                height=self.height, round=Round(0), proposer=self._current.electorate.proposer(Round(0))
            )
        )
        self._arm_round()
        self._try_propose()

    def _upon_round_timeout(self, height: Height, round_: Round) -> None:
        if (height, round_) != (self.height, self._current.round) or not self._takes_part():
            return
        if self._current.awaited is not None:
            # Decided already: only the body is missing, and no other round can change that.
            self._arm_round()
            return
        self._change_round(Round(round_ + 1))

    def _upon_resend_timeout(self, height: Height) -> None:
        if height != self.height:
            return
        if self._mode is Mode.LIVE:
            for message in self._current.sent_messages():
                self._emit(Broadcast(message=message, is_repeat=True))
            if self._current.round > 0 and self._tip.certificate is not None:
                # Whoever is one height behind gets here, and whoever has decided another block hears of ours.
                self._emit(Broadcast(message=Decision(certificate=self._tip.certificate), is_repeat=True))
        self._emit(StartResendTimer(height=self.height, after_ms=self._resend_ms()))

    def _upon_mode_changed(self, event: ModeChanged) -> None:
        was_live = self._mode is Mode.LIVE
        self._mode = event.mode
        if event.silent_until is not None:
            self._silent_until = event.silent_until
        if event.mode is not Mode.LIVE or was_live:
            return
        for message in self._current.sent_messages():
            self._emit(Broadcast(message=message, is_repeat=True))
        if self._current.has_begun:
            self._arm_round()
            self._announce_round()
            self._try_propose()
        else:
            self._prepare_payload()
        accepted = self._current.accepted
        if accepted is not None and accepted.block_hash in self._current.valid:
            self._upon_valid_proposal()

    def _upon_message(self, event: MessageReceived) -> None:
        message = event.message
        if isinstance(message, Decision):
            self._upon_decision(message.certificate, event.peer)
            return
        if not self.may_author(step_of(message), message.height, message.round, message.author):
            return
        if message.height > self.height:
            self._early.add(message, event.peer, current=self.height)
            behind = self._early.honest_height(self._current.electorate)
            if behind is not None and behind != self._current.told_behind:
                self._current.told_behind = behind
                self._emit(FallBehind(height=Height(behind - 1)))
        elif message.height < self.height:
            self._upon_past_message(message, event.peer)
        else:
            self._upon_current_message(message, event.peer)

    def _upon_current_message(self, message: SignedMessage, peer: str) -> None:
        match message:
            case Proposal():
                self._upon_proposal(message, peer)
            case Prepare():
                self._upon_prepare(message)
            case Commit():
                self._upon_commit(message)
            case RoundChange():
                self._upon_round_change(message, peer)

    def _upon_past_message(self, message: SignedMessage, peer: str) -> None:
        """Take late seals on the tip; help whoever is still busy with a decided height."""
        certificate = self._tip.certificate
        if message.height == self.height - 1 and not isinstance(message, RoundChange):
            if isinstance(message, Proposal):
                seen = self._seen_before.get(message.round)
                if seen is not None and seen.block_hash != message.block_hash:
                    self._emit_found(prove(seen, message, self._current))
            if (
                isinstance(message, Commit)
                and certificate is not None
                and (message.round, message.block_hash) == (certificate.round, certificate.block_hash)
                and message.author in self._tip.state.last_validators
            ):
                self._tip.seals.setdefault(message.author, message.signature)
            return
        self._emit(SendDecision(peer=peer, height=message.height))

    # --- proposals ---------------------------------------------------------------------------------------------------------------------

    def _upon_proposal(self, proposal: Proposal, peer: str) -> None:
        round_ = proposal.round
        if proposal.author != self._current.electorate.proposer(round_):
            return
        seen = self._current.seen.get(round_)
        if seen is not None and seen.block_hash != proposal.block_hash:
            self._emit_found(prove(seen, proposal, self._current))
            return
        if seen is not None or round_ < self._current.round:
            self._current.see(proposal)
            self._take_wanted_body(proposal.block)
            return
        try:
            verify_justification(proposal, self._current.electorate)
        except InvalidJustification as error:
            self._refuse(round_, proposal.block_hash, str(error))
            return
        block = proposal.block or self._current.bodies.get(proposal.block_hash)
        if block is not None:
            try:
                validate_block(block, state=self._tip.state, parent=self._tip.header, rules=self._rules)
            except InvalidInput as error:
                self._refuse(round_, proposal.block_hash, str(error))
                self._current.see(proposal)
                self._look_below(block)
                return
        is_fresh = proposal.justification is None or proposal.justification.prepared is None
        hold_ms = calculate_hold_ms(timestamp=proposal.header.timestamp, now_ms=self._now_ms)
        if is_fresh and hold_ms > 0:
            self._hold(proposal, peer, hold_ms)
            return
        if round_ > self._current.round:
            self._enter_round(round_)
        self._accept(replace(proposal, block=block))

    def _accept(self, proposal: Proposal) -> None:
        """Take the round's one proposal, whose body may still be missing."""
        assert proposal.round == self._current.round, (proposal.round, self._current.round)
        self._current.see(proposal)
        self._current.accepted = proposal
        self._current.phase = Phase.PREPARE
        if self._current.has_begun:
            after_ms = self._current.timeouts.round_ms(self._current.round)
            self._emit(ExtendRoundTimer(height=self.height, round=self._current.round, after_ms=after_ms))
        if proposal.block is not None:
            self._current.keep_body(proposal.block)
            self._check_body(proposal.block)
        else:
            self._request_body(proposal.block_hash, (proposal.author,))

    def _hold(self, proposal: Proposal, peer: str, hold_ms: int) -> None:
        """Come back to a proposal from a clock that is ahead of ours, once a round."""
        if self._current.held == (proposal.round, proposal.block_hash):
            return
        self._current.held = (proposal.round, proposal.block_hash)
        self._emit(HoldProposal(proposal=proposal, peer=peer, after_ms=hold_ms))

    def _upon_body(self, block: Block) -> None:
        if block.height == self.height:
            self._take_wanted_body(block)

    def _take_wanted_body(self, block: Block | None) -> None:
        """Use a body that somebody is waiting for: a certificate, the round's proposal, or our own proposal of a prepared block."""
        if block is None or block.hash in self._current.bodies or block.hash not in self._current.wanted:
            return
        awaited = self._current.awaited
        if awaited is not None and awaited.block_hash == block.hash:
            self._decide(awaited, block)
            return
        try:
            validate_block(block, state=self._tip.state, parent=self._tip.header, rules=self._rules)
        except InvalidInput as error:
            self._refuse(self._current.round, block.hash, str(error))
            self._look_below(block)
            return
        self._current.keep_body(block)
        accepted = self._current.accepted
        if accepted is not None and accepted.block_hash == block.hash:
            self._current.accepted = replace(accepted, block=block)
            self._check_body(block)
        self._try_propose()

    def _check_body(self, block: Block) -> None:
        if block.hash in self._current.valid:
            self._upon_valid_proposal()
        elif block.hash not in self._current.asked:
            self._current.asked.add(block.hash)
            self._emit(CheckBlock(block=block))

    def _upon_verdict(self, block_hash: Hash32, *, is_valid: bool) -> None:
        if block_hash not in self._current.asked:
            return
        if not is_valid:
            self._refuse(self._current.round, block_hash, "the execution client finds it invalid")
            return
        self._current.valid.add(block_hash)
        if self._current.accepted is not None and self._current.accepted.block_hash == block_hash:
            self._upon_valid_proposal()

    def _upon_valid_proposal(self) -> None:
        """Vote for the accepted proposal, whose body is here and valid."""
        accepted = self._current.accepted
        assert accepted is not None
        assert accepted.block_hash in self._current.valid
        if accepted.author != self._own and self._takes_part():
            digest = self._rules.domain.prepare(
                height=self.height, round=self._current.round, block_hash=accepted.block_hash
            )
            signature = self._sign(Step.PREPARE, self._current.round, digest)
            if signature is not None:
                self._send(self._vote(Prepare, self._current.round, accepted.block_hash, signature))
        self._check_prepared()

    # --- proposing ---------------------------------------------------------------------------------------------------------------------

    def _prepare_payload(self) -> None:
        """Begin to build before the slot comes, if round 0 is ours."""
        if (
            self._takes_part()
            and self._current.round == 0
            and self._current.electorate.proposer(Round(0)) == self._own
        ):
            self._emit(PreparePayload(height=self.height))

    def _try_propose(self) -> None:
        """Propose in the current round, if it is ours and all that it takes is here."""
        if (
            self._current.phase is not Phase.PROPOSAL
            or not self._takes_part()
            or self._current.electorate.proposer(self._current.round) != self._own
            or (Step.PROPOSAL, self._current.round) in self._current.own_messages
            or self._current.has_requested_payload
        ):
            return
        if self._current.round > 0 and self._current.basis is None:
            changes = self._current.round_changes.at(self._current.round)
            if not self._current.electorate.is_quorum(change.author for change in changes):
                return
            self._current.basis = make_justification(changes)
        prepared = self._current.basis.prepared if self._current.basis else None
        if prepared is None:
            self._current.has_requested_payload = True
            self._emit(RequestPayload(height=self.height, round=self._current.round))
            return
        block = self._current.bodies.get(prepared.block_hash)
        if block is None:
            holders = (prepared.proposal.author, *(seal.author for seal in prepared.prepares))
            self._request_body(prepared.block_hash, holders)
            return
        self._propose(block)

    def _upon_payload_built(self, event: PayloadBuilt) -> None:
        if (event.height, event.round) != (
            self.height,
            self._current.round,
        ) or not self._current.has_requested_payload:
            return
        assert self._own is not None
        tip, parameters = self._tip, self._rules.parameters
        vote = None
        if self._rules.quorum_rule is QuorumRule.AUTHORITY:
            vote = choose_vote(
                self._wishes,
                voter=self._own,
                validators=tip.state.validators,
                open_votes=tip.state.open_votes,
                epoch_block=parameters.is_epoch_start(self.height),
            )
        block = make_block(
            state=tip.state,
            parent=tip.header,
            rules=self._rules,
            execution_rlp=event.execution_rlp,
            requests=event.requests,
            parent_certificate=self._parent_certificate(),
            proposer=self._own,
            proposal_round=self._current.round,
            vote=vote,
        )
        self._current.asked.add(block.hash)
        self._current.valid.add(block.hash)
        self._propose(block)

    def _parent_certificate(self) -> Certificate | None:
        """Return the generous certificate: every valid seal on the tip that has come."""
        tip = self._tip
        if tip.certificate is None:
            return None
        return Certificate.of(
            height=tip.header.height,
            round=tip.certificate.round,
            block_hash=tip.header.hash,
            seals=tip.seals,
            validators=tip.state.last_validators,
        )

    def _propose(self, block: Block) -> None:
        digest = self._rules.domain.proposal(
            height=self.height, round=self._current.round, block_hash=block.hash
        )
        signature = self._sign(Step.PROPOSAL, self._current.round, digest)
        if signature is None or self._own is None:
            return
        self._current.keep_body(block)
        proposal = Proposal(
            height=self.height,
            round=self._current.round,
            header=block.header,
            block=block,
            justification=self._current.basis,
            author=self._own,
            signature=signature,
        )
        self._send(proposal)

    # --- prepares and commits ----------------------------------------------------------------------------------------------------------

    def _upon_prepare(self, prepare: Prepare) -> None:
        if (
            prepare.author not in self._current.electorate.validators
            or prepare.author == self._current.electorate.proposer(prepare.round)
        ):
            return
        other = self._current.prepares.add(prepare, current=self._current.round)
        if other is not None:
            self._emit_found(prove(other, prepare, self._current))
        elif prepare.round == self._current.round:
            self._check_prepared()

    def _check_prepared(self) -> None:
        accepted = self._current.accepted
        if (
            accepted is None
            or self._current.phase is not Phase.PREPARE
            or accepted.block_hash not in self._current.valid
        ):
            return
        prepares = self._current.prepares.seals(self._current.round, accepted.block_hash)
        if not self._current.electorate.is_quorum([accepted.author, *prepares]):
            return
        self._current.phase = Phase.COMMIT
        self._current.prepared = PreparedCertificate(
            round=self._current.round,
            block_hash=accepted.block_hash,
            proposal=Seal(author=accepted.author, signature=accepted.signature),
            prepares=tuple(Seal(author=author, signature=prepares[author]) for author in sorted(prepares)),
        )
        self._dirty = True
        if self._takes_part():
            self._sign_commit(self._current.round, accepted.block_hash)
        self._check_decided(self._current.round, accepted.block_hash)

    def _sign_commit(self, round_: Round, block_hash: Hash32) -> None:
        digest = self._rules.domain.commit(height=self.height, round=round_, block_hash=block_hash)
        signature = self._sign(Step.COMMIT, round_, digest)
        if signature is not None:
            self._send(self._vote(Commit, round_, block_hash, signature))

    def _upon_commit(self, commit: Commit) -> None:
        if commit.author not in self._current.electorate.validators:
            return
        other = self._current.commits.add(commit, current=self._current.round)
        if other is not None:
            self._emit_found(prove(other, commit, self._current))
            return
        self._check_decided(commit.round, commit.block_hash)

    def _check_decided(self, round_: Round, block_hash: Hash32) -> None:
        seals = self._current.commits.seals(round_, block_hash)
        if not self._current.electorate.is_quorum(seals):
            return
        certificate = Certificate.of(
            height=self.height,
            round=round_,
            block_hash=block_hash,
            seals=seals,
            validators=self._current.electorate.validators,
        )
        self._upon_certificate(certificate)

    # --- decisions ---------------------------------------------------------------------------------------------------------------------

    def _upon_decision(self, certificate: Certificate, peer: str) -> None:
        if certificate.height < self.height:
            self._compare(certificate, peer)
            return
        if certificate.height == self._current.told_behind:
            return
        try:
            self._verify_certificate(certificate, certificate.block_hash, ahead=True)
        except InvalidInput as error:
            if certificate.height == self.height:
                self._emit(ChargePeer(peer=peer, reason=str(error)))
            return
        if certificate.height == self.height:
            self._upon_certificate(certificate)
        else:
            # Verified with our set: a hint that only costs a request if the set has changed since.
            self._current.told_behind = certificate.height
            self._emit(FallBehind(height=certificate.height))

    def _upon_certificate(self, certificate: Certificate) -> None:
        """Decide what a verified certificate of this height says, as soon as the body is here."""
        awaited = self._current.awaited
        if awaited is not None and awaited.block_hash != certificate.block_hash:
            validators = self._current.electorate.validators
            self._halt_forked(Fork(validators=validators, ours=awaited, other=certificate))
            return
        block = self._current.bodies.get(certificate.block_hash)
        if block is not None:
            self._decide(certificate, block)
        elif awaited is None:
            self._current.awaited = certificate
            self._request_body(
                certificate.block_hash, certificate.addresses(self._current.electorate.validators)
            )

    def _upon_block_imported(self, block: Block, certificate: Certificate) -> None:
        if block.height != self.height:
            return
        try:
            self._verify_certificate(certificate, block.hash)
        except InvalidInput as error:
            self._refuse(certificate.round, block.hash, str(error))
            return
        self._decide(certificate, block, is_old=True)

    def _verify_certificate(
        self, certificate: Certificate, block_hash: Hash32, *, ahead: bool = False
    ) -> None:
        verify_certificate(
            certificate,
            height=certificate.height if ahead else self.height,
            block_hash=block_hash,
            validators=self._current.electorate.validators,
            rule=self._rules.quorum_rule,
            domain=self._rules.domain,
        )

    def _decide(self, certificate: Certificate, block: Block, *, is_old: bool = False) -> None:
        """Make a block the tip, whatever the local verdict, and begin the next height. The only way from one height to the next."""
        assert block.hash == certificate.block_hash, (block.hash, certificate.block_hash)
        try:
            validate_block(block, state=self._tip.state, parent=self._tip.header, rules=self._rules)
        except InvalidInput as error:
            self._look_below(block)
            self._halt(f"the decided block 0x{block.hash.hex()} breaks a rule: {error}")
            return
        round_ = certificate.round
        seals = self._current.commits.seals(round_, block.hash)
        signers = certificate.addresses(self._current.electorate.validators)
        seals.update(zip(signers, certificate.seals, strict=True))
        if self._own is not None and self._own not in seals and not is_old and self._may_seal():
            # The decision is durable before the seal leaves: both are in the one Persist below.
            self._sign_commit(round_, block.hash)
        state = next_state(self._tip.state, block, self._rules.parameters)
        self._tip = Tip(header=block.header, state=state, certificate=certificate, seals=seals)
        is_announced = self._mode is Mode.LIVE and self._own == self._current.electorate.proposer(round_)
        self._seen_before = self._current.seen
        self._current = self._begin_height()
        self._flush(
            Decided(block=block, certificate=certificate, state=state),
            is_announced=is_announced and not is_old,
        )
        self._arm_height()
        for message, peer in self._early.take(self.height):
            # One of these may decide; the rest is then for a past height.
            if message.height == self.height:
                self._upon_current_message(message, peer)

    # --- two blocks at one height ------------------------------------------------------------------------------------------------------

    def _compare(self, certificate: Certificate, peer: str) -> None:
        """Compare a certificate of a decided height with ours: the tip's here, an older one's where it is kept."""
        tip = self._tip
        if tip.certificate is None or certificate.height < 1:
            return
        if certificate.height < tip.certificate.height:
            self._emit(CompareDecided(certificate=certificate, peer=peer))
            return
        try:
            fork = prove_fork(
                tip.certificate, certificate, validators=tip.state.last_validators, rules=self._rules
            )
        except InvalidInput as error:
            self._emit(ChargePeer(peer=peer, reason=str(error)))
            return
        if fork is not None:
            self._halt_forked(fork)

    def _look_below(self, block: Block) -> None:
        """Halt if a block of this height follows another decided block than our tip, and proves it."""
        tip = self._tip
        fork = find_fork_below(
            block, tip.certificate, tip.header.hash, validators=tip.state.last_validators, rules=self._rules
        )
        if fork is not None:
            self._halt_forked(fork)

    def _halt_forked(self, fork: Fork) -> None:
        self._halt(fork.describe(), fork)

    def _halt(self, reason: str, fork: Fork | None = None) -> None:
        """Stop for good, with the first reason. What was signed and is not durable yet never leaves."""
        if self._mode is not Mode.HALTED:
            self._mode = Mode.HALTED
            self._emit(Halt(reason=reason, fork=fork))

    # --- round changes -----------------------------------------------------------------------------------------------------------------

    def _upon_round_change(self, change: RoundChange, peer: str) -> None:
        if change.author not in self._current.electorate.validators:
            return
        if change.round < self._current.round:
            self._answer_stale(change, peer)
            return
        if change.prepared is not None:
            try:
                verify_prepared(change.prepared, self._current.electorate, before=change.round)
            except InvalidJustification:
                return
            self._emit_found(compare_proposal(change.prepared, self._current))
        other = self._current.round_changes.add(change, current=self._current.round)
        if other is not None:
            self._emit_found(prove(other, change, self._current))
            return
        self._follow_round_changes()

    def _follow_round_changes(self) -> None:
        """Join the rounds that others are in: the F + 1 jump, which a quorum implies."""
        target = self._current.round_changes.jump_target(self._current.round, self._current.electorate)
        if target is not None:
            self._change_round(target)
        self._try_propose()

    def _answer_stale(self, change: RoundChange, peer: str) -> None:
        """Tell a straggler where we are, once for each of its rounds."""
        if self._current.answered.get(change.author, -1) >= change.round:
            return
        own = self._current.own_messages.get((Step.ROUND_CHANGE, self._current.round))
        if own is not None and (Step.ROUND_CHANGE, self._current.round) in self._current.released:
            self._current.answered[change.author] = change.round
            self._emit(Send(peer=peer, message=own))

    def _change_round(self, round_: Round) -> None:
        """Leave the current round for a later one, and say so."""
        self._enter_round(round_)
        self._announce_round()
        self._try_propose()

    def _announce_round(self) -> None:
        """Send the ROUND_CHANGE to the current round, if there is one to send."""
        prepared, round_ = self._current.prepared, self._current.round
        if round_ == 0 or not self._takes_part() or (prepared is not None and prepared.round >= round_):
            return
        claimed = (prepared.round, prepared.block_hash) if prepared else None
        digest = self._rules.domain.round_change(height=self.height, round=round_, prepared=claimed)
        signature = self._sign(Step.ROUND_CHANGE, round_, digest)
        if signature is not None and self._own is not None:
            self._send(
                RoundChange(
                    height=self.height,
                    round=round_,
                    prepared=prepared,
                    author=self._own,
                    signature=signature,
                )
            )

    def _enter_round(self, round_: Round) -> None:
        """Begin a later round; votes of earlier ones are never signed again."""
        self._current.enter_round(round_)
        self._dirty = True
        self._emit(
            RoundEntered(height=self.height, round=round_, proposer=self._current.electorate.proposer(round_))
        )
        self._arm_round()

    # --- durability --------------------------------------------------------------------------------------------------------------------

    def _takes_part(self) -> bool:
        """Tell whether this node votes at this height."""
        return (
            self._mode is Mode.LIVE
            and self._own in self._current.electorate.validators
            and self.height >= self._silent_until
        )

    def _may_seal(self) -> bool:
        """Tell whether a decided block may get our seal: also while the execution client is behind."""
        return (
            self._mode in {Mode.LIVE, Mode.CATCHING_UP}
            and self._own in self._current.electorate.validators
            and self.height >= self._silent_until
        )

    def _sign(self, step: Step, round_: Round, digest: Hash32) -> bytes | None:
        """Return the signature for something that was not signed before, None when it was or when the watermark forbids it."""
        if (step, round_) in self._current.own_messages or self._sign_digest is None:
            return None
        if not permits(self._watermark, height=self.height, round=round_, step=step, digest=digest):
            return None
        signature = self._sign_digest(digest)
        self._watermark = SignedStep(
            height=self.height, round=round_, step=step, digest=digest, signature=signature
        )
        self._steps.append(self._watermark)
        return signature

    def _vote(
        self, kind: type[Prepare] | type[Commit], round_: Round, block_hash: Hash32, signature: bytes
    ) -> Prepare | Commit:
        assert self._own is not None
        return kind(
            height=self.height, round=round_, block_hash=block_hash, author=self._own, signature=signature
        )

    def _send(self, message: SignedMessage) -> None:
        """Queue an own message; it leaves, and counts, when it is durable."""
        self._current.keep_own(message)
        self._unsent.append(message)
        self._dirty = True

    def _flush(self, decided: Decided | None = None, *, is_announced: bool = False) -> None:
        """Turn what has changed since the last Persist into the next one."""
        if self._mode is Mode.HALTED or not (self._dirty or self._steps or decided):
            return
        self._persist_number += 1
        prepared = self._current.prepared
        needed = [prepared.block_hash] if prepared else []
        needed += [
            message.block_hash
            for message in self._current.own_messages.values()
            if isinstance(message, Proposal | Prepare)
        ]
        bodies = []
        for block_hash in dict.fromkeys(needed):
            if block_hash in self._current.bodies and block_hash not in self._current.saved_bodies:
                self._current.saved_bodies.add(block_hash)
                bodies.append(self._current.bodies[block_hash])
        record = ConsensusRecord(
            height=self.height,
            round=self._current.round,
            prepared=prepared,
            messages=tuple(self._current.own_messages[key] for key in sorted(self._current.own_messages)),
        )
        self._emit(
            Persist(
                number=self._persist_number,
                signatures=tuple(self._steps),
                record=record,
                bodies=tuple(bodies),
                decided=decided,
            )
        )
        self._unreleased.append(
            _Unreleased(
                number=self._persist_number,
                messages=tuple(self._unsent),
                decided=decided,
                is_announced=is_announced,
            )
        )
        self._steps.clear()
        self._unsent.clear()
        self._dirty = False

    def _upon_persisted(self, number: int) -> None:
        while self._unreleased and self._unreleased[0].number <= number:
            released = self._unreleased.popleft()
            for message in released.messages:
                self._emit(Broadcast(message=message))
            if released.decided is not None:
                self._emit(Finalize(decided=released.decided))
                if released.is_announced:
                    decision = Decision(certificate=released.decided.certificate)
                    self._emit(Broadcast(message=decision))
            for message in released.messages:
                key = (step_of(message), message.round)
                if message.height == self.height:
                    if key in self._current.own_messages:
                        self._current.released.add(key)
                    self._count_own(message)
                elif isinstance(message, Commit):
                    self._upon_past_message(message, "")

    def _count_own(self, message: SignedMessage) -> None:
        """Take part in our own count with a durable message."""
        if message.height != self.height:
            return
        match message:
            case Proposal():
                if message.round == self._current.round and self._current.accepted is None:
                    self._accept(replace(message, block=self._current.bodies.get(message.block_hash)))
            case Prepare():
                self._upon_prepare(message)
            case Commit():
                self._upon_commit(message)
            case RoundChange():
                if message.round >= self._current.round:
                    self._current.round_changes.add(message, current=self._current.round)
                    self._follow_round_changes()

    # --- small parts -------------------------------------------------------------------------------------------------------------------

    def _begin_height(self) -> HeightState:
        """Return the start of the height after the tip."""
        return HeightState(
            electorate=Electorate.after(self._tip.state, self._rules.quorum_rule),
            timeouts=self._rules.parameters.fork(self._tip.header.timestamp).timeouts,
        )

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _emit_found(self, effect: Effect | None) -> None:
        if effect is not None:
            self._effects.append(effect)

    def _arm_height(self) -> None:
        parameters = self._rules.parameters
        due_s = calculate_due(
            parent_timestamp=self._tip.header.timestamp,
            genesis_time=parameters.genesis_time,
            period_s=parameters.period_s,
        )
        self._emit(StartBlockTimer(height=self.height, due_s=due_s))
        self._emit(StartResendTimer(height=self.height, after_ms=self._resend_ms()))
        self._prepare_payload()

    def _arm_round(self) -> None:
        """Start the round's timer at every entry: with the first deadline, or with the second when its proposal came early."""
        timeouts = self._current.timeouts
        after_ms = timeouts.propose_ms(self._current.round)
        if self._current.accepted is not None:
            after_ms = timeouts.round_ms(self._current.round)
        self._emit(StartRoundTimer(height=self.height, round=self._current.round, after_ms=after_ms))

    def _resend_ms(self) -> int:
        return min(self._current.timeouts.round_ms(self._current.round), RESEND_MS_MAX)

    def _request_body(self, block_hash: Hash32, holders: tuple[Address, ...]) -> None:
        if self._current.want_body(block_hash):
            self._emit(RequestBody(height=self.height, block_hash=block_hash, holders=holders))

    def _refuse(self, round_: Round, block_hash: Hash32, reason: str) -> None:
        self._emit(BlockRefused(height=self.height, round=round_, block_hash=block_hash, reason=reason))
