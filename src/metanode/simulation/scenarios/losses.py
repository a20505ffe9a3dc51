"""Single messages that do not arrive, or late. Rows 15 to 17 and 32 of docs/evidence/catalogue.md."""

from collections.abc import Awaitable, Callable
from typing import Final

from metanode.consensus.messages import Commit, Message, Prepare, Proposal, RoundChange
from metanode.primitives.types import Height
from metanode.simulation.cluster import GENESIS_TIME, Cluster
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require
from metanode.simulation.witness import Witness


def _losing(kind: type[Message]) -> Callable[[Cluster], Awaitable[None]]:
    async def play(cluster: Cluster) -> None:
        victim = cluster.random.randrange(len(cluster.nodes))
        height = cluster.random.randint(1, 4)
        lost: list[Message] = []

        def lets_pass(sender: int, receiver: int, message: Message) -> bool:
            del sender
            if (
                receiver == victim
                and isinstance(message, kind)
                and message.height == height
                and len(lost) < 2
            ):
                lost.append(message)
                return False
            return True

        cluster.network.filters.append(lets_pass)
        if kind is RoundChange:
            cluster.network.filters.append(
                lambda _sender, _receiver, message: (
                    not (isinstance(message, Proposal) and message.height == height and message.round == 0)
                )
            )
        async with cluster.running():
            await cluster.wait_height(height + 3, within_s=90)

    return play


async def _decided_by_one(cluster: Cluster) -> None:
    chosen = cluster.random.randrange(len(cluster.nodes))
    is_open = False

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        del sender
        if is_open or message.height != 2:
            return True
        if type(message).__name__ == "Decision":
            return False
        return not isinstance(message, Commit) or receiver == chosen or message.round > 0

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(2, nodes=[chosen])
        cluster.network.partition([i for i in range(len(cluster.nodes)) if i != chosen], [chosen])
        await cluster.wait_s(20)
        is_open = True
        cluster.network.heal()
        await cluster.wait_height(5, within_s=SETTLE_S)


async def _prepared_by_one(cluster: Cluster) -> None:
    """One node alone prepares X, and its round change is lost: the others may decide Y, and it accepts that."""
    chosen = cluster.proposer(1, len(cluster.nodes) - 1)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if message.height != 1:
            return True
        if isinstance(message, Prepare) and message.round == 0:
            return receiver == chosen
        return not (sender == chosen and (isinstance(message, RoundChange) or message.round == 0))

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        node = cluster.nodes[chosen]
        while not node.is_running or node.driver.snapshot.prepared_round is None:
            require(cluster.now_s < 10, "the one node has not prepared X")
            await cluster.wait_s(0.01)
        await cluster.wait_height(3, within_s=60)
        decided = cluster.checker.blocks[0]
        require(decided.header.proposal_round > 0, "the block that only one had prepared was decided")
        mine = cluster.nodes[chosen].disk.blocks[0].hash
        require(mine == decided.hash, "the node that had prepared X has not accepted Y")
    for node in cluster.nodes:
        require(not node.disk.evidence, f"node {node.index} accuses somebody, and all were honest")


async def _prepared_by_all(cluster: Cluster) -> None:
    """Everybody prepares X, no commit arrives: the next proposer proposes the identical block."""
    witness = Witness(cluster)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        del sender, receiver
        return message.height != 1 or not isinstance(message, Commit) or message.round > 0

    cluster.network.filters.append(lets_pass)
    maker = cluster.nodes[cluster.proposer(1)].key.address
    async with cluster.running():
        await cluster.wait_height(3, within_s=60)
        first = cluster.checker.blocks[0].header
        require(first.proposal_round == 0, "a block that a quorum had prepared was not proposed again")
        require(first.timestamp == GENESIS_TIME + cluster.period_s, "the block changed its time")
        require(first.proposer == maker, "the block changed its proposer")
        require(cluster.checker.rounds[Height(1)] == 1, "the height was not decided in round 1")
    proposals = [m for m in witness.messages(Proposal) if m.height == 1]
    require({m.round for m in proposals} == {0, 1}, "the block was not proposed twice")
    require({m.block_hash for m in proposals} == {first.hash}, "the two proposals are not of one block")
    bodies = {m.block.encode() for m in proposals if m.block is not None}
    require(len(bodies) == 1, "the bytes of the block changed")


async def _commits_after_two_rounds(cluster: Cluster) -> None:
    """The commits of round 0 arrive when everybody is in a later round: they still decide, the same block."""
    held: list[tuple[int, int, Message]] = []
    is_open = False

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if is_open or message.height != 1:
            return True
        if isinstance(message, Commit) and message.round == 0:
            held.append((sender, receiver, message))
            return False
        return not (isinstance(message, Proposal) and message.round > 0)

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        while not all(node.is_running and node.driver.snapshot.round >= 2 for node in cluster.nodes):
            await cluster.wait_s(0.5)
        is_open = True
        for sender, receiver, message in held:
            cluster.network.deliver_again(sender, receiver, message)
        await cluster.wait_height(1, within_s=2)
        require(cluster.checker.rounds[Height(1)] == 0, "the old commits did not decide")
        await cluster.wait_height(3, within_s=SETTLE_S)


LOSSES: Final[dict[str, Scenario]] = {
    "lost-proposal": Scenario(claim="a lost proposal is made good", draw=drawing(4), play=_losing(Proposal)),
    "lost-prepare": Scenario(claim="lost prepares are made good", draw=drawing(4), play=_losing(Prepare)),
    "lost-commit": Scenario(claim="lost commits are made good", draw=drawing(4), play=_losing(Commit)),
    "lost-round-change": Scenario(
        claim="lost round changes are made good", draw=drawing(4), play=_losing(RoundChange)
    ),
    "decided-by-one": Scenario(
        rows=(15,),
        claim="what one node alone has decided is decided by all",
        draw=drawing(4),
        play=_decided_by_one,
    ),
    "prepared-by-one": Scenario(
        rows=(16,),
        claim="a block that one node alone has prepared may be replaced",
        draw=drawing(4),
        play=_prepared_by_one,
    ),
    "prepared-by-all": Scenario(
        rows=(17,),
        claim="a block that a quorum has prepared is proposed again, unchanged",
        draw=drawing(4),
        play=_prepared_by_all,
    ),
    "commits-after-two-rounds": Scenario(
        rows=(32,),
        claim="commits of an old round still decide",
        draw=drawing(4),
        play=_commits_after_two_rounds,
    ),
}
