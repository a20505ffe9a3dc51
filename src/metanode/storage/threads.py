"""Where blocking calls of storage run: a thread of their own in a node, the virtual clock in the simulator."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class StorageThread(Protocol):
    """Runs blocking functions one after the other, off the event loop."""

    async def run(self, function: Callable[[], Result]) -> Result:
        """Run a function after all that were given before, and return or raise what it does; once given, no cancellation stops it."""
        ...

    def close(self) -> None:
        """Finish what was given. Nothing may be given after it."""
        ...


class OwnThread:
    """One thread of this process."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, function: Callable[[], Result]) -> Result:
        """See StorageThread."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, function))

    def close(self) -> None:
        """See StorageThread."""
        self._executor.shutdown()
