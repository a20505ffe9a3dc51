"""Connections of a site: who sends nothing does not keep a place, who waits for an answer does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sdk.testnet.services import serving

if TYPE_CHECKING:
    import pytest


async def test_a_connection_without_a_request_is_closed_and_one_that_waits_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "FIRST_HEADERS_S", 0.5)
    goes, stop = asyncio.Event(), asyncio.Event()

    async def answer(_: Any) -> PlainTextResponse:
        await goes.wait()
        return PlainTextResponse("late, and whole")

    listener = serving.bind("site", "127.0.0.1", 0)
    site = serving.SiteServer(name="site", app=Starlette(routes=[Route("/", answer)]), listener=listener)
    host, port = site.address.split(":")
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(serving.serve_site(site, stop), name="site")
        streams = []
        for sent in (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"", b"GET / HTTP/1.1\r\nhost: "):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            await writer.drain()
            streams.append((reader, writer))
        (waiting, _), *silent = streams
        for reader, _ in silent:
            assert await reader.read() == b""
        goes.set()
        assert (await waiting.readline()).startswith(b"HTTP/1.1 200")
        for _, writer in streams:
            writer.close()
            await writer.wait_closed()
        stop.set()
