"""Two decided blocks at one height: what the core makes of a second certificate, wherever it stands."""

from dataclasses import replace

import pytest

from metanode.chain.certificate import Certificate
from metanode.consensus.effects import (
    Broadcast,
    ChargePeer,
    CompareDecided,
    Halt,
    Persist,
    RequestBody,
)
from metanode.consensus.fork import Fork, prove_fork
from metanode.consensus.inputs import (
    BlockImported,
    BlockTimeout,
    BodyReceived,
    ForkProven,
    Mode,
    ModeChanged,
    Persisted,
    ResendTimeout,
    RoundTimeout,
)
from metanode.consensus.messages import Decision
from metanode.errors import InvalidCertificate
from metanode.primitives.types import Hash32, Height, Round

OTHER = Hash32(b"\x77" * 32)


def of(effects, kind: type) -> list:
    return [effect for effect in effects if isinstance(effect, kind)]


def decided_node(bench, index: int = 3):
    """A core that has decided height 1, the block, and a quorum's certificate for another block of height 1."""
    block = bench.block()
    node = bench.core(index)
    node.give(BlockTimeout(height=Height(1)))
    node.hear(bench.proposal(block), Decision(certificate=bench.certificate(block.hash, by=(0, 1, 2))))
    assert node.core.height == 2
    return node, block, bench.certificate(OTHER, by=(1, 2, 3))


def following(block, certificate: Certificate):
    """A block of height 2 that follows another block of height 1, with that one's certificate."""
    header = replace(
        block.header,
        height=Height(2),
        parent_hash=certificate.block_hash,
        parent_certificate_hash=certificate.hash,
    )
    return replace(block, header=header, parent_certificate=certificate)


def certificate_of(bench, block) -> Certificate:
    """A quorum's certificate for a block of height 2."""
    seals = {bench.keys[i].address: bench.commit(i, block.hash, 0, height=2).signature for i in range(3)}
    return Certificate.of(
        height=Height(2),
        round=Round(0),
        block_hash=block.hash,
        seals=seals,
        validators=bench.state.validators,
    )


def halt_in(effects) -> Fork:
    (halt,) = of(effects, Halt)
    assert halt.fork is not None
    assert halt.reason == halt.fork.describe()
    return halt.fork


def test_a_second_certificate_of_the_tip_s_height_halts_with_both(bench):
    node, block, second = decided_node(bench)
    fork = halt_in(node.hear(Decision(certificate=second)))
    assert (fork.height, fork.ours.block_hash, fork.other.block_hash) == (1, block.hash, OTHER)
    assert node.core.mode is Mode.HALTED


def test_a_halted_core_does_nothing_whatever_happens(bench):
    node, _, second = decided_node(bench)
    node.hear(Decision(certificate=second))
    assert node.give(BlockTimeout(height=Height(2))) == []
    assert node.give(ModeChanged(mode=Mode.LIVE)) == []
    assert node.give(RoundTimeout(height=Height(2), round=Round(0))) == []
    assert node.core.mode is Mode.HALTED


def test_what_was_signed_and_is_not_durable_when_the_fork_comes_to_light_never_leaves(bench):
    node, _, second = decided_node(bench, index=1)
    node.is_durable = False
    node.give(BlockTimeout(height=Height(2)))
    (persist,) = of(node.give(RoundTimeout(height=Height(2), round=Round(0))), Persist)
    assert persist.signatures
    halt_in(node.hear(Decision(certificate=second)))
    assert node.core.handle(Persisted(number=persist.number)) == []


def test_the_same_block_in_another_certificate_is_no_fork(bench):
    node, block, _ = decided_node(bench)
    assert node.hear(Decision(certificate=bench.certificate(block.hash, by=(1, 2, 3)))) == []
    assert node.hear(Decision(certificate=bench.certificate(block.hash, 4, by=(0, 1, 2)))) == []


@pytest.mark.parametrize("by", [(0, 1), (3,)])
def test_a_second_certificate_below_a_quorum_is_its_sender_s_fault(bench, by):
    node, _, _ = decided_node(bench)
    (charge,) = node.hear(Decision(certificate=bench.certificate(OTHER, by=by)))
    assert isinstance(charge, ChargePeer)
    assert charge.peer == "peer"


def test_a_second_certificate_with_one_false_seal_is_its_sender_s_fault(bench):
    node, _, second = decided_node(bench)
    forged = replace(second, seals=(second.seals[1], *second.seals[1:]))
    (charge,) = node.hear(Decision(certificate=forged))
    assert isinstance(charge, ChargePeer)
    assert "seal" in charge.reason
    assert node.core.mode is Mode.LIVE


def test_a_false_certificate_of_the_current_height_is_its_sender_s_fault(bench):
    node = bench.core(3)
    (charge,) = node.hear(Decision(certificate=bench.certificate(OTHER, by=(0, 1))))
    assert isinstance(charge, ChargePeer)


def test_two_certificates_for_the_current_height_halt_before_either_body_is_here(bench):
    node = bench.core(3)
    assert of(node.hear(Decision(certificate=bench.certificate(OTHER))), RequestBody)
    second = bench.certificate(bench.block().hash, 2)
    fork = halt_in(node.hear(Decision(certificate=second)))
    assert (fork.ours.block_hash, fork.other) == (OTHER, second)


def test_a_decided_block_that_follows_another_one_halts_with_both_certificates_of_the_height_below(bench):
    node, block, second = decided_node(bench)
    child = following(block, second)
    fork = halt_in(node.give(BlockImported(block=child, certificate=certificate_of(bench, child))))
    assert (fork.height, fork.other) == (1, second)


def test_a_fetched_body_that_follows_another_block_halts_too(bench):
    node, block, second = decided_node(bench)
    child = following(block, second)
    assert of(node.hear(Decision(certificate=certificate_of(bench, child))), RequestBody)
    assert halt_in(node.give(BodyReceived(block=child))).other == second


def test_a_mere_proposal_that_follows_another_decided_block_halts_too(bench):
    node, block, second = decided_node(bench)
    proposer = node.core.electorate.proposer(Round(0))
    child = following(block, second)
    child = replace(child, header=replace(child.header, proposer=proposer))
    key = next(key for key in bench.keys if key.address == proposer)
    digest = bench.domain.proposal(height=Height(2), round=Round(0), block_hash=child.hash)
    proposal = replace(
        bench.proposal(block),
        height=Height(2), header=child.header, block=child, author=proposer, signature=key.sign(digest),
    )  # fmt: skip
    assert halt_in(node.hear(proposal)).other == second


def test_a_proposal_that_follows_an_undecided_block_is_only_refused(bench):
    node, block, _ = decided_node(bench)
    proposer = node.core.electorate.proposer(Round(0))
    child = following(block, bench.certificate(OTHER, by=(1, 2)))
    child = replace(child, header=replace(child.header, proposer=proposer))
    key = next(key for key in bench.keys if key.address == proposer)
    digest = bench.domain.proposal(height=Height(2), round=Round(0), block_hash=child.hash)
    proposal = replace(
        bench.proposal(block),
        height=Height(2), header=child.header, block=child, author=proposer, signature=key.sign(digest),
    )  # fmt: skip
    assert of(node.hear(proposal), Halt) == []
    assert node.core.mode is Mode.LIVE


def test_a_certificate_below_the_tip_is_compared_where_the_past_is_kept(bench):
    node, _, second = decided_node(bench)
    tip = node.core.tip
    core = node.core._core
    core.tip = replace(tip, certificate=replace(tip.certificate, height=Height(2)))
    core.current.electorate = replace(core.current.electorate, height=Height(3))
    (compare,) = node.hear(Decision(certificate=second))
    assert compare == CompareDecided(certificate=second, peer="peer")
    fork = prove_fork(tip.certificate, second, validators=bench.state.validators, rules=bench.rules)
    assert halt_in(node.give(ForkProven(fork=fork))) == fork


def test_a_node_that_is_stuck_sends_its_tip_s_certificate_with_its_own_messages(bench):
    node, block, _ = decided_node(bench)
    node.give(BlockTimeout(height=Height(2)))
    node.give(RoundTimeout(height=Height(2), round=Round(0)))
    repeated = of(node.give(ResendTimeout(height=Height(2))), Broadcast)
    decisions = [effect.message for effect in repeated if isinstance(effect.message, Decision)]
    assert [decision.certificate.block_hash for decision in decisions] == [block.hash]


# --- the proof -----------------------------------------------------------------------------------------------------------------------------


def test_the_proof_survives_its_encoding_and_names_who_sealed_both(bench):
    ours, other = bench.certificate(OTHER, by=(0, 1, 2)), bench.certificate(bench.block().hash, by=(1, 2, 3))
    fork = prove_fork(ours, other, validators=bench.state.validators, rules=bench.rules)
    assert Fork.decode(fork.encode()) == fork
    assert set(fork.sealed_both) == {bench.keys[1].address, bench.keys[2].address}


def test_the_text_says_what_happened_who_signed_twice_and_what_to_do(bench):
    ours, other = bench.certificate(OTHER, by=(0, 1, 2)), bench.certificate(bench.block().hash, by=(1, 2, 3))
    text = prove_fork(ours, other, validators=bench.state.validators, rules=bench.rules).describe()
    for part in (
        "two blocks are decided at height 1", OTHER.hex(), other.block_hash.hex(), "a third or more of the voting power signed twice",
        bench.keys[1].address.hex(), "2 of 4 sealed both", "signs nothing", "never signer.log", "metanode node recover",
    ):  # fmt: skip
        assert part.lower() in text.lower(), part


def test_seals_in_two_rounds_are_not_called_a_proof_against_each(bench):
    ours, other = bench.certificate(OTHER), bench.certificate(bench.block().hash, 1)
    text = prove_fork(ours, other, validators=bench.state.validators, rules=bench.rules).describe()
    assert "in different rounds" in text
    assert "which proves it of each" not in text


def test_a_certificate_of_another_height_or_of_strangers_proves_nothing(bench):
    ours = bench.certificate(OTHER)
    other = bench.certificate(bench.block().hash)
    for false in (replace(other, height=Height(2)), replace(other, round=Round(1)), replace(other, signers=b"\x0f", seals=(*other.seals, ours.seals[0]))):  # fmt: skip
        with pytest.raises(InvalidCertificate):
            prove_fork(ours, false, validators=bench.state.validators, rules=bench.rules)
