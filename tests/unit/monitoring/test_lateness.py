"""Charts show whether blocks are late, whenever the looks fall."""

from __future__ import annotations

import pytest
from tests.unit.monitoring.networks import block, network, observed, pictured

from sdk.testnet.monitoring import screen
from sdk.testnet.monitoring.lateness import Lateness
from sdk.testnet.monitoring.memory import Memory


@pytest.mark.parametrize(
    ("period_s", "look_s"),
    [
        pytest.param(2.0, 2.05, id="looks are a little slower than blocks: the age at them is a ramp"),
        pytest.param(1.0, 2.0, id="two blocks a look"),
        pytest.param(5.0, 2.0, id="some looks see no block"),
        pytest.param(2.0, 30.0, id="looks that take long"),
    ],
)
def test_a_healthy_network_is_a_flat_line_however_looks_fall(period_s: float, look_s: float) -> None:
    lateness, found, known = Lateness(), [], -1
    for look in range(200):
        at_s = 1_000.0 + look * look_s
        head, age_s = divmod(at_s, period_s)
        blocks = [block(number, int(number * period_s)) for number in range(known, int(head) + 1)]
        found.append(lateness.follow(int(head), age_s, at_s=at_s, blocks=blocks if known > 0 else []))
        known = int(head)

    # What came before the first two blocks nobody has seen.
    assert found[10:] == pytest.approx([period_s] * 190)


def test_a_late_block_stands_out_with_the_age_that_the_one_before_had() -> None:
    decided_at_s = [0.0, 2.0, 4.0, 11.5, 13.5, 15.5]
    lateness, found = Lateness(), []
    for at_s in range(1, 18, 2):
        head = max(number for number, decided_s in enumerate(decided_at_s) if decided_s <= at_s)
        found.append(lateness.follow(head, at_s - decided_at_s[head], at_s=float(at_s), blocks=[]))

    assert found == [1.0, 2.0, 2.0, 3.0, 5.0, 7.0, 7.5, 2.0, 2.0]


def test_of_blocks_that_came_between_two_looks_the_latest_counts() -> None:
    lateness = Lateness()
    lateness.follow(10, 1.0, at_s=100.0, blocks=[])
    came = [block(10, 99), block(11, 101), block(12, 109), block(13, 111)]

    assert lateness.follow(13, 0.5, at_s=112.0, blocks=came) == 8.0


def test_a_round_that_is_over_between_two_looks_is_in_the_chart() -> None:
    memory = Memory()

    def look(head: int, *blocks: tuple[int, int | None], at_s: float, of_open_height: int = 0) -> object:
        seen = observed(
            *network(head=head, height=head + 1, round=of_open_height),
            at_s=at_s,
            blocks=tuple(block(number, 2 * number, round=decided) for number, decided in blocks),
        )
        return screen.row(pictured(seen, memory))["round"]

    assert look(811, (810, 3), (811, 0), at_s=1.0) == 0, "what was before the first look is not of it"
    assert look(812, (812, 1), at_s=3.0) == 1
    assert look(812, at_s=5.0) == 0
    assert look(812, at_s=7.0, of_open_height=2) == 2
    assert look(814, (813, None), (814, 2), at_s=9.0, of_open_height=1) == 2
