"""Besu's rules for votes, and the guards that Besu lacks."""

from collections.abc import Callable
from typing import Any

import pytest

from metanode.chain.quorum import QuorumRule
from metanode.chain.validators import ValidatorSet
from metanode.chain.voting import OpenVote, Vote, choose_vote, prune_votes, tally, validate_vote
from metanode.errors import InvalidBlock
from metanode.primitives.types import ZERO_ADDRESS, Address

A, B, C, D, E, X, Y = (Address(bytes([n]) * 20) for n in range(1, 8))
FOUR = ValidatorSet.of_addresses([A, B, C, D])


def run(
    votes: list[tuple[Address, Address, bool]], validators: ValidatorSet = FOUR
) -> tuple[ValidatorSet, tuple[OpenVote, ...]]:
    """Cast (voter, subject, add) one after the other."""
    held: tuple[OpenVote, ...] = ()
    for voter, subject, add in votes:
        vote = Vote(subject=subject, add=add)
        validators, held = tally(vote, voter=voter, validators=validators, open_votes=held, epoch_block=False)
    return validators, held


@pytest.mark.parametrize(("validators", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)])
def test_more_than_half_of_the_validators_change_the_set(validators: int, needed: int) -> None:
    members = [Address(bytes([n]) * 20) for n in range(10, 10 + validators)]
    before = ValidatorSet.of_addresses(members)
    votes = [(member, X, True) for member in members]
    assert X not in run(votes[: needed - 1], before)[0]
    assert X in run(votes[:needed], before)[0]


@pytest.mark.parametrize(
    ("desc", "votes", "members", "held"),
    [
        ("nothing", [], [A, B, C, D], 0),
        ("two adds are not enough of four", [(A, X, True), (B, X, True)], [A, B, C, D], 2),
        ("three adds are", [(A, X, True), (B, X, True), (C, X, True)], [A, B, C, D, X], 0),
        ("one voter counts once", [(A, X, True), (A, X, True), (A, X, True)], [A, B, C, D], 1),
        (
            "an opposite vote replaces the own one",
            [(A, D, False), (B, D, False), (A, Y, True)],
            [A, B, C, D],
            3,
        ),
        ("three drops", [(A, D, False), (B, D, False), (C, D, False)], [A, B, C], 0),
        ("a validator may vote itself out", [(D, D, False), (A, D, False), (B, D, False)], [A, B, C], 0),
        ("subjects are counted apart", [(A, X, True), (B, X, True), (C, Y, True)], [A, B, C, D], 3),
        (
            "success drops the votes on the subject only",
            [(A, Y, True), (A, X, True), (B, X, True), (C, X, True)],
            [A, B, C, D, X],
            1,
        ),
        (
            "removal also drops the votes by the removed",
            [(D, X, True), (A, D, False), (B, D, False), (C, D, False)],
            [A, B, C],
            0,
        ),
        (
            "removal keeps the others' votes",
            [(A, X, True), (D, Y, True), (A, D, False), (B, D, False), (C, D, False)],
            [A, B, C],
            1,
        ),
    ],
)
def test_tallies(
    desc: str, votes: list[tuple[Address, Address, bool]], members: list[Address], held: int
) -> None:
    validators, open_votes = run(votes)
    assert validators.addresses == tuple(sorted(members)), desc
    assert len(open_votes) == held, desc


def test_a_reversed_vote_counts_on_its_new_side_only() -> None:
    held = (OpenVote(subject=X, voter=A, add=True), OpenVote(subject=X, voter=B, add=True))
    # X came in through a transition meanwhile; A now wants it out.
    five = FOUR.adding(X)
    after, votes = tally(
        Vote(subject=X, add=False), voter=A, validators=five, open_votes=held, epoch_block=False
    )
    assert after == five
    assert [vote.add for vote in votes if vote.voter == A] == [False]
    assert [vote.add for vote in votes if vote.voter == B] == [True]


def test_the_epoch_block_clears_adds_and_drops() -> None:
    _, held = run([(A, X, True), (B, D, False)])
    assert tally(None, voter=C, validators=FOUR, open_votes=held, epoch_block=True) == (FOUR, ())


@pytest.mark.parametrize(
    ("vote", "validators", "epoch_block", "message"),
    [
        (Vote(subject=A, add=True), FOUR, False, "is a validator already"),
        (Vote(subject=X, add=False), FOUR, False, "is no validator"),
        (Vote(subject=A, add=False), ValidatorSet.of_addresses([A]), False, "last validator"),
        (Vote(subject=X, add=True), FOUR, True, "first block of an epoch"),
        (Vote(subject=ZERO_ADDRESS, add=True), FOUR, False, "other than zero"),
        (Vote(subject=Y, add=True), FOUR, False, "has cast this vote"),
    ],
)
def test_votes_that_change_nothing_are_refused(
    vote: Vote, validators: ValidatorSet, epoch_block: bool, message: str
) -> None:
    held = [OpenVote(subject=Y, voter=A, add=True)]
    with pytest.raises(InvalidBlock, match=message):
        validate_vote(vote, voter=A, validators=validators, open_votes=held, epoch_block=epoch_block)


def test_votes_add_nobody_to_a_full_set_until_one_has_gone(new_chain: Callable[..., Any]) -> None:
    chain = new_chain(validators_max=4)
    gone, candidate = chain.validators[3], chain.strangers[0]
    with pytest.raises(InvalidBlock, match="there are 4 validators already, of 4 that there may be"):
        chain.decide(chain.propose(vote=Vote(subject=candidate, add=True)))
    while gone in chain.validators:
        chain.decide(chain.propose(vote=Vote(subject=gone, add=False)))
    while candidate not in chain.validators:
        chain.decide(chain.propose(vote=Vote(subject=candidate, add=True)))
    assert len(chain.validators) == 4


def test_a_wish_for_a_full_set_waits() -> None:
    options: dict[str, Any] = {"voter": A, "validators": FOUR, "open_votes": (), "epoch_block": False}
    assert choose_vote({X: True}, **options, validators_max=4) is None
    assert choose_vote({X: True, D: False}, **options, validators_max=4) == Vote(subject=D, add=False)
    assert choose_vote({X: True}, **options, validators_max=5) == Vote(subject=X, add=True)


def test_of_two_validators_one_may_be_dropped_by_both() -> None:
    two = ValidatorSet.of_addresses([A, B])
    assert run([(A, B, False)], two)[0] == two
    assert run([(A, B, False), (B, B, False)], two)[0].addresses == (A,)


def test_wishes_take_turns_and_those_that_no_longer_matter_are_passed_over() -> None:
    wishes = {A: True, X: True, Y: True, E: False, D: False}

    def choose(held: tuple[OpenVote, ...]) -> Vote | None:
        return choose_vote(wishes, voter=A, validators=FOUR, open_votes=held, epoch_block=False)

    held: tuple[OpenVote, ...] = ()
    cast = []
    while (vote := choose(held)) is not None:
        cast.append((vote.subject, vote.add))
        _, held = tally(vote, voter=A, validators=FOUR, open_votes=held, epoch_block=False)
    assert cast == [(D, False), (X, True), (Y, True)]
    assert choose_vote(wishes, voter=A, validators=FOUR, open_votes=(), epoch_block=True) is None


def test_pruning_keeps_what_still_means_something() -> None:
    held = [
        OpenVote(subject=X, voter=A, add=True),
        OpenVote(subject=X, voter=D, add=True),
        OpenVote(subject=D, voter=A, add=False),
        OpenVote(subject=B, voter=A, add=False),
    ]
    kept = prune_votes(held, ValidatorSet.of_addresses([A, B, C]))
    assert kept == (OpenVote(subject=B, voter=A, add=False), OpenVote(subject=X, voter=A, add=True))


def test_votes_in_blocks_add_at_the_next_height(new_chain: Callable[..., Any]) -> None:
    chain = new_chain()
    candidate = chain.strangers[0]
    for expected in (4, 4, 4):
        assert len(chain.validators) == expected
        chain.decide(chain.propose(vote=Vote(subject=candidate, add=True)))
    assert len(chain.validators) == 5
    assert chain.state.standing(candidate).registration == 4
    assert chain.state.standing(candidate).last_active == 3
    chain.grow(8)
    assert chain.state.standing(candidate).last_active > 3


def test_dropping_the_next_proposer_hands_its_turn_on(new_chain: Callable[..., Any]) -> None:
    chain = new_chain()
    third = chain.validators[3]
    for _ in range(3):
        chain.decide(chain.propose(vote=Vote(subject=third, add=False)))
    assert third not in chain.validators
    assert chain.proposer() == chain.validators[0]
    chain.grow(5)


def test_a_readmitted_validator_gets_a_new_number(new_chain: Callable[..., Any]) -> None:
    chain = new_chain()
    gone = chain.validators[1]
    while gone in chain.validators:
        chain.decide(chain.propose(vote=Vote(subject=gone, add=False)))
    while gone not in chain.validators:
        chain.decide(chain.propose(vote=Vote(subject=gone, add=True)))
    assert chain.state.standing(gone).registration == 4
    assert chain.state.next_registration == 5


def test_an_epoch_in_the_middle_of_a_vote_starts_it_again(new_chain: Callable[..., Any]) -> None:
    chain = new_chain(epoch_length=4)
    candidate = chain.strangers[0]
    chain.grow(1)
    for _ in range(2):
        chain.decide(chain.propose(vote=Vote(subject=candidate, add=True)))
    assert len(chain.state.open_votes) == 2
    with pytest.raises(InvalidBlock, match="first block of an epoch"):
        chain.decide(chain.propose(vote=Vote(subject=candidate, add=True)))
    chain.decide(chain.propose())
    assert chain.state.open_votes == ()
    for _ in range(2):
        chain.decide(chain.propose(vote=Vote(subject=candidate, add=True)))
    assert len(chain.validators) == 4


def test_votes_are_refused_with_proof_of_stake(new_chain: Callable[..., Any]) -> None:
    chain = new_chain((3, 2, 1), quorum_rule=QuorumRule.STAKE)
    with pytest.raises(InvalidBlock, match="by stake, not by vote"):
        chain.decide(chain.propose(vote=Vote(subject=chain.strangers[0], add=True)))
