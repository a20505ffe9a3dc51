"""Connections of a site: who is slow or takes too many keeps no place, who waits for an answer does."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import resource
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sdk.testnet.services import connections, serving
from sdk.testnet.services.connections import Places, TooManyConnections

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE_BYTES = 32 * 1024 * 1024
"""More than the sockets of both sides hold."""


class Site:
    """A site whose answers wait for `goes`."""

    def __init__(self) -> None:
        self.goes, self.stop = asyncio.Event(), asyncio.Event()
        listener = serving.bind("site", "127.0.0.1", 0)
        routes = [
            Route("/", self._answer),
            Route("/large", self._large),
            Route("/take", self._take, methods=["POST"]),
        ]
        self.server = serving.SiteServer(name="site", app=Starlette(routes=routes), listener=listener)
        self.streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def _answer(self, _: Any) -> PlainTextResponse:
        await self.goes.wait()
        return PlainTextResponse("late, and whole")

    async def _large(self, _: Any) -> Response:
        return Response(bytes(LARGE_BYTES))

    async def _take(self, request: Any) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    async def send(self, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.server.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self.streams.append((reader, writer))
        writer.write(text)
        await writer.drain()
        return reader, writer


@contextlib.asynccontextmanager
async def serving_site() -> AsyncIterator[Site]:
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        site = Site()
        tasks.create_task(serving.serve_site(site.server, site.stop), name="site")
        yield site
        for _, writer in site.streams:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        site.stop.set()


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADERS_S", "BODY_S", "READ_S"):
        monkeypatch.setattr(connections, name, 0.5)


async def test_a_connection_without_a_request_is_closed_and_one_that_waits_is_not() -> None:
    async with serving_site() as site:
        waiting, _ = await site.send(REQUEST)
        silent = [await site.send(sent) for sent in (b"", b"GET / HTTP/1.1\r\nhost: ", b"\r\n")]
        for reader, _ in silent:
            assert await reader.read() == b""
        site.goes.set()
        assert (await waiting.readline()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begun", [b"\r\n", b"GET / HT"])
async def test_a_second_request_has_no_more_time_than_the_first(begun: bytes) -> None:
    async with serving_site() as site:
        site.goes.set()
        reader, writer = await site.send(REQUEST)
        assert b"late, and whole" in await reader.readuntil(b"whole")
        writer.write(begun)
        assert await reader.read() == b""


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with serving_site() as site:
        reader, writer = await site.send(b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
        writer.write(b"1234")
        assert await reader.read() == b""


async def test_who_does_not_read_is_closed_and_who_reads_gets_all() -> None:
    async with serving_site() as site:
        never, never_writer = await site.send(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        never_writer.transport.pause_reading()  # type: ignore[attr-defined]
        reader, _ = await site.send(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert len(await reader.read()) > LARGE_BYTES
        while site_connections(site):
            await asyncio.sleep(0.05)
        never_writer.transport.resume_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            assert len(await never.read()) < LARGE_BYTES


def site_connections(site: Site) -> int:
    """How many connections the site has open."""
    port = int(site.server.address.rpartition(":")[2])
    return sum(
        one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
        for one in psutil.Process().net_connections("tcp4")
    )


def test_one_address_has_so_many_places_and_proxies_are_not_counted() -> None:
    places = Places(maximum=2)
    first, second = places.take("2001:db8::1"), places.take("2001:db8::2")
    assert first == second, "a customer's /64 is one"
    with pytest.raises(TooManyConnections):
        places.take("2001:db8::3")
    assert places.take("2001:db8:0:1::1") is not None
    for _ in range(5):
        assert places.take("127.0.0.1") is None
    places.give_back(first)
    places.take("2001:db8::3")
    for network in (second, second, places.take("198.51.100.1")):
        places.give_back(network)
    assert places.addresses == 1, "what is free again is not remembered"


async def test_a_connection_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise TooManyConnections(ipaddress.ip_network("198.51.100.1"))

    monkeypatch.setattr(Places, "take", none_left)
    async with serving_site() as site:
        reader, _ = await site.send(b"")
        assert (await reader.read()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_the_limit_of_files_is_raised_as_far_as_the_machine_lets_it() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        files = connections.raise_file_limit(600)
        assert files == resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 600
        assert connections.raise_file_limit(100) == 600, "nothing is taken away"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
