"""One life of a node: it ends at a boundary when the scenario says so, or at any moment from outside; nothing happens after its end."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

BOUNDARIES: Final = (
    "before watermark",
    "unsynced watermark",
    "after watermark",
    "before save",
    "uncommitted save",
    "after save",
    "before send",
    "before start_build",
    "after start_build",
    "before take_build",
    "after take_build",
    "before validate",
    "after validate",
    "before finalize",
    "after finalize",
)
"""Where a node may be killed: around each write to its disk and in the middle of it, before each message to each peer, and around each
call of its execution client."""


class Killed(BaseException):
    """The scenario kills the node at this boundary. No code of the node may catch it."""


class Life:
    """From a start to the end that is drawn for it. Owner: the node."""

    def __init__(self, seed: random.Random, crash_at: Callable[[str], bool]) -> None:
        self._random = seed
        self._crash_at = crash_at
        self.has_ended = False
        """Nothing that the node still tries to do is done."""
        self.is_buried = False
        """Its disk has lost what was not durable."""

    def go_on(self) -> None:
        """Raise Killed if the life is over: what a dead node's tasks still try to do is not done."""
        if self.has_ended:
            raise Killed("dead")

    def pass_by(self, boundary: str) -> None:
        """Go on past a boundary, or end there: raises Killed."""
        self.go_on()
        if self._crash_at(boundary):
            self.has_ended = True
            raise Killed(boundary)

    async def pass_slowly(self, boundary: str) -> None:
        """Pass a boundary of a write, which takes a while."""
        self.pass_by(boundary)
        await asyncio.sleep(self._random.randint(1, 4) / 10_000)
        self.go_on()
