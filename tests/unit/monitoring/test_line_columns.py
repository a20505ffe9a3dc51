"""Lines that come and go beside the rows of a ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.testnet.monitoring.history import History
from sdk.testnet.monitoring.line_columns import CHARTS, NAMES_MAX, OTHERS

if TYPE_CHECKING:
    from collections.abc import Sequence

NODES = st.dictionaries(st.sampled_from(("a", "b", "c")), st.integers(0, 1_000), max_size=3)


def filled(rows: Sequence[dict[str, float]], capacity: int, chart: str = "cpu_percent") -> History:
    history = History(capacity)
    for number, row in enumerate(rows):
        history.append(1_000.0 + 2 * number, {"height": number}, {chart: row})
    return history


@given(st.lists(NODES, max_size=30), st.integers(1, 12), st.integers(2, 30))
def test_each_line_has_its_values_in_the_rows_of_the_others(
    rows: list[dict[str, float]], capacity: int, points: int
) -> None:
    history = filled(rows, capacity)
    heights = history.read(since=0, points_max=points)["height"]
    lines = history.read_lines(since=0, points_max=points)["cpu_percent"]
    chosen = [rows[int(height or 0)] for height in heights]

    assert set(lines) == {name for row in chosen for name in row}
    for name, values in lines.items():
        assert values == [row.get(name) for row in chosen]


def test_names_without_a_place_are_one_line_of_the_worst() -> None:
    many = {f"node-{number}": float(number) for number in range(NAMES_MAX + 3)}
    for chart, worst in (("cpu_percent", NAMES_MAX + 2), ("disk_free_gb", NAMES_MAX)):
        lines = filled([many, many], 5, chart).read_lines(since=0)[chart]
        assert len(lines) == NAMES_MAX + 1
        assert lines[OTHERS] == [worst, worst]
        assert lines["node-3"] == [3, 3]


def test_a_name_that_is_gone_from_all_rows_leaves_its_place() -> None:
    gone = {f"gone-{number}": 1.0 for number in range(NAMES_MAX)}
    history = filled([gone, {"new": 2.0}, {"new": 3.0}, {"new": 4.0}], 3)

    lines = history.read_lines(since=0)["cpu_percent"]
    assert lines == {OTHERS: [2, 3, None], "new": [None, None, 4]}


def test_a_chart_that_nobody_has_told_of_has_no_lines() -> None:
    assert filled([{}, {}], 5).read_lines(since=0) == {chart: {} for chart in CHARTS}


def test_a_window_may_end_before_now() -> None:
    history = filled([{"a": number} for number in range(10)], 6)

    assert history.read(since=1_010.0, until=1_014.0)["height"] == [5, 6, 7]
    assert history.read_lines(since=1_010.0, until=1_014.0)["cpu_percent"] == {"a": [5, 6, 7]}
    assert history.read(since=0.0, until=1_000.0)["height"] == []


def test_a_clock_that_is_set_back_leaves_the_rows_in_order() -> None:
    history = History(5)
    for at in (100.0, 102.0, 50.0, 104.0):
        history.append(at, {})

    assert history.read(since=101.0)["at"] == [102.0, 102.0, 104.0]
    assert history.count == 4


def test_numbers_keep_what_a_chart_shows_of_them() -> None:
    assert filled([{"a": 1_234.567}], 5, "disk_free_gb").read_lines(since=0)["disk_free_gb"]["a"] == [
        pytest.approx(1_234.567, abs=0.001)
    ]
