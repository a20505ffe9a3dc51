"""A schedule of faults, drawn before a run begins: what happens when, to whom and for how long. Leaving some out is how a failure shrinks."""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from metanode.simulation.life import BOUNDARIES
from metanode.simulation.network import LinkFaults

if TYPE_CHECKING:
    from metanode.simulation.cluster import Cluster

KINDS: Final = ("crash", "crash at", "cut", "partition", "bad link", "engine away", "clock step", "drift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    at_s: float
    lasts_s: float
    nodes: tuple[int, ...]
    """Whom it hits; of a cut link sender and receiver, of a partition the one side."""
    detail: int = 0
    """The boundary of a crash, the percentage of a bad link, the milliseconds or ppm of a clock."""

    def __str__(self) -> str:
        """Return the fault as a line for people."""
        what = BOUNDARIES[self.detail] if self.kind == "crash at" else str(self.detail) if self.detail else ""
        return f"{self.at_s:.1f} s: {self.kind} {what} {list(self.nodes)} for {self.lasts_s:.1f} s"


def draw_schedule(seed: Random, *, nodes: int, count: int, within_s: float) -> list[Fault]:
    """Draw faults in the order of their beginning."""
    found = []
    for _ in range(count):
        kind = seed.choice(KINDS)
        mixed = seed.sample(range(nodes), nodes)
        hit = {"cut": 2, "bad link": 2, "partition": seed.randint(1, max(1, nodes // 2))}.get(kind, 1)
        detail = {
            "crash at": seed.randrange(len(BOUNDARIES)),
            "bad link": seed.randint(20, 100),
            "clock step": seed.randint(-10_000, 10_000),
            "drift": seed.randint(-500, 500),
        }.get(kind, 0)
        at_s, lasts_s = seed.randint(1, int(within_s * 10)) / 10, seed.randint(1, 200) / 10
        found.append(Fault(kind=kind, at_s=at_s, lasts_s=lasts_s, nodes=tuple(mixed[:hit]), detail=detail))
    return sorted(found, key=lambda fault: fault.at_s)


async def play_schedule(cluster: "Cluster", schedule: list[Fault]) -> None:
    """Let every fault happen and pass; return when the last one has."""
    async with asyncio.TaskGroup() as tasks:
        for fault in schedule:
            tasks.create_task(_play(cluster, fault))


async def _play(cluster: "Cluster", fault: Fault) -> None:
    await cluster.wait_s(fault.at_s)
    cluster.checker.note("fault", str(fault))
    network, node = cluster.network, cluster.nodes[fault.nodes[0]]
    match fault.kind:
        case "crash" | "crash at":
            if fault.kind == "crash at":
                node.crash_at = lambda name: name == BOUNDARIES[fault.detail]
                await cluster.wait_s(fault.lasts_s)
                node.crash_at = lambda _: False
            elif node.is_up:
                cluster.crash(node.index)
                await cluster.wait_s(fault.lasts_s)
            if not node.is_up:
                cluster.start(node.index)
        case "cut":
            if len(fault.nodes) == 2:
                network.cut(*fault.nodes)
                await cluster.wait_s(fault.lasts_s)
                network.mend(*fault.nodes)
        case "partition":
            rest = [index for index in range(len(cluster.nodes)) if index not in fault.nodes]
            network.partition(list(fault.nodes), rest)
            await cluster.wait_s(fault.lasts_s)
            network.heal()
        case "bad link":
            if len(fault.nodes) == 2:
                network.links[fault.nodes[0], fault.nodes[1]] = LinkFaults(
                    delay_ms_max=800, loss_percent=fault.detail, duplicate_percent=50, copies=5
                )
                await cluster.wait_s(fault.lasts_s)
                network.links.pop((fault.nodes[0], fault.nodes[1]), None)
        case "engine away":
            node.is_engine_available = False
            await cluster.wait_s(fault.lasts_s)
            node.is_engine_available = True
        case "clock step":
            node.clock.step(fault.detail)
            await cluster.wait_s(fault.lasts_s)
            node.clock.step(-fault.detail)
        case "drift":
            node.clock.set_drift(fault.detail)
            await cluster.wait_s(fault.lasts_s)
            node.clock.set_drift(0)
        case _:
            raise AssertionError(fault.kind)
