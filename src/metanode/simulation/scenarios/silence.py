"""Validators that say nothing: a proposer, F of them, too many, all of them for a while. 2 to 6 of consensus.md 5.3."""

from typing import Final

from metanode.primitives.types import Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, nothing_from, require


async def _silent_proposer(cluster: Cluster) -> None:
    victim = cluster.random.randrange(len(cluster.nodes))
    cluster.network.filters.append(nothing_from(victim))
    heights = 24
    async with cluster.running():
        await cluster.wait_height(heights)
        changes = sum(1 for round_ in cluster.checker.rounds.values() if round_)
        require(max(cluster.checker.rounds.values()) <= 1, "one silent proposer cost more than one round")
        require(changes >= 1, "the silent proposer never had its turn")
        sent = cluster.checker.sent.get("RoundChange", 0)
        require(
            sent <= (changes + 1) * len(cluster.nodes), f"{sent} round changes were sent for {changes} rounds"
        )
        skipped = [r for height, r in cluster.checker.rounds.items() if height > 3 * len(cluster.nodes)]
        require(not any(skipped), "a validator that has long been silent still gets turns")
        mean_s = (cluster.decided_at(heights) - cluster.decided_at(1)) / (heights - 1)
        require(abs(mean_s - cluster.period_s) < 0.08, f"the mean interval is {mean_s:.3f} s")


async def _faulty_silent(cluster: Cluster) -> None:
    order = [cluster.proposer(1, round_) for round_ in range(cluster.max_faulty)]
    async with cluster.running(start=[i for i in range(len(cluster.nodes)) if i not in order]):
        await cluster.wait_height(1, within_s=60)
        require(
            cluster.checker.rounds[Height(1)] == cluster.max_faulty, "height 1 was not decided in round F"
        )
        await cluster.wait_height(6, within_s=120)


async def _too_many_silent(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        gone = cluster.random.sample(range(len(cluster.nodes)), cluster.max_faulty + 1)
        for index in gone:
            cluster.crash(index)
        await cluster.wait_s(2)
        height, sent, began_s = cluster.height, dict(cluster.checker.sent), cluster.now_s
        await cluster.wait_s(cluster.random.choice([60, 600, 3600]))
        require(cluster.height == height, "blocks were decided without a quorum")
        # Own messages go out again every 4 s; new rounds come every 32 s once the deadlines are at their cap.
        passed_s = cluster.now_s - began_s
        more = sum(cluster.checker.sent.values()) - sum(sent.values())
        require(
            more <= 4 * len(cluster.nodes) * (passed_s / 4 + 10),
            f"{more} messages in {passed_s:.0f} s of waiting",
        )
        for index in gone:
            cluster.start(index)
        await cluster.wait_height(height + 3, within_s=SETTLE_S)


async def _restart_of_all(cluster: Cluster) -> None:
    async with cluster.running():
        for _ in range(cluster.random.randint(1, 6)):
            await cluster.wait_s(cluster.random.randint(1, 8000) / 1000)
            for index in range(len(cluster.nodes)):
                cluster.crash(index)
            await cluster.wait_s(cluster.random.randint(1, 3000) / 1000)
            for index in range(len(cluster.nodes)):
                cluster.start(index)
        await cluster.wait_s(0.5)
        await cluster.wait_height(cluster.height + 2, within_s=SETTLE_S)


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
        draw=drawing(7),
        play=_faulty_silent,
    ),
    "too-many-silent": Scenario(
        rows=(4, 5),
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
