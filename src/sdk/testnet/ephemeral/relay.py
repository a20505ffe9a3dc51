"""Relays the TCP connections between peers, so that they can be hurt without root: each ordered pair of nodes has a port here, so that who calls is known.

    python -m sdk.testnet.ephemeral.relay '{"links": [[0, 1, 0, 30304], …]}'     (caller, called, port here or 0, port of the called)

Its first line is the ports that it listens on, in the order of the links. It reads orders from its input, one JSON object a line, answers each
with a line once it holds, and ends with its input: `{"cut": [[0, 1]]}` connections between the two end and are refused, in both directions;
`{"mute": [[0, 1]]}` bytes from 0 to 1 stand still, the others flow; `{"delay_ms": [50, 100]}` each piece is delivered so much later, in order;
`{"drop": 3}` so many connections end now. An order replaces the one before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import resource
import sys
from dataclasses import dataclass, field
from typing import Any

PIECE_BYTES = 64 * 1024
PIECES_IN_FLIGHT_MAX = 256
"""Of one direction; the sender waits when they are under way."""


@dataclass
class Rules:
    """What is done to the traffic now."""

    cut: set[frozenset[int]] = field(default_factory=set)
    mute: set[tuple[int, int]] = field(default_factory=set)
    delay_ms: tuple[float, float] = (0.0, 0.0)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Relay:
    """All links. Owner: the task of `run`."""

    def __init__(self, chance: random.Random) -> None:
        self._rules = Rules()
        self._chance = chance
        self._open: dict[asyncio.Task[None], frozenset[int]] = {}

    async def run(self, links: list[tuple[int, int, int, int]]) -> None:
        """Relay and obey until the input ends."""
        async with contextlib.AsyncExitStack() as stack:
            ports = []
            for caller, called, port, target in links:
                server = await stack.enter_async_context(await self._listen(caller, called, port, target))
                ports.append(server.sockets[0].getsockname()[1])
            reader = asyncio.StreamReader()
            await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
            )
            print(json.dumps({"ports": ports}), flush=True)  # noqa: T201 - who started us waits for it
            while line := await reader.readline():
                print(json.dumps(self.obey(json.loads(line))), flush=True)  # noqa: T201 - the answer
            for task in self._open:
                task.cancel()

    def obey(self, order: dict[str, Any]) -> dict[str, int]:
        """Replace the rules; say how many connections are open and how many of them end."""
        before = self._rules
        least_ms, most_ms = order.get("delay_ms", (0.0, 0.0))
        self._rules = Rules(
            cut={frozenset(pair) for pair in order.get("cut", ())},
            mute={(source, target) for source, target in order.get("mute", ())},
            delay_ms=(least_ms, most_ms),
        )
        before.changed.set()
        ending = [task for task, pair in self._open.items() if pair in self._rules.cut]
        others = [task for task in self._open if task not in ending]
        ending += self._chance.sample(others, min(len(others), int(order.get("drop", 0))))
        for task in ending:
            task.cancel()
        return {"open": len(self._open), "ended": len(ending)}

    async def _listen(self, caller: int, called: int, port: int, target: int) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            pair = frozenset((caller, called))
            self._open[task] = pair
            try:
                if pair not in self._rules.cut:
                    await self._connect(caller, called, target, reader, writer)
            except (OSError, asyncio.CancelledError):
                pass  # The called does not listen, or an order ends the connection: the caller sees it closed.
            finally:
                del self._open[task]
                writer.transport.abort()

        return await asyncio.start_server(serve, "127.0.0.1", port)

    async def _connect(
        self,
        caller: int,
        called: int,
        target: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        try:
            async with asyncio.TaskGroup() as tasks:
                ways = [
                    tasks.create_task(self._forward((caller, called), reader, back)),
                    tasks.create_task(self._forward((called, caller), there, writer)),
                ]
                # A connection has two directions, and none is left when the other ends.
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
        finally:
            back.transport.abort()

    async def _forward(
        self, way: tuple[int, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_IN_FLIGHT_MAX)

        async def deliver() -> None:
            while True:
                due_s, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                while way in (rules := self._rules).mute:
                    await rules.changed.wait()
                writer.write(piece)
                try:
                    await writer.drain()
                except OSError:
                    return  # Who reads has gone: the other direction ends with it.

        delivery = asyncio.ensure_future(deliver())  # noqa: TID251 - ended below
        try:
            with contextlib.suppress(OSError):  # Broken here is over there too.
                while piece := await reader.read(PIECE_BYTES):
                    delay_s = self._chance.uniform(*self._rules.delay_ms) / 1000
                    await pieces.put((loop.time() + delay_s, piece))
        finally:
            delivery.cancel()


def main() -> None:
    """Read the links from the command line."""
    asked = json.loads(sys.argv[1])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    relay = Relay(random.Random(asked.get("seed", 0)))  # noqa: S311 - the same again with the same seed
    asyncio.run(relay.run([tuple(link) for link in asked["links"]]))


if __name__ == "__main__":
    main()
