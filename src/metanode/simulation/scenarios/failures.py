"""Nodes that die or lose a part of their disk, clocks and links. 24, 26, 27 and 29 to 31 of consensus.md 5.3."""

from collections.abc import Awaitable, Callable
from typing import Final

from metanode.primitives.types import Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require


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


async def _bad_links(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(15, within_s=600)


FAILURES: Final[dict[str, Scenario]] = {
    "crash-at-boundaries": Scenario(
        rows=(24,),
        claim="a node that dies anywhere in a write contradicts nothing when it is back",
        draw=drawing(4),
        play=_crash_at_boundaries,
    ),
    **{
        f"lost-{part.replace(' ', '-')}": Scenario(
            rows=(26, 27) if part in {"database", "watermark", "whole disk"} else (),
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
        rows=(29,),
        claim="clocks that are off cost at most their own turns",
        draw=drawing(4),
        play=_skewed_clocks,
    ),
    "repeating-links": Scenario(
        rows=(30,),
        claim="doubled and reordered messages change nothing",
        draw=drawing(4, faults=LinkFaults(delay_ms_max=400, duplicate_percent=80)),
        play=_bad_links,
    ),
    "losing-links": Scenario(
        rows=(31,),
        claim="with 30 % of the messages lost blocks go on",
        draw=drawing(4, faults=LinkFaults(delay_ms_max=50, loss_percent=30)),
        play=_bad_links,
    ),
}
