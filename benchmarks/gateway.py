"""What the RPC gateway adds to a call: allow-listed reads through it and straight from a node, four validators, each answer of status 200.

The target is 100 ms at p95 for reads other than `eth_getLogs` and traces, of callers as many as a testnet has at once.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from benchmarks import chains, wrk
from benchmarks.report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT: Final = 12_645
"""Beside those of the benchmark's network."""
SECONDS: Final = 8
CONNECTIONS: Final = 32
START_TIMEOUT_S: Final = 60.0
TARGET: Final = "< 100"
ACCOUNT: Final = "0x" + "11" * 20
READS: Final[tuple[tuple[str, list[object]], ...]] = (
    ("eth_blockNumber", []),
    ("eth_getBalance", [ACCOUNT, "latest"]),
    ("eth_getBlockByNumber", ["latest", False]),
    ("eth_getTransactionReceipt", ["0x" + "22" * 32]),
    ("eth_call", [{"to": ACCOUNT, "data": "0x"}, "latest"]),
)


def measure(rounds: int) -> Iterator[Figure]:
    """The figures of `python -m benchmarks gateway`."""
    with chains.metanode(4) as chain, running(chain) as url:
        for method, params in READS:
            loads: dict[str, list[wrk.Load]] = {"gateway": [], "node": []}
            for _ in range(rounds):
                for name, asked in (("gateway", url), ("node", chain.url)):
                    loads[name].append(
                        wrk.repeat(asked, method, params, connections=CONNECTIONS, seconds=SECONDS)
                    )
            for name, taken in loads.items():
                chain_name = "metanode" if name == "gateway" else "node alone"
                target = TARGET if name == "gateway" else ""
                yield figure(f"{method}: p95 ms", chain_name, [load.p95_ms for load in taken], target)
                yield figure(f"{method}: requests/s", chain_name, [load.per_second for load in taken], "")


def figure(measure_name: str, chain: str, values: list[float], target: str) -> Figure:
    """One measure with its spread."""
    return Figure(
        f"gateway: {measure_name}", chain, statistics.median(values), min(values), max(values), target
    )


@contextmanager
def running(chain: chains.Chain) -> Iterator[str]:
    """A gateway in a process of its own, before all nodes of a chain."""
    nodes = ", ".join(f'"{url}"' for url in chain.rpc_urls)
    url = f"http://127.0.0.1:{PORT}"
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as directory:
        config = Path(directory) / "services.toml"
        config.write_text(
            f'[network]\nnetwork_id = "bench"\nchain_id = {chain.chain_id}\nrpc_urls = [{nodes}]\n[gateway]\nport = {PORT}\n'
        )
        with (Path(directory) / "log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "sdk.testnet.services.program", str(config), "gateway"],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_ready(url)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=START_TIMEOUT_S)


def _wait_ready(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the gateway is not ready after {START_TIMEOUT_S:.0f} s")
