"""A validator that keeps something from some: bodies of blocks, votes, round changes."""

import dataclasses
from collections.abc import Callable, Collection

from metanode.consensus.messages import Message, Proposal
from metanode.simulation.adversaries.corruption import corrupt
from metanode.simulation.cluster import Cluster


def withhold(cluster: Cluster, index: int, withholds: Callable[[int, Message], bool]) -> None:
    """Let a validator send nothing of what `withholds(receiver, message)` names; it does the rest as an honest one."""
    liar = corrupt(cluster, index)

    def keep(message: Message) -> list[tuple[int, Message]]:
        return [(other, message) for other in range(len(cluster.nodes)) if not withholds(other, message)]

    liar.mischief = keep


def withhold_bodies(
    cluster: Cluster, index: int, *, told: Collection[int] = (), heights: Collection[int] | None = None
) -> None:
    """Let a validator propose without the body, but to those `told`, and answer nobody who asks for it."""
    liar = corrupt(cluster, index)

    def keep(message: Message) -> list[tuple[int, Message]]:
        everybody = range(len(cluster.nodes))
        if not isinstance(message, Proposal) or (heights is not None and message.height not in heights):
            return [(other, message) for other in everybody]
        bare = dataclasses.replace(message, block=None)
        return [(other, message if other in told else bare) for other in everybody]

    liar.mischief = keep
    liar.serves = lambda height, _block_hash: heights is not None and height not in heights
