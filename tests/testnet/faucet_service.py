"""The faucet's service on real ports, in a thread of the test: what a browser or a client talks to."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from sdk.testnet import Faucet, FaucetConfig
from sdk.testnet.faucet.client_address import LOOPBACK
from sdk.testnet.services.faucet.admin import make_admin_app
from sdk.testnet.services.faucet.app import FaucetService, make_public_app
from sdk.testnet.services.web.clients import REQUESTS_MAX
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sdk.testnet.faucet.client_address import IPNetwork

START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    admin_url: str
    faucet: Faucet
    password: str


@contextmanager
def served(
    config: FaucetConfig,
    folder: Path,
    *,
    trusted: Sequence[IPNetwork] = LOOPBACK,
    runs: bool = True,
    requests_a_minute: int = REQUESTS_MAX,
    **site: Any,
) -> Iterator[Served]:
    """Serve a faucet and its operator's page for the length of the block."""
    faucet = Faucet(config)
    settings: dict[str, Any] = {"network_name": "metanode-testnet", "chain_id": 9999} | site
    password_file = folder / "operator.password"
    ready, stop = threading.Event(), threading.Event()
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    failure: list[BaseException] = []

    async def serve() -> None:
        service = FaucetService(
            faucet, Site(**settings), trusted_proxies=trusted, requests_a_minute=requests_a_minute
        )
        apps = [make_public_app(service, runs=runs), make_admin_app(service, password_file=password_file)]
        servers = [
            uvicorn.Server(
                uvicorn.Config(app, log_level="warning", proxy_headers=False, lifespan="on", ws="none")
            )
            for app in apps
        ]
        async with asyncio.TaskGroup() as group:
            for server, listener in zip(servers, sockets, strict=True):
                group.create_task(server._serve([listener]))
            while not all(server.started for server in servers):
                await asyncio.sleep(0.01)
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)
            for server in servers:
                server.should_exit = True
        await faucet.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failure.append(error)
            raise
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="faucet service")
    thread.start()
    try:
        assert ready.wait(START_TIMEOUT_S)
        assert not failure, failure
        ports = [listener.getsockname()[1] for listener in sockets]
        yield Served(
            url=f"http://127.0.0.1:{ports[0]}",
            admin_url=f"http://127.0.0.1:{ports[1]}",
            faucet=faucet,
            password=password_file.read_text().strip(),
        )
    finally:
        stop.set()
        thread.join(START_TIMEOUT_S)
        for listener in sockets:
            listener.close()
