"""Rows 30 to 33 of docs/evidence/bad-inputs.md at one core: what is dropped, kept as proof, refused; and that it changes nothing."""

from dataclasses import replace

import pytest
from tests.decoders import DECODERS
from tests.unit.consensus.conftest import GENESIS_TIME, NOW_MS

from metanode.chain.attributes import calculate_attributes
from metanode.chain.certificate import Certificate
from metanode.chain.execution_header import decode_execution_block, encode_execution_block
from metanode.chain.proposal import make_block
from metanode.consensus import wire
from metanode.consensus.early import HEIGHTS_AHEAD_MAX
from metanode.consensus.effects import (
    BlockRefused,
    Broadcast,
    CheckBlock,
    Finalize,
    HoldProposal,
    Persist,
    SaveEvidence,
)
from metanode.consensus.height import Phase
from metanode.consensus.inputs import BlockTimeout, RoundTimeout, VerdictGiven
from metanode.consensus.messages import Commit, Justification, Prepare, RoundChange
from metanode.execution.fake import execute_block
from metanode.primitives.types import Address, Hash32, Height, Round

OTHER = Hash32(b"\x01" * 32)


def of(kind, effects):
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(kind, effects):
    return [e.message for e in of(Broadcast, effects) if isinstance(e.message, kind)]


def begin(bench, index):
    node = bench.core(index)
    node.give(BlockTimeout(height=Height(1)))
    return node


# --- row 30: not a validator, the wrong proposer, the past, the far future ---------------------------------------------------------------


def by_stranger(message, bench):
    return replace(message, author=bench.stranger.address)


ROW_30 = {
    "prepare of no validator": lambda b: by_stranger(b.prepare(0, OTHER), b),
    "commit of no validator": lambda b: by_stranger(b.commit(0, OTHER), b),
    "round change of no validator": lambda b: by_stranger(b.round_change(0, 5), b),
    "proposal of no validator": lambda b: b.proposal(b.block(), key=b.stranger),
    "proposal of another validator": lambda b: b.proposal(b.block(), key=b.keys[2]),
    "early commit of no validator": lambda b: by_stranger(b.commit(0, OTHER, height=4), b),
    "prepare of the proposer": lambda b: b.prepare(0, OTHER),
    "vote eleven heights ahead": lambda b: b.commit(1, OTHER, height=1 + HEIGHTS_AHEAD_MAX + 1),
    "proposal eleven heights ahead": lambda b: b.proposal(
        b.block(), height=1 + HEIGHTS_AHEAD_MAX + 1, key=b.keys[1]
    ),
}


@pytest.mark.parametrize("name", ROW_30)
def test_row_30_what_nobody_waits_for_changes_nothing(bench, name):
    node = begin(bench, 3)
    before = node.core.snapshot
    effects = node.hear(ROW_30[name](bench))
    assert node.core.snapshot == before
    assert not of(Broadcast, effects) + of(Persist, effects)


def test_row_30_a_vote_of_a_height_that_is_over_is_no_vote(bench):
    node = begin(bench, 3)
    block = decide_first(bench, node)
    before = node.core.snapshot
    for message in (bench.prepare(1, OTHER), bench.round_change(1, 4), bench.commit(1, block.hash, 3)):
        effects = node.hear(message)
        assert not of(Persist, effects)
    assert node.core.snapshot == before


# --- row 31: two proposals, two commits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["proposal", "prepare", "commit", "round change"])
def test_row_31_of_two_messages_in_one_place_the_first_counts_and_both_are_proof(bench, kind):
    one, two = bench.block(), bench.block(recipient=2)
    node = begin(bench, 3)
    first, second = {
        "proposal": (bench.proposal(one), bench.proposal(two)),
        "prepare": (bench.prepare(1, one.hash), bench.prepare(1, two.hash)),
        "commit": (bench.commit(1, one.hash), bench.commit(1, two.hash)),
        "round change": (bench.round_change(1, 2), bench.round_change(1, 2, bench.prepared(one.hash))),
    }[kind]
    node.hear(first)
    kept = node.core.kept
    proofs = of(SaveEvidence, node.hear(second))
    assert [proof.evidence.author for proof in proofs] == [first.author]
    assert node.core.kept == kept
    assert of(SaveEvidence, node.hear(second)) == [], "told once"


def test_row_31_a_validator_that_commits_twice_makes_no_second_decision(bench):
    """Two honest ones and the liar commit to X, then the liar commits to Y with two others: X is decided, Y never."""
    one, two = bench.block(), bench.block(recipient=2)
    node = begin(bench, 3)
    node.hear(bench.proposal(one), bench.commit(1, one.hash), bench.commit(2, two.hash))
    effects = node.hear(bench.commit(1, two.hash), bench.commit(0, two.hash))
    assert not of(Finalize, effects), "the liar's second commit counted"
    effects = node.hear(bench.commit(0, one.hash))
    assert not of(Finalize, effects), "the second commit of 0 counted"
    assert node.core.height == 1


# --- row 32: proposals that are invalid ----------------------------------------------------------------------------------------------------


def decide_first(bench, node, *, signers=(0, 1, 2)):
    """Decide height 1 at a node; return its block."""
    block = bench.block()
    node.hear(bench.proposal(block))
    node.give(VerdictGiven(block_hash=block.hash, is_valid=True))
    node.hear(*(bench.commit(i, block.hash) for i in signers))
    assert node.core.height == 2
    return block


def second_block(bench, node, first, *, certificate):
    """Return the block of height 2 by its proposer, with this certificate of the first."""
    state, parent = node.core.tip.state, node.core.tip.header
    attributes = calculate_attributes(
        state, parent, bench.rules, timestamp=parent.timestamp + 2, fee_recipient=Address(b"\x01" * 20)
    )
    execution = execute_block(decode_execution_block(first.execution_rlp).header, attributes, ())
    return make_block(
        state=state,
        parent=parent,
        rules=bench.rules,
        execution_rlp=encode_execution_block(execution, (), attributes.withdrawals),
        requests=(),
        parent_certificate=certificate,
        proposer=node.core.electorate.proposer(Round(0)),
        proposal_round=Round(0),
    )


def seal(bench, first, keys):
    digest = bench.domain.commit(height=Height(1), round=Round(0), block_hash=first.hash)
    return {key.address: key.sign(digest) for key in keys}


def certified(bench, first, seals):
    return Certificate.of(
        height=Height(1),
        round=Round(0),
        block_hash=first.hash,
        seals=seals,
        validators=bench.state.validators,
    )


def missing(bench, first):
    return certified(bench, first, seal(bench, first, bench.keys[:2]))


def absent(bench, first):
    del bench, first


def doubled(bench, first):
    good = certified(bench, first, seal(bench, first, bench.keys[:3]))
    return replace(good, seals=(good.seals[0],) * 3)


def of_outsiders(bench, first):
    good = certified(bench, first, seal(bench, first, bench.keys[:3]))
    return replace(good, seals=(*good.seals[:2], seal(bench, first, [bench.stranger]).popitem()[1]))


def beyond_the_set(bench, first):
    good = certified(bench, first, seal(bench, first, bench.keys[:3]))
    return replace(good, signers=bytes((0b10000011,)))


def of_another_block(bench, first):
    del first
    other = bench.block(recipient=9)
    return certified(bench, other, seal(bench, other, bench.keys[:3]))


@pytest.mark.parametrize("make", [missing, absent, doubled, of_outsiders, beyond_the_set, of_another_block])
def test_row_32_a_proposal_with_bad_seals_of_its_parent_gets_no_vote_and_costs_its_round(bench, make):
    node = begin(bench, 3)
    first = decide_first(bench, node)
    node.give(BlockTimeout(height=Height(2)))
    block = second_block(bench, node, first, certificate=make(bench, first))
    key = next(key for key in bench.keys if key.address == block.header.proposer)
    effects = node.hear(bench.proposal(block, key=key, height=2), now_ms=NOW_MS + 2_000)
    require_refused(node, effects, height=2)
    good = second_block(
        bench,
        node,
        first,
        certificate=certified(bench, first, seal(bench, first, bench.keys[:3])),
    )
    assert good.hash != block.hash


def wrong_timestamp(block, seconds):
    return replace(block, header=replace(block.header, timestamp=seconds))


def with_execution(bench, **changes):
    """A block whose header fits its changed execution block."""
    block = bench.block()
    execution = replace(decode_execution_block(block.execution_rlp).header, **changes)
    return replace(
        block,
        header=replace(
            block.header,
            execution_hash=execution.hash,
            timestamp=execution.timestamp,
        ),
        execution_rlp=encode_execution_block(execution, (), block.execution.withdrawals),
        built=None,
    )


ROW_32 = {
    "timestamp of the parent": lambda b: wrong_timestamp(b.block(), GENESIS_TIME),
    "timestamp before the parent": lambda b: wrong_timestamp(b.block(), GENESIS_TIME - 5),
    "timestamp before the slot": lambda b: with_execution(b, timestamp=GENESIS_TIME + 1),
    "wrong state root of consensus": lambda b: changed(b, consensus_state_root=OTHER),
    "wrong validators": lambda b: changed(b, validators_hash=OTHER),
    "wrong validators of the next height": lambda b: changed(b, next_validators_hash=OTHER),
    "wrong parent": lambda b: changed(b, parent_hash=OTHER),
    "wrong chain": lambda b: changed(b, chain_tag=OTHER),
    "another version": lambda b: changed(b, version=2),
    "evidence that is not there": lambda b: changed(b, evidence_root=OTHER),
    "the proposer of another round": lambda b: changed(b, proposer=b.keys[1].address),
    "wrong parent of the execution block": lambda b: with_execution(b, parent_hash=OTHER),
    "wrong beacon root": lambda b: with_execution(b, parent_beacon_block_root=OTHER),
    "wrong randomness": lambda b: with_execution(b, mix_hash=OTHER),
    "wrong gas limit": lambda b: with_execution(b, gas_limit=5_000),
    "wrong number": lambda b: with_execution(b, number=2),
}


def changed(bench, **fields):
    block = bench.block()
    return replace(block, header=replace(block.header, **fields))


@pytest.mark.parametrize("name", ROW_32)
def test_row_32_an_invalid_proposal_gets_no_vote_and_costs_its_round(bench, name):
    node = begin(bench, 3)
    block = ROW_32[name](bench)
    effects = node.hear(bench.proposal(block, key=bench.keys[0]))
    require_refused(node, effects, height=1)


def require_refused(node, effects, *, height):
    """The block is refused by name, nobody is asked and nothing is signed; the round's end brings the next one."""
    assert of(BlockRefused, effects)
    assert not of(CheckBlock, effects) + of(Persist, effects) + of(Broadcast, effects)
    effects = node.give(RoundTimeout(height=Height(height), round=Round(0)))
    assert [m.round for m in sent(RoundChange, effects)] == [1]
    assert node.core.round == 1


def test_row_32_extra_data_over_32_bytes_is_no_block(bench):
    with pytest.raises(Exception, match="extra"):
        bench.proposal(with_execution(bench, extra_data=b"\x00" * 33))


def test_row_32_an_invalid_transaction_or_state_root_is_the_clients_verdict_and_gets_no_vote(bench):
    node = begin(bench, 3)
    block = with_execution(bench, state_root=OTHER)
    effects = node.hear(bench.proposal(block))
    assert of(CheckBlock, effects)
    effects = node.give(VerdictGiven(block_hash=block.hash, is_valid=False))
    require_refused(node, effects, height=1)
    # Others' prepares make no difference: nothing of it is imported, and no commit signed.
    effects = node.hear(*(bench.prepare(i, block.hash) for i in (1, 2)))
    assert not sent(Commit, effects) + of(Finalize, effects)


def test_row_32_a_proposal_ahead_of_the_clock_waits_until_it_is_not(bench):
    node = begin(bench, 3)
    block = with_execution(bench, timestamp=GENESIS_TIME + 2 + 4)
    effects = node.hear(bench.proposal(block))
    assert [hold.after_ms for hold in of(HoldProposal, effects)] == [3_000]
    assert not of(CheckBlock, effects) + sent(Prepare, effects)
    assert of(HoldProposal, node.hear(bench.proposal(block))) == [], "once a round"


def test_row_32_of_a_proposer_that_makes_many_blocks_of_the_future_one_is_held(bench):
    """Each is other bytes, and would be kept with its body until its time."""
    node = begin(bench, 3)
    effects = []
    for recipient in range(1, 50):
        effects += node.hear(bench.proposal(bench.block(timestamp=GENESIS_TIME + 6, recipient=recipient)))
    assert len(of(HoldProposal, effects)) == 1
    node.give(RoundTimeout(height=Height(1), round=Round(0)))
    justified = bench.proposal(
        bench.block(1, timestamp=GENESIS_TIME + 6), 1, justification=bench.justification(1)
    )
    assert len(of(HoldProposal, node.hear(justified))) == 1, "the next proposer has its own"


@pytest.mark.parametrize("ahead_s", [3_600, 2**40])
def test_row_32_a_proposal_whose_time_comes_after_the_end_of_its_round_is_not_kept(bench, ahead_s):
    node = begin(bench, 3)
    proposal = bench.proposal(with_execution(bench, timestamp=GENESIS_TIME + 2 + ahead_s))
    for one in (proposal, replace(proposal, block=None)):
        effects = node.hear(one)
        assert of(BlockRefused, effects)
        assert not of(HoldProposal, effects) + of(CheckBlock, effects) + sent(Prepare, effects)
    # The proposer may be right and our clock slow: what a quorum decides is taken all the same.
    assert node.core.phase is Phase.PROPOSAL


# --- row 33: forged round changes ----------------------------------------------------------------------------------------------------------


def doubled_signer(bench, block):
    prepared = bench.prepared(block.hash)
    return replace(prepared, prepares=(prepared.prepares[0],) * 2)


ROW_33 = {
    "a prepare too few": lambda b, block: b.round_change(0, 2, b.prepared(block.hash, by=(1,))),
    "a signer twice": lambda b, block: b.round_change(0, 2, doubled_signer(b, block)),
    "a prepare of the proposer": lambda b, block: b.round_change(0, 2, b.prepared(block.hash, by=(0, 1))),
    "another proposer's proposal": lambda b, block: b.round_change(0, 2, b.prepared(block.hash, proposer=2)),
    "the round that it wants": lambda b, block: b.round_change(0, 2, b.prepared(block.hash, 2)),
    "a later round": lambda b, block: b.round_change(0, 2, b.prepared(block.hash, 3)),
}


@pytest.mark.parametrize("name", ROW_33)
def test_row_33_a_forged_round_change_is_refused_whole(bench, name):
    """It does not even count as one without a certificate; what else its sender says does (tests/unit/consensus/test_justification.py)."""
    node = begin(bench, 3)
    before = node.core.snapshot
    node.hear(ROW_33[name](bench, bench.block()))
    assert node.core.snapshot == before
    node.hear(bench.round_change(0, 2))
    assert node.core.snapshot.round_change_rounds == {bench.keys[0].address: 2}


def test_row_33_prepares_of_another_height_or_round_have_other_authors(bench):
    block = bench.block()
    for place in ({"height": 2}, {"round_": 1}):
        votes = [bench.prepare(i, block.hash, **place) for i in (1, 2)]
        good = bench.prepared(block.hash)
        mixed = replace(
            good,
            prepares=tuple(
                replace(seal, signature=vote.signature)
                for seal, vote in zip(good.prepares, votes, strict=True)
            ),
        )
        raw = wire.encode(bench.round_change(0, 2, mixed))
        node = begin(bench, 3)
        node.hear(wire.decode(raw, bench.domain))
        assert node.core.snapshot.round_change_rounds == {}


@pytest.mark.parametrize("claims", [(0, 1), (0, 1, 1)], ids=["one too few", "one twice"])
def test_row_33_a_justification_below_a_quorum_moves_nobody(bench, claims):
    node = begin(bench, 3)
    justification = Justification(claims=tuple(bench.round_change(i, 1).claim for i in claims), prepared=None)
    effects = node.hear(bench.proposal(bench.block(1), 1, justification=justification))
    assert of(BlockRefused, effects)
    assert (node.core.round, sent(Prepare, effects)) == (0, [])


# --- whatever the bytes ----------------------------------------------------------------------------------------------------------------------


def test_bytes_that_are_cut_anywhere_never_reach_the_core(bench):
    """The rule behind all rows: a message is whole, signed and decoded before there is an input, so a bad one cannot change the state."""
    decoder = next(decoder for decoder in DECODERS if decoder.name == "consensus message")
    node = begin(bench, 3)
    before = node.core.snapshot
    for sample in decoder.samples:
        for length in range(len(sample)):
            with pytest.raises(decoder.refuses):
                wire.decode(sample[:length], bench.domain, may_author=node.core.may_author)
    assert node.core.snapshot == before
