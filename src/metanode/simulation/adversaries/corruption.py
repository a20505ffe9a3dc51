"""The one step that all adversaries begin with."""

from metanode.simulation.cluster import Cluster
from metanode.simulation.node import SimulatedNode


def corrupt(cluster: Cluster, index: int) -> SimulatedNode:
    """Let a node break any rule: the checker promises nothing of it any more."""
    liar = cluster.nodes[index]
    liar.is_byzantine = True
    return liar


def honest(cluster: Cluster) -> list[int]:
    """Return the indices of the nodes that keep the protocol."""
    return [node.index for node in cluster.nodes if not node.is_byzantine]
