"""How fast a new node catches up, on one core: a real process syncs from genesis from another one, which has a core of its own.

The chain is written by the real stores of four validators, as `disk` does. The clock runs from a tenth of the chain, when every stage has
work, to the last block, as the node's RPC tells; its processor time is taken too, which other work on the machine changes less.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import psutil

from benchmarks.disk import StoredNode
from benchmarks.report import Figure
from metanode.crypto.keystore import write_secret_file
from metanode.crypto.secp256k1 import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_S: Final = 0.02
SYNC_WITHIN_S: Final = 600.0
READY_WITHIN_S: Final = 60.0


@dataclass(frozen=True)
class Load:
    """A chain to be synced."""

    name: str
    blocks: int
    """Heights; with transfers every second one is full, as the fee market wants it."""
    transfers: int
    unit: str
    target: str


EMPTY: Final = Load("empty blocks", 3_000, 0, "blocks", ">= 100")
FULL: Final = Load("full 60 M gas blocks", 120, 2_800, "transfers", ">= 5,000")
LOADS: Final = (EMPTY, FULL)


@dataclass(frozen=True)
class Run:
    """One sync."""

    per_s: float
    cpu_us_each: float
    """Processor time of the whole process while the clock ran, by what was counted."""
    seconds: float


def measure(rounds: int) -> Iterator[Figure]:
    """Rates on one core, and what each block or transfer costs it."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("sync: two cores are needed, one for the node that serves")
    for load in LOADS:
        print(f"==> a chain of {load.blocks:,} heights, {load.name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="metanode-sync-") as path:
            source = Path(path) / "source"
            (source / "data").mkdir(parents=True)
            asyncio.run(write_chain(source / "data", load))
            runs = [_sync(source, Path(path) / "late", load, cores) for _ in range(rounds)]
        label = f"sync on one core, {load.name}"
        yield _figure(f"{label}: {load.unit}/s", [run.per_s for run in runs], load.target)
        yield _figure(f"{label}: CPU us a {load.unit[:-1]}", [run.cpu_us_each for run in runs])


async def write_chain(data: Path, load: Load) -> None:
    node = StoredNode(data, accounts=400 if load.transfers else 0)
    try:
        # Each full block is followed by an empty one.
        await node.decide(load.blocks // 2 if load.transfers else load.blocks, load.transfers)
    finally:
        node.close()


def _sync(source: Path, late: Path, load: Load, cores: list[int]) -> Run:
    shutil.rmtree(late, ignore_errors=True)
    late.mkdir()
    shutil.copy(source / "genesis.json", late)
    ports = free_ports(4)
    enode = configure_node(source, 1, ports[:2])
    configure_node(late, 2, ports[2:], knows=enode)
    with running_node(source, cores[0]):
        wait_height(ports[0], load.blocks, READY_WITHIN_S)
        with running_node(late, cores[1]) as process:
            wait_height(ports[2], load.blocks // 10, READY_WITHIN_S)
            watched = psutil.Process(process.pid)
            first, started, cpu = _height(ports[2]) or 0, time.monotonic(), cpu_s(watched)
            wait_height(ports[2], load.blocks, SYNC_WITHIN_S)
            seconds, cpu = time.monotonic() - started, cpu_s(watched) - cpu
    counted = load.blocks - first
    if load.transfers:
        # Odd heights are the full ones.
        counted = (load.blocks // 2 - (first + 1) // 2) * load.transfers
    run = Run(counted / seconds, cpu / counted * 1e6, seconds)
    print(
        f"    {run.per_s:,.0f} {load.unit}/s, {run.cpu_us_each:,.0f} us of CPU each, {cpu / seconds:.0%} of the core",
        flush=True,
    )
    return run


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def configure_node(home: Path, number: int, ports: list[int], knows: str = "") -> str:
    """Write the configuration of a follower; return its address."""
    secret = bytes([number]) * 32
    if not (home / "nodekey").exists():
        write_secret_file(home / "nodekey", secret.hex().encode())
    peers = f'bootstrap_nodes = ["{knows}"]\n' if knows else ""
    (home / "config.toml").write_text(
        f'[server]\nrpc_port = {ports[0]}\n[p2p]\nlisten_address = "127.0.0.1:{ports[1]}"\ndiscovery = false\n{peers}'
        '[log]\nlevel = "warning"\n'
    )
    return f"enode://{PrivateKey(secret).public_key.hex()}@127.0.0.1:{ports[1]}"


@contextlib.contextmanager
def running_node(home: Path, core: int) -> Iterator[subprocess.Popen[bytes]]:
    command = ["taskset", "-c", str(core), sys.executable, "-m", "metanode", "node", str(home)]
    with (home / "node.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _height(port: int) -> int | None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}", content=body, headers={"Content-Type": "application/json"}, timeout=5
        )
        return int(answer.json()["result"], 16)
    except (httpx.HTTPError, ValueError, KeyError):
        return None


def wait_height(port: int, height: int, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while (_height(port) or 0) < height:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no block {height} within {within_s:g} s; the node is at {_height(port)}")
        time.sleep(POLL_S)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _figure(measure_name: str, values: list[float], target: str = "") -> Figure:
    return Figure(measure_name, "metanode", statistics.median(values), min(values), max(values), target)
