"""Validators that sign two things: as many as the protocol tolerates, and more. Rows 13, 14, 25 and 37 of docs/evidence/catalogue.md."""

from collections.abc import Awaitable, Callable
from typing import Final

from metanode.consensus.messages import Commit, Decision, Message, Prepare, Proposal, RoundChange
from metanode.primitives.types import Hash32, Round
from metanode.simulation.adversaries.equivocating import conspire, equivocate, forget_prepared
from metanode.simulation.adversaries.scripted import Scripted
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require, wait_resumed


def _equivocating(*, votes_twice: bool) -> Callable[[Cluster], Awaitable[None]]:
    async def play(cluster: Cluster) -> None:
        liars = [cluster.proposer(1, round_) for round_ in range(max(cluster.max_faulty, 1))]
        for liar in liars:
            equivocate(cluster, liar, votes_twice=votes_twice)
        honest = [i for i in range(len(cluster.nodes)) if i not in liars]
        guilty = {cluster.nodes[liar].key.address for liar in liars}
        timeouts = cluster.rules.parameters.forks[0].timeouts
        two_rounds_s = (timeouts.round_ms(Round(0)) + timeouts.round_ms(Round(1))) / 1000
        async with cluster.running():
            # The first lie is told at the first slot.
            while not all(cluster.nodes[i].disk.evidence for i in honest):
                late_s = cluster.now_s - cluster.period_s
                require(late_s <= two_rounds_s, "two rounds after the lie somebody has no proof of it")
                await cluster.wait_s(0.05)
            for _ in range(6):
                await wait_resumed(cluster, nodes=honest)
            for index in honest:
                found = {evidence.author for evidence in cluster.nodes[index].disk.evidence}
                require(cluster.nodes[liars[0]].key.address in found, f"node {index} has no proof of the lie")
                require(found <= guilty, f"node {index} accuses an honest validator")

    return play


async def _too_many_liars(cluster: Cluster) -> None:
    """F + 1 validators tell halves of the honest ones two stories, and each half decides its own."""
    liars = [cluster.proposer(1, round_) for round_ in range(cluster.max_faulty + 1)]
    honest = [i for i in range(len(cluster.nodes)) if i not in liars]
    cluster.random.shuffle(honest)
    half = honest[: len(honest) // 2]
    conspire(cluster, liars, half)
    cluster.checker.expects_halts = True
    is_open = False

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if is_open:
            return True
        apart = sender in honest and receiver in honest and (sender in half) != (receiver in half)
        return not apart and not isinstance(message, Decision)

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(1, nodes=honest, within_s=30)
        decided = {cluster.nodes[i].disk.blocks[0].hash for i in honest}
        require(len(decided) == 2, "more liars than the protocol tolerates made no fork")
        is_open = True
        await cluster.wait_s(SETTLE_S)
        for index in honest:
            _require_halted(cluster, index, decided)
        heights = [cluster.nodes[i].disk.tip for i in honest]
        for index in honest:
            await cluster.restart(index)
        await cluster.wait_s(SETTLE_S)
        for index in honest:
            _require_halted(cluster, index, decided)
        require([cluster.nodes[i].disk.tip for i in honest] == heights, "a node that has halted went on")


def _require_halted(cluster: Cluster, index: int, decided: set[Hash32]) -> None:
    """A node has halted, and shows and keeps a proof that names both blocks and nobody honest alone."""
    node = cluster.nodes[index]
    require(node.is_halted, f"node {index} saw two decided blocks and did not halt")
    fork, halted = node.disk.fork, node.driver.halted
    require(fork is not None and halted is not None and halted.fork == fork, f"node {index} lost the proof")
    assert fork is not None
    require({c.block_hash for c in fork.certificates} == decided, f"node {index} shows other blocks")
    members = cluster.rules.parameters.validators
    require(
        members.has_honest(fork.sealed_both, cluster.rules.quorum_rule),
        "too few are said to have sealed both",
    )


async def play_forgotten_block(cluster: Cluster) -> None:
    """A alone decides X and is cut off; B, which had prepared X, restarts; D lies that it prepared nothing."""
    a, b, c, d = (cluster.proposer(1, round_) for round_ in range(4))
    forget_prepared(cluster, d)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if message.height != 1 or message.round > 0:
            return True
        if isinstance(message, Prepare):
            return receiver != c
        return (
            sender == receiver
            or isinstance(message, Proposal)
            or (isinstance(message, Commit) and receiver == a)
        )

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(1, nodes=[a])
        cluster.network.partition([b, c, d], [a])
        await cluster.restart(b, after_s=0.1)
        await cluster.wait_height(1, nodes=[b, c], within_s=60)
        cluster.network.heal()
        await cluster.wait_height(3, nodes=[a, b, c], within_s=SETTLE_S)


async def play_forgotten_round(cluster: Cluster) -> None:
    """B leaves round 0 before X comes, and restarts; were it to vote for X then, A would decide X, and B's round change justify Y."""
    a, c, b, d = (cluster.proposer(1, round_) for round_ in range(4))
    liar = Scripted(cluster, d)
    forget_prepared(cluster, d)
    is_open = is_over = False

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if is_over:
            return True
        if is_open:
            return a not in {sender, receiver}
        if message.height != 1:
            return True
        if isinstance(message, RoundChange):
            return sender != d and receiver in {b, c}
        if isinstance(message, Proposal):
            return receiver == d or (receiver == b and cluster.nodes[b].lives > 1)
        return not isinstance(message, Commit | Decision) or receiver == a

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        while not cluster.nodes[b].is_running or cluster.nodes[b].driver.snapshot.round == 0:
            require(cluster.now_s < 10, "B has not left round 0")
            await cluster.wait_s(0.01)
        await cluster.wait_s(0.1)
        await cluster.restart(b, after_s=0.05)
        # As long as A stays in round 0.
        while cluster.now_s < 5.9 and cluster.height == 0:
            await cluster.wait_s(0.05)
        is_open = True
        liar.send(liar.round_change(1, 1))
        await cluster.wait_height(1, nodes=[b, c], within_s=60)
        is_over = True
        cluster.network.heal()
        await cluster.wait_height(3, nodes=[a, b, c], within_s=SETTLE_S)


LIARS: Final[dict[str, Scenario]] = {
    "equivocating-proposer": Scenario(
        rows=(13,),
        claim="of two proposals in one place at most one is decided, and everybody has the proof",
        draw=drawing(4, does_relay=True),
        play=_equivocating(votes_twice=False),
    ),
    "equivocating-voters": Scenario(
        rows=(14,),
        claim="F validators that propose and vote twice decide nothing twice",
        draw=drawing(7, does_relay=True),
        play=_equivocating(votes_twice=True),
    ),
    "too-many-liars": Scenario(
        rows=(37,),
        claim="more than F liars can fork the chain, and then each honest node halts, for good, with both certificates",
        draw=drawing(4),
        play=_too_many_liars,
    ),
    "forgotten-block": Scenario(
        rows=(25,),
        claim="a restart does not forget what was prepared, so a decision that nobody has seen stands",
        draw=drawing(4),
        play=play_forgotten_block,
    ),
    "forgotten-round": Scenario(
        rows=(25,),
        claim="a restart does not forget which round was left, so an old round change cannot justify another block",
        draw=drawing(4),
        play=play_forgotten_round,
    ),
}
