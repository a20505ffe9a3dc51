"""The deadlines of heights and rounds."""

from typing import Final

from metanode.chain.timing import calculate_due
from metanode.consensus.core import Core
from metanode.consensus.effects import StartBlockTimer, StartResendTimer, StartRoundTimer

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
    """Start the round's timer when it is shared: with the first deadline, or with the second when its proposal came early."""
    timeouts = core.current.timeouts
    after_ms = timeouts.propose_ms(core.current.round)
    if core.current.accepted is not None:
        after_ms = timeouts.round_ms(core.current.round)
    core.emit(StartRoundTimer(height=core.height, round=core.current.round, after_ms=after_ms))


def resend_ms(core: Core) -> int:
    """Return when own messages are sent again."""
    return min(core.current.timeouts.round_ms(core.current.round), RESEND_MS_MAX)
