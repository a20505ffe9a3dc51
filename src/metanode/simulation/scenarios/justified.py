"""Which block a later round may propose, each as the fork that a wrong answer would make. Rows 18 and 19 of docs/evidence/catalogue.md.

Validators are named after their turns at height 1: A proposes round 0, B round 1, C round 2, D round 3.
"""

from dataclasses import dataclass
from typing import Final

from metanode.chain.attributes import calculate_attributes
from metanode.chain.block import Block
from metanode.chain.execution_header import decode_execution_block, encode_execution_block
from metanode.chain.proposal import make_block
from metanode.consensus.messages import (
    Commit,
    Decision,
    Justification,
    Message,
    Prepare,
    Proposal,
    RoundChange,
)
from metanode.execution.fake import execute_block
from metanode.primitives.types import Height, Round
from metanode.simulation.adversaries.corruption import corrupt
from metanode.simulation.adversaries.equivocating import OTHER_RECIPIENT, sign_vote
from metanode.simulation.cluster import GENESIS_TIME, Cluster
from metanode.simulation.node import SimulatedNode
from metanode.simulation.scenarios.story import SETTLE_S, Scenario, drawing, require


async def _two_prepared_blocks(cluster: Cluster) -> None:
    """B alone prepares X in round 0 and is not heard until round 3; the others prepare Y in round 2, and A alone decides it."""
    a, b, c, d = (cluster.proposer(1, round_) for round_ in range(4))
    cut = _Cut(a)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if message.height != 1 or message.round > 2 or not cut.stands:
            return True
        if sender == b:
            return False
        if message.round == 0:
            return not isinstance(message, Commit) and (not isinstance(message, Prepare) or receiver == b)
        if isinstance(message, RoundChange):
            return True
        return receiver != b and (not isinstance(message, Commit) or receiver == a)

    cluster.network.filters += [lets_pass, cut.lets_pass]
    async with cluster.running():
        await cluster.wait_height(1, nodes=[a], within_s=60)
        require(cluster.checker.rounds[Height(1)] == 2, "height 1 was not decided in round 2")
        await cluster.wait_height(1, nodes=[b, c, d], within_s=2 * SETTLE_S)
        cut.stands = False
        await cluster.wait_height(3, within_s=SETTLE_S)


async def _doubled_claims(cluster: Cluster) -> None:
    """Everybody prepares X in round 0 and A alone decides it. B lies: it repeats its own claim until it looks like a quorum, for Y."""
    a, b, c, d = (cluster.proposer(1, round_) for round_ in range(4))
    liar = corrupt(cluster, b)
    lies: list[Proposal] = []

    def lie(message: Message) -> list[tuple[int, Message]]:
        told = message
        if message.height == 1 and message.round == 1:
            if isinstance(message, Proposal):
                told = _propose_alone(cluster, liar)
                lies.append(told)
            elif isinstance(message, Prepare | Commit) and lies:
                told = sign_vote(liar, message, lies[0].block_hash)
        return [(other, told) for other in range(len(cluster.nodes))]

    liar.mischief = lie

    cut = _Cut(a)

    def lets_pass(_sender: int, receiver: int, message: Message) -> bool:
        is_first_commit = isinstance(message, Commit) and (message.height, message.round) == (1, 0)
        return not is_first_commit or receiver == a or not cut.stands

    cluster.network.filters += [lets_pass, cut.lets_pass]
    async with cluster.running():
        await cluster.wait_height(1, nodes=[a])
        await cluster.wait_height(1, nodes=[c, d], within_s=60)
        require(bool(lies), "the liar never had its turn")
        cut.stands = False
        await cluster.wait_height(3, nodes=[a, c, d], within_s=SETTLE_S)


@dataclass(slots=True)
class _Cut:
    """Nothing that a node says of a decided block is heard, nor of later heights, until the story is over.

    A filter, not a partition: those who lose their links greet each other with all their messages when they are linked again.
    """

    silent: int
    stands: bool = True

    def lets_pass(self, sender: int, _receiver: int, message: Message) -> bool:
        """See Filter."""
        return not (
            self.stands and sender == self.silent and (isinstance(message, Decision) or message.height > 1)
        )


def _propose_alone(cluster: Cluster, liar: SimulatedNode) -> Proposal:
    """Return a fresh block of round 1 that rests on one claim, three times."""
    domain, height, round_ = liar.rules.domain, Height(1), Round(1)
    digest = domain.round_change(height=height, round=round_, prepared=None)
    claim = RoundChange(
        height=height,
        round=round_,
        prepared=None,
        author=liar.key.address,
        signature=liar.key.sign(digest),
    ).claim
    block = _fresh_block(cluster, liar)
    return Proposal(
        height=height,
        round=round_,
        header=block.header,
        block=block,
        justification=Justification(claims=(claim,) * 3, prepared=None),
        author=liar.key.address,
        signature=liar.key.sign(domain.proposal(height=height, round=round_, block_hash=block.hash)),
    )


def _fresh_block(cluster: Cluster, liar: SimulatedNode) -> Block:
    """Return a valid block of height 1, made in round 1."""
    state, parent = cluster.checker.state_before(Height(1)), liar.disk.genesis
    attributes = calculate_attributes(
        state,
        parent,
        liar.rules,
        timestamp=GENESIS_TIME + cluster.period_s + 1,
        fee_recipient=OTHER_RECIPIENT,
    )
    execution = execute_block(decode_execution_block(liar.engine.head_rlp).header, attributes, ())
    return make_block(
        state=state,
        parent=parent,
        rules=liar.rules,
        execution_rlp=encode_execution_block(execution, (), attributes.withdrawals),
        requests=(),
        parent_certificate=None,
        proposer=liar.key.address,
        proposal_round=Round(1),
    )


JUSTIFIED: Final[dict[str, Scenario]] = {
    "two-prepared-blocks": Scenario(
        claim="of two prepared blocks the one of the higher round is proposed again, for somebody may have decided it",
        draw=drawing(4),
        play=_two_prepared_blocks,
    ),
    "doubled-claims": Scenario(
        claim="one claim told three times is not a quorum, and moves nobody from a prepared block",
        draw=drawing(4),
        play=_doubled_claims,
    ),
}
