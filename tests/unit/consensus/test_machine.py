"""The core, step by step: what each input makes it do, and what it never does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from metanode.chain.header import ConsensusHeader
from metanode.consensus.effects import (
    BlockRefused,
    Broadcast,
    ChargePeer,
    CheckBlock,
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
    SaveEvidence,
    Send,
    SendDecision,
    StartBlockTimer,
    StartRoundTimer,
)
from metanode.consensus.evidence import Evidence
from metanode.consensus.height import BODIES_MAX, Phase
from metanode.consensus.inputs import (
    BlockImported,
    BlockTimeout,
    BodyReceived,
    Mode,
    ModeChanged,
    PayloadBuilt,
    PayloadMissed,
    Persisted,
    ResendTimeout,
    RoundTimeout,
    VerdictGiven,
)
from metanode.consensus.messages import Commit, Decision, Prepare, Proposal, RoundChange, Step
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.watermark import SignedStep
from metanode.crypto.secp256k1 import recover_address
from metanode.primitives.types import Hash32, Height, Round


def sent(effects: Sequence[Effect], kind: type | None = None) -> list:
    """The messages broadcast for the first time."""
    found = [e.message for e in effects if isinstance(e, Broadcast) and not e.is_repeat]
    return [m for m in found if kind is None or isinstance(m, kind)]


def of(effects: Sequence[Effect], kind: type) -> list:
    return [effect for effect in effects if isinstance(effect, kind)]


def begin(bench, index: int, **kwargs: object):
    """A core in round 0 of height 1, whose slot has come."""
    node = bench.core(index, **kwargs)
    node.give(BlockTimeout(height=Height(1)))
    return node


def prepare_block(node, block, round_: int = 0) -> list[Effect]:
    """Bring a core that is not the proposer to its PREPARE."""
    effects = node.hear(node.bench.proposal(block, round_))
    return effects + node.give(VerdictGiven(block_hash=block.hash, is_valid=True))


# --- the normal case, as a table -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepCase:
    desc: str
    give: Callable
    sends: tuple[type, ...]
    phase: Phase
    height: int = 1


def test_a_validator_goes_through_the_phases_of_a_height(bench):
    block = bench.block()
    node = bench.core(3)
    steps = [
        StepCase(
            desc="the slot comes",
            give=lambda: node.give(BlockTimeout(height=Height(1))),
            sends=(),
            phase=Phase.PROPOSAL,
        ),
        StepCase(
            desc="a prepare before its proposal is kept",
            give=lambda: node.hear(bench.prepare(1, block.hash)),
            sends=(),
            phase=Phase.PROPOSAL,
        ),
        StepCase(
            desc="the proposal is given to the execution client, not voted for",
            give=lambda: node.hear(bench.proposal(block)),
            sends=(),
            phase=Phase.PREPARE,
        ),
        StepCase(
            desc="the valid proposal is prepared; with the proposer's and the kept one that is a quorum",
            give=lambda: node.give(VerdictGiven(block_hash=block.hash, is_valid=True)),
            sends=(Prepare, Commit),
            phase=Phase.COMMIT,
        ),
        StepCase(
            desc="one commit of another is no quorum with the own one",
            give=lambda: node.hear(bench.commit(0, block.hash)),
            sends=(),
            phase=Phase.COMMIT,
        ),
        StepCase(
            desc="the third commit decides",
            give=lambda: node.hear(bench.commit(1, block.hash)),
            sends=(),
            phase=Phase.WAITING,
            height=2,
        ),
    ]
    for step in steps:
        effects = step.give()
        assert tuple(type(m) for m in sent(effects)) == step.sends, step.desc
        assert node.core.snapshot.phase is step.phase, step.desc
        assert node.core.height == step.height, step.desc


def test_the_proposer_proposes_and_sends_no_prepare(bench):
    node = bench.core(0)
    assert of(node.started, PreparePayload), "the build begins before the slot"
    assert of(node.give(BlockTimeout(height=Height(1))), RequestPayload)
    block = bench.block()
    effects = node.give(
        PayloadBuilt(height=Height(1), round=Round(0), execution_rlp=block.execution_rlp, requests=())
    )
    (proposal,) = sent(effects)
    assert isinstance(proposal, Proposal)
    assert node.core.snapshot.prepare_weight == 1
    effects = node.hear(bench.prepare(1, proposal.block_hash), bench.prepare(2, proposal.block_hash))
    assert [type(m) for m in sent(effects)] == [Commit]


def test_a_proposer_without_a_payload_proposes_nothing(bench):
    node = begin(bench, 0)
    assert node.give(PayloadMissed(height=Height(1), round=Round(0))) == []
    assert not of(node.give(BlockTimeout(height=Height(1))), RequestPayload)


def test_a_single_validator_decides_alone(make_bench):
    bench = make_bench(1)
    node = begin(bench, 0)
    block = bench.block()
    effects = node.give(
        PayloadBuilt(height=Height(1), round=Round(0), execution_rlp=block.execution_rlp, requests=())
    )
    assert [type(m) for m in sent(effects)] == [Proposal, Commit, Decision]
    assert node.core.height == 2


# --- durability ----------------------------------------------------------------------------------------------------------------------------


def test_nothing_leaves_before_it_is_durable_and_then_in_order(bench):
    node = begin(bench, 3)
    node.is_durable = False
    block = bench.block()
    effects = prepare_block(node, block) + node.hear(bench.prepare(1, block.hash))
    persists = of(effects, Persist)
    assert sent(effects) == []
    assert [step.step for persist in persists for step in persist.signatures] == [Step.PREPARE]
    effects = node.core.handle(Persisted(number=persists[-1].number))
    assert [type(m) for m in sent(effects)] == [Prepare]


def test_an_own_vote_counts_only_when_it_is_durable(bench):
    node = begin(bench, 3)
    node.is_durable = False
    block = bench.block()
    prepare_block(node, block)
    assert node.core.snapshot.prepare_weight == 1, "the proposer's only"
    node.core.handle(Persisted(number=node.persisted[-1].number))
    assert node.core.snapshot.prepare_weight == 2


def test_a_commit_is_persisted_with_its_prepared_certificate_and_the_block(bench):
    node = begin(bench, 3)
    block = bench.block()
    prepare_block(node, block)
    node.hear(bench.prepare(1, block.hash))
    last = node.persisted[-1]
    assert [step.step for step in last.signatures] == [Step.COMMIT]
    assert last.record.prepared is not None
    assert last.record.prepared.block_hash == block.hash
    assert block in [body for persist in node.persisted for body in persist.bodies]


def test_a_decision_is_durable_before_it_is_final(bench):
    node = begin(bench, 3)
    block = bench.block()
    prepare_block(node, block)
    node.hear(bench.prepare(1, block.hash))
    node.is_durable = False
    effects = node.hear(bench.commit(0, block.hash), bench.commit(1, block.hash))
    (persist,) = of(effects, Persist)
    assert persist.decided is not None
    assert persist.record.height == 2
    assert not of(effects, Finalize)
    assert of(node.core.handle(Persisted(number=persist.number)), Finalize)


# --- proposals -----------------------------------------------------------------------------------------------------------------------------


def test_the_first_authentic_proposal_extends_the_deadline_once(bench):
    node = begin(bench, 3)
    block = bench.block()
    (extended,) = of(node.hear(bench.proposal(block)), ExtendRoundTimer)
    assert extended.after_ms == 4_000
    assert not of(node.hear(bench.proposal(block)), ExtendRoundTimer)


def test_a_proposal_before_our_slot_is_judged_at_once_and_has_the_long_deadline(bench):
    node = bench.core(3)
    block = bench.block()
    effects = prepare_block(node, block)
    assert [type(m) for m in sent(effects)] == [Prepare]
    (timer,) = of(node.give(BlockTimeout(height=Height(1))), StartRoundTimer)
    assert timer.after_ms == 4_000


@pytest.mark.parametrize(("ahead_ms", "hold_ms"), [(0, 0), (1_000, 0), (1_001, 1), (3_000, 2_000)])
def test_a_fresh_proposal_over_1_s_ahead_of_the_clock_is_held(bench, ahead_ms, hold_ms):
    node = begin(bench, 3)
    block = bench.block()
    effects = node.hear(bench.proposal(block), now_ms=block.header.timestamp * 1000 - ahead_ms)
    held = [effect.after_ms for effect in of(effects, HoldProposal)]
    assert held == ([hold_ms] if hold_ms else [])
    assert bool(of(effects, CheckBlock)) == (not hold_ms)


def test_a_block_proposed_again_keeps_its_time_and_is_not_held(bench):
    block = bench.block(timestamp=bench.header.timestamp + 60)
    justification = bench.justification(1, {0: bench.prepared(block.hash)})
    node = begin(bench, 3)
    effects = node.hear(bench.proposal(block, 1, justification=justification))
    assert not of(effects, HoldProposal)
    assert of(effects, CheckBlock)
    assert node.core.round == 1


def test_a_second_proposal_is_evidence_and_gets_no_vote(bench):
    node = begin(bench, 3)
    block, other = bench.block(), bench.block(recipient=2)
    prepare_block(node, block)
    effects = node.hear(bench.proposal(other))
    (saved,) = of(effects, SaveEvidence)
    assert isinstance(saved.evidence, Evidence)
    assert saved.evidence.author == bench.keys[0].address
    assert {saved.evidence.first.block_hash, saved.evidence.second.block_hash} == {block.hash, other.hash}
    assert sent(effects) == []
    assert not of(node.hear(bench.proposal(other)), SaveEvidence), "once for each place"


def test_the_proof_of_a_second_proposal_is_checkable_by_anyone(bench):
    node = begin(bench, 3)
    prepare_block(node, bench.block())
    (saved,) = of(node.hear(bench.proposal(bench.block(recipient=2))), SaveEvidence)
    evidence = saved.evidence
    for content in (evidence.first, evidence.second):
        digest = content.digest(bench.domain, evidence.height)
        assert recover_address(digest, content.signature) == evidence.author


def test_a_foreign_prepared_certificate_shows_who_proposed_twice(bench):
    node = begin(bench, 3)
    prepare_block(node, bench.block())
    other = bench.block(recipient=2)
    effects = node.hear(bench.round_change(1, 1, bench.prepared(other.hash)))
    (saved,) = of(effects, SaveEvidence)
    assert saved.evidence.author == bench.keys[0].address


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_proposal_of_another_than_the_rounds_proposer_is_ignored(bench, index):
    node = begin(bench, 3)
    assert node.hear(bench.proposal(bench.block(), key=bench.keys[index])) == []


def test_an_invalid_verdict_gets_no_vote_and_the_round_goes_on_to_its_end(bench):
    node = begin(bench, 3)
    block = bench.block()
    node.hear(bench.proposal(block))
    effects = node.give(VerdictGiven(block_hash=block.hash, is_valid=False))
    assert sent(effects) == []
    assert of(effects, BlockRefused)
    effects = node.hear(bench.prepare(1, block.hash), bench.prepare(2, block.hash))
    assert sent(effects) == [], "a quorum of others does not make us commit to what our client calls invalid"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_tag", Hash32(b"\x01" * 32)),
        ("parent_hash", Hash32(b"\x01" * 32)),
        ("validators_hash", Hash32(b"\x01" * 32)),
        ("next_validators_hash", Hash32(b"\x01" * 32)),
        ("consensus_state_root", Hash32(b"\x01" * 32)),
        ("evidence_root", Hash32(b"\x01" * 32)),
        ("version", 2),
    ],
)
def test_a_proposal_whose_header_breaks_a_rule_is_refused_before_the_client_is_asked(bench, field, value):
    node = begin(bench, 3)
    block = bench.block()
    header = replace(block.header, **{field: value})
    assert isinstance(header, ConsensusHeader)
    broken = replace(block, header=header)
    effects = node.hear(bench.proposal(broken))
    assert of(effects, BlockRefused)
    assert not of(effects, CheckBlock)
    assert not of(effects, ExtendRoundTimer)


def test_a_proposal_without_its_body_is_fetched_and_voted_for(bench):
    node = begin(bench, 3)
    block = bench.block()
    effects = node.hear(replace(bench.proposal(block), block=None))
    (request,) = of(effects, RequestBody)
    assert request.block_hash == block.hash
    assert of(node.give(BodyReceived(block=block)), CheckBlock)
    assert [type(m) for m in sent(node.give(VerdictGiven(block_hash=block.hash, is_valid=True)))] == [Prepare]


# --- round changes -------------------------------------------------------------------------------------------------------------------------


def test_a_round_without_a_decision_ends_in_one_round_change_without_a_certificate(bench):
    node = begin(bench, 3)
    (change,) = sent(node.give(RoundTimeout(height=Height(1), round=Round(0))))
    assert isinstance(change, RoundChange)
    assert (change.round, change.prepared) == (1, None)
    assert node.give(RoundTimeout(height=Height(1), round=Round(0))) == [], "an old deadline means nothing"


def test_a_round_change_carries_the_highest_prepared_certificate(bench):
    node = begin(bench, 3)
    block = bench.block()
    prepare_block(node, block)
    node.hear(bench.prepare(1, block.hash))
    (change,) = sent(node.give(RoundTimeout(height=Height(1), round=Round(0))))
    assert change.prepared is not None
    assert change.prepared.block_hash == block.hash
    (change,) = sent(node.give(RoundTimeout(height=Height(1), round=Round(1))))
    assert change.prepared is not None, "it is kept for every later round"


@pytest.mark.parametrize("round_", [0, 1, 2, 3, 5, 7, 40])
def test_deadlines_double_up_to_their_cap_and_every_round_that_a_quorum_is_in_has_one(bench, round_):
    node = begin(bench, 3)
    effects: list[Effect] = []
    for old in range(round_):
        effects = node.give(RoundTimeout(height=Height(1), round=Round(old)))
        effects += node.hear(bench.round_change(0, old + 1)) + node.hear(bench.round_change(1, old + 1))
    if round_:
        *_, timer = of(effects, StartRoundTimer)
        assert (timer.round, timer.after_ms) == (round_, min(1_000 * 2**round_, 32_000))


@pytest.mark.parametrize(
    ("heard", "has_deadline"),
    [
        ((), False),
        ((("change", 0, 1),), False),
        ((("change", 0, 1), ("change", 0, 2)), False),
        ((("change", 0, 1), ("change", 1, 1)), True),
        ((("change", 0, 9), ("change", 1, 1)), True),
        ((("prepare", 0, 1), ("change", 2, 1)), True),
        ((("commit", 0, 1), ("change", 2, 1)), True),
        ((("prepare", 0, 0), ("change", 2, 1)), False),
    ],
    ids=[
        "nobody else",
        "one",
        "one twice",
        "a quorum",
        "one beyond it",
        "one has prepared in it",
        "one has committed in it",
        "one has voted in the round before",
    ],
)
def test_a_later_round_ends_only_when_a_quorum_has_come_to_it(bench, heard, has_deadline):
    """Else whoever is left alone would go on, and be rounds ahead of those who come back, who follow nobody that might lie."""
    node = begin(bench, 3)
    effects = node.give(RoundTimeout(height=Height(1), round=Round(0)))
    block_hash = bench.block().hash
    for kind, index, round_ in heard:
        match kind:
            case "change":
                effects += node.hear(bench.round_change(index, round_))
            case "prepare":
                effects += node.hear(bench.prepare(index, block_hash, round_))
            case "commit":
                effects += node.hear(bench.commit(index, block_hash, round_))
    assert node.core.round == 1
    assert of(effects, StartRoundTimer)[-1].after_ms == (2_000 if has_deadline else 32_000)
    assert node.core.is_round_shared is has_deadline


def test_whoever_is_alone_goes_on_after_a_wait_that_grows_fourfold(bench):
    """Else a state that no rule foresaw would last for ever, as one in which a watermark forbids to speak in the round, or peers have no use for a repeated message."""
    node = begin(bench, 3)
    effects = node.give(RoundTimeout(height=Height(1), round=Round(0)))
    waits = []
    for round_ in range(1, 4):
        waits += [timer.after_ms for timer in of(effects, StartRoundTimer)]
        effects = node.give(RoundTimeout(height=Height(1), round=Round(round_)))
        assert [change.round for change in sent(effects, RoundChange)] == [round_ + 1]
    assert waits == [32_000, 128_000, 512_000]


@pytest.mark.parametrize(("round_", "wait_ms"), [(1, 32_000), (2, 128_000), (4, 2_048_000), (40, 8_192_000)])
def test_who_is_started_again_in_a_later_round_waits_alone_as_if_it_had_left_the_others_alone(
    bench, round_, wait_ms
):
    """Else a validator that is alone and restarts every minute is soon rounds ahead of those who come back."""
    record = ConsensusRecord(height=Height(1), round=Round(round_), prepared=None, messages=())
    node = bench.core(3, record=record)
    assert [timer.after_ms for timer in of(node.started, StartRoundTimer)] == [wait_ms]


def test_who_may_sign_nothing_in_its_round_speaks_in_the_next_one(bench):
    """Its record is lost, its watermark is not: nobody hears it in this round, and it would wait in it for ever."""
    mark = SignedStep(
        height=Height(1), round=Round(2), step=Step.PREPARE, digest=Hash32(b"\x01" * 32), signature=bytes(65)
    )
    node = bench.core(3, watermark=mark)
    assert node.core.round == 2
    assert sent(node.started) == []
    effects = node.give(RoundTimeout(height=Height(1), round=Round(2)))
    assert [change.round for change in sent(effects, RoundChange)] == [3]


def test_a_wait_alone_is_as_long_as_before_when_a_quorum_had_come_in_between(bench):
    """What grows is the number of rounds in which nobody came, not the number of the round."""
    node = begin(bench, 3)
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    for round_ in range(1, 6):
        node.hear(bench.round_change(0, round_))
        node.hear(bench.round_change(1, round_))
        effects = node.give(RoundTimeout(height=Height(1), round=Round(round_)))
    (timer,) = of(effects, StartRoundTimer)
    assert (timer.round, timer.after_ms) == (6, 32_000)


def test_a_justified_proposal_brings_a_later_round_its_deadline(bench):
    node = begin(bench, 3)
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    effects = node.hear(bench.proposal(bench.block(1), 1, justification=bench.justification(1)))
    (timer,) = of(effects, StartRoundTimer)
    assert (timer.round, timer.after_ms) == (1, 8_000)


def test_a_deadline_begins_when_the_quorum_is_there_and_once(bench):
    node = begin(bench, 3)
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    node.hear(bench.round_change(0, 1))
    assert of(node.hear(bench.round_change(1, 1)), StartRoundTimer)
    assert not of(node.hear(bench.round_change(2, 1)), StartRoundTimer)


@pytest.mark.parametrize(
    ("wanted", "jumps_to"),
    [
        ({0: 1}, None),
        ({0: 5, 1: 3}, 3),
        ({0: 5, 1: 3, 2: 9}, 5),
        ({0: 2**40, 1: 1}, 1),
    ],
    ids=[
        "one is not enough",
        "the second highest",
        "the second highest of three",
        "a liar cannot pull us up",
    ],
)
def test_the_f_plus_1_rule_jumps_to_a_round_that_somebody_honest_wants(bench, wanted, jumps_to):
    node = begin(bench, 3)
    effects = node.hear(*(bench.round_change(index, round_) for index, round_ in wanted.items()))
    changes = sent(effects, RoundChange)
    assert node.core.round == (jumps_to or 0)
    assert [change.round for change in changes] == ([jumps_to] if jumps_to else []) or changes[
        -1
    ].round == jumps_to
    if jumps_to:
        assert of(effects, StartRoundTimer)[-1].round == jumps_to, "the deadline is the new round's"


def test_the_proposer_of_a_later_round_proposes_a_fresh_block_when_nobody_prepared_one(bench):
    node = begin(bench, 1)
    effects = node.hear(bench.round_change(2, 1), bench.round_change(3, 1))
    assert [type(m) for m in sent(effects)] == [RoundChange]
    assert of(effects, RequestPayload), "own and two others are a quorum"
    block = bench.block(1)
    effects = node.give(
        PayloadBuilt(height=Height(1), round=Round(1), execution_rlp=block.execution_rlp, requests=())
    )
    (proposal,) = sent(effects)
    assert proposal.justification is not None
    assert len(proposal.justification.claims) == 3
    assert begin(bench, 3).hear(proposal), "others accept it"


def test_the_proposer_of_a_later_round_proposes_the_highest_prepared_block_unchanged(bench):
    block, other = bench.block(), bench.block(1, recipient=2)
    node = begin(bench, 3)
    low, high = bench.prepared(block.hash, 0), bench.prepared(other.hash, 1)
    effects = node.hear(bench.round_change(0, 3, low), bench.round_change(2, 3, high))
    (request,) = of(effects, RequestBody)
    assert request.block_hash == other.hash
    (proposal,) = sent(node.give(BodyReceived(block=other)), Proposal)
    assert proposal.block == other
    assert proposal.justification.prepared == high


def test_a_justified_proposal_of_a_later_round_takes_us_along_and_we_vote_there(bench):
    node = begin(bench, 3)
    block = bench.block(2)
    effects = prepare_block_justified(node, block, 2, bench.justification(2))
    (prepare,) = sent(effects, Prepare)
    assert prepare.round == 2
    assert of(effects, StartRoundTimer)[-1].round == 2


def prepare_block_justified(node, block, round_, justification) -> list[Effect]:
    effects = node.hear(node.bench.proposal(block, round_, justification=justification))
    return effects + node.give(VerdictGiven(block_hash=block.hash, is_valid=True))


def test_another_block_that_a_quorum_justifies_is_accepted_against_our_own_certificate(bench):
    node = begin(bench, 3)
    block = bench.block()
    prepare_block(node, block)
    node.hear(bench.prepare(1, block.hash))
    other = bench.block(1, recipient=2)
    effects = prepare_block_justified(node, other, 1, bench.justification(1))
    (prepare,) = sent(effects, Prepare)
    assert prepare.block_hash == other.hash


def test_an_entered_round_ends_voting_in_the_rounds_before(bench):
    node = begin(bench, 3)
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    block = bench.block()
    assert sent(prepare_block(node, block)) == []


def test_a_round_change_with_a_false_certificate_is_rejected_whole(bench):
    node = begin(bench, 3)
    false = bench.prepared(bench.block().hash, 0, by=(1,))
    effects = node.hear(bench.round_change(0, 1, false), bench.round_change(1, 1))
    assert node.core.round == 0
    assert sent(effects) == []


def test_a_straggler_is_told_where_we_are_once_for_each_of_its_rounds(bench):
    node = begin(bench, 3)
    node.hear(bench.round_change(0, 4), bench.round_change(1, 4))
    assert node.core.round == 4
    (answer,) = of(node.hear(bench.round_change(2, 1)), Send)
    assert answer.message.round == 4
    assert not of(node.hear(bench.round_change(2, 1)), Send)
    assert of(node.hear(bench.round_change(2, 2)), Send)


def test_own_messages_of_the_height_are_sent_again(bench):
    node = begin(bench, 3)
    block = bench.block()
    prepare_block(node, block)
    node.hear(bench.prepare(1, block.hash))
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    effects = node.give(ResendTimeout(height=Height(1)))
    again = [e.message for e in effects if isinstance(e, Broadcast) and e.is_repeat]
    assert [type(m) for m in again] == [RoundChange, Prepare, Commit]


# --- deciding ------------------------------------------------------------------------------------------------------------------------------


def test_commits_of_an_old_round_decide_after_the_round_was_left(bench):
    node = begin(bench, 3)
    block = bench.block()
    prepare_block(node, block)
    for round_ in range(3):
        node.give(RoundTimeout(height=Height(1), round=Round(round_)))
    effects = node.hear(*(bench.commit(i, block.hash) for i in range(3)))
    (final,) = of(effects, Finalize)
    assert final.decided.certificate.round == 0


def test_a_certificate_decides_whatever_our_client_said_and_gets_our_seal(bench):
    node = begin(bench, 3)
    block = bench.block()
    node.hear(bench.proposal(block))
    effects = node.hear(Decision(certificate=bench.certificate(block.hash)))
    assert node.core.height == 2
    (seal,) = sent(effects, Commit)
    assert (seal.height, seal.round) == (1, 0)
    assert bench.keys[3].address in node.core.tip.seals


def test_no_seal_for_a_round_that_was_left(bench):
    node = begin(bench, 3)
    block = bench.block()
    node.hear(bench.proposal(block))
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    effects = node.hear(Decision(certificate=bench.certificate(block.hash)))
    assert node.core.height == 2
    assert sent(effects, Commit) == []


def test_a_certificate_without_its_body_waits_for_it_and_ends_the_changing_of_rounds(bench):
    node = begin(bench, 3)
    block = bench.block()
    (request,) = of(node.hear(Decision(certificate=bench.certificate(block.hash))), RequestBody)
    assert set(request.holders) == {bench.keys[i].address for i in range(3)}
    assert sent(node.give(RoundTimeout(height=Height(1), round=Round(0)))) == []
    assert of(node.give(BodyReceived(block=block)), Finalize)


def test_the_body_of_a_decision_is_awaited_whatever_else_is_asked_for_meanwhile(bench):
    """Others who have not heard of the decision go on to later rounds, and propose blocks whose bodies we miss as well."""
    node = begin(bench, 3)
    decided = bench.block()
    node.hear(Decision(certificate=bench.certificate(decided.hash)))
    for round_ in range(1, 2 * BODIES_MAX):
        fresh = bench.proposal(bench.block(round_), round_, justification=bench.justification(round_))
        assert of(node.hear(replace(fresh, block=None)), RequestBody) or round_ % 4 == 3
    assert of(node.give(BodyReceived(block=decided)), Finalize)


@pytest.mark.parametrize("by", [(0, 1), (0,), ()])
def test_a_certificate_below_a_quorum_decides_nothing(bench, by):
    node = begin(bench, 3)
    block = bench.block()
    node.hear(bench.proposal(block))
    effects = node.hear(Decision(certificate=bench.certificate(block.hash, by=by)))
    assert [type(effect) for effect in effects] == [ChargePeer], "and its sender is charged"
    assert node.core.height == 1


def test_late_commits_for_the_tip_go_into_the_next_certificate(bench):
    node = begin(bench, 1)
    block = bench.block()
    node.hear(bench.proposal(block), Decision(certificate=bench.certificate(block.hash, by=(0, 2, 3))))
    assert len(node.core.tip.seals) == 4, "the own one was added"
    node = begin(bench, 1, mode=Mode.SYNCING)
    node.hear(bench.proposal(block), Decision(certificate=bench.certificate(block.hash, by=(0, 1, 2))))
    node.hear(bench.commit(3, block.hash))
    assert len(node.core.tip.seals) == 4
    node.hear(bench.commit(2, bench.block(recipient=2).hash))
    assert len(node.core.tip.seals) == 4


def test_a_late_commit_to_another_block_proves_who_sealed_both(bench):
    node = begin(bench, 1)
    block, other = bench.block(), bench.block(recipient=2)
    node.hear(bench.proposal(block), Decision(certificate=bench.certificate(block.hash, by=(0, 2, 3))))
    (saved,) = of(node.hear(bench.commit(2, other.hash)), SaveEvidence)
    evidence = saved.evidence
    assert evidence.author == bench.keys[2].address
    for content, block_hash in ((evidence.first, block.hash), (evidence.second, other.hash)):
        assert content.block_hash == block_hash
        digest = content.digest(bench.domain, evidence.height)
        assert recover_address(digest, content.signature) == evidence.author
    assert not of(node.hear(bench.commit(2, other.hash)), SaveEvidence), "once for each place"
    assert not of(node.hear(bench.commit(3, other.hash, 1)), SaveEvidence), "another round is no proof"


def test_a_decided_block_that_breaks_a_rule_halts_the_node(bench):
    node = begin(bench, 3)
    block = bench.block()
    broken = replace(block, header=replace(block.header, consensus_state_root=Hash32(b"\x01" * 32)))
    effects = node.give(BlockImported(block=broken, certificate=bench.certificate(broken.hash)))
    assert of(effects, Halt)
    assert node.core.height == 1


def test_the_next_height_begins_with_its_own_timer(bench):
    node = begin(bench, 3)
    block = bench.block()
    effects = node.give(BlockImported(block=block, certificate=bench.certificate(block.hash)))
    (timer,) = of(effects, StartBlockTimer)
    assert (timer.height, timer.due_s) == (2, block.header.timestamp + 2)


def test_messages_that_came_early_count_when_their_height_begins(bench):
    node = begin(bench, 3)
    block = bench.block()
    change = bench.round_change(0, 1, height=2), bench.round_change(1, 1, height=2)
    assert node.hear(*change) == []
    node.give(BlockImported(block=block, certificate=bench.certificate(block.hash)))
    assert (node.core.height, node.core.round) == (2, 1)


# --- heights of others ---------------------------------------------------------------------------------------------------------------------


def test_somebody_honest_two_heights_ahead_means_that_we_are_behind(bench):
    node = begin(bench, 3)
    assert not of(node.hear(bench.commit(0, Hash32(b"\x01" * 32), height=2)), FallBehind)
    assert not of(node.hear(bench.commit(0, Hash32(b"\x01" * 32), height=900)), FallBehind), "one may lie"
    (behind,) = of(node.hear(bench.commit(1, Hash32(b"\x01" * 32), height=50)), FallBehind)
    assert behind.height == 49


def test_a_straggler_of_a_past_height_gets_its_certificate(bench):
    node = begin(bench, 3)
    block = bench.block()
    node.give(BlockImported(block=block, certificate=bench.certificate(block.hash)))
    (answer,) = of(node.hear(bench.round_change(0, 1)), SendDecision)
    assert (answer.peer, answer.height) == ("peer", 1)
    assert not of(node.hear(bench.prepare(1, block.hash)), SendDecision), "late votes for the tip are usual"


# --- modes ---------------------------------------------------------------------------------------------------------------------------------


def play_everything(node) -> list[Effect]:
    block = node.bench.block()
    effects = node.give(BlockTimeout(height=Height(1))) + prepare_block(node, block)
    effects += node.hear(node.bench.prepare(1, block.hash), node.bench.prepare(2, block.hash))
    return effects + node.give(RoundTimeout(height=Height(1), round=Round(0)))


@pytest.mark.parametrize("mode", [Mode.SYNCING, Mode.CATCHING_UP])
def test_a_node_that_is_not_live_signs_nothing(bench, mode):
    assert sent(play_everything(bench.core(3, mode=mode))) == []
    assert sent(play_everything(bench.core(3))) != []


def test_below_the_height_it_is_told_a_node_signs_nothing(bench):
    assert sent(play_everything(bench.core(3, silent_until=Height(2)))) == []


def test_a_live_proposer_that_may_sign_again_proposes_in_the_round_that_runs(bench):
    node = bench.core(0, silent_until=Height(2))
    assert node.core.electorate.proposer(Round(0)) == node.core.own
    assert not of(node.give(BlockTimeout(height=Height(1))), RequestPayload)
    assert of(node.give(ModeChanged(mode=Mode.LIVE, silent_until=Height(1))), RequestPayload)
    assert not of(node.give(ModeChanged(mode=Mode.LIVE, silent_until=Height(1))), RequestPayload), "once"


def test_a_node_that_catches_up_seals_a_decided_block_and_one_that_syncs_does_not(bench):
    block = bench.block()
    decision = Decision(certificate=bench.certificate(block.hash))
    for mode, seals in ((Mode.CATCHING_UP, 1), (Mode.SYNCING, 0)):
        node = begin(bench, 3, mode=mode)
        node.hear(bench.proposal(block))
        assert len(sent(node.hear(decision), Commit)) == seals, mode


def test_a_node_that_becomes_live_in_the_middle_of_a_round_votes(bench):
    node = begin(bench, 3, mode=Mode.SYNCING)
    block = bench.block()
    assert sent(prepare_block(node, block)) == []
    effects = node.give(ModeChanged(mode=Mode.LIVE))
    assert [type(m) for m in sent(effects)] == [Prepare]
    assert of(effects, StartRoundTimer)


def test_the_watermark_of_an_earlier_life_forbids_another_vote_in_its_place(bench):
    block, other = bench.block(), bench.block(recipient=2)
    vote = bench.prepare(3, block.hash)
    mark = SignedStep(
        height=Height(1),
        round=Round(0),
        step=Step.PREPARE,
        digest=bench.domain.prepare(height=Height(1), round=Round(0), block_hash=block.hash),
        signature=vote.signature,
    )
    assert sent(prepare_block(begin(bench, 3, watermark=mark), other)) == []
    assert sent(prepare_block(begin(bench, 3, watermark=mark), block)) == [vote], "the same again is allowed"


# --- restarts ------------------------------------------------------------------------------------------------------------------------------


def restart(node, index: int):
    """The core of the next life, with what the last one made durable."""
    last = node.persisted[-1]
    steps = [step for persist in node.persisted for step in persist.signatures]
    bodies = [body for persist in node.persisted for body in persist.bodies]
    return node.bench.core(index, record=last.record, bodies=bodies, watermark=steps[-1] if steps else None)


def test_a_restart_enters_the_recorded_round_and_sends_the_same_bytes(bench):
    node = begin(bench, 3)
    block = bench.block()
    first = sent(prepare_block(node, block) + node.hear(bench.prepare(1, block.hash)))
    first += sent(node.give(RoundTimeout(height=Height(1), round=Round(0))))
    again = restart(node, 3)
    repeated = [e.message for e in again.started if isinstance(e, Broadcast)]
    assert sorted(repeated, key=str) == sorted(first, key=str)
    assert again.core.round == 1
    assert [timer.after_ms for timer in of(again.started, StartRoundTimer)] == [32_000], (
        "nobody else has come to it in this life"
    )
    (timer,) = of(
        again.hear(bench.round_change(0, 1)) + again.hear(bench.round_change(2, 1)), StartRoundTimer
    )
    assert timer.after_ms == 2_000
    assert (
        sent(again.give(BlockTimeout(height=Height(1))) + prepare_block(again, bench.block(recipient=2)))
        == []
    )


def test_a_restart_keeps_the_prepared_certificate(bench):
    node = begin(bench, 3)
    block = bench.block()
    prepare_block(node, block)
    node.hear(bench.prepare(1, block.hash))
    again = restart(node, 3)
    (change,) = sent(
        again.give(BlockTimeout(height=Height(1)))
        + again.give(RoundTimeout(height=Height(1), round=Round(0)))
    )
    assert change.prepared is not None
    assert change.prepared.block_hash == block.hash


def test_a_restart_knows_the_proposal_that_it_had_prepared_and_proves_another_one(bench):
    node = begin(bench, 3)
    block, other = bench.block(), bench.block(recipient=2)
    prepare_block(node, block)
    node.hear(bench.prepare(1, block.hash))
    again = restart(node, 3)
    again.give(BlockTimeout(height=Height(1)))
    effects = again.hear(bench.proposal(other))
    (saved,) = of(effects, SaveEvidence)
    assert saved.evidence.author == bench.keys[0].address
    assert again.core.snapshot.accepted == block.hash
    assert again.core.snapshot.phase is Phase.COMMIT


def test_a_restarted_proposer_proposes_nothing_new(bench):
    node = begin(bench, 0)
    block = bench.block()
    node.give(PayloadBuilt(height=Height(1), round=Round(0), execution_rlp=block.execution_rlp, requests=()))
    again = restart(node, 0)
    effects = again.give(BlockTimeout(height=Height(1)))
    assert not of(effects, RequestPayload)
    assert again.core.snapshot.accepted == block.hash, "it stands by its proposal"


def test_a_watermark_above_the_record_brings_its_round_back(bench):
    node = begin(bench, 3)
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    mark = node.persisted[-1].signatures[-1]
    again = bench.core(3, watermark=mark)
    assert again.core.round == 1
    assert sent(again.started) == [node.persisted[-1].record.messages[-1]]


def test_a_bad_input_changes_nothing(bench):
    node = begin(bench, 3)
    before = node.core.snapshot
    stranger = replace(bench.prepare(0, Hash32(b"\x01" * 32)), author=bench.stranger.address)
    for message in (
        stranger,
        bench.proposal(bench.block(), key=bench.keys[2]),
        bench.prepare(0, bench.block().hash),
        bench.round_change(0, 1, bench.prepared(bench.block().hash, 1)),
        bench.proposal(bench.block(1), 1, justification=bench.justification(1, by=(0, 1))),
        Decision(certificate=bench.certificate(bench.block().hash, by=(0,))),
    ):
        node.hear(message)
    assert replace(node.core.snapshot) == before


def test_memory_stays_bounded_whatever_one_validator_sends(bench):
    node = begin(bench, 3)
    for round_ in range(1, 3_000):
        node.hear(
            bench.prepare(1, Hash32(round_.to_bytes(32, "big")), round_),
            bench.round_change(1, round_),
            bench.commit(1, Hash32(round_.to_bytes(32, "big")), round_, height=1 + round_ % 40),
        )
    assert node.core.round == 0, "one liar moves nobody"
    assert node.core.snapshot.kept < 50
