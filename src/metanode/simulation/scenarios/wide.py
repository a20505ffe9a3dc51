"""A hundred validators on five continents. Row 40 of docs/evidence/catalogue.md."""

from typing import Final

from metanode.consensus.messages import Proposal
from metanode.simulation.cluster import Cluster
from metanode.simulation.geography import Geography, Processors
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import Scenario, drawing, is_long, require
from metanode.simulation.witness import Witness

COMMIT_S_MAX: Final = 1.0
HEIGHTS: Final = 2
"""A height of a hundred validators is 20,000 messages, two seconds of a processor. With the second one a certificate of a hundred travels too."""
HEIGHTS_LONG: Final = 20


async def _five_continents(cluster: Cluster) -> None:
    Geography(cluster)
    Processors(cluster)
    witness = Witness(cluster)
    heights = HEIGHTS_LONG if is_long(cluster.seed) else HEIGHTS
    async with cluster.running():
        await cluster.wait_height(heights, within_s=60 + 3 * heights)
    proposed_at: dict[int, float] = {}
    for index in range(len(cluster.nodes)):
        for sighting in witness.seen(index):
            if isinstance(sighting.message, Proposal):
                proposed_at.setdefault(sighting.message.height, sighting.at_s)
    took_s = sorted(
        at_s - proposed_at[height]
        for (_, height), at_s in cluster.checker.decided_at.items()
        if height <= heights
    )
    late_s = took_s[len(took_s) * 99 // 100]
    require(late_s <= COMMIT_S_MAX, f"99 % of the nodes had a block {late_s:.3f} s after its proposal")
    require(not any(cluster.checker.rounds.values()), "a height took more than round 0")


WIDE: Final[dict[str, Scenario]] = {
    "five-continents": Scenario(
        rows=(40,),
        claim="a hundred validators on five continents have a block at most 1 s after its proposal",
        draw=drawing(100, faults=LinkFaults()),
        play=_five_continents,
    ),
}
