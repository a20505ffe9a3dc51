"""Anything that can go wrong without a liar, at drawn moments: crashes anywhere, links, partitions, engines, clocks; then calm."""

from random import Random
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import SETTLE_S, Scenario
from metanode.simulation.schedule import draw_schedule, play_schedule

STORM_S: Final = 60.0
FAULTS: Final = 16
LATER_S: Final = 60
"""Clocks that were off may hold the chain up to one turn of each node beside the usual."""


def _draw(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
    random = Random(seed)
    validators = wanted or random.choice([1, 2, 3, 4, 4, 4, 5, 7])
    faults = LinkFaults(delay_ms_max=random.choice([5, 50, 200]), loss_percent=random.choice([0, 0, 5]))
    cluster = Cluster(seed=seed, rule=rule, validators=validators, faults=faults)
    cluster.schedule = draw_schedule(random, nodes=validators, count=FAULTS, within_s=STORM_S)
    return cluster


async def _storm(cluster: Cluster) -> None:
    async with cluster.running():
        await play_schedule(cluster, cluster.schedule)
        await cluster.wait_s(0.1)
        for node in cluster.nodes:
            if not node.is_up:
                cluster.start(node.index)
        await cluster.wait_s(0.1)
        await cluster.wait_height(cluster.height + 3, within_s=SETTLE_S + LATER_S)


STORMS: Final[dict[str, Scenario]] = {
    "storm": Scenario(
        claim="whatever crashes, links, engines and clocks do at drawn moments, nothing is contradicted, and blocks go on in the calm",
        draw=_draw,
        play=_storm,
    ),
}
