"""Who may have how much, and when again: against a plain model, and the sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.testnet.faucet import FaucetConfig
from sdk.testnet.faucet.policy import (
    DAY_MS,
    Limit,
    RefusalCode,
    Refused,
    bucket_after,
    check_bucket,
    check_day,
    check_under_way,
    check_window,
    describe_seconds,
    limits_of,
    scaled_amount,
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
    limit = Limit(whose="for this address", code=RefusalCode.ADDRESS, count=count, window_ms=window_ms)
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
        code=RefusalCode.DAY,
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


@given(
    daily_count=st.integers(1, 5_000),
    steps_ms=st.lists(st.integers(0, DAY_MS // 20), min_size=1, max_size=80),
)
def test_a_day_never_sees_more_than_its_payouts_and_a_tenth_and_the_told_wait_is_enough(
    daily_count: int, steps_ms: list[int]
) -> None:
    now_ms, due_ms, paid = 20_000 * DAY_MS, 0, 0
    start_ms = now_ms
    for step_ms in steps_ms:
        now_ms += step_ms
        refused = check_bucket(due_ms, daily_count, now_ms)
        if refused is None:
            paid += 1
            due_ms = bucket_after(due_ms, daily_count, now_ms)
        else:
            assert refused.code is RefusalCode.BUDGET
            assert refused.retry_after_s is not None
            assert check_bucket(due_ms, daily_count, now_ms + 1000 * refused.retry_after_s) is None
        even = (now_ms - start_ms) * daily_count / DAY_MS
        assert paid <= even * 1.001 + max(1, daily_count // 10) + 1


def test_a_tenth_of_the_days_payouts_may_go_out_at_once() -> None:
    now_ms, due_ms, paid = 20_000 * DAY_MS, 0, 0
    while check_bucket(due_ms, 1000, now_ms) is None:
        due_ms = bucket_after(due_ms, 1000, now_ms)
        paid += 1

    assert paid == 100


@given(amount=st.integers(1, 10**12), balance=st.integers(0, 10**18), target=st.integers(1, 10**18))
def test_a_faucet_that_runs_low_pays_less_and_at_last_nothing_but_never_more(
    amount: int, balance: int, target: int
) -> None:
    scaled = scaled_amount(amount, balance, target)

    if balance * 20 < target:
        assert isinstance(scaled, Refused)
        assert scaled.code is RefusalCode.EMPTY
    elif balance * 4 >= target:
        assert scaled == amount
    else:
        assert isinstance(scaled, int)
        assert 1 <= scaled <= amount
        assert scaled >= amount * 4 * balance // target


@pytest.mark.parametrize(("count", "maximum", "is_refused"), [(0, 1, False), (1, 1, True), (5, None, False)])
def test_what_is_under_way_is_waited_for(count: int, maximum: int | None, is_refused: bool) -> None:
    assert (check_under_way("to this address", count, maximum) is not None) == is_refused
