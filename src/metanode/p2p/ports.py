"""What the network needs of the rest of the node, and what it calls there.

`node.app` hands in one object for each Protocol. All methods that are not coroutines are called in the event loop, must not block, and
take well under a millisecond.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Protocol

from metanode.p2p.enode import NodeId
from metanode.primitives.types import Address, Hash32, Height


class Priority(IntEnum):
    """Which outbound message goes first (docs/spec/peers.md, Messages).

    The numbers are the order. Those up to CERTIFICATE travel with a consensus message, so that whoever relays it gives it the same place.
    """

    VOTE = 0
    """Prepare, commit, round change."""
    PROPOSAL = 1
    """The signed head of a proposal."""
    PART = 2
    """Bodies: whatever is cut into parts."""
    CERTIFICATE = 3
    TRANSACTIONS = 4
    SYNC = 5


class Verdict(Enum):
    """What the node thinks of a message a peer sent."""

    RELAY = auto()
    """New and good: remember it, and hand it on."""
    DROP = auto()
    """Nobody's fault (old, too early, known, no room): not remembered, so that it may come again."""
    MALFORMED = auto()
    """Bytes that no correct node sends or relays: charged to the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkId:
    """Which forks a node has passed and which comes next, as EIP-2124 with times instead of block numbers."""

    hash: bytes
    """4 bytes: CRC-32 of the genesis hash and the passed forks' times."""
    next: int
    """Time of the next fork, 0 when none is planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The highest block that a node has decided."""

    height: Height
    certificate_hash: Hash32
    """keccak256 of the certificate it has for it; zero at genesis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """A connected peer as the rest of the node sees it."""

    node_id: NodeId
    address: str
    """`host:port` of the other end of the connection."""
    client: str
    is_inbound: bool
    is_static: bool
    proven: Address | None
    """The address whose key it proved to hold on this connection; it may stand for election only."""
    is_validator: bool
    """Whether that address is in the current or next set."""
    height: Height
    """The highest height it claims; proves nothing."""
    clock_skew_ms: int
    """How far its wall clock is ahead of ours, half a round trip taken off."""
    round_trip_ms: int
    connected_s: float
    capability: str = "mtn/1"


class ChainView(Protocol):
    """What the handshake with a peer is about."""

    @property
    def genesis_hash(self) -> Hash32:
        """The consensus genesis hash."""
        ...

    @property
    def network_id(self) -> int:
        """What `net_version` says."""
        ...

    @property
    def chain_id(self) -> int:
        """EIP-155's."""
        ...

    def tip(self) -> Tip:
        """Return the highest block that we have decided."""
        ...

    def fork_id(self) -> ForkId:
        """Return ours, at the tip."""
        ...

    def accepts_fork(self, fork_id: ForkId) -> bool:
        """Whether a peer with this fork id can be on our chain (EIP-2124's rules)."""
        ...

    def validators(self) -> frozenset[Address]:
        """Return the validators of the current and the next set."""
        ...


class ProofSigner(Protocol):
    """The validator key, as far as peers concern it; None in its place for a node that validates nothing."""

    @property
    def address(self) -> Address:
        """The validator's."""
        ...

    def sign_proof(self, digest: bytes) -> bytes:
        """Return the 65-byte signature of a digest whose domain is `proofs` or `records`; no consensus message has such a digest."""
        ...


class NodeHandlers(Protocol):
    """What peers bring, and what they ask for."""

    def upon_consensus_message(self, raw: bytes, peer: NodeId) -> Verdict:
        """A consensus message that was not seen before, or was dropped before."""
        ...

    def upon_certificate(self, height: Height, certificate: bytes, peer: NodeId) -> Verdict:
        """A peer says that a height is decided. RELAY means that the certificate proved it."""
        ...

    async def upon_transactions(self, batch: bytes, peer: PeerInfo) -> Verdict:
        """A batch of transactions, one RLP list; calls do not overlap. RELAY when some were new."""
        ...

    def upon_peer_ready(self, peer: PeerInfo) -> None:
        """The status of a peer fits ours."""
        ...

    def upon_peer_gone(self, peer: PeerInfo) -> None:
        """A peer that was ready is not connected any more."""
        ...

    def opening_messages(self) -> "OpeningMessages":
        """Return what a new peer is sent at once, before its status has come."""
        ...

    async def blocks(self, first: Height, count: int, bytes_max: int) -> Sequence[bytes]:
        """Return consecutive decided blocks, each with its certificate in the sync encoding of the node, from `first`.

        At most `count`; no further one once `bytes_max` is reached; empty when the first is unknown.
        """
        ...

    async def body(self, block_hash: Hash32) -> bytes | None:
        """Return the body of a block that we proposed, prepared or decided."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningMessages:
    """What resumes the work of a height after a connection was lost."""

    certificate: tuple[Height, bytes] | None = None
    """The tip's."""
    consensus: Sequence[tuple[bytes, Priority]] = ()
    """Our own messages of the current height."""
    transactions: Sequence[bytes] = ()
    """Pending ones, in batches."""
