"""Validators that exist twice. 14 and 28 of consensus.md 5.3."""

from collections.abc import Callable
from random import Random
from typing import Final

from metanode.primitives.types import Height
from metanode.simulation.adversaries.corruption import honest
from metanode.simulation.adversaries.twins import RoundPartitions, twin
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import Scenario, require, rounds_s

APART_ROUNDS: Final = 3
"""Rounds of each height in which some do not hear others."""


def _drawing(validators: int, twins: int) -> Callable[[int, int | None], Cluster]:
    def draw(seed: int, wanted: int | None) -> Cluster:
        faults = LinkFaults(delay_ms_max=Random(seed).choice([5, 20, 50]))
        return Cluster(seed=seed, validators=wanted or validators, twins=twins, faults=faults)

    return draw


async def _twins(cluster: Cluster) -> None:
    """F validators with two instances each, and in each of the first rounds of each height another partition."""
    pairs, rest = twin(cluster), honest(cluster)
    heights = 5
    cluster.network.filters.append(
        RoundPartitions(seed=cluster.seed, nodes=len(cluster.nodes), heights=heights, rounds=APART_ROUNDS)
    )
    async with cluster.running():
        for height in range(1, heights + 3):
            # Everybody hears everybody from a round on; then it takes F rounds of twins, and one more.
            last = APART_ROUNDS + len(pairs) + 2
            await cluster.wait_height(height, nodes=rest, within_s=rounds_s(cluster, 0, last + 1))
            took = cluster.checker.rounds[Height(height)]
            require(took <= last, f"height {height} took round {took}, {last} is allowed")
    guilty = {cluster.nodes[first].key.address for first, _ in pairs}
    for index in rest:
        accused = {evidence.author for evidence in cluster.nodes[index].disk.evidence}
        require(accused <= guilty, f"node {index} accuses an honest validator")


TWINS: Final[dict[str, Scenario]] = {
    "twins": Scenario(
        rows=(14,),
        claim="F of seven validators run twice under drawn partitions, and nothing is decided twice nor too late",
        draw=_drawing(7, 2),
        play=_twins,
    ),
}
