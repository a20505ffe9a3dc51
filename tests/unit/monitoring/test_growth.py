"""Growth that is kept up mark by mark is what a walk over all marks gives."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from sdk.testnet.monitoring.growth import Counters, Growth

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW_S = 30.0


@dataclass(frozen=True)
class Mark:
    at_s: float
    nodes: frozenset[str]
    counted: Counters


def walked(marks: Sequence[Mark]) -> Counters:
    """The same by its definition."""
    grown: Counters = {}
    for before, after in itertools.pairwise(marks):
        if after.at_s < marks[-1].at_s - WINDOW_S:
            continue
        for key, value in after.counted.items():
            if key[0] in before.nodes:
                was = before.counted.get(key, 0.0)
                grown[key] = grown.get(key, 0.0) + (value - was if value >= was else value)
    return grown


counters = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), st.integers(0, 5).map(float)
)
steps = st.lists(st.tuples(st.integers(1, 20), counters, st.sets(st.sampled_from("ab"))), max_size=12)


@given(steps, st.integers(1, 4))
def test_growth_is_that_of_the_window_whenever_it_is_asked(
    steps: list[tuple[int, Counters, set[str]]], every: int
) -> None:
    """Nodes come, go and begin anew; asked after each mark, or after some."""
    growth, marks, now_s = Growth("counted", WINDOW_S), [], 0.0
    for place, (later_s, counted, silent) in enumerate(steps):
        now_s += later_s
        heard = {key: value for key, value in counted.items() if key[0] not in silent}
        marks.append(Mark(now_s, frozenset("ab") - silent, heard))
        if place % every == 0:
            assert growth.follow(marks) == walked(marks)

    assert growth.follow(marks) == walked(marks)


def test_a_mark_is_walked_over_once() -> None:
    """A page of a hundred validators would walk over half an hour of marks two hundred times."""
    read = 0

    @dataclass(frozen=True)
    class Watched(Mark):
        def __getattribute__(self, name: str) -> object:
            nonlocal read
            read += name == "counted"
            return object.__getattribute__(self, name)

    growth = Growth("counted", WINDOW_S)
    marks = [Watched(float(number), frozenset("a"), {("a", "x"): float(number)}) for number in range(100)]
    for end in range(1, 101):
        for _ in range(50):
            growth.follow(marks[:end])

    assert read == 2 * 99
    assert growth.follow(marks) == {("a", "x"): 31.0}


def test_what_grew_alone_leaves_the_window_as_all_growth_does() -> None:
    growth, nodes = Growth("counted", WINDOW_S), frozenset("ab")
    marks = [
        Mark(10.0 * place, nodes, counted)
        for place, counted in enumerate((
            {("a", "x"): 0.0, ("a", "y"): 0.0, ("b", "x"): 0.0},
            {("a", "x"): 2.0, ("a", "y"): 0.0, ("b", "x"): 0.0},
            {("a", "x"): 3.0, ("a", "y"): 1.0, ("b", "x"): 4.0},
        ))
    ]  # fmt: skip
    growth.follow(marks)
    assert growth.alone() == {("a", "x"): 2.0, ("b", "x"): 4.0}

    marks.append(Mark(45.0, nodes, marks[-1].counted))
    growth.follow(marks)
    assert growth.alone() == {("b", "x"): 4.0}
