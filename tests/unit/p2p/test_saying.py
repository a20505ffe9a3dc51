"""Lines of the log about strangers have a rate, and say how many were left out."""

from metanode.p2p.limits import Saying


def test_a_burst_is_said_and_then_a_line_in_two_seconds_with_the_number_of_those_between() -> None:
    saying = Saying(per_s=0.5, burst=3)

    assert [saying.take(100.0) for _ in range(5)] == [0, 0, 0, None, None]
    assert saying.take(101.0) is None
    assert saying.take(102.1) == 3
    assert saying.take(102.2) is None
    assert [saying.take(200.0) for _ in range(4)] == [1, 0, 0, None]


def test_a_clock_that_goes_back_says_nothing_more() -> None:
    saying = Saying(per_s=0.5, burst=1)

    assert saying.take(100.0) == 0
    assert saying.take(50.0) is None
