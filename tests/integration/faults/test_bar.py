"""The bar beside a fault can fail: what it counts of a node's answers and of its memory."""

from __future__ import annotations

import pytest
from tests.integration.faults.bar import Asked, Life
from tests.integration.hostile.bar import MEMORY_BYTES_MAX

GOOD = Asked(0.01)
SLOW = Asked(1.1)
REFUSED = Asked(0.01, refused="ConnectionRefusedError")


def test_a_slow_or_missing_answer_of_a_node_that_lives_through_a_fault_breaks_the_bar() -> None:
    Life("validator-1", asked=[GOOD, GOOD]).check()
    with pytest.raises(AssertionError, match=r"took 1\.10 s for a good request"):
        Life("validator-1", asked=[GOOD, SLOW, GOOD]).check()
    with pytest.raises(AssertionError, match="ConnectionRefusedError"):
        Life("validator-1", asked=[GOOD, GOOD, REFUSED]).check()
    with pytest.raises(AssertionError, match="ConnectionRefusedError"):
        Life("validator-1", asked=[REFUSED, GOOD]).check()


def test_a_process_is_exempt_before_its_first_good_answer_or_after_its_last_and_not_between() -> None:
    Life("validator-1", is_new=True, asked=[REFUSED, SLOW, GOOD]).check()
    Life("validator-1", has_ended=True, asked=[GOOD, SLOW, REFUSED]).check()
    Life("validator-1", is_new=True, has_ended=True, asked=[REFUSED]).check()
    for life in (Life("validator-1", is_new=True), Life("validator-1", has_ended=True)):
        life.asked += [GOOD, REFUSED, GOOD]
        with pytest.raises(AssertionError, match="ConnectionRefusedError"):
            life.check()


def test_a_node_that_lives_and_never_answers_breaks_the_bar() -> None:
    with pytest.raises(AssertionError, match="has answered nothing"):
        Life("validator-1", is_new=True, asked=[REFUSED, REFUSED]).check()
    with pytest.raises(AssertionError, match="has answered nothing"):
        Life("validator-1").check()


def test_more_memory_than_the_bar_allows_breaks_it() -> None:
    Life("validator-1", asked=[GOOD], grown_bytes=MEMORY_BYTES_MAX).check()
    with pytest.raises(AssertionError, match="took 60 MB more"):
        Life("validator-1", asked=[GOOD], grown_bytes=60 * 10**6).check()
