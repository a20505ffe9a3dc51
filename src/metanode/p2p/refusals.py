"""Nodes that called, or were called, and are of another chain: who they are and what they say, for an operator who looks for a missing validator.

Pure. A node's word about itself is kept only as such; the address of its validator is recovered from a signature that it made for this very
connection.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from metanode.crypto.secp256k1 import recover_address
from metanode.errors import InvalidSignature
from metanode.p2p import proofs
from metanode.p2p.enode import NodeId
from metanode.p2p.protocol import Status
from metanode.primitives.types import Address, Hash32

REFUSALS_MAX: Final = 32
"""The latest; a network whose validators run two genesis files has not more halves than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One node of another chain."""

    node_id: NodeId
    address: str
    """`host:port` of the connection's other end."""
    client: str
    reason: str
    """What differs: "genesis", "network" or "fork"."""
    genesis_hash: Hash32
    chain_id: int
    validator: Address | None
    """Whose key it has proven to hold."""
    times: int
    at_s: float
    """Of the last time, by a monotonic clock."""


class Refusals:
    """The latest refused nodes. Owner: the network."""

    def __init__(self) -> None:
        self._kept: OrderedDict[NodeId, Refusal] = OrderedDict()

    def all(self) -> list[Refusal]:
        """Return them, the latest last."""
        return list(self._kept.values())

    def add(self, refusal: Refusal) -> None:
        """Keep one; a node that comes again is counted."""
        known = self._kept.pop(refusal.node_id, None)
        self._kept[refusal.node_id] = replace(refusal, times=1 if known is None else known.times + 1)
        if len(self._kept) > REFUSALS_MAX:
            self._kept.popitem(last=False)

    def forget(self, node_id: NodeId) -> None:
        """A node has come with the right chain."""
        self._kept.pop(node_id, None)


def claimed_validator(status: Status, *, prover: NodeId, verifier: NodeId, session: bytes) -> Address | None:
    """Return whose key a node of another chain holds, by its own chain's domain; None when it proves none."""
    if status.proof is None:
        return None
    digest = proofs.proof_digest(status.genesis_hash, status.chain_id, prover, verifier, session)
    try:
        return recover_address(digest, status.proof)
    except InvalidSignature:
        return None
