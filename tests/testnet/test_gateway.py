"""The RPC gateway as a process before a real network: web3.py and a subscriber go on while a validator dies."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account
from tests.acceptance.processes import wait_until
from web3 import Web3
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sdk.testnet import Testnet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

SUBSCRIBE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})


def closing_code(socket: ClientConnection) -> int | None:
    """Why the other side closes, after whatever it still tells."""
    try:
        while True:
            socket.recv(timeout=60)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


class Gateway:
    """A process of services that runs a gateway and nothing else."""

    def __init__(self, directory: Path, net: Testnet, settings: str = "") -> None:
        urls = ", ".join(f'"{node.rpc_url}"' for node in net.nodes)
        config = directory / "services.toml"
        config.write_text(
            f'[network]\nnetwork_id = "gateway"\nchain_id = {net.chain_id}\nrpc_urls = [{urls}]\n'
            f"[gateway]\nport = 0\n{settings}[metrics]\nport = 0\n"
        )
        self.log = directory / "services.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sdk.testnet.services.program", str(config), "gateway"],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: len(self._ports()) == 2, within_s=60, what=self.log.read_text)
        ports = self._ports()
        self.url, self.metrics_url = (
            f"http://127.0.0.1:{ports['gateway']}",
            f"http://127.0.0.1:{ports['metrics']}",
        )
        wait_until(
            lambda: httpx.get(f"{self.url}/readyz").status_code == 200, within_s=60, what=self.log.read_text
        )

    def _ports(self) -> dict[str, int]:
        lines = [line for line in self.log.read_text().splitlines() if "service_listening" in line]
        found = [(re.search(r'"name": ?"(\w+)"', line), re.search(r":(\d+)\"", line)) for line in lines]
        return {name[1]: int(port[1]) for name, port in found if name and port}

    def send_as(self, user: str, raw: str) -> httpx.Response:
        """Hand a transaction over for a user whom a proxy of this machine names."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]}
        return httpx.post(self.url, json=body, headers={"x-forwarded-for": user}, timeout=30)

    def ask(self, method: str, *params: Any) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer: dict[str, Any] = httpx.post(self.url, json=body, timeout=30).json()
        return answer


@pytest.fixture
def net() -> Iterator[Testnet]:
    with Testnet(validators=4, block_time_s=1, in_memory=True) as running:
        yield running


@pytest.fixture
def gateway(net: Testnet, tmp_path: Path) -> Iterator[Gateway]:
    running = Gateway(tmp_path, net)
    yield running
    running.process.kill()
    running.process.wait()


def test_callers_and_subscribers_do_not_notice_that_a_validator_dies(net: Testnet, gateway: Gateway) -> None:
    web3 = Web3(Web3.HTTPProvider(gateway.url))
    sender = Account.from_key(net.accounts[0].private_key)
    numbers: list[int] = []
    seen = 0

    def pay() -> None:
        """A payment as web3.py makes it; blocks never go back meanwhile."""
        nonlocal seen
        transfer = {
            "chainId": web3.eth.chain_id, "nonce": web3.eth.get_transaction_count(sender.address, "pending"),
            "to": Web3.to_checksum_address("0x" + "ab" * 20), "value": 1, "gas": 21_000,
            "maxFeePerGas": 2 * web3.eth.gas_price, "maxPriorityFeePerGas": web3.eth.max_priority_fee,
        }  # fmt: skip
        sent = web3.eth.send_raw_transaction(sender.sign_transaction(transfer).raw_transaction)
        receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.05)
        assert receipt["status"] == 1
        for _ in range(20):
            number = web3.eth.block_number
            assert number >= max(seen, receipt["blockNumber"])
            assert web3.eth.get_block("latest")["number"] >= number
            seen = number

    with connect(gateway.url.replace("http", "ws")) as socket:
        socket.send(SUBSCRIBE)
        assert "result" in json.loads(socket.recv())
        pay()
        # One of the four that subscribers and callers are served from, then the next.
        net.node(0).kill()
        pay()
        pay()
        last = web3.eth.block_number
        while not numbers or numbers[-1] < last:
            told = json.loads(socket.recv(timeout=60))["params"]["result"]
            numbers.append(int(told["number"], 16))
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

        for method in ("debug_traceBlockByNumber", "admin_peers", "txpool_content"):
            assert gateway.ask(method, "latest")["error"]["code"] == -32601
        assert gateway.ask("eth_accounts")["result"] == []
        too_many = gateway.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x1389"})
        assert too_many["error"]["message"].startswith("exceed maximum block range 5000")

        page = httpx.get(f"{gateway.metrics_url}/metrics", timeout=30).text
        assert 'metanode_gateway_nodes{state="configured"} 4.0' in page
        assert 'metanode_gateway_nodes{state="up"} 3.0' in page
        assert re.search(
            r'metanode_gateway_requests_total\{method="eth_getBlockByNumber",outcome="ok"\} \d', page
        )
        assert re.search(r'_duration_seconds_bucket\{kind="read",le="0\.1"\} [1-9]', page)
        assert 'metanode_gateway_subscriptions{type="newHeads"} 1.0' in page
        assert "127.0.0.1" not in page

        gateway.process.send_signal(signal.SIGTERM)
        assert closing_code(socket) == 1001
    assert gateway.process.wait(timeout=60) == 0


def test_a_key_has_a_rate_and_whoever_sends_its_transactions_again_takes_nothing_of_it(
    tmp_path: Path,
) -> None:
    rate = "transactions_per_minute_of_sender = 1\nburst_transactions_of_sender = 2\n"
    with Testnet(validators=1, block_time_s=1, in_memory=True) as net:
        gateway = Gateway(tmp_path, net, rate)
        try:
            sender = Account.from_key(net.accounts[0].private_key)

            def signed(nonce: int) -> str:
                transfer = {
                    "chainId": net.chain_id, "nonce": nonce, "value": 1,
                    "to": Web3.to_checksum_address("0x" + "ab" * 20),
                    "gas": 21_000, "gasPrice": 100 * 10**9,
                }  # fmt: skip
                return Web3.to_hex(sender.sign_transaction(transfer).raw_transaction)

            assert "result" in gateway.send_as("203.0.113.7", signed(0)).json()
            again = [gateway.send_as("203.0.113.66", signed(0)).status_code for _ in range(5)]
            assert again == [200] * 5
            assert "result" in gateway.send_as("203.0.113.7", signed(1)).json()

            refused = gateway.send_as("203.0.113.8", signed(2))
            assert refused.status_code == 429
            assert refused.json()["error"]["message"] == "transaction rate limit of the sender exceeded"
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            page = httpx.get(f"{gateway.metrics_url}/metrics", timeout=30).text
            assert 'metanode_gateway_limited_total{rate="sender"} 1.0' in page
            assert "result" in gateway.ask("eth_sendRawTransaction", signed(2)), "this machine has no limit"
        finally:
            gateway.process.kill()
            gateway.process.wait()
