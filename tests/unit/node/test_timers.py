"""The three timers, on the event loop that nodes run on and on the standard one."""

import asyncio
from types import SimpleNamespace

import pytest
import uvloop

from metanode.consensus.effects import ExtendRoundTimer, StartBlockTimer, StartResendTimer, StartRoundTimer
from metanode.consensus.inputs import BlockTimeout, RoundTimeout
from metanode.node.timers import Timers
from metanode.primitives.types import Height, Round

NOW_MS = 1_700_000_000_000
PLACE = {"height": Height(1), "round": Round(0)}


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("late_s", [0, 5, 10**6])
def test_a_slot_that_is_due_at_once_is_told_like_any_other(loop_factory, late_s):
    """While a node catches up every slot is: whoever asked it for its state got an error."""
    fed: list[object] = []

    async def scenario() -> None:
        timers = Timers(clock=SimpleNamespace(wall_ms=lambda: NOW_MS), period_s=2, feed=fed.append)
        timers.start_block(StartBlockTimer(height=Height(1), due_s=NOW_MS // 1000 - late_s))
        timers.start_resend(StartResendTimer(height=Height(1), after_ms=0))
        left = timers.left_ms()
        assert left["slot"] in {None, 0}
        assert left["round"] is None
        async with asyncio.timeout(10):
            while BlockTimeout(height=Height(1)) not in fed:
                await asyncio.sleep(0)
        timers.start_round(StartRoundTimer(**PLACE, after_ms=0))
        assert timers.left_ms()["round"] in {None, 0}
        timers.extend_round(ExtendRoundTimer(**PLACE, after_ms=60_000))
        assert 59_000 < (timers.left_ms()["round"] or 0) <= 60_000
        assert timers.is_armed
        timers.cancel()
        assert timers.left_ms() == {"slot": None, "round": None, "resend": None}
        assert RoundTimeout(**PLACE) not in fed

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())
