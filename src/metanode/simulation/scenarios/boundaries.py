"""One node dies at each of its boundaries in turn, every one of them, in whatever part it has at the height. Row 24 of docs/evidence/catalogue.md."""

from typing import Final

from metanode.consensus.messages import Commit, Message, Proposal
from metanode.primitives.types import Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.life import BOUNDARIES
from metanode.simulation.network import Filter
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require

PARTS: Final = ("votes", "proposes", "votes in round 1", "has prepared in vain")
"""What the node does at the heights in which it dies; a seed draws one, and four in a row draw all."""
SHARES: Final = 3
"""A seed takes every third boundary; twelve in a row take every boundary in every part."""
PASSES_MAX: Final = 40
"""Of one boundary at one height; a node of four sends about ten messages."""


class _Death:
    """Kills a node when it passes a boundary of a height for the n-th time."""

    def __init__(self, cluster: Cluster, victim: int) -> None:
        self._node = cluster.nodes[victim]
        self.height = Height(0)
        self._boundary = ""
        self._left = 0
        self._node.crash_at = self._crashes_at

    def aim(self, height: Height, boundary: str, number: int) -> None:
        """Kill it there."""
        self.height, self._boundary, self._left = height, boundary, number

    def _crashes_at(self, boundary: str) -> bool:
        node = self._node
        if boundary != self._boundary or not node.is_running:
            return False
        decided = node.driver.tip.header.height
        if decided + 1 != self.height and not node.driver.final_height < decided == self.height:
            return False
        self._left -= 1
        if self._left >= 0:
            return False
        self._boundary = ""
        return True


async def _crash_at_each_boundary(cluster: Cluster) -> None:
    part = PARTS[cluster.seed % len(PARTS)]
    share = BOUNDARIES[cluster.seed // len(PARTS) % SHARES :: SHARES]
    victim = cluster.random.randrange(len(cluster.nodes))
    node = cluster.nodes[victim]
    death = _Death(cluster, victim)
    cluster.network.filters.append(_disturbing(death, part))
    async with cluster.running():
        await cluster.wait_height(1)
        for boundary in share:
            for number in range(PASSES_MAX):
                height = await _next_height(cluster, victim, part)
                death.aim(height, boundary, number)
                while node.is_up and node.driver.final_height < height:
                    await cluster.wait_s(0.02)
                if node.is_up:
                    expected = number > 0 or ("build" in boundary and part != "proposes")
                    require(expected, f"the node never passed the boundary {boundary!r}")
                    break
                cluster.start(victim)
                await cluster.wait_height(height, within_s=SETTLE_S)
            else:
                raise AssertionError(f"the node passed {boundary!r} {PASSES_MAX} times at one height")
        await cluster.wait_height(cluster.height + 2, within_s=SETTLE_S)


async def _next_height(cluster: Cluster, victim: int, part: str) -> Height:
    """Wait until the next height is one in which the node has its part; return that."""
    while True:
        await cluster.wait_height(cluster.height, within_s=SETTLE_S)
        height = Height(cluster.height + 1)
        if (cluster.proposer(height) == victim) == (part == "proposes"):
            return height
        await cluster.wait_s(0.1)


def _disturbing(death: _Death, part: str) -> Filter:
    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        del sender, receiver
        if message.height != death.height or message.round > 0:
            return True
        if part == "votes in round 1":
            return not isinstance(message, Proposal)
        return part != "has prepared in vain" or not isinstance(message, Commit)

    return lets_pass


CRASHES: Final[dict[str, Scenario]] = {
    "crash-at-each-boundary": Scenario(
        rows=(24,),
        claim="a node that dies at any boundary of a height, each in turn, contradicts nothing and loses nothing that it relied on",
        draw=drawing(4),
        play=_crash_at_each_boundary,
    ),
}
