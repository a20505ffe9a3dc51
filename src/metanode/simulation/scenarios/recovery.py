"""Too many were away for long, and come back: how soon blocks go on. Row 5 of docs/evidence/catalogue.md."""

from collections.abc import Sequence
from typing import Final

from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import Scenario, drawing, is_long, require

AWAY_S: Final = 3_600
AWAY_LONG_S: Final = 43_200
ROUND_CAP_S: Final = 32
"""The longest deadline of a round."""
BACK_S: Final = 1.0
"""Within which those who were away come back, one after another."""


async def _too_many_away(cluster: Cluster) -> None:
    """One more than may crash are killed, or cut off each from all others; the rest goes through rounds meanwhile."""
    members, rule = cluster.rules.parameters.validators, cluster.rules.quorum_rule
    gone = cluster.random.sample(range(len(cluster.nodes)), members.tolerance(rule).crashes + 1)
    is_killed = cluster.random.random() < 0.5
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, 5))
        await cluster.wait_s(cluster.random.randint(0, 3000) / 1000)
        await _send_away(cluster, gone, is_killed=is_killed)
        await cluster.wait_s(1)
        height = cluster.height
        await cluster.wait_s(AWAY_LONG_S if is_long(cluster.seed) else AWAY_S)
        require(cluster.height <= height + 1, "blocks were decided without a quorum")
        await _bring_back(cluster, gone, is_killed=is_killed)
        began_s, height = cluster.now_s, cluster.height
        within_s = 2 * cluster.period_s + ROUND_CAP_S
        await cluster.wait_height(height + 1, within_s=within_s)
        require(cluster.now_s - began_s <= within_s, "the first block came too late")
        await cluster.wait_height(height + 4, within_s=4 * cluster.period_s)


async def _send_away(cluster: Cluster, gone: Sequence[int], *, is_killed: bool) -> None:
    if is_killed:
        for index in gone:
            cluster.crash(index)
    else:
        cluster.network.partition([n.index for n in cluster.nodes if n.index not in gone])


async def _bring_back(cluster: Cluster, gone: Sequence[int], *, is_killed: bool) -> None:
    if not is_killed:
        cluster.network.heal()
        return
    for index in gone:
        cluster.start(index)
        await cluster.wait_s(BACK_S / len(gone))


RECOVERY: Final[dict[str, Scenario]] = {
    "too-many-away": Scenario(
        rows=(5,),
        claim="after too many for a quorum were away for an hour or half a day, a block comes within two periods and one capped deadline",
        draw=drawing(4),
        play=_too_many_away,
    ),
}
