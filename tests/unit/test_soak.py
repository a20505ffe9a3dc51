"""What hours of load are judged by: a leak is told from what fills at first and from noise."""

from __future__ import annotations

import random

import pytest
from tests.integration.faults.soak import FILES_MAX, Sample, judge, page

HOURS = 8
MB = 1_000_000


def samples(*, leak_an_hour: float = 0.0, files_an_hour: float = 0.0) -> list[Sample]:
    """A node of 100 MB that fills its caches in the first hour, with a noise of 2 MB, every ten seconds."""
    noise = random.Random(7)
    found = []
    for number in range(HOURS * 360):
        hours = number / 360
        size = 60 + 40 * min(1.0, hours) + 100 * leak_an_hour * hours + noise.uniform(-2, 2)
        found.append(
            Sample(number * 10.0, round(size * MB), 40 + noise.randrange(8) + round(files_an_hour * hours))
        )
    return found


def test_caches_that_fill_and_noise_are_no_leak() -> None:
    found = judge(samples())

    assert found.held
    assert abs(found.slope) < 0.001
    assert round(found.resident_bytes / MB) == 100


def test_a_leak_of_two_percent_an_hour_is_one() -> None:
    found = judge(samples(leak_an_hour=0.02))

    assert not found.held
    assert 0.015 < found.slope < 0.02, "of what it takes in the mean, which the leak is part of"


def test_files_that_are_opened_and_never_closed_are_seen() -> None:
    found = judge(samples(files_an_hour=10))

    assert found.files_more > FILES_MAX
    assert not found.held
    assert "| validator-1 |" in (said := page({"validator-1": found}, ["- x"], machine="m", date="d"))
    assert "**no**" in said


def test_a_moment_says_nothing() -> None:
    with pytest.raises(AssertionError, match="too few"):
        judge(samples()[:8])
