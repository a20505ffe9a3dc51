"""How long each kind of the explorer's pages takes on a large index: `python -m benchmarks.pages URL [--requests N]`.

URL is an index that `benchmarks.index_generator` has filled, or a real one. The explorer runs in a process of its own and no node answers it, so what is
timed is the index and the page; every request is for another block, transaction or account, by one client that asks one after the other, and
again by eight at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import random
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
from sqlalchemy import func, select

from benchmarks.report import Figure, print_table
from metanode.crypto.addresses import format_address
from sdk.testnet.services.queries.statistics import index_status
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import account_transactions, accounts, tokens, transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TARGET_MS: Final = 150
HTML_TARGET_KB: Final = 60
MEMORY_TARGET_MB: Final = 200
REQUESTS: Final = 100
WARM: Final = 5
"""Requests of each kind that are not counted: the first page of a process reads its templates."""
AT_ONCE: Final = 8
READY_WITHIN_S: Final = 60.0
_CONFIG: Final = """[network]
network_id = "benchmark"
chain_id = {chain_id}
rpc_urls = ["http://127.0.0.1:9"]
[database]
{database}
[explorer]
port = {port}
docs_directory = ""
operator_view = false
"""


@dataclass(frozen=True)
class Subjects:
    """What the index has, to choose from."""

    chain_id: int
    head: int
    hashes: Sequence[str]
    rare: Sequence[str]
    busy: str
    tokens: Sequence[str]


def kinds(found: Subjects, chance: random.Random) -> dict[str, Callable[[], str]]:
    """Return what makes the address of another page of each kind."""

    def block() -> int:
        return chance.randrange(1, found.head)

    return {
        "home": lambda: "/",
        "blocks": lambda: "/blocks",
        "block": lambda: f"/block/{block()}",
        "transactions": lambda: "/transactions",
        "transaction": lambda: f"/tx/{chance.choice(found.hashes)}",
        "transaction, events": lambda: f"/tx/{chance.choice(found.hashes)}/logs",
        "account": lambda: f"/address/{chance.choice(found.rare)}",
        "account in a tenth of all": lambda: f"/address/{found.busy}",
        "its tokens": lambda: f"/address/{found.busy}/tokens",
        "its transfers": lambda: f"/address/{found.busy}/transfers",
        "token": lambda: f"/token/{chance.choice(found.tokens)}",
        "holders": lambda: f"/token/{chance.choice(found.tokens)}/holders",
        "tokens": lambda: "/tokens",
        "contracts": lambda: "/contracts",
        "validators": lambda: "/validators",
        "rounds": lambda: "/rounds",
        "late blocks": lambda: "/blocks?late=1",
        "charts": lambda: "/charts?range=quarter",
        "search, a hash": lambda: f"/search?q={chance.choice(found.hashes)}",
        "search, a beginning": lambda: f"/search?q={chance.choice(found.hashes)[:9]}",
    }


def measure(url: str, requests: int) -> Iterator[Figure]:
    """Give p50 and p95 of every kind, in milliseconds, and what the process took."""
    found = _subjects(url)
    chance = random.Random(1)
    with _explorer(url, found) as (address, process):
        yield from asyncio.run(_timings(address, found, chance, requests))
        yield _figure(
            "memory of the explorer, MB", [process.memory_info().rss / 1e6], f"< {MEMORY_TARGET_MB}"
        )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="the index: sqlite:///PATH or postgresql://USER@HOST/NAME")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="of each kind")
    arguments = parser.parse_args()
    print_table(list(measure(arguments.url, arguments.requests)))


async def _timings(address: str, found: Subjects, chance: random.Random, requests: int) -> list[Figure]:
    figures = []
    limits = httpx.Limits(max_connections=AT_ONCE)
    headers = {"accept": "text/html", "accept-encoding": "identity"}
    async with httpx.AsyncClient(base_url=address, headers=headers, limits=limits, timeout=60) as http:
        for name, make in kinds(found, chance).items():
            for _ in range(WARM):
                await _get(http, make())
            answers = [await _get(http, make()) for _ in range(requests)]
            alone_ms = [one[0] for one in answers]
            size_kb = max(len(one[1]) for one in answers) / 1024
            gz_kb = max(len(gzip.compress(one[1], 5)) for one in answers[:10]) / 1024
            crowd_ms = await _crowd(http, make, requests)
            print(f"    {name}: {statistics.median(alone_ms):.1f} ms, p95 {_p95(alone_ms):.1f} ms, {size_kb:.0f} KB, {gz_kb:.0f} KB gz", flush=True)  # fmt: skip
            figures += [
                _figure(f"{name}: ms", alone_ms, ""),
                _figure(f"{name}: p95 ms", [_p95(alone_ms)], f"< {TARGET_MS}"),
                _figure(f"{name}: p95 ms, {AT_ONCE} at once", [_p95(crowd_ms)], ""),
                _figure(f"{name}: HTML KB", [size_kb], f"<= {HTML_TARGET_KB}"),
            ]
    return figures


async def _get(http: httpx.AsyncClient, path: str) -> tuple[float, bytes]:
    began = time.perf_counter()
    answer = await http.get(path)
    took_ms = (time.perf_counter() - began) * 1000
    assert answer.status_code in {200, 302}, f"{path}: {answer.status_code}"
    return took_ms, answer.content


async def _crowd(http: httpx.AsyncClient, make: Callable[[], str], requests: int) -> list[float]:
    took_ms: list[float] = []
    paths = [make() for _ in range(requests)]

    async def one() -> None:
        while paths:
            took_ms.append((await _get(http, paths.pop()))[0])

    async with asyncio.TaskGroup() as tasks:
        for number in range(AT_ONCE):
            tasks.create_task(one(), name=f"reader {number}")
    return took_ms


def _subjects(url: str) -> Subjects:
    """Read what there is; the busiest account is that of the newest transactions."""
    store = Store(url)
    try:
        with store.look() as connection:
            status = index_status(connection)
            assert status is not None, "the index is empty: python -m benchmarks.index_generator URL"
            chance = random.Random(2)
            hashes = []
            for _ in range(500):
                number = chance.randrange(1, status.number + 1)
                row = connection.execute(
                    select(transactions.c.hash).where(transactions.c.number >= number).limit(1)
                ).first()
                hashes += [] if row is None else [f"0x{bytes(row[0]).hex()}"]
            newest = (
                select(account_transactions.c.account_id)
                .where(account_transactions.c.number > status.number - 2_000)
                .limit(20_000)
                .subquery()
            )
            busy_id = connection.execute(
                select(newest.c.account_id)
                .group_by(newest.c.account_id)
                .order_by(func.count().desc())
                .limit(1)
            ).scalar_one()
            addresses = select(accounts.c.address)
            rare = connection.scalars(addresses.order_by(accounts.c.id.desc()).limit(300)).all()
            busy = connection.scalar(addresses.where(accounts.c.id == busy_id))
            token_rows = connection.scalars(
                addresses.join(tokens, tokens.c.account_id == accounts.c.id).limit(50)
            ).all()
    finally:
        store.close()
    assert busy is not None
    return Subjects(
        chain_id=status.chain_id,
        head=status.number,
        hashes=hashes,
        rare=[format_address(bytes(one)) for one in rare],
        busy=format_address(bytes(busy)),
        tokens=[format_address(bytes(one)) for one in token_rows],
    )


@contextlib.contextmanager
def _explorer(url: str, found: Subjects) -> Iterator[tuple[str, psutil.Process]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    database = (
        f'sqlite_path = "{Path(url.removeprefix("sqlite:///")).absolute()}"'
        if url.startswith("sqlite")
        else f'postgres_url = "{url}"'
    )
    with tempfile.TemporaryDirectory(prefix="metanode-pages-") as folder:
        config = Path(folder) / "services.toml"
        config.write_text(_CONFIG.format(chain_id=found.chain_id, database=database, port=port))
        command = [sys.executable, "-m", "sdk.testnet.services.program", str(config), "explorer"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            address = f"http://127.0.0.1:{port}"
            try:
                wait_ready(address, process)
                yield address, psutil.Process(process.pid)
            finally:
                process.terminate()


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


def _figure(measure: str, values: Sequence[float], target: str = "") -> Figure:
    return Figure(measure, "metanode", statistics.median(values), min(values), max(values), target)


if __name__ == "__main__":
    main()
