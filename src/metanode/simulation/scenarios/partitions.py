"""Nodes that cannot reach each other, or come together from different rounds. 7 to 10 of consensus.md 5.3."""

from typing import Final

from metanode.consensus.messages import Commit, Message, Prepare, Proposal
from metanode.consensus.record import ConsensusRecord
from metanode.primitives.types import Height, Round
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require


async def _partition_in_halves(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        half = len(cluster.nodes) // 2
        mixed = cluster.random.sample(range(len(cluster.nodes)), len(cluster.nodes))
        cluster.network.partition(mixed[:half], mixed[half:])
        await cluster.wait_s(1)
        height = cluster.height
        await cluster.wait_s(60)
        require(cluster.height <= height + 1, "half of the network went on alone")
        cluster.network.heal()
        await cluster.wait_height(cluster.height + 2, within_s=SETTLE_S)


async def _one_cut_off(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        alone = cluster.random.randrange(len(cluster.nodes))
        others = [i for i in range(len(cluster.nodes)) if i != alone]
        cluster.network.partition(others, [alone])
        await cluster.wait_height(cluster.height + 10, nodes=others, within_s=60)
        cluster.network.heal()
        began_s, height = cluster.now_s, cluster.height
        await cluster.wait_height(height, nodes=[alone], within_s=5)
        require(cluster.now_s - began_s <= 5, "the node that was cut off took over 5 s to catch up")
        await cluster.wait_height(height + 3)


async def _only_a_later_proposal(cluster: Cluster) -> None:
    victim = next(
        i for i in range(len(cluster.nodes)) if i not in {cluster.proposer(1, 0), cluster.proposer(1, 1)}
    )
    silent = cluster.proposer(1, 0)
    votes: list[Message] = []

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if sender == victim and isinstance(message, Prepare | Commit):
            votes.append(message)
        if message.height > 1:
            return True
        if isinstance(message, Proposal) and sender == silent:
            return False
        return receiver != victim or (isinstance(message, Proposal) and message.round == 1)

    cluster.network.filters.append(lets_pass)
    # Its own deadline must not move it: it begins its round a little later than the others.
    cluster.nodes[victim].clock.offset_ms = -900
    async with cluster.running():
        await cluster.wait_height(1, within_s=30)
        await cluster.wait_height(4, within_s=60)
    first = [vote for vote in votes if vote.height == 1]
    require(bool(first), "the node that jumped did not vote")
    require(all(vote.round == 1 for vote in first), "a node that jumped voted in its old round")


async def _different_rounds(cluster: Cluster) -> None:
    for node, round_ in zip(cluster.nodes, (0, 3, 7, 200), strict=True):
        record = ConsensusRecord(height=Height(1), round=Round(round_), prepared=None, messages=())
        node.disk.record = record.encode() if round_ else None
    async with cluster.running():
        await cluster.wait_height(2, within_s=2 * 32 + 10)


PARTITIONS: Final[dict[str, Scenario]] = {
    "partition-in-halves": Scenario(
        rows=(7,),
        claim="halves decide nothing, and go on together",
        draw=drawing(4),
        play=_partition_in_halves,
    ),
    "one-cut-off": Scenario(
        rows=(8,), claim="a node that was cut off catches up in 5 s", draw=drawing(4), play=_one_cut_off
    ),
    "only-a-later-proposal": Scenario(
        rows=(9,),
        claim="a justified proposal of a later round takes a node along, with its timer and its votes",
        draw=drawing(4),
        play=_only_a_later_proposal,
    ),
    "different-rounds": Scenario(
        rows=(10,),
        claim="nodes in rounds 0, 3, 7 and 200 meet by the F + 1 rule",
        draw=drawing(4),
        play=_different_rounds,
    ),
}
