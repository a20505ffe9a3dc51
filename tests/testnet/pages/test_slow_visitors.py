"""Two hundred visitors of each site who send and read a byte a second take nothing that others need: no answer, no memory."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from tests.acceptance.processes import wait_until
from tests.testnet.pages.served import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

SLOW_OF_EACH = 200
PAUSE_S = 1.0
"""From one byte to the next."""
ROUNDS = 3
"""How often an honest visitor asks every site while the slow ones are there."""
MEMORY_MB_MAX = 32
"""For six hundred of them, of whom five are measured; a site that kept each one's answer would have more."""
RECEIVED_BYTES = 4_096
"""What the system keeps for a slow reader; usually it is megabytes, and a site would not notice."""


@dataclass(frozen=True)
class Visited:
    """One site, what is large on it, what takes a body, and what honest visitors ask."""

    port: int
    large: str
    takes: str
    asked: str

    def requests(self) -> tuple[bytes, ...]:
        """What slow ones begin with: headers that don't end, a body that doesn't, an answer that is not read, and nothing."""
        return (
            b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
            f"POST {self.takes} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n".encode(),
            f"GET {self.large} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode(),
            b"",
        )


@pytest.fixture
def services(tmp_path: Path) -> Iterator[tuple[psutil.Process, dict[str, Visited]]]:
    """All three sites in one process, as `make up` has them; there is no network, which their own pages say."""
    sites = {
        "explorer": Visited(free_port(), "/live?topics=home", "/verify", "/blocks"),
        "faucet": Visited(free_port(), "/", "/api/v1/faucet/challenges", "/"),
        "api": Visited(free_port(), "/openapi.json", "/api/v1/transactions", "/docs"),
    }
    config = tmp_path / "services.toml"
    config.write_text(
        '[network]\nnetwork_id = "n"\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:1"]\n'
        + "".join(f"[{name}]\nport = {site.port}\n" for name, site in sites.items())
    )
    with (tmp_path / "services.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sdk.testnet.services.program", str(config)],
            stdout=log,
            stderr=log,
            env=os.environ | {"FAUCET_PRIVATE_KEY": "0x" + "11" * 32},
        )
        try:
            for name, site in sites.items():
                wait_until(lambda site=site: is_well(site), what=f"the {name} answers", within_s=120)
            yield psutil.Process(process.pid), sites
        finally:
            process.terminate()
            assert process.wait(20) == 0, "slow visitors hold up no end"


def is_well(site: Visited) -> bool:
    try:
        return httpx.get(f"http://localhost:{site.port}{site.asked}", timeout=20).status_code == 200
    except httpx.TransportError:
        return False


async def be_slow(site: Visited, kind: int, arrived: asyncio.Semaphore) -> None:
    """Send a byte and read a byte, again and again, until the site has had enough."""
    loop = asyncio.get_running_loop()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        one.setblocking(False)
        await loop.sock_connect(one, ("127.0.0.1", site.port))
        await loop.sock_sendall(one, site.requests()[kind])
        arrived.release()
        try:
            while True:
                await asyncio.sleep(PAUSE_S)
                if kind < 2:
                    await loop.sock_sendall(one, b"1")
                elif not await loop.sock_recv(one, 1):
                    return
        except OSError:
            return


async def visit(services: psutil.Process, sites: dict[str, Visited]) -> float:
    """Let all of them come, and an honest one among them; returns the megabytes that they took."""
    arrived = asyncio.Semaphore(0)
    async with httpx.AsyncClient(timeout=60) as http, asyncio.TaskGroup() as tasks:
        before = services.memory_info().rss
        slow = [
            tasks.create_task(be_slow(site, number % 4, arrived))
            for site in sites.values()
            for number in range(SLOW_OF_EACH)
        ]
        for _ in slow:
            await arrived.acquire()
        for _ in range(ROUNDS):
            for site in sites.values():
                answer = await http.get(f"http://localhost:{site.port}{site.asked}")
                assert answer.status_code == 200, answer.text
        taken = services.memory_info().rss - before
        for one in slow:
            one.cancel()
    return taken / 1e6


def test_two_hundred_slow_visitors_of_each_site_take_nothing_from_others(
    services: tuple[psutil.Process, dict[str, Visited]],
) -> None:
    process, sites = services
    taken_mb = asyncio.run(visit(process, sites))
    assert taken_mb < MEMORY_MB_MAX
