"""`Testnet`: how long a test waits for four validators, for a partition, and for what comes after it."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import psutil

from benchmarks.report import Figure
from sdk.testnet import Testnet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STARTS_PER_ROUND = 5


def measure(rounds: int) -> Iterator[Figure]:
    """Seconds of everything that a test does with its own network."""
    for period_s in (2, 1):
        starts, stops = [], []
        for _ in range(rounds * STARTS_PER_ROUND):
            net = Testnet(4, block_time_s=period_s)
            starts.append(_timed(net.start))
            stops.append(_timed(net.stop))
        yield _figure(
            f"Testnet(4), blocks of {period_s} s: start to a first block that all have, s", starts, "< 4"
        )
        yield _figure(f"Testnet(4), blocks of {period_s} s: stop, s", stops, "")
    cuts, heals, memory = [], [], []
    with Testnet(4, block_time_s=1) as net:
        memory.append(_relay_bytes(net) / 1e6)
        for _ in range(rounds * STARTS_PER_ROUND):
            cuts.append(_timed(lambda: net.partition([0, 1], [2, 3])))
            time.sleep(3)  # Long enough for a round to be lost.
            heals.append(_timed(lambda: _heal_and_wait(net)))
    yield _figure("Testnet(4): partition, s", cuts, "")
    yield _figure("Testnet(4): from heal to a new block on all, after 3 s in halves, s", heals, "")
    yield _figure("Testnet(4): memory of the relay (USS), MB", memory, "")


def _heal_and_wait(net: Testnet) -> None:
    top = max(node.height or 0 for node in net.nodes)
    net.heal()
    net.wait_for_block(top + 1)


def _timed(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _relay_bytes(net: Testnet) -> int:
    relays = [
        process
        for process in psutil.Process().children()
        if "sdk.testnet.ephemeral.relay" in process.cmdline()
    ]
    assert len(relays) == 1, net
    return int(relays[0].memory_full_info().uss)


def _figure(measure: str, values: list[float], target: str) -> Figure:
    return Figure(measure, "metanode", statistics.median(values), min(values), max(values), target)
