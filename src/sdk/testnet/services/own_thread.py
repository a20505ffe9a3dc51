"""A thread of one owner, for calls that block: nobody who asks for pages can fill it, and its calls are done one after the other."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

CLOSE_S: Final = 2.0
"""A call that goes on for longer is left to itself: services have to end within five seconds."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class OwnThread:
    """Calls functions on one thread, in the order in which they were given, also when nobody waits for an earlier one any more.

    Used on one event loop, as `async with`.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._last: Future[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the call that runs end, within `CLOSE_S`; those that wait are never begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._last is not None:
            ended, _pending = await asyncio.wait([asyncio.wrap_future(self._last)], timeout=CLOSE_S)
            for one in ended:
                if not one.cancelled():
                    # Taken note of: what went wrong was for who asked.
                    one.exception()

    async def call(
        self,
        function: Callable[_Arguments, _Result],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Result:
        """Return what a function returns, or raise what it raises; who is cancelled meanwhile leaves it running."""
        future = self._executor.submit(function, *arguments, **named)
        self._last = future
        return await asyncio.wrap_future(future)
