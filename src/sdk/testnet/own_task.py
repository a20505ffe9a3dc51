"""Work in a task of its own: whoever waits for it is cancelled when it should be, whatever happens in the work."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

_Result = TypeVar("_Result")


async def in_own_task(work: Coroutine[Any, Any, _Result], *, name: str) -> _Result:
    """Return what the work returns, or raise what it raises; each cancellation is passed on to the work, and raised once that has ended.

    For loops that note a failure and go on, around work with task groups. When a task of a group fails at the moment in which the group's own
    task is cancelled, Python 3.11's TaskGroup raises the failure and forgets the cancellation. Nor can the loop ask afterwards: `cancelling()` is 1
    after a failure without any cancellation, too (cpython 3.11, `TaskGroup.__aexit__`: what it asks of its parent while it waits is never taken back).
    """
    task = asyncio.get_running_loop().create_task(work, name=name)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        while not task.done():
            # Each further cancellation is passed on, too: work that nobody waits for would go on without an owner.
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            # Taken note of, for asyncio: who was to hear of it has gone.
            task.exception()
        raise
    return task.result()
