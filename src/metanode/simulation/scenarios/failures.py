"""Nodes that die or lose a part of their disk, clocks and links. Rows 24, 26, 27 and 29 to 31 of docs/evidence/catalogue.md."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from metanode.consensus.messages import Message
from metanode.primitives.types import Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, is_long, require, wait_resumed


async def _crash_at_boundaries(cluster: Cluster) -> None:
    """One node after another dies at a boundary of a write, and comes back at once."""
    async with cluster.running():
        await cluster.wait_s(1)
        for _ in range(12):
            index = cluster.random.randrange(len(cluster.nodes))
            node = cluster.nodes[index]
            left = cluster.random.randint(0, 24)

            def crash_now(_: str) -> bool:
                nonlocal left
                left -= 1
                return left < 0

            node.crash_at = crash_now
            for _ in range(400):
                if not node.is_up:
                    break
                await cluster.wait_s(0.05)
            node.crash_at = lambda _: False
            require(not node.is_up, "a crash did not come")
            cluster.start(index)
        await cluster.wait_height(cluster.height + 3, within_s=SETTLE_S)


def _losing_parts(part: str) -> Callable[[Cluster], Awaitable[None]]:
    """Return the play in which one node is killed and finds a part of its disk gone: the rows of the crash table."""

    async def play(cluster: Cluster) -> None:
        victim = cluster.random.randrange(len(cluster.nodes))
        node, disk = cluster.nodes[victim], cluster.nodes[victim].disk
        async with cluster.running():
            await cluster.wait_height(cluster.random.randint(3, 12))
            await cluster.wait_s(cluster.random.randint(0, 3000) / 1000)
            cluster.crash(victim)
            await cluster.wait_s(cluster.random.randint(1, 6000) / 1000)
            match part:
                case "execution client":
                    disk.payloads = disk.payloads[: cluster.random.randrange(len(disk.payloads))]
                case "database":
                    disk.forget_database(keep=cluster.random.randrange(disk.tip))
                case "database and execution client":
                    disk.forget_database(keep=0)
                    disk.payloads = []
                case "whole disk":
                    disk.forget_database(keep=0)
                    disk.payloads, disk.watermark = [], None
                case "watermark":
                    disk.watermark, disk.has_watermark_file = None, False
                case _:
                    raise AssertionError(part)
            cluster.start(victim)
            await cluster.wait_s(1)
            await cluster.wait_height(cluster.height + 1, nodes=[victim], within_s=SETTLE_S)
            await cluster.wait_height(cluster.height + 8, within_s=2 * SETTLE_S)
            state = cluster.checker.state_before(Height(cluster.height + 1))
            silent_for = cluster.height - state.standing(node.key.address).last_active
            require(
                silent_for <= len(cluster.nodes) + 1,
                f"the node has not signed again for {silent_for} heights",
            )

    return play


async def _skewed_clocks(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.clock.offset_ms = cluster.random.randint(-500, 500)
    cluster.nodes[0].clock.offset_ms = cluster.random.choice([0, 3000])
    async with cluster.running():
        await cluster.wait_height(16, within_s=70)


async def _lossy_links(cluster: Cluster) -> None:
    """An hour for the long variant, or ten minutes, for a median wants many heights: the loss is made good by sending again."""
    seconds = 3600 if is_long(cluster.seed) else 600
    async with cluster.running():
        await cluster.wait_s(seconds)
        heights = cluster.height
        require(heights >= seconds / cluster.period_s / 4, f"{heights} heights in {seconds} s")
        rounds = sorted(cluster.checker.rounds.values())
        require(rounds[len(rounds) // 2] < 2, f"the median round is {rounds[len(rounds) // 2]}")
        await wait_resumed(cluster, rounds=8)


async def _repeated_messages(cluster: Cluster) -> None:
    """Each message comes five times more, up to twelve heights late; at each height all messages of the ten before it come again.

    Beside it the same cluster runs without any of this: its chain is the one that has to come of it, block for block.
    """
    past: list[tuple[int, int, Message]] = []
    draw = Random(f"repeating {cluster.seed}")
    heights = 24
    undisturbed = _again(cluster)

    def repeat(sender: int, receiver: int, message: Message) -> bool:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            late_s = draw.choice([0.001, 0.01, 0.2, 1, 3, 25]) * draw.random()
            loop.call_later(late_s, cluster.network.deliver_again, sender, receiver, message)
        past.append((sender, receiver, message))
        return True

    cluster.network.filters.append(repeat)
    kept: list[int] = []
    async with undisturbed.running(), cluster.running():
        while cluster.height < heights:
            await cluster.wait_height(cluster.height + 1)
            await cluster.wait_s(draw.choice([0, 0, 0.5, 1]))
            past[:] = [entry for entry in past if entry[2].height >= cluster.height - 9]
            for sender, receiver, message in past:
                if message.height <= cluster.height:
                    cluster.network.deliver_again(sender, receiver, message)
            kept.append(max(node.driver.kept for node in cluster.nodes))
        await undisturbed.wait_height(heights)
        later = max(kept[len(kept) // 2 :])
        require(later <= 12 * len(cluster.nodes), f"a node keeps {later} messages and bodies")
    require(not any(cluster.checker.rounds.values()), "repeated messages cost a round")
    for block, other in zip(
        cluster.checker.blocks[:heights], undisturbed.checker.blocks[:heights], strict=True
    ):
        require(block.hash == other.hash, f"height {block.height} is another block than without repetitions")


def _again(cluster: Cluster) -> Cluster:
    """Return the same cluster, drawn once more."""
    found = drawing(4)(cluster.seed, len(cluster.nodes), cluster.rules.quorum_rule)
    found.network.faults = cluster.network.faults
    return found


FAILURES: Final[dict[str, Scenario]] = {
    "crash-at-boundaries": Scenario(
        rows=(24,),
        claim="a node that dies anywhere in a write contradicts nothing when it is back",
        draw=drawing(4),
        play=_crash_at_boundaries,
    ),
    **{
        f"lost-{part.replace(' ', '-')}": Scenario(
            rows={"database": (27,), "watermark": (26,), "whole disk": (26,)}.get(part, ()),
            claim=f"a node that has lost its {part} comes back, contradicts nothing, and signs again",
            draw=drawing(4),
            play=_losing_parts(part),
        )
        for part in (
            "execution client",
            "database",
            "database and execution client",
            "watermark",
            "whole disk",
        )
    },
    "skewed-clocks": Scenario(
        claim="clocks that are off cost at most their own turns",
        draw=drawing(4),
        play=_skewed_clocks,
    ),
    "repeating-links": Scenario(
        rows=(30,),
        claim="messages that come six times, late, reordered and replayed give the chain that they give once",
        draw=drawing(4),
        play=_repeated_messages,
    ),
    "losing-links": Scenario(
        rows=(31,),
        claim="with 30 % of the messages lost blocks go on, half of them in round 0 or 1",
        draw=drawing(4, faults=LinkFaults(delay_ms_max=50, loss_percent=30)),
        play=_lossy_links,
    ),
}
