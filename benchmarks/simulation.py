"""How fast consensus is simulated: four nodes on one core, with real signatures, driver and storage, and all invariants on."""

from __future__ import annotations

import cProfile
import pstats
import time
from typing import TYPE_CHECKING

import structlog

from benchmarks.report import Figure
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.playing import run
from metanode.simulation.scenarios.story import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

HEIGHTS = 200
SEED = 1
GROUPS = {
    "RLP, roots and keccak in Rust": ("metanode._engine", "RlpReader", "metanode/primitives/"),
    "consensus core, driver, chain": ("metanode/consensus/", "metanode/node/", "metanode/chain/"),
    "signatures, other keccak": ("metanode/crypto/", "Crypto/", "coincurve", "_libsecp256k1", "cffi"),
    "storage, SQLite": ("metanode/storage/", "sqlite", "_Connection", "simulation/disk", "simulation/medium",
                        "simulation/stores", "simulation/files"),
    "invariants": ("simulation/invariants", "simulation/durability", "simulation/key_history", "simulation/verifier",
                   "simulation/trace"),
    "simulated network, node, engine": ("metanode/simulation/", "metanode/execution/"),
    "asyncio, tasks and timers": ("asyncio/", "_asyncio", "_contextvars", "heapq"),
}  # fmt: skip


def measure(rounds: int) -> Iterator[Figure]:
    """Simulate the same heights again and again; the last time under a profiler, for shares and not for the pace."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    _simulate(20)
    paces = sorted(HEIGHTS / _simulate(HEIGHTS) for _ in range(rounds))
    yield Figure(
        measure="simulated heights/s, four nodes, one core",
        chain="metanode",
        median=paces[len(paces) // 2],
        low=paces[0],
        high=paces[-1],
        target="100",
    )
    profiler = cProfile.Profile()
    profiler.enable()
    _simulate(HEIGHTS)
    profiler.disable()
    yield from _shares(pstats.Stats(profiler))


def _simulate(heights: int) -> float:
    """Return the processor's seconds that so many heights take."""

    async def play(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(heights, within_s=10 * heights)

    cluster = Cluster(seed=SEED, validators=4, faults=LinkFaults(delay_ms_max=50))
    scenario = Scenario(claim="", draw=lambda _seed, _validators, _rule: cluster, play=play)
    began_s = time.process_time()
    run(scenario, cluster)
    return time.process_time() - began_s


def _shares(stats: pstats.Stats) -> Iterator[Figure]:
    spent = dict.fromkeys([*GROUPS, "the rest, built-ins"], 0.0)
    for (file, _, function), (_, _, own_s, _, _) in stats.stats.items():  # type: ignore[attr-defined] # not in the stub
        place = f"{file} {function}"
        name = next((name for name, parts in GROUPS.items() if any(part in place for part in parts)), None)
        spent[name or "the rest, built-ins"] += own_s
    total = sum(spent.values())
    for name, own_s in spent.items():
        share = 100 * own_s / total
        yield Figure(
            measure=f"share of time, {name}, %", chain="metanode", median=share, low=share, high=share
        )
