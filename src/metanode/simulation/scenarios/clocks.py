"""Clocks that are off, run fast or slow, or are set. Row 29 of docs/evidence/catalogue.md; timers run on a clock of their own and must not notice."""

from collections.abc import Awaitable, Callable
from typing import Final

from metanode.simulation.cluster import GENESIS_TIME, Cluster
from metanode.simulation.scenarios.story import Scenario, drawing, require

HEIGHTS: Final = 24
CORRECTED_EVERY_S: Final = 1024
"""The longest that NTP waits between two looks at its servers: the usual `maxpoll 10`."""
DAY_S: Final = 86_400
DAY_EVERY: Final = 1_000
"""Seeds: of so many one plays the whole day, 40,000 heights, in ten minutes of a processor and a gigabyte of memory."""


async def _half_a_second(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.clock.offset_ms = cluster.random.randint(-500, 500)
    async with cluster.running():
        await cluster.wait_height(HEIGHTS, within_s=HEIGHTS * cluster.period_s + 10)
        _require_pace(cluster, of=[])


def _off(offset_ms: int) -> Callable[[Cluster], Awaitable[None]]:
    async def play(cluster: Cluster) -> None:
        order = cluster.random.sample(range(len(cluster.nodes)), cluster.max_faulty)
        for index in order:
            cluster.nodes[index].clock.offset_ms = offset_ms
        async with cluster.running():
            await cluster.wait_height(HEIGHTS, within_s=3 * HEIGHTS * cluster.period_s)
            _require_pace(cluster, of=order)

    return play


async def _drift(cluster: Cluster) -> None:
    """100 ppm in a direction of each node's own: a whole day, or a minute as far into the day as the seed draws."""
    is_whole = cluster.seed % DAY_EVERY == 0
    hours = 0 if is_whole else cluster.seed % 25
    for node in cluster.nodes:
        ppm = cluster.random.choice([-100, 100])
        # The others watch their clocks; one node alone goes on uncorrected.
        since_s = hours * 3600 if node.index == 0 else min(hours * 3600, CORRECTED_EVERY_S)
        node.clock.offset_ms = round(since_s * ppm / 1000)
        node.clock.set_drift(ppm)
    async with cluster.running():
        if is_whole:
            await _let_a_day_pass(cluster)
        await cluster.wait_height(cluster.height + HEIGHTS, within_s=3 * HEIGHTS * cluster.period_s)
        _require_pace(cluster, of=[0])


async def _let_a_day_pass(cluster: Cluster) -> None:
    """All clocks but one are set right again and again."""
    while cluster.now_s < DAY_S:
        await cluster.wait_s(CORRECTED_EVERY_S)
        for node in cluster.nodes[1:]:
            true_ms = GENESIS_TIME * 1000 + round(cluster.now_s * 1000)
            node.clock.step(true_ms - node.clock.wall_ms())
    error_ms = cluster.nodes[0].clock.wall_ms() - GENESIS_TIME * 1000 - round(cluster.now_s * 1000)
    require(abs(error_ms) > 8_000, f"a day of 100 ppm came to {error_ms} ms")


async def _steps(cluster: Cluster) -> None:
    """One clock after the other is set back 10 s, and later right again: a node's timers and the period do not follow."""
    async with cluster.running():
        await cluster.wait_height(2)
        stepped = cluster.random.randrange(len(cluster.nodes))
        for by_ms in (-10_000, 10_000):
            await cluster.wait_s(cluster.random.randint(0, 2000) / 1000)
            cluster.nodes[stepped].clock.step(by_ms)
            await cluster.wait_height(cluster.height + 8, within_s=8 * 2 * cluster.period_s + 20)
        _require_pace(cluster, of=[stepped])


def _require_pace(cluster: Cluster, *, of: list[int]) -> None:
    """Only the turns of the nodes that are off may cost a round, and not more than the next one."""
    addresses = {cluster.nodes[index].key.address for index in of}
    checker = cluster.checker
    for block in checker.blocks:
        height = block.height
        proposer = checker.state_before(height).proposer_order(cluster.rules.quorum_rule)[0]
        round_ = checker.rounds[height]
        require(
            round_ == 0 or proposer in addresses,
            f"height {height} took round {round_}, and its proposer's clock is right",
        )
        require(round_ <= len(of), f"height {height} took round {round_}")
    last = checker.blocks[-1].height
    if not of:
        mean_s = (cluster.decided_at(last) - cluster.decided_at(1)) / (last - 1)
        require(abs(mean_s - cluster.period_s) < 0.1, f"the mean interval is {mean_s:.3f} s")


CLOCKS: Final[dict[str, Scenario]] = {
    "half-a-second-off": Scenario(
        rows=(29,),
        claim="clocks of all nodes that are up to 500 ms off cost no round, and the period stays",
        draw=drawing(4),
        play=_half_a_second,
    ),
    "clock-ahead": Scenario(
        rows=(29,),
        claim="a clock that is 3 s ahead costs at most the turns of its own node",
        draw=drawing(4),
        play=_off(3000),
    ),
    "clocks-behind": Scenario(
        rows=(29,),
        claim="F clocks that are 3 s behind cost at most the turns of their own nodes",
        draw=drawing(7),
        play=_off(-3000),
    ),
    "drift": Scenario(
        rows=(29,),
        claim="clocks that drift by 100 ppm for a day cost at most the turns of the one that nobody corrects",
        draw=drawing(4),
        play=_drift,
    ),
    "clock-steps": Scenario(
        rows=(29,),
        claim="a clock that is set back 10 s, and right again, moves no timer and costs at most its own turns",
        draw=drawing(4),
        play=_steps,
    ),
}
