"""Four validators: start, idle cost, block times idle and under full blocks."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import arrivals, chains, wrk
from benchmarks.report import Figure
from metanode.cli.transfers import senders, spread, write_requests
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.chains import Chain

IDLE_S = 60
LARGE_GAS_LIMIT = 200_000_000
"""9,523 transfers a block: 4,761 a second at 2 s, 9,523 at 1 s."""


def measure(rounds: int) -> Iterator[Figure]:
    """All figures of the four-validator network."""
    starts = [_start_s() for _ in range(rounds)]
    yield _figure("start to the first finalized block on all four, s", starts, "< 3.5")
    with chains.metanode(4) as chain:
        yield from _idle(chain)
        with chain.sampled_memory() as samples:
            yield from _fill(chain, count=17_000, accounts=170, label="four validators, 60 M gas")
        yield _figure(
            "four validators, 60 M gas: peak of memory while they fill (PSS), MB",
            [max(samples) / 1e6],
            "< 600",
        )
    for period_s in (2, 1):
        with chains.metanode(1, gas_limit=LARGE_GAS_LIMIT, block_time_s=period_s) as chain:
            yield from _fill(
                chain, count=57_000, accounts=570, label=f"one node, 200 M gas, blocks of {period_s} s"
            )


def _start_s() -> float:
    """Seconds from starting the processes (keys and genesis made before) to one block finalized everywhere."""
    with tempfile.TemporaryDirectory(prefix="metanode-bench-") as path:
        directory = NetworkDirectory(Path(path))
        local.create_network(directory, replace(PRESETS["metanode-local"], port_offset=4000))
        started = time.monotonic()
        local.start_network(directory)
        try:
            local.wait_network_ready(directory)
            return time.monotonic() - started
        finally:
            local.stop_network(directory)


def _idle(chain: Chain) -> Iterator[Figure]:
    time.sleep(5)
    cpu, started = chain.cpu_s(), time.monotonic()
    with arrivals.noted(chain.url) as noted:
        time.sleep(IDLE_S)
    gaps_s = arrivals.intervals_s(noted)
    elapsed = time.monotonic() - started
    yield _figure("idle: memory of four validators (PSS), MB", [chain.memory_bytes() / 1e6], "< 600")
    yield _figure(
        "idle: CPU of four validators, % of one core", [100 * (chain.cpu_s() - cpu) / elapsed], "< 25"
    )
    yield _figure("idle: block interval, mean s", [statistics.fmean(gaps_s)], "2.00")
    yield _figure("idle: block interval, sigma ms", [1000 * statistics.pstdev(gaps_s)], "< 50")


def _fill(chain: Chain, *, count: int, accounts: int, label: str) -> Iterator[Figure]:
    """Transfers for several full blocks, sent at once in batches of 100 right after a block."""
    load = senders(accounts, seed=label)
    chain.fund(load)
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "bodies"
        write_requests(bodies, list(spread(load, count, chain.chain_id)), batch=100)
        first = chain.wait_next_block() + 1
        started = time.monotonic()
        intake = wrk.send_lines(chain.url, bodies, connections=16)
        counts = chain.wait_included(first, intake.accepted)
        elapsed = time.monotonic() - started
    full = [index for index, found in enumerate(counts) if found == max(counts)]
    gaps_s = chain.gaps_s(first, first + len(counts) - 1)
    held_s = sum(gaps_s[full[0] + 1 : full[-1] + 1])
    yield _figure(f"{label}: intake, transfers/s", [intake.per_second], "")
    yield _figure(
        f"{label}: from the first request to the last block, transfers/s", [intake.accepted / elapsed], ""
    )
    yield _figure(
        f"{label}: full blocks in a row, transfers/s", [sum(counts[full[0] + 1 : full[-1] + 1]) / held_s], ""
    )
    yield Figure(f"{label}: block gaps s", "metanode", statistics.fmean(gaps_s), min(gaps_s), max(gaps_s), "")


def _figure(measure_name: str, values: list[float], target: str) -> Figure:
    return Figure(measure_name, "metanode", statistics.median(values), min(values), max(values), target)
