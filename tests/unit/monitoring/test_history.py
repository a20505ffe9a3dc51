"""A day of numbers in a fixed size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidInput
from sdk.testnet.monitoring.history import NAMES, History


def filled(count: int, rows: int) -> History:
    history = History(rows)
    for index in range(count):
        history.append(1000.0 + 2 * index, {"height": index, "tps": None})
    return history


@given(st.integers(0, 60), st.integers(1, 20), st.integers(2, 30), st.integers(0, 130))
def test_the_newest_rows_stay_in_order_and_are_thinned_evenly(
    count: int, rows: int, points: int, since: int
) -> None:
    history = filled(count, rows)
    found = history.read(since=1000.0 + since, points_max=points)
    kept = [index for index in range(count)[-rows:] if 2 * index >= since]

    assert len(history) == min(count, rows)
    assert found["at"] == [1000.0 + 2 * index for index in found["height"]]
    assert found["height"] == sorted(found["height"])
    assert set(found["height"]) <= set(kept)
    assert len(found["height"]) == min(len(kept), points)
    if kept:
        assert (found["height"][0], found["height"][-1]) == (kept[0], kept[-1])


def test_a_peak_is_seen_where_rows_are_left_out() -> None:
    history = History(100)
    for index in range(250):
        history.append(
            1000.0 + index,
            {"round": None if index < 160 else int(index == 203), "head_age_s": 2.0 + (index == 171)},
        )
    found = history.read(since=0, points_max=10)

    assert found["at"] == [1150.0 + 11 * place for place in range(10)]
    assert found["round"] == [None, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert found["head_age_s"] == [2, 2, 3, 2, 2, 2, 2, 2, 2, 2]


def test_what_is_not_known_is_none() -> None:
    found = filled(2, 5).read(since=0)

    assert set(found) == {"at", *NAMES}
    assert found["tps"] == found["round"] == [None, None]


def test_a_number_of_points_that_is_none_is_refused() -> None:
    for points in (1, 2_001):
        with pytest.raises(InvalidInput, match="points_max"):
            filled(2, 5).read(since=0, points_max=points)
