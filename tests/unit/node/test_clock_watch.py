"""A clock that is off is told once it has been off for a while, and once when it is well again."""

from __future__ import annotations

import pytest

from metanode.node.clock_watch import STEADY_TURNS, ClockState, ClockWatch


@pytest.mark.parametrize(
    ("offset_s", "state"),
    [
        (None, ClockState.GOOD),
        (0.0, ClockState.GOOD),
        (0.249, ClockState.GOOD),
        (0.25, ClockState.WARNING),
        (-0.25, ClockState.WARNING),
        (-0.499, ClockState.WARNING),
        (0.5, ClockState.ERROR),
        (-30.0, ClockState.ERROR),
    ],
)
def test_from_250_ms_a_clock_is_a_warning_and_from_500_ms_an_error(
    offset_s: float | None, state: ClockState
) -> None:
    watch = ClockWatch()
    changes = [watch.observe(offset_s) for _ in range(3 * STEADY_TURNS)]

    assert watch.state is state
    assert sum(changes) == (state is not ClockState.GOOD), "told once"


def test_a_hiccup_is_not_told() -> None:
    watch = ClockWatch()
    offsets = ([0.4] * (STEADY_TURNS - 1) + [0.0]) * 5

    assert not any(watch.observe(offset_s) for offset_s in offsets)


def test_a_clock_that_is_well_again_is_told() -> None:
    watch = ClockWatch()
    for _ in range(STEADY_TURNS):
        watch.observe(0.7)
    changes = [watch.observe(0.01) for _ in range(STEADY_TURNS)]

    assert changes[-1]
    assert watch.state is ClockState.GOOD
