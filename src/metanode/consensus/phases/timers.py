"""The deadlines of heights and rounds."""

from typing import Final

from metanode.chain.timing import calculate_due
from metanode.consensus.core import Core
from metanode.consensus.effects import StartBlockTimer, StartResendTimer, StartRoundTimer

ALONE_GROWTH: Final = 4
"""So many times as long is each wait alone as the one before: after an hour alone one is in round 5, which those who come back reach in half a minute."""
ALONE_STEPS_MAX: Final = 10
"""The longest is a year; numbers have an end."""
RESEND_MS_MAX: Final = 4_000
"""Own messages are sent again this often, or every round timeout if that is shorter (docs/spec/consensus.md, Changing the round)."""


def arm_height(core: Core) -> None:
    """Start the deadlines of a height that begins."""
    parameters = core.rules.parameters
    due_s = calculate_due(
        parent_timestamp=core.tip.header.timestamp,
        genesis_time=parameters.genesis_time,
        period_s=parameters.period_s,
    )
    core.emit(StartBlockTimer(height=core.height, due_s=due_s))
    core.emit(StartResendTimer(height=core.height, after_ms=resend_ms(core)))


def arm_round(core: Core) -> None:
    """Start the round's timer: with the first deadline, or with the second when its proposal came early; of a round that waits for a quorum, the wait alone.

    That is long, and longer each time, for those who come back have to catch up with whoever was alone. It ends what no rule foresaw: the new round
    has new messages, which pass where repeated ones do not, and a validator whose watermark forbids it to speak in this round may in a later one.
    """
    timeouts = core.current.timeouts
    if not core.current.is_shared:
        after_ms = timeouts.round_timeout_max_ms * ALONE_GROWTH ** min(
            core.current.rounds_alone, ALONE_STEPS_MAX
        )
    elif core.current.accepted is not None:
        after_ms = timeouts.round_ms(core.current.round)
    else:
        after_ms = timeouts.propose_ms(core.current.round)
    core.emit(StartRoundTimer(height=core.height, round=core.current.round, after_ms=after_ms))


def resend_ms(core: Core) -> int:
    """Return when own messages are sent again."""
    return min(core.current.timeouts.round_ms(core.current.round), RESEND_MS_MAX)
