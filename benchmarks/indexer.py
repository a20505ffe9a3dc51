"""How fast the index is made from a real node, on SQLite and on PostgreSQL, and how far it is behind a network under load.

Back-fill: a node that has a chain of full blocks serves it to an indexer in a process of its own; all of its 2,800 transfers a block go to new
accounts, which is the dearest kind of transfer. The clock runs from a tenth of the chain on. Lag: a validator takes 500 transfers a second in blocks
of 2 s, while an indexer in a process of its own follows; what is told is how long after the node's own notification a block is in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import structlog
from sqlalchemy import create_engine, text
from tests.testnet.postgresql import running_postgresql

from benchmarks.report import Figure
from benchmarks.sync import FULL, configure_node, cpu_s, free_ports, running_node, wait_height, write_chain
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.hexadecimal import encode_data
from metanode.rpc.client import open_client
from sdk.testnet import Testnet
from sdk.testnet.services.indexer import Indexer, IndexerConfig
from sdk.testnet.services.store import Store
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGETS: Final = {"sqlite": ">= 2,000", "postgresql": ">= 3,000"}
LAG_TARGET: Final = "<= 1 block"
LAG_RATE: Final = 500
LAG_S: Final = 60
LAG_BATCH: Final = 100
READY_WITHIN_S: Final = 60.0
INDEX_WITHIN_S: Final = 600.0


@dataclass(frozen=True)
class Run:
    """One index."""

    per_s: float
    cpu_us_each: float
    memory_mb: float


def measure(rounds: int) -> Iterator[Figure]:
    """The figures of `python -m benchmarks indexer`."""
    with tempfile.TemporaryDirectory(prefix="metanode-indexer-") as path:
        source = Path(path) / "source"
        (source / "data").mkdir(parents=True)
        asyncio.run(write_chain(source / "data", FULL))
        port, p2p_port = free_ports(2)
        configure_node(source, 1, [port, p2p_port])
        with running_node(source, min(os.sched_getaffinity(0))):
            wait_height(port, FULL.blocks, READY_WITHIN_S)
            for kind, target in TARGETS.items():
                runs = [_index(kind, f"http://127.0.0.1:{port}") for _ in range(rounds)]
                yield _figure(f"index, {kind}: transfers/s", [run.per_s for run in runs], target)
                yield _figure(f"index, {kind}: CPU us a transfer", [run.cpu_us_each for run in runs])
                yield _figure(f"index, {kind}: memory MB", [run.memory_mb for run in runs])
    for kind in TARGETS:
        with _database(kind) as url:
            delays, lag = asyncio.run(_lag(url))
        yield _figure(f"{LAG_RATE} transfers/s, {kind}: ms from notification to index", delays)
        yield _figure(f"{LAG_RATE} transfers/s, {kind}: most blocks behind", [float(lag)], LAG_TARGET)


def _index(kind: str, rpc_url: str) -> Run:
    with _database(kind) as url:
        command = [sys.executable, "-m", "benchmarks.indexer", rpc_url, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            watched = psutil.Process(process.pid)
            started, first, cpu = 0.0, 0, 0.0
            memory = 0
            for line in process.stdout:
                number = int(line)
                memory = max(memory, watched.memory_info().rss)
                if not started and number >= FULL.blocks // 10:
                    started, first, cpu = time.monotonic(), number, cpu_s(watched)
                if number >= FULL.blocks:
                    break
            seconds, cpu = time.monotonic() - started, cpu_s(watched) - cpu
            process.terminate()
        found = _count(url)
    # Odd heights are the full ones.
    expected = (FULL.blocks + 1) // 2 * FULL.transfers
    assert found == expected, f"{found:,} transactions are in the index; the chain has {expected:,}"
    counted = ((FULL.blocks + 1) // 2 - (first + 1) // 2) * FULL.transfers
    run = Run(counted / seconds, cpu / counted * 1e6, memory / 1e6)
    print(
        f"    {kind}: {run.per_s:,.0f} transfers/s, {run.cpu_us_each:,.0f} us of the indexer's CPU each, "
        f"{run.memory_mb:,.0f} MB",
        flush=True,
    )
    return run


def _count(url: str) -> int:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        found: int = connection.execute(text("SELECT count(*) FROM transactions")).scalar_one()
    engine.dispose()
    return found


@contextlib.contextmanager
def _database(kind: str) -> Iterator[str]:
    if kind == "postgresql":
        with running_postgresql(durable=True) as server:
            yield server.url
        return
    folder = Path(tempfile.mkdtemp(prefix="metanode-index-"))
    try:
        yield f"sqlite:///{folder}/index.db"
    finally:
        shutil.rmtree(folder)


async def _lag(url: str) -> tuple[list[float], int]:
    """Milliseconds from a block's notification to its row, and the most blocks that were missing when one came."""
    # On a thread, as it runs event loops of its own.
    net = await asyncio.to_thread(_started)
    try:
        command = [sys.executable, "-m", "benchmarks.indexer", net.rpc_url, url]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        announced: dict[int, float] = {}
        indexed: dict[int, float] = {}
        behind = 0

        async def read() -> None:
            assert process.stdout is not None
            async for line in process.stdout:
                indexed[int(line)] = time.monotonic()

        async def watch() -> None:
            nonlocal behind
            async with open_client(net.rpc_url) as rpc:
                while True:
                    head = int(await rpc.call("eth_blockNumber"), 16)
                    announced.setdefault(head, time.monotonic())
                    if indexed:
                        # The one that was decided just now is on its way.
                        behind = max(behind, head - max(indexed))
                    await asyncio.sleep(0.01)

        reader, watcher = asyncio.create_task(read()), asyncio.create_task(watch())
        try:
            await _load(net)
        finally:
            watcher.cancel()
            process.terminate()
            await process.wait()
            await asyncio.wait([reader, watcher])
        delays = [
            (indexed[n] - at) * 1_000 for n, at in announced.items() if n in indexed and indexed[n] >= at
        ]
        return delays[2:], behind
    finally:
        await asyncio.to_thread(net.stop)


def _started() -> Testnet:
    net = Testnet(validators=1, block_time_s=2, in_memory=True)
    net.start()
    return net


async def _load(net: Testnet) -> None:
    keys = [PrivateKey(bytes.fromhex(account.private_key[2:])) for account in net.accounts]
    count = LAG_RATE * LAG_S
    nonces = [0] * len(keys)
    signed = []
    for index in range(count):
        sender = index % len(keys)
        signed.append(
            encode_data(
                signed_transfer(
                    keys[sender], chain_id=net.chain_id, nonce=nonces[sender], to=os.urandom(20), value_wei=1
                )
            )
        )
        nonces[sender] += 1
    async with open_client(net.rpc_url) as rpc:
        started = time.monotonic()
        for number, start in enumerate(range(0, count, LAG_BATCH)):
            await asyncio.sleep(max(0.0, started + number * LAG_BATCH / LAG_RATE - time.monotonic()))
            batch: list[tuple[str, Any]] = [
                ("eth_sendRawTransaction", (raw,)) for raw in signed[start : start + LAG_BATCH]
            ]
            for answer in await rpc.batch(batch):
                if isinstance(answer, Exception):
                    raise answer


def _figure(name: str, values: list[float], target: str = "") -> Figure:
    return Figure(name, "metanode", statistics.median(values), min(values), max(values), target)


async def _follow(rpc_url: str, database: str) -> None:
    # What is printed is read: a number a line.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    store = Store(database)
    config = IndexerConfig(rpc_urls=(rpc_url,))
    await Indexer(store, config, upon_blocks=lambda number: print(number, flush=True)).run()


if __name__ == "__main__":
    asyncio.run(_follow(*sys.argv[1:]))
