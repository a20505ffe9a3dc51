"""Between peers and consensus: what p2p asks of the node, and what the driver asks of p2p.

Peers are node ids in p2p and text in the driver; this is where they meet. Nothing here decides anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.forks import ForkId as ChainForkId
from metanode.consensus.messages import Commit, Decision, Prepare, Proposal, RoundChange
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput
from metanode.node.ports import Reception
from metanode.node.sync import encode_decided
from metanode.p2p.enode import NodeId
from metanode.p2p.ports import ForkId, OpeningMessages, PeerInfo, Priority, Tip, Verdict
from metanode.p2p.reputation import Offence
from metanode.primitives.types import ZERO_HASH, Address, Hash32, Height

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metanode.chain.genesis import Genesis
    from metanode.consensus.messages import Message
    from metanode.execution.embedded import EmbeddedExecution
    from metanode.node.driver import Driver
    from metanode.p2p.network import Network
    from metanode.storage.node_store import NodeStore

OPENING_BATCHES_MAX: Final = 8
"""Batches of pending transactions that a new peer gets at once: a megabyte; the rest reaches it with the next blocks."""
BATCH_BYTES_MAX: Final = 128 * 1024


class PeerStatus:
    """p2p's ChainView: what our side of a handshake says, and what we accept of the other's."""

    def __init__(self, genesis: Genesis, driver: Driver) -> None:
        self._genesis = genesis
        self._driver = driver

    @property
    def genesis_hash(self) -> Hash32:
        """The consensus genesis hash."""
        return self._genesis.hash

    @property
    def network_id(self) -> int:
        """The chain id, as `net_version` says too."""
        return self._genesis.chain_id

    @property
    def chain_id(self) -> int:
        """EIP-155's."""
        return self._genesis.chain_id

    def tip(self) -> Tip:
        """The newest decided block; it may be on its way to the disk. What it claims proves nothing."""
        certificate = self._driver.tip.certificate
        return Tip(
            height=self._driver.tip.header.height,
            certificate_hash=keccak256(certificate.encode()) if certificate else ZERO_HASH,
        )

    def fork_id(self) -> ForkId:
        """Ours, at the tip."""
        header = self._driver.tip.header
        ours = self._genesis.rules.fork_id(height=header.height, timestamp=header.timestamp)
        return ForkId(hash=ours.hash, next=ours.next)

    def accepts_fork(self, fork_id: ForkId) -> bool:
        """Whether a peer with this identifier can follow the same chain."""
        header = self._driver.tip.header
        remote = ChainForkId(hash=fork_id.hash, next=fork_id.next)
        try:
            self._genesis.rules.validate_fork_id(remote, height=header.height, timestamp=header.timestamp)
        except InvalidInput:
            return False
        return True

    def validators(self) -> frozenset[Address]:
        """The validators of the current and the next set."""
        state = self._driver.tip.state
        return frozenset((*state.validators.addresses, *state.next_validators.addresses))


class PeerHandlers:
    """p2p's NodeHandlers."""

    def __init__(
        self, *, driver: Driver, store: NodeStore, execution: EmbeddedExecution, is_validator: bool
    ) -> None:
        self._driver = driver
        self._store = store
        self._execution = execution
        self._is_validator = is_validator

    def upon_consensus_message(self, raw: bytes, peer: NodeId) -> Verdict:
        """See NodeHandlers."""
        match self._driver.receive(raw, peer.hex()):
            case Reception.RELAY:
                return Verdict.RELAY
            case Reception.DROP:
                return Verdict.DROP
            case Reception.MALFORMED:
                return Verdict.MALFORMED

    def upon_certificate(self, height: Height, certificate: bytes, peer: NodeId) -> Verdict:
        """See NodeHandlers. The core judges it; peers hear of the decision from us when it is ours."""
        try:
            decoded = Certificate.decode(certificate)
        except InvalidInput:
            return Verdict.MALFORMED
        if decoded.height != height:
            return Verdict.MALFORMED
        self._driver.upon_certificate(decoded, peer.hex())
        return Verdict.DROP

    async def upon_transactions(self, batch: bytes, peer: PeerInfo) -> Verdict:
        """See NodeHandlers. Between validators only what came from elsewhere is handed on (docs/spec/peers.md, Who hears what)."""
        relay = not (self._is_validator and peer.is_validator)
        try:
            taken = await self._execution.submit_batch(batch, relay=relay)
        except InvalidInput:
            return Verdict.MALFORMED
        return Verdict.RELAY if taken and not self._is_validator else Verdict.DROP

    def upon_peer_ready(self, peer: PeerInfo) -> None:
        """See NodeHandlers."""
        validator = peer.proven if peer.is_validator else None
        self._driver.upon_peer_status(
            peer.node_id.hex(), validator=validator, certificate=None, height=peer.height
        )

    def upon_peer_gone(self, peer: PeerInfo) -> None:
        """See NodeHandlers."""
        self._driver.upon_peer_gone(peer.node_id.hex())

    def opening_messages(self) -> OpeningMessages:
        """See NodeHandlers."""
        certificate = self._driver.tip.certificate
        batches = self._execution.engine.pending_batches(BATCH_BYTES_MAX)
        return OpeningMessages(
            certificate=None if certificate is None else (certificate.height, certificate.encode()),
            consensus=[(raw, Priority.VOTE) for raw in self._driver.own_messages()],
            transactions=batches[:OPENING_BATCHES_MAX],
        )

    async def blocks(self, first: Height, count: int, bytes_max: int) -> Sequence[bytes]:
        """See NodeHandlers."""
        found: list[bytes] = []
        size = 0
        for entry in await self._store.heights(first, count, bytes_max=bytes_max):
            # The store counts what it has itself; old payloads are the engine's, and may be large too.
            if size >= bytes_max:
                break
            block = entry.block if entry.block is not None else await self._old_block(entry.header.height)
            if block is None:
                break
            found.append(encode_decided(block, entry.certificate))
            size += len(found[-1])
        return found

    async def body(self, block_hash: Hash32) -> bytes | None:
        """See NodeHandlers."""
        return self._driver.find_body(block_hash) or await self._store.body(block_hash)

    async def _old_block(self, height: Height) -> bytes | None:
        payload = await self._execution.payload(height)
        return None if payload is None else await self._store.old_block(height, payload.execution_rlp)


class ConsensusLink:
    """The driver's Network. It is made before p2p's, which needs the driver; `attach` closes the circle."""

    def __init__(self) -> None:
        self._network: Network | None = None

    def attach(self, network: Network) -> None:
        """Send through this network from now on."""
        self._network = network

    def broadcast(self, raw: bytes, message: Message, *, is_repeat: bool) -> None:  # noqa: ARG002 - p2p sees it by itself
        """See node.ports.Network. What is said before the network is up is said again with the first connection."""
        if self._network is not None:
            self._network.broadcast(raw, priority_of(message))

    def send(self, peer: str, raw: bytes, message: Message) -> None:
        """See node.ports.Network."""
        if self._network is not None:
            self._network.send(NodeId(bytes.fromhex(peer)), raw, priority_of(message))

    def charge(self, peer: str) -> None:
        """See node.ports.Network."""
        if self._network is not None:
            self._network.report(NodeId(bytes.fromhex(peer)), Offence.FALSE_CERTIFICATE)

    async def request_block(
        self,
        height: Height,  # noqa: ARG002 - the hash says it
        block_hash: Hash32,
        holders: tuple[Address, ...],
    ) -> bytes | None:
        """See node.ports.Network. A peer that sends something else is charged, so that the next question goes to another one."""
        if self._network is None:
            return None

        def is_the_block(raw: bytes) -> bool:
            try:
                return Block.decode(raw, expected=block_hash).hash == block_hash
            except InvalidInput:
                return False

        return await self._network.request_body(block_hash, accept=is_the_block, holders=holders)

    def announce(self, block: Block, certificate: Certificate) -> None:
        """Tell peers that a block is final here."""
        if self._network is not None:
            self._network.announce_decided(block.height, certificate.encode())


def priority_of(message: Message) -> Priority:
    """Which outbound message goes first."""
    match message:
        case Prepare() | Commit() | RoundChange():
            return Priority.VOTE
        case Proposal() | Decision():
            return Priority.PROPOSAL
    assert_never(message)
