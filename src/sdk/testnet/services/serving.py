"""HTTP servers of one process: sockets taken at once, served until told to stop, drained within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from metanode.errors import Unavailable
from metanode.node.listening import open_listener

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

DRAIN_S: Final = 2
"""Answers under way have so long; streams are told to end before that. A service stops within 5 s of SIGTERM."""
KEEP_ALIVE_S: Final = 15
"""An idle connection; longer than the pauses of a person who reads."""
CONNECTIONS_MAX: Final = 4_000
"""Of one site: twice its streams. What comes over it is answered 503."""
HEADER_BYTES_MAX: Final = 16 * 1024
FIRST_HEADERS_S: Final = 10.0
"""A new connection has so long to send its first request's headers; who sends nothing would keep its place for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteServer:
    """One app on one socket."""

    name: str
    app: Any
    listener: socket.socket
    close_streams: Callable[[], None] = field(default=lambda: None)
    """Ends what would never end by itself, before the drain."""

    @property
    def address(self) -> str:
        """host:port."""
        host, port = self.listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(name: str, host: str, port: int) -> socket.socket:
    """Take a port; raises Unavailable that names the service, and who has it."""
    try:
        listener = open_listener(host, port)
    except Unavailable as error:
        raise Unavailable(f"{name}: {error}; stop that, or set {name}.port") from None
    listener.setblocking(False)  # noqa: FBT003 - the library's signature
    return listener


async def serve_site(site: SiteServer, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain and return."""
    config = uvicorn.Config(
        site.app,
        http=_TimedProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        # Proxies are judged where addresses count, by their own list.
        proxy_headers=False,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        ws="none",
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[site.listener]), name=f"serve {site.name}")
        waiting = tasks.create_task(stop.wait(), name=f"stop {site.name}")
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        site.close_streams()
        server.should_exit = True
        waiting.cancel()


@contextlib.contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set the event on SIGTERM and SIGINT, while in the block."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    try:
        for number in numbers:
            loop.add_signal_handler(number, stop.set)
    except (ValueError, RuntimeError):
        # Not the main thread: whoever runs us ends us by cancellation.
        yield
        return
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class _TimedProtocol(HttpToolsProtocol):
    """Closes a connection whose first request does not come."""

    _first_headers: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._first_headers = self.loop.call_later(FIRST_HEADERS_S, self._close_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._first_headers is not None:
            self._first_headers.cancel()
        super().connection_lost(exc)

    def _close_silent(self) -> None:
        # There is a cycle from the first headers on.
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """Leaves signals to the program, which has several servers and more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
