"""Slots of whole seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.chain.forks import Timeouts
from metanode.chain.timing import calculate_due, calculate_hold_ms, calculate_timestamp
from metanode.primitives.types import Round

G = 1_700_000_000


@pytest.mark.parametrize(("parent", "due"), [(0, 2), (1, 2), (2, 4), (3, 4), (101, 102)])
def test_due_is_the_first_slot_after_the_parent(parent: int, due: int) -> None:
    assert calculate_due(parent_timestamp=G + parent, genesis_time=G, period_s=2) == G + due


@given(st.integers(0, 10**9), st.integers(1, 3600))
def test_the_gap_is_at_least_a_second_and_at_most_a_period(parent: int, period: int) -> None:
    due = calculate_due(parent_timestamp=G + parent, genesis_time=G, period_s=period)
    assert 1 <= due - (G + parent) <= period
    assert (due - G) % period == 0


@pytest.mark.parametrize(
    ("desc", "round", "now_ms", "timestamp"),
    [
        ("early in round 0: the slot", 0, 0, 12),
        ("on time", 0, 12_000, 12),
        ("a little late", 0, 13_999, 12),
        ("after a halt in round 0: now", 0, 14_000, 14),
        ("long after", 0, 99_999, 99),
        ("round 1: now", 1, 13_020, 13),
        ("round 1 with a slow clock: after the parent", 1, 9_000, 11),
    ],
)
def test_fresh_timestamps(desc: str, round: int, now_ms: int, timestamp: int) -> None:
    found = calculate_timestamp(
        parent_timestamp=G + 10, genesis_time=G, period_s=2, round=round, now_ms=G * 1000 + now_ms
    )
    assert found - G == timestamp, desc


@pytest.mark.parametrize(
    ("ahead_ms", "hold_ms"), [(-5_000, 0), (0, 0), (1_000, 0), (1_001, 1), (5_000, 4_000)]
)
def test_proposals_from_the_future_are_held(ahead_ms: int, hold_ms: int) -> None:
    assert calculate_hold_ms(timestamp=G, now_ms=G * 1000 - ahead_ms) == hold_ms


@pytest.mark.parametrize(
    ("round", "propose_ms", "round_ms"),
    [
        (0, 1_000, 4_000),
        (1, 2_000, 8_000),
        (3, 8_000, 32_000),
        (5, 32_000, 32_000),
        (33, 32_000, 32_000),
        (10**9, 32_000, 32_000),
    ],
)
def test_timeouts_double_up_to_their_cap(round: int, propose_ms: int, round_ms: int) -> None:
    timeouts = Timeouts()
    assert (timeouts.propose_ms(Round(round)), timeouts.round_ms(Round(round))) == (propose_ms, round_ms)
