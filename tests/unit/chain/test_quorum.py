"""Quorums always share an honest validator, and are the smallest that do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.chain.quorum import QuorumRule, Tolerance

BOTH = list(QuorumRule)
totals = st.integers(min_value=1, max_value=2**60 - 1)


@pytest.mark.parametrize("rule", BOTH)
@pytest.mark.parametrize("total", [*range(1, 200), 999, 1000, 1001])
def test_two_quorums_share_an_honest_validator(rule: QuorumRule, total: int) -> None:
    overlap = 2 * rule.quorum_weight(total) - total
    assert overlap > rule.faulty_max(total)


@pytest.mark.parametrize("rule", BOTH)
@given(total=totals)
def test_the_same_holds_for_every_total(rule: QuorumRule, total: int) -> None:
    assert 2 * rule.quorum_weight(total) - total > rule.faulty_max(total)


@pytest.mark.parametrize("rule", BOTH)
@given(total=totals)
def test_the_least_weights_are_the_bounds_of_the_predicates(rule: QuorumRule, total: int) -> None:
    quorum, honest = rule.quorum_weight(total), rule.honest_weight(total)
    assert rule.is_quorum(quorum, total)
    assert not rule.is_quorum(quorum - 1, total)
    assert rule.has_honest(honest, total)
    assert not rule.has_honest(honest - 1, total)


# Quorum is ceil(2N/3), F is floor((N - 1) / 3); 2F + 1 would be one less for 3, 6, 9 ....
@pytest.mark.parametrize(
    ("validators", "quorum", "faulty"),
    [
        (1, 1, 0),
        (2, 2, 0),
        (3, 2, 0),
        (4, 3, 1),
        (5, 4, 1),
        (6, 4, 1),
        (7, 5, 2),
        (9, 6, 2),
        (10, 7, 3),
        (22, 15, 7),
        (100, 67, 33),
    ],
)
def test_authority_counts(validators: int, quorum: int, faulty: int) -> None:
    assert QuorumRule.AUTHORITY.quorum_weight(validators) == quorum
    assert QuorumRule.AUTHORITY.faulty_max(validators) == faulty == (validators - 1) // 3


@pytest.mark.parametrize(
    ("total", "quorum", "faulty"), [(3, 3, 1), (4, 3, 1), (5, 4, 1), (6, 5, 2), (100, 67, 33), (99, 67, 33)]
)
def test_stake_takes_the_strict_form(total: int, quorum: int, faulty: int) -> None:
    assert QuorumRule.STAKE.quorum_weight(total) == quorum
    assert QuorumRule.STAKE.faulty_max(total) == faulty


@pytest.mark.parametrize(
    ("rule", "powers", "crashes", "liars"),
    [
        (QuorumRule.AUTHORITY, [1], 0, 0),
        (QuorumRule.AUTHORITY, [1] * 2, 0, 0),
        (QuorumRule.AUTHORITY, [1] * 3, 1, 0),
        (QuorumRule.AUTHORITY, [1] * 4, 1, 1),
        (QuorumRule.AUTHORITY, [1] * 5, 1, 1),
        (QuorumRule.AUTHORITY, [1] * 6, 2, 1),
        (QuorumRule.AUTHORITY, [1] * 7, 2, 2),
        (QuorumRule.STAKE, [1] * 3, 0, 0),
        (QuorumRule.STAKE, [1] * 4, 1, 1),
        (QuorumRule.STAKE, [34, 33, 33], 0, 0),
        (QuorumRule.STAKE, [97, 1, 1, 1], 0, 0),
        (QuorumRule.STAKE, [3, 3, 2, 2], 1, 1),
    ],
)
def test_tolerance_counts_the_worst_case(
    rule: QuorumRule, powers: list[int], crashes: int, liars: int
) -> None:
    assert rule.tolerance(powers) == Tolerance(crashes=crashes, liars=liars)


def test_tolerance_reads_as_a_sentence() -> None:
    assert str(QuorumRule.AUTHORITY.tolerance([1] * 4)) == "tolerates 1 crash, 1 liar"
    assert str(QuorumRule.AUTHORITY.tolerance([1] * 7)) == "tolerates 2 crashes, 2 liars"
    assert str(QuorumRule.STAKE.tolerance([1] * 3)) == "tolerates 0 crashes, 0 liars"


@pytest.mark.parametrize("rule", BOTH)
@given(powers=st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=12))
def test_what_is_tolerated_leaves_a_quorum_of_the_honest(rule: QuorumRule, powers: list[int]) -> None:
    tolerance = rule.tolerance(powers)
    heaviest = sorted(powers, reverse=True)
    total = sum(powers)
    assert rule.is_quorum(total - sum(heaviest[: tolerance.crashes]), total)
    assert tolerance.liars <= tolerance.crashes
    assert sum(heaviest[: tolerance.liars]) <= rule.faulty_max(total)
