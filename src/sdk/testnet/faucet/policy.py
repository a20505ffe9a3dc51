"""Who may have how much, and when again. Pure: times come in, and sentences go out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sdk.testnet.faucet.configuration import FaucetConfig

SECOND_MS: Final = 1000
DAY_MS: Final = 86_400 * SECOND_MS
WEEK_MS: Final = 7 * DAY_MS


RESERVE_STOP: Final = 20
"""A faucet that pays less when it has less stops below a twentieth of its target,"""
RESERVE_SCALE: Final = 4
"""and pays everything from a quarter of it on."""
BURST: Final = 10
"""A tenth of a day's payouts may go out at once; then they go evenly."""
RESERVE_RETRY_S: Final = 600
"""An empty faucet is looked at again after this: an operator fills it, not time."""


class RefusalCode(StrEnum):
    """Why a request is refused, for programs."""

    ADDRESS = "address_limit"
    IP = "ip_limit"
    NETWORK = "network_limit"
    DAY = "daily_limit"
    BUDGET = "budget_limit"
    UNDER_WAY = "under_way"
    PASS = "pass_limit"  # noqa: S105 - no password
    BLOCKED = "blocked"
    PAUSED = "paused"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `count` payouts within a window that ends now."""

    whose: str
    """Ends the words "Too many requests"."""
    code: RefusalCode
    count: int
    window_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No, and from when on it may be yes."""

    reason: str
    code: RefusalCode
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
    is_even: bool
    """Whether the day's payouts go out evenly, a tenth of them at once."""
    address_under_way: int | None
    """Payouts to an address that are not final."""
    narrow_under_way: int | None
    """Payouts for a client that are not final."""


def limits_of(config: FaucetConfig, *, daily_limit: int | None = None) -> Limits:
    """The limits that a configuration sets; an operator may have changed the day's meanwhile."""
    window_ms = config.cooldown_period * SECOND_MS
    weekly = config.max_requests_per_address_weekly
    return Limits(
        address=Limit(
            whose="for this address",
            code=RefusalCode.ADDRESS,
            count=config.max_requests_per_address,
            window_ms=window_ms,
        ),
        address_weekly=None
        if weekly is None
        else Limit(whose="for this address", code=RefusalCode.ADDRESS, count=weekly, window_ms=WEEK_MS),
        narrow=Limit(
            whose="from this IP address",
            code=RefusalCode.IP,
            count=config.max_requests_per_ip,
            window_ms=window_ms,
        ),
        wide=Limit(
            whose="from this network",
            code=RefusalCode.NETWORK,
            count=config.max_requests_per_network,
            window_ms=window_ms,
        ),
        daily_count=config.daily_limit if daily_limit is None else daily_limit,
        is_even=config.spread_over_the_day,
        address_under_way=1 if config.one_at_a_time else None,
        narrow_under_way=2 if config.one_at_a_time else None,
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
        code=limit.code,
        retry_after_s=retry_after_s,
    )


def check_under_way(whose: str, count: int, maximum: int | None) -> Refused | None:
    """Refuse when as many payouts as may be are not final yet; `whose` ends the words "payout …"."""
    if maximum is None or count < maximum:
        return None
    return Refused(
        reason=f"A payout {whose} is under way; ask again when it is final",
        code=RefusalCode.UNDER_WAY,
        retry_after_s=5,
    )


def check_day(daily_count: int, paid_today: int, now_ms: int) -> Refused | None:
    """Refuse when the day's payouts are given; days are those of UTC."""
    if paid_today < daily_count:
        return None
    retry_after_s = _seconds_up(day_start_ms(now_ms) + DAY_MS - now_ms)
    return Refused(
        reason=f"Too many requests today: this faucet pays {daily_count:,} times a day; try again in {describe_seconds(retry_after_s)}",
        code=RefusalCode.DAY,
        retry_after_s=retry_after_s,
    )


def check_bucket(due_ms: int, daily_count: int, now_ms: int) -> Refused | None:
    """Refuse when the day's payouts go out faster than evenly, beyond a tenth of them at once.

    Args:
        due_ms: When the last payout would have been due, had all gone out evenly: `bucket_after` of the one before.
        daily_count: Payouts that a day has.
        now_ms: When this is asked.
    """
    ahead_ms = due_ms - now_ms
    allowed_ms = (max(1, daily_count // BURST) - 1) * DAY_MS // daily_count
    if ahead_ms <= allowed_ms:
        return None
    retry_after_s = _seconds_up(ahead_ms - allowed_ms)
    return Refused(
        reason=f"Too many requests at the moment: this faucet spreads {daily_count:,} payouts over a day; try again in {describe_seconds(retry_after_s)}",
        code=RefusalCode.BUDGET,
        retry_after_s=retry_after_s,
    )


def bucket_after(due_ms: int, daily_count: int, now_ms: int) -> int:
    """Return when the payout that goes out now would have been due."""
    return max(due_ms, now_ms) + DAY_MS // daily_count


def scaled_amount(amount_gwei: int, balance_gwei: int, target_gwei: int) -> int | Refused:
    """Return what a faucet pays that is to last: everything from a quarter of its target on, less below it, nothing below a twentieth."""
    if RESERVE_STOP * balance_gwei < target_gwei:
        return empty()
    return max(1, min(amount_gwei, amount_gwei * RESERVE_SCALE * balance_gwei // target_gwei))


def empty() -> Refused:
    """The answer of a faucet without coins."""
    return Refused(
        reason="the faucet is empty: it waits for its operator to fill it",
        code=RefusalCode.EMPTY,
        retry_after_s=RESERVE_RETRY_S,
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
