"""Limits in memory: what is told is enough, and nobody who is within a window is forgotten for somebody new."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from sdk.testnet.faucet import attempts
from sdk.testnet.faucet.attempts import WIDE_SHARE, Attempts, OriginAttempts
from sdk.testnet.faucet.client_address import origin_of

if TYPE_CHECKING:
    import pytest


@given(steps_ms=st.lists(st.integers(0, 300), max_size=60), maximum=st.integers(1, 5))
def test_no_window_holds_more_than_its_attempts_and_the_told_wait_is_enough(
    steps_ms: list[int], maximum: int
) -> None:
    failures, now_ms, counted = Attempts(maximum=maximum, window_ms=1_000), 0, []
    for step_ms in steps_ms:
        now_ms += step_ms
        wait_s = failures.wait_s("who", now_ms)
        inside = [one for one in counted if one > now_ms - 1_000]
        assert (wait_s is not None) == (len(inside) >= maximum)
        if wait_s is None:
            failures.count("who", now_ms)
            counted.append(now_ms)
        else:
            assert failures.wait_s("who", now_ms + 1000 * wait_s) is None


def test_a_full_table_forgets_who_may_go_on_anyway_and_else_lets_who_is_new_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "NETWORKS_MAX", 3)
    limit = Attempts(maximum=1, window_ms=1_000)
    for number in range(3):
        assert limit.wait_s(number, number) is None
        limit.count(number, number)

    assert limit.wait_s("new", 10) == 1, "until the oldest is out of its window"
    limit.count("new", 10)
    assert [limit.wait_s(number, 999) for number in range(3)] == [1, 1, 1], "all are still over theirs"
    assert limit.wait_s("new", 1_001) is None
    limit.count("new", 1_001)
    assert limit.wait_s("new", 1_001) == 1


def test_customers_of_one_site_share_a_limit_that_is_four_times_as_high() -> None:
    limit = OriginAttempts(maximum=2, window_ms=1_000)
    site = list(ipaddress.ip_network("2001:db8::/48").subnets(new_prefix=64))[:20]
    passed = 0
    for customer in site:
        origin = origin_of(customer[1])
        for _ in range(3):
            if limit.wait_s(origin, 0) is None:
                limit.count(origin, 0)
                passed += 1

    assert passed == 2 * WIDE_SHARE
    assert limit.wait_s(origin_of(ipaddress.ip_address("2001:db8:1::1")), 0) is None, "another site"
