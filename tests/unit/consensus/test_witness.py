"""The witness: which pairs it finds, whatever the order; that each is told once; that its memory is bounded."""

import pytest

from metanode.consensus.evidence import Rule, verify_evidence
from metanode.consensus.messages import Seal
from metanode.consensus.witness import (
    HEIGHTS_AHEAD_MAX,
    HEIGHTS_BEHIND_MAX,
    PROVEN_MAX,
    ROUNDS_MAX,
    Witness,
    decode_heard,
)
from metanode.errors import InvalidInput
from metanode.primitives.types import Hash32, Height

X, Y = Hash32(b"\xaa" * 32), Hash32(b"\xbb" * 32)


def everybody(_):
    return True


@pytest.fixture
def witness():
    found = Witness()
    found.enter_height(Height(1))
    return found


def hear(witness, *messages):
    return [evidence for message in messages for evidence in witness.hear(message, everybody)]


def test_two_votes_in_one_place_are_found_once(bench, witness):
    assert hear(witness, bench.prepare(1, X), bench.prepare(1, X), bench.prepare(2, Y)) == []
    (evidence,) = hear(witness, bench.prepare(1, Y))
    assert evidence.author == bench.keys[1].address
    assert (
        verify_evidence(evidence, domain=bench.domain, validators=bench.state.validators) is Rule.EQUIVOCATION
    )
    assert hear(witness, bench.prepare(1, Y), bench.prepare(1, Hash32(b"\x01" * 32))) == []
    (again,) = hear(witness, bench.commit(1, X), bench.commit(1, Y))
    assert again.first.step.name == "COMMIT", "another place"


def test_a_forgotten_commit_is_found_in_either_order(bench):
    messages = [bench.commit(1, X, 2), bench.round_change(1, 5, bench.prepared(Y, 1))]
    for ordered in (messages, messages[::-1]):
        witness = Witness()
        evidence = hear(witness, *ordered)
        assert [found.author for found in evidence if found.rule is Rule.FORGOTTEN_COMMIT] == [
            bench.keys[1].address
        ]
    assert hear(Witness(), bench.commit(1, X, 1), bench.round_change(1, 5, bench.prepared(X, 1))) == []


def test_a_forgotten_commit_is_found_in_the_justification_of_another_s_proposal(bench, witness):
    block = bench.block(1)
    hear(witness, bench.commit(2, X))
    (evidence,) = hear(witness, bench.proposal(block, 1, justification=bench.justification(1)))
    assert (evidence.author, evidence.rule) == (bench.keys[2].address, Rule.FORGOTTEN_COMMIT)


def test_votes_inside_a_foreign_prepared_certificate_are_heard(bench, witness):
    hear(witness, bench.prepare(2, X), bench.prepare(3, Y))
    found = hear(witness, bench.round_change(1, 1, bench.prepared(Y, 0, by=(2, 3))))
    assert [evidence.author for evidence in found] == [bench.keys[2].address]


def test_the_seals_of_a_certificate_are_heard(bench, witness):
    hear(witness, bench.commit(2, X), bench.round_change(3, 1))
    found = witness.hear_certificate(bench.certificate(Y, by=(1, 2, 3)), bench.state.validators)
    assert {(evidence.author, evidence.rule) for evidence in found} == {
        (bench.keys[2].address, Rule.EQUIVOCATION),
        (bench.keys[3].address, Rule.FORGOTTEN_COMMIT),
    }


def test_strangers_are_not_remembered(bench, witness):
    proposal = bench.proposal(bench.block(), key=bench.stranger)
    assert witness.hear(proposal, bench.state.validators.__contains__) == []
    assert len(witness) == 0
    prepared = bench.prepared(X)
    forged = Seal(author=bench.stranger.address, signature=bytes(65))
    change = bench.round_change(1, 1, prepared)
    witness.hear(change, bench.state.validators.__contains__)
    before = len(witness)
    object.__setattr__(prepared, "proposal", forged)
    witness.hear(bench.round_change(1, 2, prepared), bench.state.validators.__contains__)
    assert len(witness) == before + 1


def test_a_validator_s_statements_of_a_height_are_bounded_and_the_newest_stay(bench, witness):
    for round_ in range(3 * ROUNDS_MAX):
        hear(witness, bench.prepare(1, X, round_))
    assert len(witness) == ROUNDS_MAX
    assert len(hear(witness, bench.prepare(1, Y, 3 * ROUNDS_MAX - 1))) == 1
    assert hear(witness, bench.prepare(1, Y, 0)) == [], "forgotten"


def test_the_proofs_of_a_height_are_bounded(bench, witness):
    found = []
    for round_ in range(2 * PROVEN_MAX):
        found += hear(witness, bench.prepare(1, X, round_), bench.prepare(1, Y, round_))
    assert len(found) == PROVEN_MAX
    (other,) = hear(witness, bench.commit(2, X), bench.commit(2, Y))
    assert other.author == bench.keys[2].address, "one that lies much hides nobody"


def test_heights_are_bounded(bench):
    witness = Witness()
    for height in range(1, 5 * HEIGHTS_BEHIND_MAX):
        witness.enter_height(Height(height))
        hear(witness, bench.prepare(1, X, height=height))
    assert len(witness) == HEIGHTS_BEHIND_MAX + 1
    hear(witness, bench.prepare(1, X, height=height + HEIGHTS_AHEAD_MAX))
    hear(witness, bench.prepare(1, X, height=height + HEIGHTS_AHEAD_MAX + 1))
    assert len(witness) == HEIGHTS_BEHIND_MAX + 2


def test_what_was_heard_is_the_same_after_its_way_over_the_disk(bench, witness):
    hear(witness, bench.prepare(1, X), bench.commit(2, X), bench.round_change(3, 2, bench.prepared(X)))
    again = Witness()
    assert again.restore(Height(1), decode_heard(witness.encode(Height(1)))) == []
    assert list(again.statements(Height(1))) == list(witness.statements(Height(1)))
    assert len(again) == len(witness) == 5
    (evidence,) = hear(again, bench.commit(2, Y))
    assert evidence.author == bench.keys[2].address


def test_a_restored_height_shows_what_was_proven_before(bench, witness):
    hear(witness, bench.prepare(1, X))
    late = Witness()
    hear(late, bench.prepare(1, Y))
    assert len(late.restore(Height(1), decode_heard(witness.encode(Height(1))))) == 1


def test_damaged_bytes_are_refused(bench, witness):
    hear(witness, bench.prepare(1, X), bench.commit(2, X))
    encoded = witness.encode(Height(1))
    for length in range(len(encoded)):
        with pytest.raises(InvalidInput):
            decode_heard(encoded[:length])
    with pytest.raises(InvalidInput):
        decode_heard(encoded + b"\x00")
