"""Votes and round changes are counted once, and kept within bounds."""

import pytest

from metanode.consensus.early import MESSAGES_MAX, EarlyMessages
from metanode.consensus.votes import ROUNDS_BEHIND_MAX, RoundChangeBook, VoteBook
from metanode.primitives.types import Hash32, Height, Round

X, Y = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)


def test_the_first_vote_counts_and_another_is_given_back_as_proof(bench):
    book = VoteBook(rounds_behind_max=0)
    first, second = bench.prepare(0, X), bench.prepare(0, Y)
    assert book.add(first, current=Round(0)) is None
    assert book.add(first, current=Round(0)) is None
    assert book.add(second, current=Round(0)) is first
    assert list(book.seals(Round(0), X)) == [bench.keys[0].address]
    assert book.seals(Round(0), Y) == {}


@pytest.mark.parametrize(
    ("rounds", "kept"),
    [((0, 1, 2), (0, 1, 2)), ((1, 2, 3), (2, 3)), ((3, 2, 1), (2, 3)), ((9, 1, 5), (5, 9))],
)
def test_of_future_rounds_the_two_newest_are_kept(bench, rounds, kept):
    book = VoteBook(rounds_behind_max=0)
    for round_ in rounds:
        book.add(bench.prepare(0, X, round_), current=Round(0))
    assert tuple(r for r in range(10) if book.at(Round(r))) == kept


def test_a_liar_pushes_out_only_its_own_votes(bench):
    book = VoteBook(rounds_behind_max=0)
    honest = bench.prepare(1, X, 1)
    book.add(honest, current=Round(0))
    for round_ in range(1, 500):
        book.add(bench.prepare(0, X, round_), current=Round(0))
    assert honest in book.at(Round(1))
    assert len(book) == 3


def test_commits_of_past_rounds_are_kept_and_prepares_are_not(bench):
    commits, prepares = VoteBook(rounds_behind_max=ROUNDS_BEHIND_MAX), VoteBook(rounds_behind_max=0)
    commits.add(bench.commit(0, X), current=Round(0))
    prepares.add(bench.prepare(0, X), current=Round(0))
    for book in (commits, prepares):
        book.enter_round(Round(5))
    assert (len(commits), len(prepares)) == (1, 0)
    assert commits.add(bench.commit(1, X), current=Round(5)) is None
    assert len(commits) == 2
    commits.enter_round(Round(ROUNDS_BEHIND_MAX + 1))
    assert len(commits) == 0


def test_of_round_changes_the_highest_and_the_current_one_are_kept(bench):
    book = RoundChangeBook()
    for round_ in range(1, 1_000):
        book.add(bench.round_change(0, round_), current=Round(1))
    assert len(book) == 2
    assert [change.round for change in book.at(Round(1))] == [1]
    assert [change.round for change in book.at(Round(999))] == [999]
    book.enter_round(Round(999))
    assert [change.round for change in book.at(Round(999))] == [999]


def test_a_round_change_that_claims_otherwise_is_proof(bench):
    book = RoundChangeBook()
    plain = bench.round_change(0, 1)
    book.add(plain, current=Round(0))
    assert book.add(bench.round_change(0, 1, bench.prepared(X)), current=Round(0)) is plain


def test_early_messages_are_bounded_for_each_signer(bench):
    early = EarlyMessages()
    honest = bench.commit(1, X, height=2)
    early.add(honest, "peer", current=Height(1))
    for number in range(500):
        early.add(bench.commit(0, X, number, height=2 + number % 10), "peer", current=Height(1))
    assert len(early) == MESSAGES_MAX + 1
    taken = [message for message, _ in early.take(Height(2))]
    assert honest in taken
    assert all(message.height == 2 for message in taken)


def test_messages_beyond_ten_heights_are_not_kept_but_heard(bench):
    early = EarlyMessages()
    for index in range(2):
        early.add(bench.commit(index, X, height=1_000 + index), "peer", current=Height(1))
    assert len(early) == 0
    assert early.honest_height(bench.electorate) == 1_000


def test_a_large_early_body_is_left_out(bench, monkeypatch):
    monkeypatch.setattr("metanode.consensus.early.BODY_BYTES_MAX", 10)
    early = EarlyMessages()
    early.add(bench.proposal(bench.block()), "peer", current=Height(0))
    ((proposal, _),) = early.take(Height(1))
    assert proposal.block is None
