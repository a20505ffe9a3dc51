"""Validators that keep to themselves what others need. Rows 15 and 20 of docs/evidence/catalogue.md."""

from typing import Final

from metanode.consensus.messages import Commit, Decision, Message, Prepare, Proposal
from metanode.primitives.types import Height
from metanode.simulation.adversaries.corruption import honest
from metanode.simulation.adversaries.withholding import withhold, withhold_bodies
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require, wait_resumed


async def _body_of_a_prepared_block(cluster: Cluster) -> None:
    """X is prepared in round 0; round 1's proposer proposes X and gives nobody its body, which one node has never had."""
    first, liar, missing = (cluster.proposer(1, round_) for round_ in range(3))
    withhold_bodies(cluster, liar)
    rest = honest(cluster)

    def lets_pass(_sender: int, receiver: int, message: Message) -> bool:
        if message.height != 1 or message.round > 0:
            return True
        if isinstance(message, Proposal):
            return receiver != missing
        return not isinstance(message, Commit)

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(1, nodes=rest, within_s=60)
        decided = cluster.checker.blocks[0].header
        require(decided.proposer == cluster.nodes[first].key.address, "another block than X was decided")
        require(cluster.checker.rounds[Height(1)] == 1, "a body that two others have cost a round")
        await wait_resumed(cluster, nodes=rest)


async def _body_of_a_fresh_block(cluster: Cluster) -> None:
    """A proposer gives the body of its own block to none, to one or to two of the others."""
    liar = cluster.random.randrange(len(cluster.nodes))
    rest = [i for i in range(len(cluster.nodes)) if i != liar]
    told = cluster.random.sample(rest, cluster.random.randint(0, 2))
    withhold_bodies(cluster, liar, told=told)
    async with cluster.running():
        for _ in range(2 * len(cluster.nodes)):
            await wait_resumed(cluster, nodes=rest)
            height = Height(cluster.height)
            is_liars = cluster.checker.blocks[height - 1].header.proposer == cluster.nodes[liar].key.address
            require(bool(told) or not is_liars, "a block whose body nobody had was decided")
            require(cluster.checker.rounds[height] <= 1, f"height {height} took more than round 1")


async def _decided_by_one(cluster: Cluster) -> None:
    """A liar seals for one node alone, another honest seal is lost: one node decides, is cut off, and the others must decide the same."""
    chosen, unprepared, liar = cluster.random.sample(range(len(cluster.nodes)), 3)
    height = cluster.random.randint(2, 4)
    is_open = is_cut = False
    withhold(
        cluster,
        liar,
        lambda receiver, message: (
            (isinstance(message, Commit | Decision) and message.height == height and receiver != chosen)
            and message.round == 0
        ),
    )

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        # Not as a partition: connections that begin anew would carry what was lost.
        if is_cut and chosen in {sender, receiver}:
            return False
        if is_open or message.height != height or message.round > 0:
            return True
        # Who has not prepared has no seal to give; what the chosen one knows stays with it.
        if receiver == unprepared and isinstance(message, Prepare):
            return False
        if isinstance(message, Commit):
            # The liar must not decide either, for the others need its votes in later rounds.
            return sender != chosen and receiver != liar
        return not isinstance(message, Decision)

    cluster.network.filters.append(lets_pass)
    rest = [i for i in range(len(cluster.nodes)) if i not in {chosen, liar}]
    async with cluster.running():
        await cluster.wait_height(height, nodes=[chosen])
        decided = cluster.checker.blocks[height - 1].hash
        is_cut = True
        require(
            all(cluster.nodes[i].driver.tip.header.height < height for i in rest),
            "more than one node has decided",
        )
        await cluster.wait_height(height, nodes=rest, within_s=SETTLE_S)
        for index in rest:
            same = cluster.nodes[index].disk.blocks[height - 1].hash == decided
            require(same, f"node {index} decided another block than the one that decided alone")
        is_open, is_cut = True, False
        cluster.network.heal()
        await cluster.wait_height(cluster.height + 2, within_s=SETTLE_S)


WITHHELD: Final[dict[str, Scenario]] = {
    "prepared-body-withheld": Scenario(
        rows=(20,),
        claim="a prepared block that its second proposer keeps to itself is fetched from those who prepared it",
        draw=drawing(4),
        play=_body_of_a_prepared_block,
    ),
    "fresh-body-withheld": Scenario(
        rows=(20,),
        claim="a proposal without its body is fetched from who has it, or costs its round and no more",
        draw=drawing(4),
        play=_body_of_a_fresh_block,
    ),
    "sealed-for-one": Scenario(
        rows=(15,),
        claim="what one node decided alone, by the seal of a liar, is what all others decide later",
        draw=drawing(4),
        play=_decided_by_one,
    ),
}
