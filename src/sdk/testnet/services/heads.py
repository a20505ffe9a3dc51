"""Says when the index has a new block: to who waits in this process, and by Redis to other processes that have the same one.

It is never needed. Who waits has a time after which it looks by itself, a short one while nobody could tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import structlog

from metanode.errors import InvalidInput
from sdk.testnet.own_task import in_own_task
from sdk.testnet.services.failures import raise_first

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

log = structlog.get_logger(__name__)

CHANNEL: Final = "metanode-heads"
LOOK_EVERY_S: Final = 5.0
"""How often who is told looks all the same."""
LISTEN_S: Final = 5.0
"""Of one wait for Redis; a connection that broke is noticed within it."""
HEARD_S: Final = 15.0
"""Of who has told nothing for so long nobody knows whether he still does: a Redis that hangs keeps its connections."""
PAUSE_S: Final = 5.0
"""Until Redis is asked again after it failed."""


class Heads:
    """The newest block that was told. Owned by one event loop.

    Args:
        redis_url: Redis of several processes; empty for one alone.
    """

    def __init__(self, redis_url: str = "") -> None:
        self._redis_url = redis_url
        self.is_local = False
        """Whether the indexer is in this process, so that `tell` says all there is to say."""
        self._heard_s = float("-inf")
        """When another process told something last."""
        self.told = 0
        """How often a block was told."""
        self._moved = asyncio.Event()
        self._untold: asyncio.Queue[int] = asyncio.Queue(1)

    def tell(self, number: int) -> None:
        """Wake who waits, here and elsewhere: the index has this block now."""
        self._wake()
        if self._redis_url:
            # The newest is all that anybody wants to know.
            with contextlib.suppress(asyncio.QueueEmpty):
                self._untold.get_nowait()
            self._untold.put_nowait(number)

    async def wait(self, seconds: float, *, since: int | None = None) -> None:
        """Return when a block is told, or it is time to look; after `seconds` where nobody may tell.

        With `since`, what `told` was before the last look, it returns at once when one was told meanwhile.
        """
        if since is not None and since != self.told:
            return
        is_told = self.is_local or time.monotonic() - self._heard_s < HEARD_S
        longest_s = LOOK_EVERY_S if is_told else seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._moved.wait()

    async def run(self) -> None:
        """Tell other processes, and hear them, until cancelled."""
        if not self._redis_url:
            return
        from redis.asyncio import Redis  # noqa: PLC0415 - 7 MB that one process alone does without
        from redis.exceptions import RedisError  # noqa: PLC0415 - the same

        try:
            redis = Redis.from_url(
                self._redis_url,
                socket_connect_timeout=PAUSE_S,
                socket_timeout=PAUSE_S,
                health_check_interval=30,
            )
        except ValueError:
            raise InvalidInput("redis_url: expected redis://HOST:PORT or unix://PATH") from None
        try:
            while True:
                try:
                    await in_own_task(self._pass_on(redis), name="heads: Redis")
                except (RedisError, OSError, TimeoutError) as error:
                    log.warning("heads_silent", reason=str(error)[:200], retry_s=PAUSE_S)
                await asyncio.sleep(PAUSE_S)
        finally:
            await redis.aclose()

    async def _pass_on(self, redis: Redis) -> None:
        """Tell and hear until Redis fails."""
        async with redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CHANNEL)
            try:
                with raise_first():
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._hear(channel), name="heads: hear")
                        tasks.create_task(self._publish(redis), name="heads: tell")
            finally:
                self._heard_s = float("-inf")

    async def _hear(self, channel: PubSub) -> None:
        while True:
            if await channel.get_message(timeout=LISTEN_S) is not None:
                # Somebody does tell, so there is no need to look so often.
                self._heard_s = time.monotonic()
                self._wake()

    async def _publish(self, redis: Redis) -> None:
        while True:
            await redis.publish(CHANNEL, await self._untold.get())

    def _wake(self) -> None:
        self.told += 1
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
