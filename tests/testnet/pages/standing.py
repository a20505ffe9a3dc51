"""Every service over one node, one PostgreSQL and one Redis, each of which a test may stop, hang and start again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from tests.acceptance.processes import wait_until
from tests.testnet.api_server import running_redis
from tests.testnet.pages.served import Sender, call, free_port
from tests.testnet.postgresql import running_postgresql

from sdk.testnet import Testnet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.testnet.postgresql import PostgreSQL

SITES = ("explorer", "faucet", "api", "gateway", "metrics")
PAYOUT_WEI = 7 * 10**18


@dataclass(frozen=True)
class Answer:
    """What a site said, and how long that took."""

    site: str
    path: str
    response: httpx.Response
    took_s: float

    @property
    def name(self) -> str:
        return f"{self.site}{self.path}: {self.response.status_code} in {self.took_s:.2f} s"

    @property
    def text(self) -> str:
        return self.response.text


@dataclass
class Standing:
    """The services, and what they stand on."""

    net: Testnet
    postgresql: PostgreSQL
    redis: subprocess.Popen[bytes]
    process: psutil.Process
    urls: dict[str, str]
    log: Path
    transaction: str
    _claimed: int = field(default=0)

    def ask(self, site: str, path: str) -> Answer:
        began_s = time.monotonic()
        response = httpx.get(self.urls[site] + path, timeout=60)
        return Answer(site, path, response, time.monotonic() - began_s)

    def ask_all(self) -> list[Answer]:
        """Every page, some at a time as visitors come."""
        with ThreadPoolExecutor(6) as visitors:
            return list(visitors.map(lambda one: self.ask(*one), self.pages()))

    def pages(self) -> list[tuple[str, str]]:
        who = self.net.accounts[1].address
        validator = f"0x{self.net.directory.validator_address('validator-1').hex()}"
        explorer = (
            "/ /blocks /block/1 /block/latest /transactions /pending /tokens /contracts /validators /rounds /votes /charts /dashboard "
            f"/search?q=1 /search?q=abc /verify /index.json /dashboard.json /dashboard/history.json /blocks.csv /transactions.csv "
            f"/tx/{self.transaction} /address/{who} /validator/{validator} /address/{who}/transactions.csv /healthz /readyz /network.json"
        )
        faucet = f"/ /status /rules /claims/{'ab' * 16} /api/v1/faucet /healthz /readyz /network.json"
        api = (
            f"/healthz /readyz /docs /openapi.json /keys /api/v1/blocks /api/v1/blocks/1 /api/v1/network /api/v1/network/status "
            f"/api/v1/validators /api/v1/transactions/{self.transaction} /api/v1/search?q=1 /api/v1/stats /api/v1/nodes "
            f"/api/v1/consensus/state /api/v1/alerts /api/v1/exports/blocks?format=csv /v2/contract/{self.net.chain_id}/{who} "
            f"/api?module=account&action=balance&address={who} /api?module=account&action=txlist&address={who}"
        )
        found = {
            "explorer": explorer,
            "faucet": faucet,
            "api": api,
            "gateway": "/healthz",
            "metrics": "/metrics",
        }
        return [(site, path) for site, paths in found.items() for path in paths.split()]

    def is_ready(self) -> bool:
        try:
            return all(self.ask(site, "/readyz").response.status_code == 200 for site in SITES[:4])
        except httpx.TransportError:
            return False

    def claim(self) -> tuple[str, httpx.Response]:
        """Ask for coins for an account that nobody knew before."""
        self._claimed += 1
        who = f"0x{0xFA01_7000 + self._claimed:040x}"
        answer = httpx.post(f"{self.urls['faucet']}/api/v1/faucet/claims", json={"address": who}, timeout=60)
        return who, answer

    def balance(self, who: str) -> int:
        return int(call(self.net.rpc_url, "eth_getBalance", who, "latest"), 16)

    def claim_state(self, claim_id: str) -> str:
        found = httpx.get(f"{self.urls['faucet']}/api/v1/faucet/claims/{claim_id}", timeout=60)
        return str(found.json().get("state", ""))

    def indexed(self) -> list[int]:
        """The numbers of all blocks of the index, the newest first."""
        numbers: list[int] = []
        cursor = ""
        while True:
            page = self.ask("api", f"/api/v1/blocks?limit=100{cursor}").response.json()
            numbers += [one["number"] for one in page["items"]]
            if page["next"] is None:
                return numbers
            cursor = f"&cursor={page['next']}"

    def memory_mb(self) -> float:
        return float(self.process.memory_info().rss / 1e6)

    def node_process(self) -> psutil.Process:
        """The process of the only node."""
        home = str(self.net.directory.path / "nodes" / "validator-1")
        (found,) = [
            one
            for one in psutil.process_iter(["cmdline"])
            if any(part.startswith(home) for part in one.info["cmdline"] or ())
        ]
        return found


class Listener:
    """One who looks at a live page: keeps the events of a stream, in a thread."""

    def __init__(self, url: str) -> None:
        self.events: list[tuple[str, str]] = []
        self._url = url
        self._is_over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        name = ""
        try:
            with httpx.stream("GET", self._url, timeout=60) as stream:
                for line in stream.iter_lines():
                    if self._is_over:
                        return
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        self.events.append((name, line.removeprefix("data: ")))
        except httpx.HTTPError as error:
            self.events.append(("broken", str(error)))

    def close(self) -> None:
        self._is_over = True


@contextmanager
def standing(folder: Path) -> Iterator[Standing]:
    """Run all of it for the length of the block; raises PostgreSQLAbsent."""
    with (
        running_postgresql() as postgresql,
        running_redis() as (redis_url, redis),
        Testnet(validators=1, block_time_s=1, in_memory=True) as net,
    ):
        ports = {name: free_port() for name in SITES}
        sender = Sender(net.rpc_url, net.chain_id, net.accounts[0].private_key)
        transaction = sender.send(to=net.accounts[1].address, value=1, gas=21_000)
        sender.done(transaction)
        more = {
            "faucet": f"proof_of_work = false\ntokens_per_request = {PAYOUT_WEI // 10**9}\nmax_requests_per_ip = 1000\n",
            "api": "anonymous_a_minute = 1000000\n",
        }
        config = folder / "services.toml"
        config.write_text(
            f'[network]\nnetwork_id = "n"\nchain_id = {net.chain_id}\nrpc_urls = ["{net.rpc_url}"]\n'
            f'[database]\npostgres_url = "{postgresql.url}"\nredis_url = "{redis_url}"\n'
            + "".join(f"[{name}]\nport = {port}\n{more.get(name, '')}" for name, port in ports.items())
        )
        log = folder / "services.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "sdk.testnet.services.program", str(config)],
                stdout=output,
                stderr=output,
                env=os.environ | {"FAUCET_PRIVATE_KEY": net.accounts[3].private_key},
            )
        found = Standing(
            net, postgresql, redis, psutil.Process(process.pid),
            {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}, log, transaction,
        )  # fmt: skip
        try:
            wait_until(found.is_ready, within_s=60, what=lambda: f"all are ready: {log.read_text()[-2000:]}")
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(10) == 0, log.read_text()[-2000:]
            finally:
                process.kill()
                # A test may have put another one in the place of the one that its context ends.
                found.redis.kill()
                found.redis.wait()


def words_of(page: str) -> str:
    """What a page says, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def document_of(answer: Answer) -> dict[str, Any]:
    """What a program is told."""
    found: dict[str, Any] = answer.response.json()
    return found
