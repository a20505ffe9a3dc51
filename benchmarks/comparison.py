"""One node of ours beside geth and anvil, in alternating rounds of one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import chains, wrk
from benchmarks.report import Figure
from metanode.cli.transfers import senders, spread, write_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.chains import Chain

TRANSFERS = 20_000
SENDERS = 200
INCLUDED = 15_000
READS = (
    ("eth_getBalance", lambda chain: ["0x" + chain.rich_key.address.hex(), "latest"]),
    ("eth_call", lambda _: [{"to": "0x" + "11" * 20, "data": "0x"}, "latest"]),
    ("eth_getBlockByNumber", lambda _: ["latest", False]),
)
NAMES = ("metanode", "geth", "anvil")


def measure(rounds: int) -> Iterator[Figure]:
    """Intake, inclusion and reads; one figure per measure and chain."""
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(rounds):
        for name in NAMES[number % 3 :] + NAMES[: number % 3]:
            print(f"==> round {number + 1} of {rounds}: {name}", flush=True)
            with getattr(chains, name)() as chain:
                for measure_name, value in _one_round(chain, number):
                    samples[measure_name, name].append(value)
                    print(f"    {measure_name}: {value:,.1f}", flush=True)
    for (measure_name, name), values in samples.items():
        yield Figure(measure_name, name, statistics.median(values), min(values), max(values))


def _one_round(chain: Chain, number: int) -> Iterator[tuple[str, float]]:
    first = chain.wait_next_block()
    for method, params in READS:
        load = chain.read(method, params(chain))
        yield f"{method} requests/s", load.per_second
        yield f"{method} p99 ms", load.p99_ms
    yield "longest block gap during these reads, s", max(chain.gaps_s(first, chain.height))
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "bodies"
        for label, batch, connections in (("single", 1, 64), ("batches of 100", 100, 16)):
            accounts = senders(SENDERS, seed=f"{label} {number}")
            chain.fund(accounts)
            write_requests(bodies, list(spread(accounts, TRANSFERS, chain.chain_id)), batch=batch)
            chain.wait_next_block()
            intake = wrk.send_lines(chain.url, bodies, connections=connections)
            yield f"intake, {label}, transfers/s", intake.per_second
            if intake.refusals:
                print(f"    {len(intake.refusals)} answers with refusals: {intake.refusals[0]}", flush=True)
            _wait_idle(chain)
        accounts = senders(150, seed=f"included {number}")
        chain.fund(accounts)
        write_requests(bodies, list(spread(accounts, INCLUDED, chain.chain_id)), batch=100)
        first = chain.wait_next_block() + 1
        started = time.monotonic()
        wrk.send_lines(chain.url, bodies, connections=16)
        counts = chain.wait_included(first, INCLUDED)
        lost = INCLUDED - sum(counts)
        elapsed = time.monotonic() - started - (chains.EMPTY_TIMEOUT_S if lost else 0)
        yield "included, 15,000 in batches, transfers/s", sum(counts) / elapsed
        yield "longest block gap under transfers, s", max(chain.gaps_s(first, first + len(counts) - 1))
        fullest = first + counts.index(max(counts))
        load = chain.read("eth_getBlockByNumber", [hex(fullest), False])
        yield "eth_getBlockByNumber with 2,800 transactions, requests/s", load.per_second
        yield "eth_getBlockByNumber with 2,800 transactions, p99 ms", load.p99_ms


def _wait_idle(chain: Chain) -> None:
    """Wait until a block is empty: the pool has nothing left that fits."""
    while chain.transactions_in(chain.wait_next_block()) > 0:
        pass
