"""One validator that sends as much as it can of what nobody waits for. Rows 11 and 12 of docs/evidence/catalogue.md."""

import dataclasses
from typing import Final

from metanode.chain.attributes import PayloadAttributes
from metanode.chain.block import Block
from metanode.chain.execution_header import decode_execution_block, encode_execution_block
from metanode.consensus.messages import RoundChange, SignedMessage
from metanode.execution.fake import execute_block
from metanode.node.driver import SEEN_MAX
from metanode.p2p.peer import MESSAGES_PER_S
from metanode.primitives.types import Hash32, Height
from metanode.simulation.adversaries.corruption import honest
from metanode.simulation.adversaries.scripted import Scripted
from metanode.simulation.cluster import Cluster
from metanode.simulation.geography import Processors
from metanode.simulation.scenarios.story import Scenario, drawing, is_long, require
from metanode.simulation.witness import Witness

FLOOD_PER_S: Final = int(MESSAGES_PER_S)
"""What one connection gets through the limits of p2p."""
AT_ONCE: Final = 50
"""Messages between two looks."""
DISTINCT: Final = SEEN_MAX + 1_000
"""Messages of the long flood of repetitions: more than a node remembers having seen."""


def _kept_max(cluster: Cluster) -> int:
    """Return the bound: a round change or two, three votes, an own message or two and twelve early messages of each, and a few bodies."""
    return 20 * len(cluster.nodes) + 12


async def _far_round_changes(cluster: Cluster) -> None:
    """Round changes for rounds up to 10^6 and beyond every 32-bit number: nobody else moves, nobody remembers more than two."""
    liar = Scripted(cluster, cluster.random.randrange(len(cluster.nodes)))
    witness = Witness(cluster)
    rest = honest(cluster)
    count = 100_000 if is_long(cluster.seed) else 5_000
    rounds = [1 + i * (10**6 - 1) // (count - 1) for i in range(count)] + [2**31, 2**32 + 1, 2**62]
    if cluster.random.random() < 0.5:
        cluster.random.shuffle(rounds)
    async with cluster.running():
        await cluster.wait_height(1)
        first = cluster.height
        for number, round_ in enumerate(rounds):
            liar.send(liar.round_change(cluster.height + 1, round_))
            if number % AT_ONCE == 0:
                await cluster.wait_s(AT_ONCE / FLOOD_PER_S)
                _require_bounded(cluster, rest)
        await cluster.wait_height(cluster.height + 2)
        require(cluster.height >= first + 3, "nothing was decided during the flood")
    changes = [m for i in rest for m in witness.messages(RoundChange, i)]
    require(not changes, f"{len(changes)} round changes of honest validators were caused by one liar")
    require(not any(cluster.checker.rounds.values()), "a height took more than round 0")


async def _far_votes_and_proposals(cluster: Cluster) -> None:
    """Votes for 10^5 rounds and heights to come, and proposals of 1 MB: no room for them, and no time lost."""
    Processors(cluster)
    liar = Scripted(cluster, cluster.random.randrange(len(cluster.nodes)))
    rest = honest(cluster)
    count = 100_000 if is_long(cluster.seed) else 3_000
    async with cluster.running():
        await cluster.wait_height(1)
        began, first = cluster.now_s, cluster.height
        for number in range(count):
            height = cluster.height + 1
            fake = Hash32(number.to_bytes(32, "big"))
            vote = liar.prepare if number % 2 else liar.commit
            if number % 4 < 2:
                liar.send(vote(height, 1 + number * 10**5 // count, fake))
            else:
                liar.send(vote(height + 1 + number * 10**5 // count, 0, fake))
            if number % AT_ONCE == 0:
                await cluster.wait_s(AT_ONCE / FLOOD_PER_S)
                _require_bounded(cluster, rest)
            if number % 300 == 0:
                block = _large_block(cluster, height + 10)
                liar.send(liar.proposal(0, block.header, block))
        await cluster.wait_height(cluster.height + 4)
        _require_bounded(cluster, rest)
        took_s, heights = cluster.now_s - began, cluster.height - first
        later = [height for height, round_ in cluster.checker.rounds.items() if round_]
        # A false proposal is the liar's first one for that height: what it spoils is its own turn.
        own = [height for height in later if cluster.proposer(height) == liar.index]
        spoilt_s = sum(cluster.decided_at(height) - cluster.decided_at(height - 1) for height in own)
        slots = (took_s - spoilt_s) / cluster.period_s
        require(
            heights - len(own) >= 0.9 * (slots - 1),
            f"{heights - len(own)} heights in {slots:.1f} slots under a flood",
        )
    require(later == own, "the flood cost a round of somebody honest")


async def _repetitions(cluster: Cluster) -> None:
    """Everything that the liar has heard from others and votes of its own, over and over: more than anybody remembers, in a long run."""
    Processors(cluster)
    liar = Scripted(cluster, cluster.random.randrange(len(cluster.nodes)))
    rest = honest(cluster)
    count, distinct = (100_000, DISTINCT) if is_long(cluster.seed) else (3_000, 600)
    async with cluster.running():
        await cluster.wait_height(4)
        began, first = cluster.now_s, cluster.height
        votes = [
            vote(first + 1 + number // 200, number % 100, Hash32(number.to_bytes(32, "big")))
            for number in range(distinct // 2)
            for vote in (liar.prepare, liar.commit)
        ]
        again: list[SignedMessage] = [*liar.heard, *votes]
        for number in range(count):
            liar.send(again[number % len(again)])
            if number % AT_ONCE == 0:
                await cluster.wait_s(AT_ONCE / FLOOD_PER_S)
                _require_bounded(cluster, rest)
        await cluster.wait_height(cluster.height + 4)
        _require_bounded(cluster, rest)
        slots, heights = (cluster.now_s - began) / cluster.period_s, cluster.height - first
        require(heights >= 0.9 * (slots - 1), f"{heights} heights in {slots:.1f} slots under a flood")
    require(not any(cluster.checker.rounds.values()), "a height took more than round 0")


def _require_bounded(cluster: Cluster, nodes: list[int]) -> None:
    for index in nodes:
        kept = cluster.nodes[index].driver.kept
        require(kept <= _kept_max(cluster), f"node {index} keeps {kept} messages and bodies")


def _large_block(cluster: Cluster, height: int) -> Block:
    """Return a well-formed block of about 1 MB for a height to come."""
    tip = cluster.checker.blocks[-1]
    parent = decode_execution_block(tip.execution_rlp).header
    attributes = PayloadAttributes(
        timestamp=parent.timestamp + cluster.period_s,
        fee_recipient=parent.beneficiary,
        prev_randao=parent.mix_hash,
        withdrawals=(),
        parent_beacon_block_root=tip.hash,
        gas_limit=parent.gas_limit,
    )
    transactions = [b"\x02" + cluster.random.randbytes(130_000) for _ in range(8)]
    header = execute_block(parent, attributes, transactions)
    return Block(
        header=dataclasses.replace(tip.header, height=Height(height), execution_hash=header.hash),
        execution_rlp=encode_execution_block(header, transactions, ()),
        parent_certificate=tip.parent_certificate,
    )


FLOODS: Final[dict[str, Scenario]] = {
    "far-round-changes": Scenario(
        rows=(11,),
        claim="round changes of one liar to a million rounds move nobody and fill nobody's memory",
        draw=drawing(4),
        play=_far_round_changes,
    ),
    "far-votes": Scenario(
        rows=(12,),
        claim="votes for a hundred thousand rounds and heights to come, and proposals of 1 MB, cost under a tenth of the heights",
        draw=drawing(4),
        play=_far_votes_and_proposals,
    ),
    "repetitions": Scenario(
        rows=(12,),
        claim="a hundred thousand repetitions of what was said, and of more votes than are remembered, cost under a tenth of the heights",
        draw=drawing(4),
        play=_repetitions,
    ),
}
