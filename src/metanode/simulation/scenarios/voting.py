"""Votes on membership, whatever the operators wish. Row 35 of docs/evidence/catalogue.md.

The sets are worked out here again from the votes in the headers, by Besu's rules and in the plainest way.
"""

from collections.abc import Sequence
from typing import Final

from metanode.chain.block import Block
from metanode.chain.validators import ValidatorSet
from metanode.primitives.types import Address, Height
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import Scenario, drawing, require

EPOCH: Final = 17
HEIGHTS: Final = 60


def count_votes(genesis: Sequence[Address], blocks: Sequence[Block], epoch: int) -> list[frozenset[Address]]:
    """Return the set of each height from 1 to the one after the last block."""
    current = set(genesis)
    sets = [frozenset(current)]
    votes: dict[tuple[Address, Address], bool] = {}
    for block in blocks:
        vote, voter = block.header.vote, block.header.proposer
        if block.height % epoch == 0:
            votes.clear()
        elif vote is not None:
            votes[vote.subject, voter] = vote.add
            agreeing = [
                by
                for (subject, by), add in votes.items()
                if subject == vote.subject and add == vote.add and by in current
            ]
            if len(agreeing) > len(current) // 2:
                (current.add if vote.add else current.discard)(vote.subject)
                gone = None if vote.add else vote.subject
                votes = {
                    (subject, by): add
                    for (subject, by), add in votes.items()
                    if subject != vote.subject and by != gone
                }
        sets.append(frozenset(current))
    return sets


async def _changing_minds(cluster: Cluster) -> None:
    """Every few heights some validators wish somebody in or out: a majority or not, themselves, the next proposer, in the middle of an epoch."""
    addresses = [node.key.address for node in cluster.nodes]
    draw = cluster.random
    async with cluster.running():
        while cluster.height < HEIGHTS:
            state = cluster.checker.state_before(Height(cluster.height + 1))
            members = state.validators
            if draw.random() < 0.3:
                subject = cluster.nodes[cluster.proposer(cluster.height + 1, draw.randint(0, 1))].key.address
            else:
                subject = draw.choice(addresses)
            # Three stay, so that a seat which moves is not the only one.
            add = subject not in members or (len(members) <= 3 and draw.random() < 0.9)
            share = draw.choice([0.3, 0.5, 0.6, 1.0, 1.0])
            for node in cluster.nodes:
                wish = {subject: add} if draw.random() < share else {}
                if draw.random() < 0.15:
                    wish[subject] = not add
                if draw.random() < 0.2:
                    wish[draw.choice(addresses)] = draw.random() < 0.5
                node.driver.set_wishes(wish)
            await cluster.wait_height(cluster.height + draw.randint(2, 7), within_s=200)
    sets = count_votes(cluster.rules.parameters.validators.addresses, cluster.checker.blocks, EPOCH)
    for node in cluster.nodes:
        for block in node.disk.blocks:
            members = ValidatorSet.of_addresses(sets[block.height - 1])
            require(
                block.header.validators_hash == members.hash,
                f"node {node.index}: the set of height {block.height} is not the one that was voted for",
            )
    votes = sum(1 for block in cluster.checker.blocks if block.header.vote is not None)
    require(votes >= 5, f"only {votes} votes were cast")
    on_epochs = [b for b in cluster.checker.blocks if b.height % EPOCH == 0 and b.header.vote is not None]
    require(not on_epochs, "the first block of an epoch carries a vote")


VOTING: Final[dict[str, Scenario]] = {
    "changing-minds": Scenario(
        rows=(35,),
        claim="whoever is voted in or out, the sets of all nodes are those that Besu's rules give at every height",
        draw=lambda seed, _wanted, rule: Cluster(
            seed=seed,
            rule=rule,
            validators=4,
            candidates=2,
            epoch_length=EPOCH,
            faults=drawing(4)(seed, None, rule).network.faults,
        ),
        play=_changing_minds,
    ),
}
