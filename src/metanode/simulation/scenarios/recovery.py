"""Too many were away for long, and come back: how soon blocks go on. Row 5 of docs/evidence/catalogue.md."""

from collections.abc import Sequence
from typing import Final

from metanode.primitives.types import Round
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import Scenario, drawing, highest_round, is_long, require, rounds_s

AWAY_SHORT_S: Final = 60
AWAY_S: Final = 3_600
AWAY_LONG_S: Final = 43_200
ROUND_CAP_S: Final = 32
"""The longest deadline of a round."""
ALONE_S: Final = 1_200
BACK_S: Final = 1.0
"""Within which those who were away come back, one after another."""


async def _too_many_away(cluster: Cluster) -> None:
    """One more than may crash are killed, or cut off each from all others; the rest goes through rounds meanwhile. First for a minute, then for long."""
    members, rule = cluster.rules.parameters.validators, cluster.rules.quorum_rule
    crashes = members.tolerance(rule).crashes
    async with cluster.running():
        for away_s in (AWAY_SHORT_S, AWAY_LONG_S if is_long(cluster.seed) else AWAY_S):
            gone = cluster.random.sample(range(len(cluster.nodes)), crashes + 1)
            is_killed = cluster.random.random() < 0.5
            await cluster.wait_height(cluster.height + cluster.random.randint(1, 5))
            await cluster.wait_s(cluster.random.randint(0, 3000) / 1000)
            await _send_away(cluster, gone, is_killed=is_killed)
            await cluster.wait_s(1)
            height = cluster.height
            await cluster.wait_s(away_s)
            require(cluster.height <= height + 1, "blocks were decided without a quorum")
            await _bring_back(cluster, gone, is_killed=is_killed)
            began_s, height = cluster.now_s, cluster.height
            within_s = 2 * cluster.period_s + ROUND_CAP_S
            await cluster.wait_height(height + 1, within_s=within_s)
            require(cluster.now_s - began_s <= within_s, "the first block came too late")
            await cluster.wait_height(height + 4, within_s=4 * cluster.period_s)


async def _one_left_alone(cluster: Cluster) -> None:
    """As many as may crash never come back. Of the others, whom it takes all to decide, one is left alone for long."""
    members, rule = cluster.rules.parameters.validators, cluster.rules.quorum_rule
    indices = cluster.random.sample(range(len(cluster.nodes)), len(cluster.nodes))
    crashes = members.tolerance(rule).crashes
    dead, left = indices[:crashes], indices[crashes:]
    is_killed = cluster.random.random() < 0.5
    async with cluster.running():
        await cluster.wait_height(cluster.random.randint(1, 5))
        for index in dead:
            cluster.crash(index)
        await cluster.wait_s(cluster.random.randint(0, 10_000) / 1000)
        await _send_away(cluster, left[1:], is_killed=is_killed)
        await cluster.wait_s(cluster.random.randint(1, ALONE_S))
        await _bring_back(cluster, left[1:], is_killed=is_killed)
        began_s, height = cluster.now_s, cluster.height
        # Those who are back go through the rounds that are over, whose deadlines are short; then as many dead proposers may have their turns.
        timeouts, last = cluster.rules.parameters.forks[0].timeouts, highest_round(cluster, left) + crashes
        within_s = 2 * cluster.period_s + sum(timeouts.propose_ms(Round(r)) for r in range(last + 1)) / 1000
        await cluster.wait_height(height + 1, nodes=left, within_s=within_s)
        require(cluster.now_s - began_s <= within_s, "the first block came too late")
        await cluster.wait_height(height + 4, nodes=left, within_s=rounds_s(cluster, 0, crashes + 1) * 3)


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
        claim="after too many for a quorum were away for a minute, and for an hour or half a day, a block comes within two periods and one capped deadline",
        draw=drawing(4),
        play=_too_many_away,
    ),
    "one-left-alone": Scenario(
        rows=(5,),
        claim="with F dead for good, and all others but one away for minutes, blocks go on soon after these are back: nobody is many rounds ahead of them",
        draw=drawing(4),
        play=_one_left_alone,
    ),
}
