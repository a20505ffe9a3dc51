"""What processes of one API share: counts of what clients used, and answers that are given twice. Redis, or this process's memory.

Redis is never needed: when it does not answer, this process counts for itself and asks it again some seconds later.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger()

ENTRIES_MAX: Final = 100_000
"""Kept in memory, some 20 MB; the oldest go first."""
VALUE_BYTES_MAX: Final = 65_536
"""Of an answer that is kept."""
REDIS_TIMEOUT_S: Final = 0.25
"""Longer than any answer of a Redis nearby; a request waits no longer for it."""
REDIS_PAUSE_S: Final = 5.0
"""After a failure it is not asked for so long."""
_PREFIX: Final = "metanode-api:"


class Shared(Protocol):
    """Counts and answers."""

    async def add(self, key: str, amount: int, window_s: int) -> int:
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

    def __init__(self, *, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._counts: dict[str, tuple[float, int]] = {}
        self._values: dict[str, tuple[float, bytes]] = {}

    async def add(self, key: str, amount: int, window_s: int) -> int:
        """See Shared."""
        now = time.monotonic()
        until, count = self._counts.pop(key, (0.0, 0))
        if until <= now:
            until, count = now + window_s, 0
        self._counts[key] = (until, count + amount)
        _cut(self._counts, self._entries_max)
        return count + amount

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
        if len(value) <= VALUE_BYTES_MAX:
            self._values[key] = (time.monotonic() + seconds, value)
            _cut(self._values, self._entries_max // 100)

    async def forget(self, key: str) -> None:
        """See Shared."""
        self._values.pop(key, None)


class InRedis:
    """Of all processes, as long as Redis answers; of this one otherwise."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._own = InMemory()
        self._silent_until = 0.0

    @property
    def is_answering(self) -> bool:
        """Whether it did when it was asked last."""
        return self._silent_until <= time.monotonic()

    async def add(self, key: str, amount: int, window_s: int) -> int:
        """See Shared."""
        if self.is_answering:
            try:
                async with self._redis.pipeline(transaction=True) as together:
                    together.incrby(_PREFIX + key, amount)
                    # Only where it has no end yet: the window does not move with what is counted.
                    together.expire(_PREFIX + key, window_s, nx=True)
                    found: list[int] = await together.execute()
                return int(found[0])
            except (RedisError, OSError, TimeoutError) as error:
                self._fail(error)
        return await self._own.add(key, amount, window_s)

    async def get(self, key: str) -> bytes | None:
        """See Shared."""
        if self.is_answering:
            try:
                found = await self._redis.get(_PREFIX + key)
            except (RedisError, OSError, TimeoutError) as error:
                self._fail(error)
            else:
                return found.encode() if isinstance(found, str) else found
        return await self._own.get(key)

    async def keep(self, key: str, value: bytes, seconds: int) -> bool:
        """See Shared."""
        if self.is_answering:
            try:
                return bool(await self._redis.set(_PREFIX + key, value, ex=seconds, nx=True))
            except (RedisError, OSError, TimeoutError) as error:
                self._fail(error)
        return await self._own.keep(key, value, seconds)

    async def replace(self, key: str, value: bytes, seconds: int) -> None:
        """See Shared."""
        if len(value) > VALUE_BYTES_MAX:
            return
        if self.is_answering:
            try:
                await self._redis.set(_PREFIX + key, value, ex=seconds)
            except (RedisError, OSError, TimeoutError) as error:
                self._fail(error)
            else:
                return
        await self._own.replace(key, value, seconds)

    async def forget(self, key: str) -> None:
        """See Shared."""
        await self._own.forget(key)
        if self.is_answering:
            try:
                await self._redis.delete(_PREFIX + key)
            except (RedisError, OSError, TimeoutError) as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._silent_until = time.monotonic() + REDIS_PAUSE_S
        log.warning("redis_silent", reason=str(error)[:200], retry_s=REDIS_PAUSE_S)


@asynccontextmanager
async def open_shared(redis_url: str) -> AsyncIterator[Shared]:
    """What is shared, for the length of the block; raises InvalidInput for what is no URL of Redis."""
    if not redis_url:
        yield InMemory()
        return
    try:
        redis = Redis.from_url(
            redis_url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            max_connections=64,
        )
    except ValueError:
        raise InvalidInput("redis_url: expected redis://HOST:PORT or unix://PATH") from None
    try:
        yield InRedis(redis)
    finally:
        await redis.aclose()


def _cut(entries: dict[str, Any], most: int) -> None:
    while len(entries) > most:
        del entries[next(iter(entries))]
