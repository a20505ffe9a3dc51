"""Whether the API can answer: database, node, and how far the index is behind. Found out once a second, however many ask."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from metanode.errors import Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.queries import statistics
from sdk.testnet.services.told import told_height
from sdk.testnet.services.web.problems import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk.testnet.services.api.parts import Parts

AGE_S: Final = 1.0
TIMEOUT_S: Final = 1.8
"""Who asks waits no longer, for the database and for a node."""


class Readiness:
    """What `/readyz` says. Owned by one event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._found = (False, "")
        self._found_at_s = -AGE_S

    async def of(self, parts: Parts) -> tuple[bool, str]:
        """Return whether it can answer, and a line for each part. A node that is away is told, and hinders no reading of the index."""
        async with self._lock:
            if time.monotonic() - self._found_at_s >= AGE_S:
                self._found = await _ask(parts)
                self._found_at_s = time.monotonic()
            return self._found


async def _ask(parts: Parts) -> tuple[bool, str]:
    def look() -> statistics.IndexStatus | None:
        with parts.store.look() as connection:
            return statistics.index_status(connection)

    async def ask_node() -> int | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return told_height(await parts.node.call("eth_blockNumber"))
        except (Unavailable, JSONRPCError, TimeoutError):
            return None

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask_node())
        looking = tasks.create_task(_looked(look))
    head, status = asking.result(), looking.result()
    node = "node: does not answer" if head is None else f"node: at block {head}"
    if isinstance(status, str):
        return False, f"database: {status}\n{node}\n"
    if status is None:
        return False, f"index: empty\n{node}\n"
    lag = "" if head is None else f", {max(0, head - status.number)} blocks behind"
    return True, f"ready at block {status.number}{lag}\n{node}\n"


async def _looked(look: Callable[[], statistics.IndexStatus | None]) -> statistics.IndexStatus | str | None:
    """How far the index is, or why nobody knows."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.to_thread(look)
    except TimeoutError:
        return f"no answer in {TIMEOUT_S:g} s"
    except Unavailable as failure:
        return reason_of(failure)
