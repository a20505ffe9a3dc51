"""Networks in which nothing fails: the slots, unequal powers, a cold start, votes on membership. Rows 1, 33, 35 and 39 of docs/evidence/catalogue.md."""

from random import Random
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.messages import Proposal
from metanode.primitives.types import Height
from metanode.simulation.cluster import GENESIS_TIME, Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import Scenario, drawing, is_long, nothing_from, require
from metanode.simulation.scenarios.weights import draw_powers
from metanode.simulation.witness import Witness

SIZES: Final = (4, 1, 2, 3, 5, 6, 7, 10, 22, 100)
"""Numbers of validators, in the order in which seeds draw them."""
COLD_SIZES: Final = (1, 2, 4, 7)
HEIGHTS_OF_SIZE: Final = {22: 6, 100: 2}
"""How many heights of the larger ones are played; of the others it is 12."""


def _draw_size(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
    # 100 validators cost seconds: they come with the long variants.
    few = SIZES if is_long(seed) else SIZES[:-1]
    validators = wanted or (100 if is_long(seed) else few[seed % len(few)])
    delay_ms_max = Random(seed).choice([5, 20, 50, 100, 200])
    return Cluster(seed=seed, rule=rule, validators=validators, faults=LinkFaults(delay_ms_max=delay_ms_max))


async def _no_faults(cluster: Cluster) -> None:
    heights = HEIGHTS_OF_SIZE.get(len(cluster.nodes), 12)
    witness = Witness(cluster)
    async with cluster.running():
        await cluster.wait_height(heights)
        require(not any(cluster.checker.rounds.values()), "a height without faults took more than round 0")
        for block in cluster.checker.blocks[:heights]:
            due = GENESIS_TIME + cluster.period_s * block.height
            require(block.header.timestamp == due, f"height {block.height} does not carry its slot's time")
        for height in range(1, heights + 1):
            late_s = cluster.decided_at(height) - cluster.period_s * height
            require(0 <= late_s < 1, f"height {height} is {late_s:.3f} s from its slot")
        for node in cluster.nodes:
            same = [b.hash for b in node.disk.blocks[:heights]] == [
                b.hash for b in cluster.checker.blocks[:heights]
            ]
            require(same, f"node {node.index} has another chain")
    proposed_at = {
        sighting.message.height: sighting.at_s
        for index in range(len(cluster.nodes))
        for sighting in reversed(witness.seen(index))
        if isinstance(sighting.message, Proposal)
    }
    for height, at_s in proposed_at.items():
        off_s = at_s - cluster.period_s * height
        require(0 <= off_s <= 0.1, f"the proposal of height {height} left {off_s:.3f} s after its slot")


def _draw_powers(seed: int, _wanted: int | None, _rule: QuorumRule) -> Cluster:
    powers = draw_powers(seed)
    return Cluster(seed=seed, validators=len(powers), powers=powers)


async def _weights_some_silent(cluster: Cluster) -> None:
    """As many as possible are silent, in a drawn order, while the others have more than two thirds."""
    members, rule = cluster.rules.parameters.validators, cluster.rules.quorum_rule
    silent: list[int] = []
    for index in cluster.random.sample(range(len(cluster.nodes)), len(cluster.nodes)):
        rest = [n.key.address for n in cluster.nodes if n.index not in {*silent, index}]
        if members.is_quorum(rest, rule):
            silent.append(index)
    cluster.network.filters.append(nothing_from(*silent))
    loud = [i for i in range(len(cluster.nodes)) if i not in silent]
    async with cluster.running():
        await cluster.wait_height(6 if len(loud) < 10 else 2, nodes=loud, within_s=300)
        one_more = cluster.random.choice(loud)
        cluster.network.filters.append(nothing_from(one_more))
        await cluster.wait_s(10)
        height = cluster.height
        await cluster.wait_s(60)
        alone = members.is_quorum([cluster.nodes[one_more].key.address], rule)
        require(alone or cluster.height == height, "blocks were decided with two thirds or less")


def _draw_cold_size(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
    return drawing(COLD_SIZES[seed % len(COLD_SIZES)])(seed, wanted, rule)


async def _cold_start(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_s(6)
        require(all(node.is_live for node in cluster.nodes), "not everybody is live 6 s after a cold start")


async def _vote_in_and_out(cluster: Cluster) -> None:
    candidate = cluster.nodes[-1].key.address
    async with cluster.running():
        await cluster.wait_height(1)
        for node in cluster.nodes[:-1]:
            node.driver.set_wishes({candidate: True})
        await cluster.wait_height(8)
        state = cluster.checker.state_before(Height(cluster.height + 1))
        require(candidate in state.validators, "the vote did not let the candidate in")
        await cluster.wait_height(cluster.height + 6)
        proposers = {block.header.proposer for block in cluster.checker.blocks}
        require(candidate in proposers, "the new validator never proposed")
        for node in cluster.nodes[:-1]:
            node.driver.set_wishes({candidate: False})
        await cluster.wait_height(cluster.height + 8)
        state = cluster.checker.state_before(Height(cluster.height + 1))
        require(candidate not in state.validators, "the vote did not drop the validator")


STEADY: Final[dict[str, Scenario]] = {
    "no-faults": Scenario(
        rows=(1,),
        claim="without faults every height is decided in round 0, its proposal leaves within 0.1 s of its slot, and all chains are one",
        draw=_draw_size,
        play=_no_faults,
    ),
    "weights": Scenario(
        rows=(33,),
        claim="with unequal powers any may be silent that leave more than two thirds, and no more",
        draw=_draw_powers,
        play=_weights_some_silent,
    ),
    "cold-start": Scenario(
        rows=(39,),
        claim="with nobody ahead everybody is live in 6 s",
        draw=_draw_cold_size,
        play=_cold_start,
    ),
    "vote-in-and-out": Scenario(
        rows=(35,),
        claim="votes let a validator in and out, at one height for all",
        draw=drawing(4, candidates=1),
        play=_vote_in_and_out,
    ),
}
