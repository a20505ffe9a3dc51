"""What processes of one API share: counts of what clients used, and answers that are given twice. Redis, or this process's memory.

Redis is never needed: when it does not answer, this process counts for itself and asks it again some seconds later.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

import structlog

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from redis.asyncio import Redis

log = structlog.get_logger()

ENTRIES_MAX: Final = 100_000
"""Counts that are kept in memory, some 20 MB; the oldest go first."""
VALUE_BYTES_MAX: Final = 65_536
"""Of an answer that is kept."""
VALUES_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of all answers that are kept in memory; the oldest go first."""
REDIS_TIMEOUT_S: Final = 0.25
"""Longer than any answer of a Redis nearby; a request waits no longer for it."""
REDIS_PAUSE_S: Final = 5.0
"""After a failure it is not asked for so long."""
CONNECTIONS_MAX: Final = 64
"""Questions to Redis at once. Who finds no place in time counts alone this once: that is no silence of Redis."""
_PREFIX: Final = "metanode-api:"

_Answer = TypeVar("_Answer")


class Used(NamedTuple):
    """What of a window is used."""

    amount: int
    left_s: int
    """Whole seconds until it is forgotten, at least 1."""


class _Away(Exception):  # noqa: N818 - Redis is, and this process goes on
    """Redis is not to be had for this question."""


class Shared(Protocol):
    """Counts and answers."""

    async def add(self, key: str, amount: int, window_s: int) -> Used:
        """Add to a count that is forgotten at the end of its window; returns it with the amount."""

    async def get(self, key: str) -> bytes | None:
        """Return what was kept under a key."""

    async def keep(self, key: str, value: bytes, seconds: int) -> bool:
        """Keep a value, unless there is one already; whether it was kept."""

    async def replace(self, key: str, value: bytes, seconds: int) -> None:
        """Keep a value in place of another."""

    async def forget(self, key: str) -> None:
        """Keep it no longer."""


class InMemory:
    """Of this process only."""

    def __init__(self, *, entries_max: int = ENTRIES_MAX, bytes_max: int = VALUES_BYTES_MAX) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._counts: dict[str, tuple[float, int]] = {}
        self._values: dict[str, tuple[float, bytes]] = {}

    async def add(self, key: str, amount: int, window_s: int) -> Used:
        """See Shared."""
        now = time.monotonic()
        until, count = self._counts.pop(key, (0.0, 0))
        if until <= now:
            until, count = now + window_s, 0
        self._counts[key] = (until, count + amount)
        while len(self._counts) > self._entries_max:
            del self._counts[next(iter(self._counts))]
        return Used(count + amount, max(1, math.ceil(until - now)))

    async def get(self, key: str) -> bytes | None:
        """See Shared."""
        until, value = self._values.get(key, (0.0, b""))
        return value if until > time.monotonic() else None

    async def keep(self, key: str, value: bytes, seconds: int) -> bool:
        """See Shared."""
        if await self.get(key) is not None:
            return False
        await self.replace(key, value, seconds)
        return True

    async def replace(self, key: str, value: bytes, seconds: int) -> None:
        """See Shared."""
        if len(value) > VALUE_BYTES_MAX:
            return
        self._drop(key)
        self._values[key] = (time.monotonic() + seconds, value)
        self._bytes += len(value)
        while self._bytes > self._bytes_max or len(self._values) > self._entries_max:
            self._drop(next(iter(self._values)))

    async def forget(self, key: str) -> None:
        """See Shared."""
        self._drop(key)

    def _drop(self, key: str) -> None:
        _, value = self._values.pop(key, (0.0, b""))
        self._bytes -= len(value)


class InRedis:
    """Of all processes, as long as Redis answers; of this one otherwise."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._own = InMemory()
        self._silent_until = 0.0
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)

    @property
    def is_answering(self) -> bool:
        """Whether it did when it was asked last."""
        return self._silent_until <= time.monotonic()

    async def add(self, key: str, amount: int, window_s: int) -> Used:
        """See Shared."""

        async def ask() -> list[int]:
            async with self._redis.pipeline(transaction=True) as together:
                together.incrby(_PREFIX + key, amount)
                # Only where it has no end yet: the window does not move with what is counted.
                together.expire(_PREFIX + key, window_s, nx=True)
                together.pttl(_PREFIX + key)
                found: list[int] = await together.execute()
            return found

        with suppress(_Away):
            used, _, left_ms = await self._ask(ask)
            return Used(int(used), max(1, math.ceil(int(left_ms) / 1_000)))
        return await self._own.add(key, amount, window_s)

    async def get(self, key: str) -> bytes | None:
        """See Shared."""
        # What was kept here was kept while Redis was away, and is newer.
        own = await self._own.get(key)
        if own is not None:
            return own
        with suppress(_Away):
            found = await self._ask(lambda: self._redis.get(_PREFIX + key))
            return found.encode() if isinstance(found, str) else found
        return None

    async def keep(self, key: str, value: bytes, seconds: int) -> bool:
        """See Shared."""
        if await self._own.get(key) is not None:
            return False
        with suppress(_Away):
            return bool(await self._ask(lambda: self._redis.set(_PREFIX + key, value, ex=seconds, nx=True)))
        return await self._own.keep(key, value, seconds)

    async def replace(self, key: str, value: bytes, seconds: int) -> None:
        """See Shared."""
        if len(value) > VALUE_BYTES_MAX:
            return
        try:
            await self._ask(lambda: self._redis.set(_PREFIX + key, value, ex=seconds))
        except _Away:
            await self._own.replace(key, value, seconds)
        else:
            await self._own.forget(key)

    async def forget(self, key: str) -> None:
        """See Shared."""
        await self._own.forget(key)
        with suppress(_Away):
            await self._ask(lambda: self._redis.delete(_PREFIX + key))

    async def _ask(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Return Redis's answer; raises _Away when there is none."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - see open_shared

        if not self.is_answering:
            raise _Away
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                await self._places.acquire()
        except TimeoutError:
            raise _Away from None
        try:
            return await ask()
        except (RedisError, OSError, TimeoutError) as error:
            self._silent_until = time.monotonic() + REDIS_PAUSE_S
            log.warning("redis_silent", reason=str(error)[:200], retry_s=REDIS_PAUSE_S)
            raise _Away from None
        finally:
            self._places.release()


@asynccontextmanager
async def open_shared(redis_url: str) -> AsyncIterator[Shared]:
    """What is shared, for the length of the block; raises InvalidInput for what is no URL of Redis."""
    if not redis_url:
        yield InMemory()
        return
    from redis.asyncio import Redis  # noqa: PLC0415 - 7 MB that one process alone does without

    try:
        redis = Redis.from_url(
            redis_url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            max_connections=CONNECTIONS_MAX,
        )
    except ValueError:
        raise InvalidInput("redis_url: expected redis://HOST:PORT or unix://PATH") from None
    try:
        yield InRedis(redis)
    finally:
        await redis.aclose()
