"""Who may have how much, and when again: against a plain model, and the sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.testnet.faucet import FaucetConfig
from sdk.testnet.faucet.policy import (
    DAY_MS,
    Limit,
    Refused,
    check_day,
    check_window,
    describe_seconds,
    limits_of,
)

HOUR_MS = 3_600_000


@given(
    count=st.integers(1, 5),
    window_ms=st.integers(1, 1_000),
    steps_ms=st.lists(st.integers(0, 500), max_size=40),
)
def test_no_window_ever_holds_more_payouts_than_its_limit_and_the_told_wait_is_enough(
    count: int, window_ms: int, steps_ms: list[int]
) -> None:
    limit = Limit(whose="for this address", count=count, window_ms=window_ms)
    paid: list[int] = []
    now_ms = 10_000
    for step_ms in steps_ms:
        now_ms += step_ms
        newest = sorted(paid, reverse=True)[:count]
        refused = check_window(limit, newest, now_ms)
        inside = [time_ms for time_ms in paid if now_ms - window_ms < time_ms <= now_ms]
        assert (refused is not None) == (len(inside) >= count)
        if refused is None:
            paid.append(now_ms)
            continue
        assert refused.retry_after_s is not None
        assert check_window(limit, newest, now_ms + refused.retry_after_s * 1000) is None


@pytest.mark.parametrize(
    ("times_ms", "now_ms", "reason"),
    [
        (
            [30_000, 20_000, 10_000],
            40_000,
            "Too many requests for this address: 3 in 1 h at most; try again in 59 min 30 s",
        ),
        (
            [9_000_000, 8_000_000, 7_000_000],
            9_000_001,
            "Too many requests for this address: 3 in 1 h at most; try again in 26 min 40 s",
        ),
    ],
)
def test_a_refusal_says_what_the_limit_is_and_how_long_to_wait(
    times_ms: list[int], now_ms: int, reason: str
) -> None:
    refused = check_window(limits_of(FaucetConfig()).address, times_ms, now_ms)

    assert refused is not None
    assert refused.reason == reason


def test_the_day_ends_at_midnight_of_utc() -> None:
    noon_ms = 20_000 * DAY_MS + DAY_MS // 2

    assert check_day(1000, 999, noon_ms) is None
    assert check_day(1000, 1000, noon_ms) == Refused(
        reason="Too many requests today: this faucet pays 1,000 times a day; try again in 12 h",
        retry_after_s=12 * 3600,
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min 59 s"), (3601, "1 h 1 s"), (90_061, "1 d 1 h")],
)
def test_lengths_of_time_are_told_in_their_two_largest_units(seconds: int, text: str) -> None:
    assert describe_seconds(seconds) == text


def test_the_documents_limits_are_the_defaults_and_a_public_faucet_is_stricter() -> None:
    plain, public = limits_of(FaucetConfig()), limits_of(FaucetConfig.public(daily_limit=50))

    assert (plain.address.count, plain.narrow.count, plain.daily_count) == (3, 5, 1000)
    assert plain.address.window_ms == plain.narrow.window_ms == HOUR_MS
    assert plain.address_weekly is None
    assert public.address_weekly is not None
    assert (public.address.count, public.address.window_ms, public.address_weekly.count) == (1, DAY_MS, 3)
    assert (public.narrow.count, public.wide.count, public.daily_count) == (3, 15, 50)
