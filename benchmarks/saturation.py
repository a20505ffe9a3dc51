"""Reads that saturate a core for ten minutes must not cost consensus a round (ADR 16), nor delay a block."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from benchmarks import arrivals, chains, wrk
from benchmarks.report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.chains import Chain

STEP_S = 30
READS: tuple[tuple[str, list[object]], ...] = (
    ("eth_call", [{"to": "0x" + "11" * 20, "data": "0x"}, "latest"]),
    ("eth_getBlockByNumber", ["latest", True]),
    ("eth_getBalance", ["0x" + "11" * 20, "latest"]),
)
"""One after another; eth_call is among the calls that are refused first when the event loop is late."""


def measure(seconds: int) -> Iterator[Figure]:
    """Four validators; one of them is asked without a pause, and tells of its blocks as they come."""
    with chains.metanode(4) as chain, arrivals.noted(chain.url) as noted:
        chain.wait_next_block()
        before, cpu_s, started = _totals(chain), chain.cpu_s(), time.monotonic()
        rates: list[float] = []
        slowest_ms = 0.0
        step = 0
        while time.monotonic() < started + seconds:
            method, params = READS[step % len(READS)]
            load = wrk.repeat(chain.url, method, params, seconds=min(STEP_S, seconds))
            rates.append(load.per_second)
            slowest_ms = max(slowest_ms, load.p99_ms)
            print(f"    {method}: {load.per_second:,.0f} requests/s, p99 {load.p99_ms:.1f} ms", flush=True)
            step += 1
        elapsed = time.monotonic() - started
        after = _totals(chain)
        gaps_s = arrivals.intervals_s([at for at in noted if at >= started])
        yield _figure("saturation: requests/s", sorted(rates)[len(rates) // 2], "")
        yield _figure("saturation: slowest p99 ms", slowest_ms, "< 5")
        yield _figure(
            "saturation: CPU of the nodes, % of one core", 100 * (chain.cpu_s() - cpu_s) / elapsed, ""
        )
        for name, target in _COUNTERS:
            yield _figure(f"saturation: {name}", after[name] - before[name], target)
        mean_s, late_s = statistics.fmean(gaps_s), arrivals.percentile(gaps_s, 0.99)
        low_s, high_s = min(gaps_s), max(gaps_s)
        yield Figure("saturation: block interval, mean s", "metanode", mean_s, low_s, high_s, "2.00")
        yield Figure("saturation: block interval, p99 s", "metanode", late_s, low_s, high_s, "< 2.2")


_LATE_BLOCKS = "blocks decided after round 0"
_LATE_TURNS = "turns of the event loop later than 50 ms"
_REFUSED = "calls refused to spare consensus"
_COUNTERS = ((_LATE_BLOCKS, "0"), (_LATE_TURNS, ""), (_REFUSED, ""))


def _totals(chain: Chain) -> dict[str, float]:
    """The counters of all four nodes together."""
    return {
        _LATE_BLOCKS: chain.counted_above("metanode_consensus_commit_round", "0.0"),
        _LATE_TURNS: chain.counted_above("metanode_event_loop_lag_seconds", "0.05"),
        _REFUSED: chain.counted("metanode_rpc_requests_total", result="limited"),
    }


def _figure(measure_name: str, value: float, target: str) -> Figure:
    return Figure(measure_name, "metanode", value, value, value, target)
