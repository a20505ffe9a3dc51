"""Nodes that cannot reach each other, or come together from different rounds. Rows 7 to 10 of docs/evidence/catalogue.md."""

from collections.abc import Sequence
from typing import Final

from metanode.consensus.messages import Commit, Decision, Message, Prepare, Proposal, RoundChange
from metanode.consensus.record import ConsensusRecord
from metanode.primitives.types import Height, Round
from metanode.simulation.cluster import Cluster
from metanode.simulation.node import SimulatedNode
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require, wait_resumed
from metanode.simulation.witness import Witness


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
        await wait_resumed(cluster)
        await wait_resumed(cluster)


async def _one_cut_off(cluster: Cluster) -> None:
    """One node prepares a block, hears no commit, and is cut off; it comes back when the others are heights ahead."""
    alone = cluster.random.randrange(len(cluster.nodes))
    others = [i for i in range(len(cluster.nodes)) if i != alone]
    start = cluster.random.randint(2, 5)
    witness = Witness(cluster)

    def lets_pass(_sender: int, receiver: int, message: Message) -> bool:
        return not (receiver == alone and message.height == start and isinstance(message, Commit | Decision))

    cluster.network.filters.append(lets_pass)
    node = cluster.nodes[alone]
    async with cluster.running():
        await cluster.wait_height(start, nodes=others)
        while node.driver.snapshot.prepared_round is None and node.driver.tip.header.height < start:
            await cluster.wait_s(0.01)
        cluster.network.partition(others, [alone])
        await cluster.wait_height(cluster.height + 10, nodes=others, within_s=60)
        signed = witness.signatures(alone)
        cluster.network.filters.remove(lets_pass)
        cluster.network.heal()
        began_s, height = cluster.now_s, cluster.height
        await cluster.wait_height(height, nodes=[alone], within_s=5)
        require(cluster.now_s - began_s <= 5, "the node that was cut off took over 5 s to catch up")
        await cluster.wait_height(height + 3)
        # While it was alone it could change rounds at the height where it stood: what it then sends is old, not signed anew.
        fresh = [m for m in witness.of(alone) if m.signature not in signed and m.height <= height]
        votes = [m for m in fresh if m.height > start or isinstance(m, Prepare | Proposal)]
        hashes = {b.height: b.hash for b in cluster.checker.blocks}
        wrong = [m for m in votes if not (isinstance(m, Commit) and m.block_hash == hashes[Height(m.height)])]
        require(not wrong, f"it signed {len(wrong)} messages for heights that were over")


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


async def _jump_without_an_end(cluster: Cluster) -> None:
    """A node is taken along to round 1, where nothing is decided: it leaves it when that round's own deadline passes."""
    silent, proposer, victim = (cluster.proposer(1, round_) for round_ in range(3))
    witness = Witness(cluster)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if message.height > 1 or message.round > 1:
            return True
        if isinstance(message, Proposal):
            return sender == proposer
        return not isinstance(message, Commit) and (receiver != victim or message.round == 1)

    cluster.network.filters.append(lets_pass)
    cluster.nodes[victim].clock.offset_ms = -900
    async with cluster.running():
        await cluster.wait_height(1, within_s=60)
        voted = [s.at_s for s in witness.seen(victim) if isinstance(s.message, Prepare)]
        left = [
            s.at_s
            for s in witness.seen(victim)
            if isinstance(s.message, RoundChange) and s.message.round == 2
        ]
        require(bool(voted) and bool(left), f"node {victim} did not go through round 1")
        stayed_s = left[0] - voted[0]
        timeout_s = cluster.rules.parameters.forks[0].timeouts.round_ms(Round(1)) / 1000
        require(
            0.9 * timeout_s - 1 <= stayed_s <= timeout_s,
            f"the node stayed in round 1 for {stayed_s:.2f} s, its deadline is {timeout_s:.0f} s",
        )
        await cluster.wait_height(3, within_s=SETTLE_S)
    del silent


async def _different_rounds(cluster: Cluster) -> None:
    for node, round_ in zip(cluster.nodes, (0, 3, 7, 200), strict=True):
        record = ConsensusRecord(height=Height(1), round=Round(round_), prepared=None, messages=())
        node.disk.record = record.encode() if round_ else None
    delay_s = cluster.network.faults.delay_ms_max / 1000
    cap_s = cluster.rules.parameters.forks[0].timeouts.propose_timeout_max_ms / 1000
    async with cluster.running():
        while not all(node.is_live for node in cluster.nodes):
            require(cluster.now_s <= 6, "not everybody is live")
            await cluster.wait_s(0.01)
        await _wait_met(cluster, cluster.nodes[:3], 4 * delay_s + 0.1)
        # The one in round 200 is alone there, and comes back with the decision: of round 7, or of round 8 where 7 is its own turn.
        await _wait_met(cluster, cluster.nodes, cap_s + 8 * delay_s + 0.1)
        await cluster.wait_height(2, within_s=2 * 32 + 10)


async def _wait_met(cluster: Cluster, nodes: Sequence[SimulatedNode], within_s: float) -> None:
    began_s = cluster.now_s
    while len({_place(node) for node in nodes}) > 1:
        require(
            cluster.now_s - began_s <= within_s, f"{len(nodes)} nodes have not met within {within_s:.2f} s"
        )
        await cluster.wait_s(0.01)


def _place(node: SimulatedNode) -> tuple[int, int]:
    snapshot = node.driver.snapshot
    return snapshot.height, snapshot.round


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
    "jump-without-an-end": Scenario(
        rows=(9,),
        claim="who is taken along to a later round leaves it by that round's deadline, not the old one",
        draw=drawing(4),
        play=_jump_without_an_end,
    ),
    "different-rounds": Scenario(
        rows=(10,),
        claim="nodes in rounds 0, 3, 7 and 200 meet by the F + 1 rule, within the longest deadline",
        draw=drawing(4),
        play=_different_rounds,
    ),
}
