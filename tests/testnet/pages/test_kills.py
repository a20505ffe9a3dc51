"""All services in one process, killed at any moment while people claim, blocks are indexed and sources are verified; and ended without a database."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from tests.acceptance.processes import slowness, wait_until
from tests.testnet.pages.served import FOLDER, Sender, call, compile_token, free_port
from tests.testnet.postgresql import PostgreSQLAbsent, running_postgresql

from sdk.testnet import Testnet
from sdk.testnet.services.program import GIVE_UP_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

KILLS = 10
PACE_S = 0.05
"""From one claim to the next."""
END_S = 5.0
PAYOUT_WEI = 7 * 10**18
LEASE_S = 30.0
"""After which the work of who was killed is somebody else's: payouts, and a verification."""


@pytest.fixture(scope="module")
def net() -> Iterator[Testnet]:
    with Testnet(validators=1, block_time_s=1, in_memory=True) as running:
        yield running


class Services:
    """Explorer, faucet, API and indexer of one configuration, over and over."""

    def __init__(self, net: Testnet, folder: Path, database: str = "") -> None:
        self.net = net
        self.urls = {name: f"http://127.0.0.1:{free_port()}" for name in ("explorer", "faucet", "api")}
        self.config = folder / "services.toml"
        more = {
            "faucet": f"proof_of_work = false\ntokens_per_request = {PAYOUT_WEI // 10**9}\nmax_requests_per_ip = 100000\n"
            "daily_limit = 100000\nmax_requests_per_network = 100000\n",
            "api": "anonymous_a_minute = 1000000\n",
        }
        self.config.write_text(
            f'[network]\nnetwork_id = "n"\nchain_id = {net.chain_id}\nrpc_urls = ["{net.rpc_url}"]\n{database}'
            + "".join(
                f"[{name}]\nport = {httpx.URL(url).port}\n{more.get(name, '')}"
                for name, url in self.urls.items()
            )
        )
        self.log = folder / "services.log"

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "sdk.testnet.services.program", str(self.config)],
                stdout=log,
                stderr=log,
                env=os.environ | {"FAUCET_PRIVATE_KEY": self.net.accounts[3].private_key},
            )
        wait_until(
            lambda: all(self._lives(url) for url in self.urls.values()) or process.poll() is not None,
            within_s=60,
            what="all sites live",
        )
        assert process.poll() is None, self.log.read_text()[-2000:]
        return process

    @staticmethod
    def _lives(url: str) -> bool:
        try:
            return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, site: str, path: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(self.urls[site] + path, timeout=20).json()
        return found


class Claimant:
    """One who claims for one new account after the other, whoever answers; in a thread."""

    def __init__(self, url: str) -> None:
        self.asked: list[str] = []
        self.accepted: dict[str, str] = {}
        self._url = f"{url}/api/v1/faucet/claims"
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._claim)
        self._thread.start()

    def _claim(self) -> None:
        while not self._is_over.is_set():
            who = f"0x{0xC1A1_0000 + len(self.asked):040x}"
            self.asked.append(who)
            try:
                answer = httpx.post(self._url, json={"address": who}, timeout=20)
            except httpx.HTTPError:
                self._is_over.wait(PACE_S)
                continue
            if answer.status_code == 202:
                self.accepted[who] = answer.json()["id"]
            self._is_over.wait(PACE_S)

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()


def submit(services: Services, token: str) -> str:
    """Send the token's source to be verified; the id of the job, or nothing where it is known or waits."""
    source = (FOLDER / "hostile_token.vy").read_text()
    body = {
        "stdJsonInput": {"language": "Vyper", "sources": {"token.vy": {"content": source}}, "settings": {}},
        "compilerVersion": "0.4.3",
        "contractIdentifier": "token.vy:token",
    }
    answer = httpx.post(
        f"{services.urls['api']}/v2/verify/{services.net.chain_id}/{token}", json=body, timeout=20
    )
    return str(answer.json().get("verificationId", ""))


def finished(services: Services, job: str) -> dict[str, Any]:
    """How a verification ended, also when another process had it."""
    wait_until(
        lambda: services.get("api", f"/v2/verify/{job}").get("isJobCompleted"),
        within_s=LEASE_S + 60,
        what=lambda: str(services.get("api", f"/v2/verify/{job}")),
    )
    return services.get("api", f"/v2/verify/{job}")


def test_killed_ten_times_amid_claims_blocks_and_verifications_nothing_is_lost_and_nobody_is_paid_twice(
    net: Testnet, tmp_path: Path
) -> None:
    chance = random.Random(4711)
    sender = Sender(net.rpc_url, net.chain_id, net.accounts[0].private_key)
    deployed = sender.send(data=compile_token() + encode(["string", "string"], ["Token", "TOK"]).hex())
    token = sender.done(deployed)["contractAddress"]
    services = Services(net, tmp_path)
    claimant = Claimant(services.urls["faucet"])
    job = ""
    try:
        for _ in range(KILLS):
            process = services.start()
            try:
                job = submit(services, token) or job
                time.sleep(chance.uniform(0.1, 2.0))
            finally:
                process.kill()
                process.wait()
    finally:
        claimant.close()
    assert len(claimant.accepted) > KILLS, "people claimed"
    assert job, "the sources were taken"

    process = services.start()
    try:
        late = set(claimant.accepted)

        def all_are_final() -> bool:
            for who in sorted(late):
                if (
                    services.get("faucet", f"/api/v1/faucet/claims/{claimant.accepted[who]}")["state"]
                    != "final"
                ):
                    return False
                late.discard(who)
            return True

        wait_until(all_are_final, within_s=LEASE_S + 60, what=lambda: f"{len(late)} claims wait")
        wait_until(
            lambda: services.get("faucet", "/api/v1/faucet")["queue_length"] == 0,
            within_s=60,
            what="also those are paid who never heard that they are",
        )
        ended = finished(services, job)
        if "error" in ended:
            # Sources that may be what ends the process are tried twice.
            assert "interrupted twice" in ended["error"]["message"], ended
            ended = finished(services, submit(services, token))
        assert ended["contract"]["match"], ended
        head = int(call(net.rpc_url, "eth_blockNumber"), 16)
        wait_until(
            lambda: services.get("api", "/api/v1/network/status")["indexed"] >= head,
            within_s=60,
            what="the index has all blocks",
        )
        numbers: list[int] = []
        cursor = ""
        while cursor is not None:
            page = services.get("api", f"/api/v1/blocks?limit=100{cursor}")
            numbers += [one["number"] for one in page["items"]]
            cursor = None if page["next"] is None else f"&cursor={page['next']}"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert numbers == list(range(numbers[0], -1, -1))
    for who in claimant.asked:
        balance = int(call(net.rpc_url, "eth_getBalance", who, "latest"), 16)
        # Whose answer was lost may have been promised or not; nobody twice.
        assert balance in ({PAYOUT_WEI} if who in claimant.accepted else {0, PAYOUT_WEI}), who


@pytest.mark.parametrize("is_frozen", [False, True], ids=["stopped", "hangs"])
def test_without_its_database_it_ends_well_and_soon(is_frozen: bool, net: Testnet, tmp_path: Path) -> None:
    try:
        with running_postgresql() as server:
            services = Services(net, tmp_path, f'[database]\npostgres_url = "{server.url}"\n')
            process = services.start()
            try:
                if is_frozen:
                    with server.frozen():
                        # A change that it holds is given up, and the status says so.
                        assert _end(services, process, within_s=GIVE_UP_S + 1) in {0, 1}
                else:
                    server.stop()
                    assert _end(services, process, within_s=END_S) == 0
            finally:
                process.kill()
                process.wait()
    except PostgreSQLAbsent as absent:
        pytest.skip(str(absent))


def _end(services: Services, process: subprocess.Popen[bytes], *, within_s: float) -> int:
    ready = f"{services.urls['api']}/readyz"
    wait_until(
        lambda: httpx.get(ready, timeout=20).status_code == 503,
        within_s=20,
        what="it knows that the database is away",
    )
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    status = process.wait(within_s * slowness())
    assert time.monotonic() - began_s < within_s * slowness()
    return status
