"""HTTP servers of one process: sockets taken at once, served until told to stop, drained within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from metanode.errors import Unavailable
from metanode.node.listening import open_listener
from sdk.testnet.faucet.client_address import LOOPBACK
from sdk.testnet.services.connections import Places, timed_protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from sdk.testnet.faucet.client_address import IPNetwork

DRAIN_S: Final = 2
"""Answers under way have so long; streams are told to end before that. A service stops within 5 s of SIGTERM."""
KEEP_ALIVE_S: Final = 15
"""An idle connection; longer than the pauses of a person who reads."""
CONNECTIONS_MAX: Final = 4_000
"""Of one site: twice its streams. What comes over it is answered 503."""
HEADER_BYTES_MAX: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteServer:
    """One app on one socket."""

    name: str
    app: Any
    listener: socket.socket
    close_streams: Callable[[], None] = field(default=lambda: None)
    """Ends what would never end by itself, before the drain."""
    trusted_proxies: Sequence[IPNetwork] = LOOPBACK
    """Peers through which many people come: their connections are not counted."""

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
        http=cast("Any", timed_protocol(Places(trusted=site.trusted_proxies))),
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
def stop_on_signals(stop: asyncio.Event, upon_signal: Callable[[], None]) -> Iterator[None]:
    """Set the event on SIGTERM and SIGINT, while in the block, and call the function."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def upon() -> None:
        stop.set()
        upon_signal()

    try:
        for number in numbers:
            loop.add_signal_handler(number, upon)
    except (ValueError, RuntimeError):
        # Not the main thread: whoever runs us ends us by cancellation.
        yield
        return
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """Leaves signals to the program, which has several servers and more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
