"""Nodes as one: who hangs is not waited for, who is slow is, and who answers is asked."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import slowness

from metanode.rpc.errors import NodeUnreachable
from sdk.testnet.services.node_pool import open_node_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SLOW_S = 2.5
"""Longer than a node that says nothing at all is waited for."""


class Node:
    """A node on a socket: it answers everything at once, but for `eth_slow`; or nothing while it hangs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hangs = False
        self.connections = 0
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                request = json.loads(await reader.readexactly(length))
                while self.hangs:
                    await asyncio.sleep(0.05)
                if request["method"] == "eth_slow":
                    await asyncio.sleep(SLOW_S)
                body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": self.name}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(name: str) -> AsyncIterator[Node]:
    node = Node(name)
    server = await asyncio.start_server(node.answer, "127.0.0.1", 0)
    node.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield node
    finally:
        node.hangs = False
        server.close()


async def test_a_node_that_hangs_is_known_within_two_seconds_and_of_those_who_come_then_nobody_waits() -> (
    None
):
    async with listening("first") as node, open_node_pool([node.url]) as nodes:
        assert await nodes.call("eth_blockNumber") == "first"
        node.hangs = True
        began_s = time.monotonic()

        async def fail() -> None:
            with pytest.raises(NodeUnreachable):
                await nodes.call("eth_blockNumber")

        async with asyncio.TaskGroup() as tasks:
            for _ in range(10):
                tasks.create_task(fail())
        assert time.monotonic() - began_s < 2 * slowness()
        began_s = time.monotonic()
        await fail()
        assert time.monotonic() - began_s < 0.3 * slowness()

        node.hangs = False
        while True:
            try:
                assert await nodes.call("eth_blockNumber") == "first"
                break
            except NodeUnreachable:
                assert time.monotonic() - began_s < 5 * slowness()
                await asyncio.sleep(0.05)


async def test_while_one_hangs_another_answers_and_is_asked_first_from_then_on() -> None:
    async with (
        listening("first") as first,
        listening("second") as second,
        open_node_pool([first.url, second.url]) as nodes,
    ):
        first.hangs = True
        began_s = time.monotonic()
        assert await nodes.call("eth_blockNumber") == "second"
        assert time.monotonic() - began_s < 2 * slowness()
        began_s = time.monotonic()
        assert await nodes.within(1_000).call("eth_blockNumber") == "second"
        assert await nodes.placed_call("eth_blockNumber") == (1, "second"), "and says which it is"
        assert time.monotonic() - began_s < 0.3 * slowness()


async def test_every_node_is_asked_and_one_that_hangs_holds_nobody_up() -> None:
    async with (
        listening("first") as first,
        listening("second") as second,
        open_node_pool([first.url, second.url]) as nodes,
    ):
        assert await nodes.each("ibft_getPendingVotes", within_s=30.0) == ["first", "second"]
        first.hangs = True
        refused, told = await nodes.each("ibft_getPendingVotes", within_s=0.3 * slowness())
        assert (isinstance(refused, Exception), told) == (True, "second")


async def test_a_call_that_takes_seconds_on_a_node_that_is_well_is_waited_for() -> None:
    async with listening("first") as node, open_node_pool([node.url]) as nodes:
        assert await nodes.call("eth_slow") == "first"
