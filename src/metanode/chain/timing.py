"""When a block is due and what time it carries (docs/spec/chain.md, Time). Whole seconds; the clock is an argument."""

from typing import Final

CLOCK_AHEAD_MAX_MS: Final = 1_000
"""A proposal this far ahead of the local clock is judged at once; one further ahead is held until it is not."""


def calculate_due(*, parent_timestamp: int, genesis_time: int, period_s: int) -> int:
    """Return the first slot, genesis_time + k * period, after the parent's timestamp; whole seconds make the gap at least 1 s."""
    assert parent_timestamp >= genesis_time, (parent_timestamp, genesis_time)
    return genesis_time + ((parent_timestamp - genesis_time) // period_s + 1) * period_s


def calculate_timestamp(
    *, parent_timestamp: int, genesis_time: int, period_s: int, round: int, now_ms: int
) -> int:
    """Return the timestamp of a fresh block.

    In round 0 it is the slot's, so that the block can be built before its time. In a later round, and in round 0 when a whole period has
    passed since the slot (the network had stopped), it is the time now.
    """
    due = calculate_due(parent_timestamp=parent_timestamp, genesis_time=genesis_time, period_s=period_s)
    if round == 0 and now_ms < (due + period_s) * 1000:
        return due
    return max(parent_timestamp + 1, now_ms // 1000)


def calculate_hold_ms(*, timestamp: int, now_ms: int) -> int:
    """Return how many milliseconds to hold a fresh proposal of this timestamp; 0 when it may be judged now."""
    return max(0, timestamp * 1000 - CLOCK_AHEAD_MAX_MS - now_ms)
