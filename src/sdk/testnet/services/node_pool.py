"""The nodes of the network as one: each call goes to the node that answered last, and to the next one when it does not answer."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx

from metanode.errors import InvalidInput
from metanode.rpc.client import JSONRPCClient
from metanode.rpc.errors import NodeUnreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

CALL_TIMEOUT_S: Final = 6.0
"""Longer than a node's own limit for a call (5 s), so that its reason arrives."""
ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of one answer: traces of large transactions; a page shows a little of it."""
CONNECTIONS_MAX: Final = 16
"""To each node, for all viewers together."""
RETRY_FIRST_S: Final = 30.0
"""A node that did not answer is asked last for so long."""


class NodePool:
    """Asks one of several nodes. Owned by one event loop; `open_node_pool` makes it."""

    def __init__(
        self, urls: Sequence[str], http: httpx.AsyncClient, *, bytes_max: int = ANSWER_BYTES_MAX
    ) -> None:
        if not urls:
            raise InvalidInput("rpc_urls: expected at least one address, found none")
        self._urls, self._http = urls, http
        self._clients = [JSONRPCClient(url, http, bytes_max=bytes_max) for url in urls]
        self._silent_since_s: dict[int, float] = {}

    def within(self, bytes_max: int) -> NodePool:
        """Return the same nodes, of whose answers no more is read; a longer one raises NodeUnreachable with `has_answered`."""
        pool = NodePool(self._urls, self._http, bytes_max=bytes_max)
        pool._silent_since_s = self._silent_since_s
        return pool

    async def call(self, method: str, *params: Any) -> Any:
        """Return a call's result from the first node that answers.

        Raises:
            JSONRPCError: when a node refused; the class tells why.
            NodeUnreachable: when none answers.
        """
        return await self._first(lambda client: client.call(method, *params))

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return several results of one node; an exception stands for each that failed. Raises NodeUnreachable."""
        found: list[Any] = await self._first(lambda client: client.batch(calls))
        return found

    async def _first(self, ask: Callable[[JSONRPCClient], Awaitable[Any]]) -> Any:
        failure: NodeUnreachable | None = None
        for index in self._order():
            try:
                result = await ask(self._clients[index])
            except NodeUnreachable as error:
                self._silent_since_s[index] = time.monotonic()
                failure = failure or error
                if error.has_answered:
                    # It did answer, only not in a way that others would better.
                    raise
                continue
            self._silent_since_s.pop(index, None)
            return result
        assert failure is not None
        raise failure

    def _order(self) -> list[int]:
        now_s = time.monotonic()
        return sorted(
            range(len(self._clients)),
            key=lambda index: now_s - self._silent_since_s.get(index, -RETRY_FIRST_S) < RETRY_FIRST_S,
        )


@asynccontextmanager
async def open_node_pool(urls: Sequence[str]) -> AsyncIterator[NodePool]:
    """Nodes whose connections are closed at the end of the block."""
    verify = any(not url.startswith("http:") for url in urls)
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX * max(1, len(urls)))
    async with httpx.AsyncClient(
        timeout=CALL_TIMEOUT_S, trust_env=False, verify=verify, limits=limits
    ) as http:
        yield NodePool(urls, http)
