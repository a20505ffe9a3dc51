"""Execution clients that are away, disagree, restart alone or forget. Rows 22 and 23 of docs/evidence/catalogue.md."""

import asyncio
from typing import Final

from metanode.chain.execution_header import decode_execution_block
from metanode.consensus.messages import Prepare
from metanode.execution.client import ExecutionPayload
from metanode.primitives.types import Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require, wait_resumed
from metanode.simulation.witness import Witness


async def _engines_unavailable(cluster: Cluster) -> None:
    order = cluster.random.sample(range(len(cluster.nodes)), len(cluster.nodes))
    few, more = order[: cluster.max_faulty], order[: cluster.max_faulty + 1]
    witness = Witness(cluster)
    async with cluster.running():
        await cluster.wait_height(2)
        for index in few:
            cluster.nodes[index].is_engine_available = False
        rest = [i for i in order if i not in few]
        await cluster.wait_height(cluster.height + 4, nodes=rest, within_s=90)
        for index in more:
            cluster.nodes[index].is_engine_available = False
        await cluster.wait_s(5)
        height, votes = cluster.height, {i: len(witness.messages(Prepare, i)) for i in more}
        await cluster.wait_s(40)
        require(cluster.height <= height + 1, "blocks were decided that F + 1 nodes could not check")
        for index in more:
            voted = len(witness.messages(Prepare, index)) > votes[index]
            require(not voted, f"node {index} voted for a block that its client had not checked")
        for index in more:
            cluster.nodes[index].is_engine_available = True
        await wait_resumed(cluster)
        await cluster.wait_height(cluster.height + 2, within_s=2 * SETTLE_S)


async def _engines_hiccup(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        for _ in range(3):
            proposer = cluster.proposer(cluster.height + 1)
            height = cluster.height + 1
            for node in cluster.nodes:
                node.is_engine_available = node.index == proposer
            await cluster.wait_s(3)
            for node in cluster.nodes:
                node.is_engine_available = True
            await cluster.wait_height(height)
            require(
                cluster.checker.rounds[Height(height)] == 0, "engines that were away for 1 s cost a round"
            )
            await cluster.wait_height(height + 1)


async def _engines_restart(cluster: Cluster) -> None:
    """Clients restart in the middle of rounds, without their nodes: what was validated or is being built is gone, blocks may be too."""
    most = min(2, len(cluster.nodes))
    async with cluster.running():
        await cluster.wait_height(2)
        for _ in range(8):
            await cluster.wait_s(cluster.random.randint(0, 2500) / 1000)
            chosen = cluster.random.sample(range(len(cluster.nodes)), cluster.random.randint(1, most))
            forgets = cluster.random.choice([0, 0, 1, 2, cluster.height + 1])
            away_s = cluster.random.randint(1, 1500) / 1000
            async with asyncio.TaskGroup() as restarts:
                for index in chosen:
                    engine = cluster.nodes[index].engine
                    restarts.create_task(engine.restart(away_s=away_s, forgets_blocks=forgets))
            await wait_resumed(cluster, rounds=cluster.max_faulty + len(chosen) + 2)
        # Everybody's client is back at the head, without anybody's help.
        await cluster.wait_height(cluster.height + 2, within_s=SETTLE_S)
        for node in cluster.nodes:
            require(node.is_live, f"node {node.index} does not take part any more")
            behind = cluster.height - len(node.engine.decided)
            require(behind <= 1, f"the client of node {node.index} has stayed {behind} blocks behind")


async def _invalid_for_one(cluster: Cluster) -> None:
    """One client calls a valid block invalid: its node halts loudly when the others decide it, and goes on when the client is repaired."""
    victim = cluster.random.randrange(len(cluster.nodes))
    rest = [i for i in range(len(cluster.nodes)) if i != victim]
    node, wrong = cluster.nodes[victim], cluster.random.randint(2, 6)
    cluster.checker.may_halt.add(victim)
    witness = Witness(cluster)

    def is_refused(payload: ExecutionPayload) -> bool:
        return decode_execution_block(payload.execution_rlp).header.number == wrong

    node.engine_model.calls_invalid = is_refused
    async with cluster.running():
        await cluster.wait_height(wrong + 3, nodes=rest, within_s=60)
        require(node.is_halted, "a node whose client refuses a decided block has not halted")
        reason = str(node.driver.halted)
        require(f"height {wrong}" in reason and "invalid" in reason, f"the alarm does not say why: {reason}")
        require(node.driver.final_height == wrong - 1, "a block is final that the client refuses")
        voted = [m for m in witness.messages(Prepare, victim) if m.height >= wrong]
        require(not voted, "a node prepared a block that its client refuses")
        node.engine_model.calls_invalid = lambda _: False
        await cluster.restart(victim, after_s=1)
        await cluster.wait_height(cluster.height + 3, within_s=SETTLE_S)
        require(node.is_live, "the node does not take part again though its client agrees")


ENGINES: Final[dict[str, Scenario]] = {
    "engines-unavailable": Scenario(
        rows=(23,),
        claim="F engines that are away cost nothing, F + 1 stop the chain without a vote, and it resumes",
        draw=drawing(4),
        play=_engines_unavailable,
    ),
    "engines-hiccup": Scenario(
        rows=(23,),
        claim="engines that are away for a second cost no round",
        draw=drawing(4),
        play=_engines_hiccup,
    ),
    "engines-restart": Scenario(
        rows=(23,),
        claim="engines that restart in mid-round, and forget blocks, are brought back to the head by their nodes",
        draw=drawing(4),
        play=_engines_restart,
    ),
    "invalid-for-one": Scenario(
        rows=(22,),
        claim="a client that alone refuses a block halts its own node, which votes for nothing it refuses",
        draw=drawing(4),
        play=_invalid_for_one,
    ),
}
