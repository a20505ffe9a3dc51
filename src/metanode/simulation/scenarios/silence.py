"""Validators that say nothing: a proposer, F of them, too many, all of them for a while. Rows 2 to 6 of docs/evidence/catalogue.md."""

from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.messages import RoundChange
from metanode.primitives.types import Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import (
    SETTLE_S,
    Scenario,
    drawing,
    is_long,
    nothing_from,
    require,
    wait_resumed,
)
from metanode.simulation.witness import Witness

KEPT_SLACK: Final = 8
"""Messages by which the count may differ from one moment of a round to another, over all nodes."""


async def _silent_proposer(cluster: Cluster) -> None:
    victim = cluster.random.randrange(len(cluster.nodes))
    cluster.network.filters.append(nothing_from(victim))
    witness = Witness(cluster)
    heights = 24
    async with cluster.running():
        await cluster.wait_height(heights)
        changes = sum(1 for round_ in cluster.checker.rounds.values() if round_)
        require(max(cluster.checker.rounds.values()) <= 1, "one silent proposer cost more than one round")
        require(changes >= 1, "the silent proposer never had its turn")
        for height in (height for height, round_ in cluster.checker.rounds.items() if round_):
            wanted = [m for m in witness.messages(RoundChange) if m.height == height]
            authors = [m.author for m in wanted]
            require(len(set(authors)) == len(authors), f"a node changed rounds twice at height {height}")
            require(all(m.round == 1 for m in wanted), f"a node went beyond round 1 at height {height}")
        skipped = [r for height, r in cluster.checker.rounds.items() if height > 3 * len(cluster.nodes)]
        require(not any(skipped), "a validator that has long been silent still gets turns")
        mean_s = (cluster.decided_at(heights) - cluster.decided_at(1)) / (heights - 1)
        require(abs(mean_s - cluster.period_s) < 0.08, f"the mean interval is {mean_s:.3f} s")


def _draw_larger(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
    return drawing((7, 10, 22)[seed % 3])(seed, wanted, rule)


async def _faulty_silent(cluster: Cluster) -> None:
    order = [cluster.proposer(1, round_) for round_ in range(cluster.max_faulty)]
    heights = 6 if len(cluster.nodes) <= 10 else 2
    async with cluster.running(start=[i for i in range(len(cluster.nodes)) if i not in order]):
        await cluster.wait_height(1, within_s=200)
        require(
            cluster.checker.rounds[Height(1)] == cluster.max_faulty, "height 1 was not decided in round F"
        )
        await cluster.wait_height(heights, within_s=600)


async def _too_many_silent(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        gone = cluster.random.sample(range(len(cluster.nodes)), cluster.max_faulty + 1)
        for index in gone:
            cluster.crash(index)
        await cluster.wait_s(2)
        witness = Witness(cluster)
        height, sent, began_s = cluster.height, dict(cluster.checker.sent), cluster.now_s
        kept = await _wait_counting(cluster, 24 * 3600 if is_long(cluster.seed) else 1800)
        require(max(kept[1:]) <= kept[0] + KEPT_SLACK, f"memory grows: {kept[0]} to {max(kept)} messages")
        require(cluster.height == height, "blocks were decided without a quorum")
        passed_s = cluster.now_s - began_s
        timeouts = cluster.rules.parameters.forks[0].timeouts
        for index in (i for i in range(len(cluster.nodes)) if i not in gone):
            # A new round each 32 s once the deadlines are at their cap; before that six shorter ones.
            changes = len(witness.messages(RoundChange, index))
            allowed = passed_s / (timeouts.propose_timeout_max_ms / 1000) + 7
            require(changes <= allowed, f"node {index}: {changes} round changes in {passed_s:.0f} s")
        # What was sent goes out again each 4 s: at most four messages, and the tip's certificate.
        more = sum(cluster.checker.sent.values()) - sum(sent.values())
        awake = len(cluster.nodes) - len(gone)
        require(
            more <= awake * (5 * (passed_s / 4 + 1) + 40), f"{more} messages in {passed_s:.0f} s of waiting"
        )
        for index in gone:
            cluster.start(index)
        await cluster.wait_height(height + 3, within_s=SETTLE_S)


async def _wait_counting(cluster: Cluster, seconds: int) -> list[int]:
    """Wait, and return how many messages and bodies all nodes kept after an eighth of the time, and then each eighth."""
    kept = []
    for _ in range(8):
        await cluster.wait_s(seconds / 8)
        kept.append(sum(node.driver.kept for node in cluster.nodes if node.is_running))
    return kept


async def _restart_of_all(cluster: Cluster) -> None:
    async with cluster.running():
        for _ in range(cluster.random.choice([1, 2, 5, 10, 20, 50])):
            await cluster.wait_s(cluster.random.randint(1, 8000) / 1000)
            for index in range(len(cluster.nodes)):
                cluster.crash(index)
            await cluster.wait_s(cluster.random.randint(1, 3000) / 1000)
            for index in range(len(cluster.nodes)):
                cluster.start(index)
        await cluster.wait_s(0.5)
        await wait_resumed(cluster)
        await wait_resumed(cluster)


SILENCE: Final[dict[str, Scenario]] = {
    "silent-proposer": Scenario(
        rows=(2,),
        claim="a silent proposer costs one round, then loses its turns; the mean interval stays the period",
        draw=drawing(4),
        play=_silent_proposer,
    ),
    "faulty-silent": Scenario(
        rows=(3,),
        claim="with F consecutive proposers silent the height is decided in round F",
        draw=_draw_larger,
        play=_faulty_silent,
    ),
    "too-many-silent": Scenario(
        rows=(4,),
        claim="without a quorum nothing is decided, and blocks resume when it is back",
        draw=drawing(4),
        play=_too_many_silent,
    ),
    "restart-of-all": Scenario(
        rows=(6,),
        claim="a network restarted as a whole at any moment goes on",
        draw=drawing(4),
        play=_restart_of_all,
    ),
}
