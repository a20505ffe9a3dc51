"""The nodes of the network as one: each call goes to the node that answered last, and to the next one when it does not answer.

Some calls take seconds, and a node that hangs takes as long and says nothing. Who waits for over `PATIENCE_S` has the node asked something that it knows by
heart, on a connection of its own: one that does not answer that either is not waited for.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx

from metanode.errors import InvalidInput
from metanode.rpc.client import JSONRPCClient
from metanode.rpc.errors import JSONRPCError, NodeFault, NodeUnreachable

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


PATIENCE_S: Final = 0.4
"""After which a call that has no answer yet is one whose node may hang."""
PULSE_S: Final = 1.0
"""For an answer to what a node knows by heart. With `PATIENCE_S` before it, a page says within two seconds that no node answers."""
SILENT_S: Final = 1.0
"""So long a node that hangs is not asked at all: of those who come meanwhile nobody waits."""


class Node(Protocol):
    """A node, or several as one."""

    async def call(self, method: str, *params: Any) -> Any:
        """Return a call's result; raises JSONRPCError or Unavailable."""

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return several results of one node; an exception stands for each that failed. Raises JSONRPCError or Unavailable."""

    def within(self, bytes_max: int) -> Node:
        """Return the same, of whose answers no more is read; a longer one raises NodeUnreachable with `has_answered`."""


@dataclass(slots=True)
class _Silence:
    """What is known of nodes that do not answer, by their places; shared by pools of the same nodes."""

    since_s: dict[int, float] = field(default_factory=dict)
    """Those that did not answer, and when."""
    hung_s: dict[int, float] = field(default_factory=dict)
    """Those that said nothing when it was asked whether they are there, and when."""
    alive_s: dict[int, float] = field(default_factory=dict)
    """Those that did, and when."""
    asking: dict[int, asyncio.Task[bool]] = field(default_factory=dict)


class NodePool:
    """Asks one of several nodes. Owned by one event loop; `open_node_pool` makes it."""

    def __init__(
        self,
        urls: Sequence[str],
        http: httpx.AsyncClient,
        *,
        pulses: httpx.AsyncClient,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        if not urls:
            raise InvalidInput("rpc_urls: expected at least one address, found none")
        self._urls, self._http, self._pulses = urls, http, pulses
        self._clients = [JSONRPCClient(url, http, bytes_max=bytes_max) for url in urls]
        self._hearts = [JSONRPCClient(url, pulses, answer_s=PULSE_S) for url in urls]
        self._silence = _Silence()

    def within(self, bytes_max: int) -> NodePool:
        """Return the same nodes, of whose answers no more is read; a longer one raises NodeUnreachable with `has_answered`."""
        pool = NodePool(self._urls, self._http, pulses=self._pulses, bytes_max=bytes_max)
        pool._silence = self._silence
        return pool

    async def call(self, method: str, *params: Any) -> Any:
        """Return a call's result from the first node that answers.

        Raises:
            JSONRPCError: when a node refused; the class tells why.
            NodeUnreachable: when none answers.
        """
        return await self._first(lambda client: client.call(method, *params))

    async def placed_call(self, method: str, *params: Any) -> tuple[int, Any]:
        """Return which node answered, by its place among the addresses, and a call's result; raises as `call` does."""

        async def ask(client: JSONRPCClient) -> tuple[int, Any]:
            return self._clients.index(client), await client.call(method, *params)

        found: tuple[int, Any] = await self._first(ask)
        return found

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return several results of one node; an exception stands for each that failed. Raises NodeUnreachable."""
        found: list[Any] = await self._first(lambda client: client.batch(calls))
        return found

    async def each(self, method: str, *params: Any, within_s: float) -> list[Any]:
        """Return what every node answers, by their places; an exception stands for one that refuses, or does not answer within the time."""
        answers: list[Any] = [None] * len(self._clients)

        async def ask(place: int, client: JSONRPCClient) -> None:
            try:
                async with asyncio.timeout(within_s):
                    answers[place] = await client.call(method, *params)
            except (JSONRPCError, NodeFault, NodeUnreachable, TimeoutError) as error:
                answers[place] = error

        async with asyncio.TaskGroup() as tasks:
            for place, client in enumerate(self._clients):
                tasks.create_task(ask(place, client), name=f"node {place}: {method}")
        return answers

    async def _first(self, ask: Callable[[JSONRPCClient], Awaitable[Any]]) -> Any:
        failure: NodeUnreachable | None = None
        for index in self._order():
            try:
                result = await self._while_alive(index, ask)
            except NodeUnreachable as error:
                self._silence.since_s[index] = time.monotonic()
                failure = failure or error
                if error.has_answered:
                    # It did answer, only not in a way that others would better.
                    raise
                continue
            self._silence.since_s.pop(index, None)
            return result
        assert failure is not None
        raise failure

    async def _while_alive(self, index: int, ask: Callable[[JSONRPCClient], Awaitable[Any]]) -> Any:
        """Return what a node answers, as long as it says that it is there. Raises NodeUnreachable."""
        hung_s = self._silence.hung_s.get(index)
        if hung_s is not None and time.monotonic() - hung_s < SILENT_S:
            raise NodeUnreachable(f"{self._urls[index]} does not answer: it has hung a moment ago")

        async def answer() -> Any:
            return await ask(self._clients[index])

        call = asyncio.create_task(answer(), name="node: call")
        try:
            while True:
                await asyncio.wait([call], timeout=PATIENCE_S)
                is_hung = not call.done() and not await self._is_alive(index)
                if call.done():
                    return call.result()
                if is_hung:
                    raise NodeUnreachable(
                        f"{self._urls[index]} does not answer: not even who it is, in {PULSE_S:g} s"
                    )
        finally:
            call.cancel()

    async def _is_alive(self, index: int) -> bool:
        """Say whether a node answers anything; all who wonder ask once."""
        silence = self._silence
        if time.monotonic() - silence.alive_s.get(index, float("-inf")) < PATIENCE_S:
            return True
        asking = silence.asking.get(index)
        if asking is None:
            asking = silence.asking[index] = asyncio.create_task(self._pulse(index), name="node: pulse")
            asking.add_done_callback(lambda _: silence.asking.pop(index, None))
        # Who is cancelled leaves it to the others.
        return await asyncio.shield(asking)

    async def _pulse(self, index: int) -> bool:
        try:
            async with asyncio.timeout(PULSE_S):
                await self._hearts[index].call("eth_chainId")
        except (JSONRPCError, NodeFault):
            pass
        except (NodeUnreachable, TimeoutError) as error:
            if not (isinstance(error, NodeUnreachable) and error.has_answered):
                self._silence.hung_s[index] = time.monotonic()
                return False
        self._silence.hung_s.pop(index, None)
        self._silence.alive_s[index] = time.monotonic()
        return True

    def _order(self) -> list[int]:
        now_s = time.monotonic()
        return sorted(
            range(len(self._clients)),
            key=lambda index: now_s - self._silence.since_s.get(index, -RETRY_FIRST_S) < RETRY_FIRST_S,
        )


@asynccontextmanager
async def open_node_pool(urls: Sequence[str]) -> AsyncIterator[NodePool]:
    """Nodes whose connections are closed at the end of the block."""
    verify = any(not url.startswith("http:") for url in urls)
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX * max(1, len(urls)))
    async with (
        httpx.AsyncClient(timeout=CALL_TIMEOUT_S, trust_env=False, verify=verify, limits=limits) as http,
        httpx.AsyncClient(timeout=PULSE_S, trust_env=False, verify=verify) as pulses,
    ):
        yield NodePool(urls, http, pulses=pulses)
