"""How long each kind of the explorer's pages takes on a large index: `python -m benchmarks pages`, or `python -m benchmarks.pages URL` for one that is there.

The index has 1 M blocks and 2 M transactions, made by `benchmarks.index_generator`, on SQLite and on PostgreSQL as a package installs it. The explorer runs in a
process of its own, asks a node in another one (`benchmarks.answering_node`) for what is not in the index, and verifies the seals of each block that it shows. Every
request is for another block, transaction or account, by one reader who asks one after the other, and again by eight at once. Requests keep their connection.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import random
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
from tests.testnet.postgresql import PostgreSQLAbsent, running_postgresql

from benchmarks.answering_node import answering_node
from benchmarks.index_contracts import SOURCE
from benchmarks.index_generator import Generator
from benchmarks.page_subjects import Subjects, find_subjects, kinds
from benchmarks.report import Figure, print_table
from sdk.testnet.services.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLOCKS: Final = 1_000_000
TRANSACTIONS_A_BLOCK: Final = 2
DATABASES: Final = ("sqlite", "postgresql")
TARGET_MS: Final = 150
HTML_BYTES_MAX: Final = 60 * 1024
MEMORY_TARGET_MB: Final = 200
REQUESTS: Final = 100
WARM: Final = 5
"""Requests of each kind that are not counted: the first page of a process reads its templates."""
READERS: Final = {"one reader": 1, "eight readers": 8}
READY_WITHIN_S: Final = 60.0
SHOWN: Final = {
    "block": b"every seal was verified just now",
    "account": b"after the newest block",
    "transaction, calls": b'<span class="tag">call</span>',
    "contract, verified": SOURCE.encode(),
}
"""What a page of a kind says when the node and the index gave it all."""
_CONFIG: Final = """[network]
network_id = "benchmark"
chain_id = {chain_id}
rpc_urls = ["{node}"]
[database]
{database}
[explorer]
port = {port}
docs_directory = ""
operator_view = false
"""


@dataclass(frozen=True)
class Timing:
    """One kind of page in one round."""

    took_ms: dict[str, list[float]]
    """By who reads: sorted."""
    html_bytes: int
    """Of the largest."""
    gz_bytes: int
    """Of the same, compressed as a browser gets it."""
    incomplete: int
    """Pages that do not say what `SHOWN` has: the node did not answer in time."""


def measure(rounds: int, blocks: int = BLOCKS) -> Iterator[Figure]:
    """Fill an index on each database, and give the figures of every kind of page."""
    for database in DATABASES:
        try:
            with _filled(database, blocks) as url:
                yield from measure_index(url, rounds, REQUESTS, database)
        except PostgreSQLAbsent as absent:
            print(f"    {database}: {absent}", flush=True)


def measure_index(url: str, rounds: int, requests: int, database: str) -> Iterator[Figure]:
    """Give p50, p95 and the longest of every kind, in milliseconds, the bytes of its HTML, and the explorer's memory; medians of rounds."""
    found = find_subjects(url)
    timings: dict[str, list[Timing]] = {}
    memory_mb = []
    for number in range(rounds):
        with _explorer(url, found) as (address, process):
            for name, timing in asyncio.run(_round(address, found, random.Random(number), requests)).items():
                timings.setdefault(name, []).append(timing)
            memory_mb.append(process.memory_info().rss / 1e6)
    yield _figure("blocks in the index", database, [found.head + 1])
    for name, each in timings.items():
        for who in READERS:
            of_rounds = [timing.took_ms[who] for timing in each]
            yield _figure(f"{name}: p50 ms, {who}", database, [statistics.median(one) for one in of_rounds])
            yield _figure(
                f"{name}: p95 ms, {who}", database, [_p95(one) for one in of_rounds], f"< {TARGET_MS}"
            )
            yield _figure(f"{name}: longest ms, {who}", database, [one[-1] for one in of_rounds])
        html = [timing.html_bytes for timing in each]
        yield _figure(f"{name}: HTML bytes", database, html, f"<= {HTML_BYTES_MAX}")
        yield _figure(f"{name}: HTML bytes, compressed", database, [timing.gz_bytes for timing in each])
        if name in SHOWN:
            yield _figure(
                f"{name}: incomplete pages",
                database,
                [timing.incomplete for timing in each],
                "0",
            )
    yield _figure("memory of the explorer, MB", database, memory_mb, f"< {MEMORY_TARGET_MB}")


def main() -> None:
    """Measure an index that is there, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="the index: sqlite:///PATH or postgresql://USER@HOST/NAME")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="of each kind")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    database = arguments.url.partition(":")[0]
    print_table(list(measure_index(arguments.url, arguments.rounds, arguments.requests, database)))


@contextlib.contextmanager
def _filled(database: str, blocks: int) -> Iterator[str]:
    """An index for the length of the block; gives its URL."""
    with contextlib.ExitStack() as stack:
        if database == "sqlite":
            folder = tempfile.mkdtemp(prefix="metanode-pages-")
            stack.callback(shutil.rmtree, folder)
            url = f"sqlite:///{folder}/index.db"
        else:
            url = stack.enter_context(running_postgresql(durable=True)).url
        print(f"    {database}: filling", flush=True)
        store = Store(url)
        try:
            Generator(blocks=blocks, transactions=blocks * TRANSACTIONS_A_BLOCK).fill(store)
        finally:
            store.close()
        yield url


async def _round(address: str, found: Subjects, chance: random.Random, requests: int) -> dict[str, Timing]:
    timings = {}
    limits = httpx.Limits(max_connections=max(READERS.values()))
    headers = {"accept": "text/html", "accept-encoding": "identity"}
    async with httpx.AsyncClient(base_url=address, headers=headers, limits=limits, timeout=60) as http:
        for name, make in kinds(found, chance).items():
            for _ in range(WARM):
                await _get(http, make())
            took_ms = {}
            pages: list[bytes] = []
            for who, count in READERS.items():
                answers = await _read(http, make, requests, readers=count)
                took_ms[who] = sorted(one[0] for one in answers)
                pages += [one[1] for one in answers]
            incomplete = sum(SHOWN.get(name, b"") not in page for page in pages)
            largest = max(pages, key=len)
            timings[name] = Timing(took_ms, len(largest), len(gzip.compress(largest, 5)), incomplete)
            told = ", ".join(f"{who} {statistics.median(each):.1f}, p95 {_p95(each):.1f} ms" for who, each in took_ms.items())  # fmt: skip
            print(f"    {name}: {told}, {len(largest):,} bytes", flush=True)
    return timings


async def _get(http: httpx.AsyncClient, path: str) -> tuple[float, bytes]:
    began = time.perf_counter()
    answer = await http.get(path)
    took_ms = (time.perf_counter() - began) * 1000
    assert answer.status_code in {200, 302}, f"{path}: {answer.status_code}"
    return took_ms, answer.content


async def _read(
    http: httpx.AsyncClient, make: Callable[[], str], requests: int, *, readers: int
) -> list[tuple[float, bytes]]:
    answers: list[tuple[float, bytes]] = []
    paths = [make() for _ in range(requests)]

    async def one() -> None:
        while paths:
            answers.append(await _get(http, paths.pop()))

    async with asyncio.TaskGroup() as tasks:
        for number in range(readers):
            tasks.create_task(one(), name=f"reader {number}")
    return answers


@contextlib.contextmanager
def _explorer(url: str, found: Subjects) -> Iterator[tuple[str, psutil.Process]]:
    port, node_port = free_port(), free_port()
    database = (
        f'sqlite_path = "{Path(url.removeprefix("sqlite:///")).absolute()}"'
        if url.startswith("sqlite")
        else f'postgres_url = "{url}"'
    )
    with (
        answering_node(url, node_port) as node,
        tempfile.TemporaryDirectory(prefix="metanode-pages-") as folder,
    ):
        config = Path(folder) / "services.toml"
        config.write_text(_CONFIG.format(chain_id=found.chain_id, node=node, database=database, port=port))
        command = [sys.executable, "-m", "sdk.testnet.services.program", str(config), "explorer"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            address = f"http://127.0.0.1:{port}"
            try:
                wait_ready(address, process)
                yield address, psutil.Process(process.pid)
            finally:
                process.terminate()


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a site answers."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the explorer ended; its words are above"
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{address}/healthz", timeout=1).status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{address} did not answer within {READY_WITHIN_S:g} s")


def _p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def _figure(measure: str, database: str, values: Sequence[float], target: str = "") -> Figure:
    return Figure(measure, database, statistics.median(values), min(values), max(values), target)


if __name__ == "__main__":
    main()
