"""Who may have how much, and when again. Pure: times come in, and sentences go out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sdk.testnet.faucet.configuration import FaucetConfig

SECOND_MS: Final = 1000
DAY_MS: Final = 86_400 * SECOND_MS
WEEK_MS: Final = 7 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `count` payouts within a window that ends now."""

    whose: str
    """Ends the words "Too many requests"."""
    count: int
    window_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No, and from when on it may be yes."""

    reason: str
    retry_after_s: int | None
    """None when waiting does not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one request, in the order in which they are told."""

    address: Limit
    address_weekly: Limit | None
    narrow: Limit
    wide: Limit
    daily_count: int


def limits_of(config: FaucetConfig) -> Limits:
    """The limits that a configuration sets."""
    window_ms = config.cooldown_period * SECOND_MS
    weekly = config.max_requests_per_address_weekly
    return Limits(
        address=Limit(whose="for this address", count=config.max_requests_per_address, window_ms=window_ms),
        address_weekly=None
        if weekly is None
        else Limit(whose="for this address", count=weekly, window_ms=WEEK_MS),
        narrow=Limit(whose="from this IP address", count=config.max_requests_per_ip, window_ms=window_ms),
        wide=Limit(whose="from this network", count=config.max_requests_per_network, window_ms=window_ms),
        daily_count=config.daily_limit,
    )


def check_window(limit: Limit, payout_times_ms: Sequence[int], now_ms: int) -> Refused | None:
    """Refuse when the window is full.

    Args:
        limit: How many payouts, in how long.
        payout_times_ms: When the last ones were, newest first; those before the newest `limit.count` make no difference.
        now_ms: When this is asked.
    """
    inside = [time_ms for time_ms in payout_times_ms if time_ms > now_ms - limit.window_ms]
    if len(inside) < limit.count:
        return None
    # The window has room again when the oldest of the newest `count` leaves it.
    free_ms = inside[limit.count - 1] + limit.window_ms
    retry_after_s = _seconds_up(free_ms - now_ms)
    return Refused(
        reason=f"Too many requests {limit.whose}: {limit.count:,} in {describe_seconds(limit.window_ms // SECOND_MS)} at most; "
        f"try again in {describe_seconds(retry_after_s)}",
        retry_after_s=retry_after_s,
    )


def check_day(daily_count: int, paid_today: int, now_ms: int) -> Refused | None:
    """Refuse when the day's payouts are given; days are those of UTC."""
    if paid_today < daily_count:
        return None
    retry_after_s = _seconds_up(day_start_ms(now_ms) + DAY_MS - now_ms)
    return Refused(
        reason=f"Too many requests today: this faucet pays {daily_count:,} times a day; try again in {describe_seconds(retry_after_s)}",
        retry_after_s=retry_after_s,
    )


def first_refusal(answers: Iterable[Refused | None]) -> Refused | None:
    """The first that refuses."""
    return next((answer for answer in answers if answer is not None), None)


def day_start_ms(now_ms: int) -> int:
    """When the day began."""
    return now_ms - now_ms % DAY_MS


def describe_seconds(seconds: int) -> str:
    """A length of time in its two largest units: "59 min 12 s"."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [
        f"{value} {unit}"
        for value, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s"))
        if value
    ]
    return " ".join(parts[:2]) or "0 s"


def _seconds_up(milliseconds: int) -> int:
    return -(-milliseconds // SECOND_MS)
