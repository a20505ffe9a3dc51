"""The chains that are measured, each started the same way: ours, geth --dev, anvil. All on loopback, 2 s blocks."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import wrk
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.samples import Sample

    from metanode.cli.transfers import Sender

GETH_VERSION = "v1.17.8"
"""The newest that its module proxy can build here."""
ANVIL_VERSION = "1.7.1"
GETH_DEVELOPER_KEY = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"
TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "metanode" / "bench"
START_TIMEOUT_S = 30.0
BLOCK_TIMEOUT_S = 30.0
EMPTY_TIMEOUT_S = 20.0
MEMORY_SAMPLES_EVERY_S = 0.5
"""A look at the memory of four validators takes a few milliseconds of them."""


@dataclass(frozen=True)
class Chain:
    """A running chain under test."""

    name: str
    url: str
    rich_key: PrivateKey
    processes: tuple[psutil.Process, ...]
    metrics_urls: tuple[str, ...] = ()
    """Of ours only."""
    rpc_urls: tuple[str, ...] = ()
    """Of all nodes; of ours only."""

    def call(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call's result."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(self.url, json=request, timeout=30.0).json()
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {method}: {answer['error']}")
        return answer["result"]

    @property
    def chain_id(self) -> int:
        return int(self.call("eth_chainId"), 16)

    @property
    def height(self) -> int:
        return int(self.call("eth_blockNumber"), 16)

    def wait_next_block(self) -> int:
        """Wait until the height grows; the new height."""
        start, deadline = self.height, time.monotonic() + BLOCK_TIMEOUT_S
        while (height := self.height) == start:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: no block in {BLOCK_TIMEOUT_S:.0f} s")
            time.sleep(0.01)
        return height

    def transactions_in(self, number: int) -> int:
        """How many transactions a block has."""
        return int(self.call("eth_getBlockTransactionCountByNumber", hex(number)), 16)

    def wait_included(self, first: int, count: int) -> list[int]:
        """Wait until `count` transactions are in blocks from `first` on; how many each block up to the last of them has.

        A chain that loses some is waited for until its blocks were empty for EMPTY_TIMEOUT_S.
        """
        counts: list[int] = []
        last_found = time.monotonic()
        while sum(counts) < count and time.monotonic() < last_found + EMPTY_TIMEOUT_S:
            if self.height < first + len(counts):
                time.sleep(0.02)
                continue
            counts.append(self.transactions_in(first + len(counts)))
            if counts[-1]:
                last_found = time.monotonic()
        if lost := count - sum(counts):
            print(f"    {lost} of {count} transfers were in no block", flush=True)
        while counts and not counts[-1]:
            counts.pop()
        return counts

    def counted(self, name: str, **labels: str) -> float:
        """The sum of one of our metrics over nodes and labels; 0 for other chains."""
        return sum(
            sample.value
            for sample in self._samples()
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def counted_above(self, name: str, bound: str) -> float:
        """How many observations of a histogram were above one of its bounds, over all nodes, each of which is asked once."""
        signs = {f"{name}_count": 1, f"{name}_bucket": -1}
        return sum(
            signs[sample.name] * sample.value
            for sample in self._samples()
            if sample.name in signs and sample.labels.get("le", bound) == bound
        )

    def _samples(self) -> Iterator[Sample]:
        for url in self.metrics_urls:
            for family in text_string_to_metric_families(httpx.get(url, timeout=30.0).text):
                yield from family.samples

    def read(self, method: str, params: list[Any], *, seconds: int = 8) -> wrk.Load:
        """Ask the same from 64 connections.

        Raises:
            RuntimeError: a call failed; wrk sees only the status of HTTP, so ours are counted where they are answered.
        """
        self.call(method, *params)
        before = self._failed(method)
        load = wrk.repeat(self.url, method, params, seconds=seconds)
        if failed := self._failed(method) - before:
            raise RuntimeError(f"{self.name}: {failed:.0f} of {load.requests} {method} got an error")
        return load

    def _failed(self, method: str) -> float:
        all_ends = self.counted("metanode_rpc_requests_total", method=method)
        return all_ends - self.counted("metanode_rpc_requests_total", method=method, result="ok")

    def gaps_s(self, first: int, last: int) -> list[int]:
        """Seconds between the timestamps of each block from `first` to `last` and the one before it."""
        stamps = [
            int(self.call("eth_getBlockByNumber", hex(number), False)["timestamp"], 16)
            for number in range(first - 1, last + 1)
        ]
        return [later - earlier for earlier, later in itertools.pairwise(stamps)]

    def fund(self, accounts: Sequence[Sender], *, each_wei: int = 10**18) -> None:
        """Give every account a balance, and wait until all have it."""
        nonce = int(self.call("eth_getTransactionCount", "0x" + self.rich_key.address.hex(), "pending"), 16)
        chain_id = self.chain_id
        for start in range(0, len(accounts), 100):
            batch = [
                {
                    "jsonrpc": "2.0", "id": start + i, "method": "eth_sendRawTransaction",
                    "params": ["0x" + signed_transfer(
                        self.rich_key, chain_id=chain_id, nonce=nonce + start + i, to=account.key.address, value_wei=each_wei
                    ).hex()],
                }
                for i, account in enumerate(accounts[start : start + 100])
            ]  # fmt: skip
            refused = [
                answer["error"]
                for answer in httpx.post(self.url, json=batch, timeout=60.0).json()
                if "error" in answer
            ]
            if refused:
                raise RuntimeError(f"{self.name}: funding refused: {refused[0]}")
        last = "0x" + accounts[-1].key.address.hex()
        deadline = time.monotonic() + BLOCK_TIMEOUT_S
        while int(self.call("eth_getBalance", last, "latest"), 16) < each_wei:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self.name}: the load's accounts were not funded in {BLOCK_TIMEOUT_S:.0f} s"
                )
            time.sleep(0.05)

    def memory_bytes(self) -> int:
        """Sum of the proportional set sizes of all processes."""
        return sum(process.memory_full_info().pss for process in self.processes if process.is_running())

    @contextlib.contextmanager
    def sampled_memory(self) -> Iterator[list[int]]:
        """`memory_bytes` twice a second, from before the block to after it; its largest is the peak, but for what a moment between two takes."""
        samples, is_over = [self.memory_bytes()], threading.Event()

        def sample() -> None:
            while not is_over.wait(MEMORY_SAMPLES_EVERY_S):
                samples.append(self.memory_bytes())

        thread = threading.Thread(target=sample, name="memory")
        thread.start()
        try:
            yield samples
        finally:
            is_over.set()
            thread.join()
            samples.append(self.memory_bytes())

    def cpu_s(self) -> float:
        """CPU seconds that all processes have used."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes if process.is_running())


@contextlib.contextmanager
def metanode(validators: int = 1, *, gas_limit: int = 60_000_000, block_time_s: int = 2) -> Iterator[Chain]:
    """Our network of real processes, as `make up` starts it."""
    with tempfile.TemporaryDirectory(prefix="metanode-bench-") as path:
        directory = NetworkDirectory(Path(path))
        spec = replace(
            PRESETS["metanode-local"],
            validator_count=validators,
            gas_limit=gas_limit,
            block_time_s=block_time_s,
            port_offset=4000,
        )
        plan = local.create_network(directory, spec)
        local.start_network(directory)
        try:
            status = local.wait_network_ready(directory)
            processes = tuple(psutil.Process(node.pid) for node in status.nodes if node.pid)
            rich = PrivateKey(bytes.fromhex(funded_accounts()[0].private_key[2:]))
            metrics_urls = tuple(f"http://127.0.0.1:{node.metrics_port}/metrics" for node in plan.nodes)
            urls = tuple(node.rpc_url for node in plan.nodes)
            yield Chain("metanode", urls[0], rich, processes, metrics_urls, urls)
        finally:
            local.stop_network(directory)


@contextlib.contextmanager
def geth() -> Iterator[Chain]:
    """geth's developer mode: one node, no consensus."""
    with tempfile.TemporaryDirectory(prefix="geth-bench-") as path:
        command = [
            str(install_geth()), "--dev", "--dev.period", "2", "--dev.gaslimit", "60000000", "--datadir", path,
            "--http", "--http.addr", "127.0.0.1", "--http.port", "18645", "--http.api", "eth,net,web3,txpool",
            "--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable", "--authrpc.port", "18651",
            "--txpool.globalslots", "20000",
        ]  # fmt: skip
        with _running("geth", command, "http://127.0.0.1:18645", bytes.fromhex(GETH_DEVELOPER_KEY)) as chain:
            yield chain


@contextlib.contextmanager
def anvil() -> Iterator[Chain]:
    """Foundry's development chain: one node, no consensus, in memory."""
    command = [
        str(install_anvil()),
        "--block-time",
        "2",
        "--gas-limit",
        "60000000",
        "--port",
        "18745",
        "--silent",
    ]
    key = bytes.fromhex(funded_accounts()[0].private_key[2:])
    with _running("anvil", command, "http://127.0.0.1:18745", key) as chain:
        yield chain


@contextlib.contextmanager
def _running(name: str, command: list[str], url: str, rich_key: bytes) -> Iterator[Chain]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    chain = Chain(name, url, PrivateKey(rich_key), (psutil.Process(process.pid),))
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                chain.call("eth_chainId")
                break
            except (httpx.HTTPError, json.JSONDecodeError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not start: {' '.join(command)}") from None
                time.sleep(0.05)
        yield chain
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def install_geth() -> Path:
    """Build geth from its Go module into the cache, once."""
    binary = TOOLS / "bin" / "geth"
    if not binary.exists():
        print(f"==> building geth {GETH_VERSION} (about two minutes, once)", flush=True)
        environment = {**os.environ, "GOBIN": str(binary.parent)}
        subprocess.run(
            ["go", "install", f"github.com/ethereum/go-ethereum/cmd/geth@{GETH_VERSION}"],
            env=environment,
            check=True,
        )
    return binary


def install_anvil() -> Path:
    """Install anvil's binary package into the cache, once."""
    found = next((TOOLS / "anvil").glob("node_modules/@foundry-rs/anvil-linux-*/bin/anvil"), None)
    if found is None:
        print(f"==> installing anvil {ANVIL_VERSION} (once)", flush=True)
        command = [
            "npm",
            "install",
            "--prefix",
            str(TOOLS / "anvil"),
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]
        subprocess.run(
            [*command, f"@foundry-rs/anvil@{ANVIL_VERSION}"], check=True, stdout=subprocess.DEVNULL
        )
        found = next((TOOLS / "anvil").glob("node_modules/@foundry-rs/anvil-linux-*/bin/anvil"))
    return found


def missing_tools() -> list[str]:
    """What has to be installed before the comparison can run."""
    return [tool for tool in ("wrk", "go", "npm") if shutil.which(tool) is None]
