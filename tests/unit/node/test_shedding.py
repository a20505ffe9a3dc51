"""Heavy calls are refused while the loop is late, not because it once was."""

from __future__ import annotations

import pytest

from metanode.node.shedding import LAG_MAX_S, LATE_TURNS, PUNCTUAL_TURNS, Shedding

LATE, PUNCTUAL = 2 * LAG_MAX_S, 0.0


@pytest.mark.parametrize(
    ("turns", "is_active"),
    [
        ([], False),
        ([PUNCTUAL], False),
        ([LAG_MAX_S] * 100, False),
        ([LATE], False),
        ([LATE] * (LATE_TURNS - 1), False),
        ([LATE, PUNCTUAL] * 50, False),
        ([LATE] * LATE_TURNS, True),
        ([LATE] * LATE_TURNS + [PUNCTUAL] * (PUNCTUAL_TURNS - 1), True),
        ([LATE] * LATE_TURNS + ([PUNCTUAL] * (PUNCTUAL_TURNS - 1) + [LATE]) * 9, True),
        ([LATE] * LATE_TURNS + [PUNCTUAL] * PUNCTUAL_TURNS, False),
    ],
)
def test_lateness_that_stays_begins_it_and_punctuality_that_stays_ends_it(
    turns: list[float], is_active: bool
) -> None:
    shedding = Shedding()

    changes = [shedding.observe(lag_s) for lag_s in turns]

    assert shedding.is_active is is_active
    assert changes.count(True) % 2 == is_active
