"""Twins: a validator as two whole, honest instances with one key, and a partition of all instances for each round.

Two instances that hear different things propose, vote and change rounds twice in one place, and forget what the other one knew: that
covers equivocation, double votes and lost state without anybody's having to think of them (Bano et al., Twins, 2020).
"""

import random
from dataclasses import dataclass, field

from metanode.consensus.messages import Message
from metanode.simulation.adversaries.corruption import corrupt
from metanode.simulation.cluster import Cluster


@dataclass(slots=True)
class RoundPartitions:
    """Who hears whom in each round of each height: drawn once for each, from the seed. A filter of the network."""

    seed: int
    nodes: int
    heights: int
    """Heights after which everybody hears everybody."""
    rounds: int
    """Rounds after which everybody hears everybody."""
    groups_max: int = 2
    _drawn: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)

    def __call__(self, sender: int, receiver: int, message: Message) -> bool:
        """Tell whether a message passes."""
        if message.height > self.heights or message.round >= self.rounds:
            return True
        groups = self._groups(message.height, message.round)
        return groups[sender] == groups[receiver]

    def _groups(self, height: int, round_: int) -> tuple[int, ...]:
        found = self._drawn.get((height, round_))
        if found is None:
            draw = random.Random(f"{self.seed} {height} {round_}")
            found = tuple(draw.randrange(self.groups_max) for _ in range(self.nodes))
            self._drawn[height, round_] = found
        return found


def twin(cluster: Cluster) -> list[tuple[int, int]]:
    """Corrupt every validator that has a second instance; return the pairs."""
    first_of = {node.key.address: node.index for node in reversed(cluster.nodes)}
    pairs = [
        (first_of[node.key.address], node.index)
        for node in cluster.nodes
        if first_of[node.key.address] != node.index
    ]
    for pair in pairs:
        for index in pair:
            corrupt(cluster, index)
    return pairs
