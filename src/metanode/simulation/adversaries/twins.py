"""Twins: a validator as two whole, honest instances with one key, and a partition of all instances for each round.

Two instances that hear different things propose, vote and change rounds twice in one place, and forget what the other one knew: that
covers equivocation, double votes and lost state without anybody's having to think of them (Bano et al., Twins, 2020).
"""

import asyncio
import random
from dataclasses import dataclass, field

from metanode.consensus.messages import Message, SignedMessage
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
    lasts_s: float = 20.0
    """From the first message of a round on; then they pass, as those who fell behind need them, and a later round waits for a quorum to come to it."""
    _first_seen: dict[tuple[int, int], float] = field(default_factory=dict)
    _drawn: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)

    def __call__(self, sender: int, receiver: int, message: Message) -> bool:
        """Tell whether a message passes."""
        if message.height > self.heights or message.round >= self.rounds:
            return True
        if self._is_over(message):
            return True
        groups = self._groups(message.height, message.round)
        return groups[sender] == groups[receiver]

    def _is_over(self, message: Message) -> bool:
        now = asyncio.get_running_loop().time()
        return now - self._first_seen.setdefault((message.height, message.round), now) > self.lasts_s

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
        # Instances that met, or heard each other, would stop: see metanode.consensus.phases.guarding.
        cluster.network.strangers |= {pair, pair[::-1]}
    keys = [node.key.address for node in cluster.nodes]

    def not_its_own_key(sender: int, receiver: int, message: Message) -> bool:
        return not (
            isinstance(message, SignedMessage) and message.author == keys[receiver] and sender != receiver
        )

    cluster.network.filters.append(not_its_own_key)
    return pairs
