"""A validator that comes when thousands of blocks are decided, among peers that lie about them. Row 38 of docs/evidence/catalogue.md."""

from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.messages import Message, SignedMessage
from metanode.p2p.reputation import Offence
from metanode.primitives.types import Height
from metanode.simulation.adversaries.corruption import corrupt
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, is_long, require

IMPORT_MS: Final = (1, 4)
"""Of each of the two calls that import a block: so that what is measured is how soon blocks come."""
LIARS: Final = ("false heights", "bad certificates", "truncated bodies", "other blocks", "slow")


def _draw(seed: int, _wanted: int | None, rule: QuorumRule) -> Cluster:
    return Cluster(
        seed=seed, rule=rule, validators=4, followers=len(LIARS), faults=LinkFaults(delay_ms_max=20)
    )


async def _late_among_liars(cluster: Cluster) -> None:
    late, honest = 3, [0, 1, 2]
    heights = 10_000 if is_long(cluster.seed) else 100
    node, network = cluster.nodes[late], cluster.network
    signed_early: list[Message] = []

    def see(sender: int, _receiver: int, message: Message) -> bool:
        if sender == late and isinstance(message, SignedMessage) and not node.is_live:
            signed_early.append(message)
        return True

    network.filters.append(see)
    node.engine_model.delay_ms = IMPORT_MS
    async with cluster.running(start=honest):
        await cluster.wait_height(heights, within_s=5 * heights + 60)
        for offset, what in enumerate(LIARS):
            _lie(cluster, 4 + offset, what)
        for index in honest:
            # Liars answer faster, so that they are asked.
            cluster.nodes[index].answers.takes_s = 0.3
        for offset in range(len(LIARS)):
            cluster.start(4 + offset)
        await cluster.wait_s(1)
        cluster.start(late)
        began_s, head = cluster.now_s, cluster.height
        await cluster.wait_height(head, nodes=[late], within_s=30 + head / 100)
        took_s = cluster.now_s - began_s
        require(took_s <= 30 + head / 100, f"{head} blocks took {took_s:.0f} s")
        await cluster.wait_height(cluster.height + 2, nodes=[late], within_s=SETTLE_S)
        while not node.is_live:
            require(
                cluster.now_s - began_s < 2 * SETTLE_S + head / 100, "the node is at the head and not live"
            )
            await cluster.wait_s(0.25)
        first = cluster.height
        await cluster.wait_height(first + 8, nodes=[*honest, late], within_s=SETTLE_S)
        standing = cluster.checker.state_before(Height(cluster.height)).standing(node.key.address)
        require(standing.last_active > first, "the node does not take part though it is at the head")
    require(not signed_early, f"{len(signed_early)} messages left before the node was live")
    charged = {whom for who, whom, _ in network.reports if who == late}
    innocent = charged & set(honest)
    require(not innocent, f"honest peers were charged: {sorted(innocent)}")
    banned = {offence for _, _, offence in network.reports}
    # Not all of them are asked: there are honest ones that answer faster.
    require(Offence.BAD_BLOCKS in banned, "nobody was banned for bad blocks")


def _lie(cluster: Cluster, index: int, what: str) -> None:
    """Let a follower, which has the whole chain, answer in one false way."""
    source, liar = cluster.nodes[0].disk, corrupt(cluster, index)
    liar.disk.restore(source.copy(), signer_log=False, payloads=False)
    liar.disk.payloads = list(cluster.nodes[0].engine.decided)
    answers, draw = liar.answers, cluster.random
    match what:
        case "false heights":
            answers.claim = lambda height: Height(height + draw.randint(1, 10**9))
            answers.give = lambda _first, blocks: blocks if draw.random() < 0.5 else []
        case "bad certificates":
            answers.give = lambda _first, blocks: [_flip_last(block) for block in blocks]
        case "truncated bodies":
            answers.give = lambda _first, blocks: [block[: draw.randrange(1, len(block))] for block in blocks]
        case "other blocks":
            answers.give = lambda _first, blocks: blocks[::-1] if len(blocks) > 1 else [b"\xc0"]
        case "slow":
            answers.takes_s = 30.0
        case _:
            raise AssertionError(what)


def _flip_last(block: bytes) -> bytes:
    """Change the last byte, the recovery id of the last seal."""
    return block[:-1] + bytes((block[-1] ^ 1,))


BEHIND: Final[dict[str, Scenario]] = {
    "late-among-liars": Scenario(
        rows=(38,),
        claim="a validator far behind reaches the head among lying, truncating and slow peers, and signs nothing before it is live",
        draw=_draw,
        play=_late_among_liars,
    ),
}
