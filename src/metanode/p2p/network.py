"""The network as the rest of the node sees it: listening, dialling, peers, gossip and requests.

`Network.run` owns every task below it; each peer and each dial loop is one. All state is touched in the event loop only. What a message means is not known
here: consensus messages, certificates, transactions and blocks are bytes that go to `NodeHandlers`, whose verdicts decide who hears of them next.

How consensus messages spread: who signs one pushes it to everybody (`broadcast`). Who gets it hands it on at once, except from validator to
validator, where everybody has it from its author in all likelihood: there it is announced a little later, and sent to those who ask.
"""

import asyncio
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from random import Random
from typing import Final

import structlog

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import recover_address
from metanode.errors import InvalidInput, MetanodeError
from metanode.p2p import proofs, protocol
from metanode.p2p.dialer import Target
from metanode.p2p.discv4.discovery import Discovery
from metanode.p2p.discv4.packets import Contact, Endpoint, unmapped
from metanode.p2p.discv4.record import format_record
from metanode.p2p.discv4.service import DiscoveryService
from metanode.p2p.enode import Enode, NodeId, format_address
from metanode.p2p.errors import PeerFault, PeerUnavailable
from metanode.p2p.gossip import SEEN_MAX, Assemblies, HashSet, Kept, RecentMessages
from metanode.p2p.peer import Peer, Request, TooManyRequests
from metanode.p2p.pins import MemoryPeerStore, PeerStore
from metanode.p2p.ports import ChainView, NodeHandlers, PeerInfo, Priority, ProofSigner, Verdict
from metanode.p2p.proofs import ValidatorRecord
from metanode.p2p.protocol import (
    Announce,
    Certificate,
    Consensus,
    GetBlocks,
    GetBody,
    Heartbeat,
    Large,
    Message,
    Part,
    Records,
    Response,
    Status,
    Transactions,
    Want,
)
from metanode.p2p.queue import Outbound, prepare
from metanode.p2p.records import RecordBook
from metanode.p2p.reputation import Offence, Reputation
from metanode.p2p.requests import UnaskedResponse
from metanode.p2p.rlpx.connection import ConnectionLimits, Ready, RLPxConnection
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.primitives import rlp
from metanode.primitives.types import Address, Hash32, Height

log = structlog.get_logger(__name__)

MAINTENANCE_INTERVAL_S: Final = 0.25
HEARTBEAT_INTERVAL_S: Final = 10.0
ANNOUNCE_DELAY_S: Final = 0.05
"""Between validators a message that was heard is announced so much later, together with others."""
CERTIFICATE_DELAY_S: Final = 0.3
"""A validator that has not said the new height by then is sent its certificate."""
CONNECT_TIMEOUT_S: Final = 5.0
INBOUND_INTERVAL_S: Final = 30.0
"""The same address may not call again within this (go-ethereum's); loopback and the addresses of needed peers may."""
INBOUND_ADDRESSES_MAX: Final = 4096
DUPLICATE_S: Final = 5.0
"""A second connection that comes so late after the first is a peer that has lost the first one."""
BODY_TIMEOUT_S: Final = 2.0
BLOCKS_TIMEOUT_S: Final = 10.0
TRANSACTIONS_QUEUE_MAX: Final = 256
"""Batches that wait for the pool; more are dropped, their senders' peers have them too."""
DISCOVERED_MAX: Final = 256
DISCOVERED_RETRY_S: Final = 30.0
DISCOVERED_AT_ONCE_MAX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Where to listen, whom to call, and how many to bear."""

    key: NodeKey
    client: str
    """Name and version, as `metanode/v0.1.0/linux`."""
    listen_host: str = "127.0.0.1"
    listen_port: int = 30303
    """Of the stream; 0 lets the system choose."""
    discovery_port: int | None = None
    """Of the datagrams; the stream's when None."""
    advertised_host: str | None = None
    """Name or address under which others reach us; the listening one when None and that is not all addresses."""
    peers: tuple[Enode, ...] = ()
    """Kept connected; discovery starts from them."""
    discovers: bool = True
    """Whether to call nodes that discovery finds."""
    max_peers: int = 25
    """Not counting validators and `peers`, whose places are reserved."""
    max_pending: int = 50
    """Connections whose status has not come."""
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    status_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStatistics:
    """Counters since the start, and the present state, for metrics and `admin_nodeInfo`."""

    peers_inbound: int
    peers_outbound: int
    peers_validators: int
    pending: int
    queued_bytes: int
    assembling_bytes: int
    known_nodes: int
    bytes_in: int
    bytes_out: int
    messages_in: dict[str, int]
    messages_out: int
    dropped_out: int
    dials_failed: int
    refused_inbound: int
    datagrams_in: int
    datagrams_out: int
    disconnects: dict[tuple[str, str], int]
    """By (reason, "us" or "peer")."""
    offences: dict[str, int]
    transactions_dropped: int


class Network:
    """See the module."""

    def __init__(
        self,
        config: NetworkConfig,
        *,
        chain: ChainView,
        handlers: NodeHandlers,
        signer: ProofSigner | None = None,
        store: PeerStore | None = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._chain = chain
        self._handlers = handlers
        self._signer = signer
        self._store = store or MemoryPeerStore()
        self._random = random or Random(os.urandom(16))  # noqa: S311 - jitter and lookup targets, no secrets
        self._wall_clock = wall_clock
        self._own_id = NodeId(config.key.node_id)
        self._group: asyncio.TaskGroup | None = None
        self._discovery: DiscoveryService | None = None
        self._port = config.listen_port
        self._connections: set[Peer] = set()
        """Every open connection."""
        self._peers: dict[NodeId, Peer] = {}
        """The one connection that counts of each node, from its hello on."""
        self._targets: dict[str, tuple[Target, asyncio.Task[None]]] = {}
        """Dial loops by `enode://` text."""
        self._static: dict[str, Enode] = {str(enode): enode for enode in config.peers}
        self._book = RecordBook(chain.genesis_hash, chain.chain_id)
        self._reputation = Reputation()
        self._seen = HashSet(SEEN_MAX)
        self._recent = RecentMessages()
        self._assemblies = Assemblies()
        self._announced: dict[Peer, list[Hash32]] = {}
        self._announce_woken = asyncio.Event()
        self._transactions: asyncio.Queue[tuple[bytes, Peer]] = asyncio.Queue(TRANSACTIONS_QUEUE_MAX)
        self._seen_batches = HashSet(SEEN_MAX)
        self._certificate: tuple[Height, bytes, float] | None = None
        self._inbound: OrderedDict[str, float] = OrderedDict()
        self._needed_ips: OrderedDict[str, None] = OrderedDict()
        self._discovered: OrderedDict[NodeId, tuple[Contact, float]] = OrderedDict()
        self._dialling: set[NodeId] = set()
        self._blocks_turn = 0
        self.ready = asyncio.Event()
        """Set once the sockets are open."""
        self._disconnects: Counter[tuple[str, str]] = Counter()
        self._offences: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._sent = 0
        self._dropped = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._dials_failed = 0
        self._refused_inbound = 0
        self._transactions_dropped = 0

    # What the node asks of the network.

    @property
    def own_id(self) -> NodeId:
        """Our node id."""
        return self._own_id

    @property
    def enode(self) -> Enode:
        """Our own address as others are to use it; its ports are right once `ready` is set."""
        host = self._config.advertised_host or self._config.listen_host
        if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
            host = "127.0.0.1"
        return Enode(node_id=self._own_id, host=host, tcp_port=self._port, udp_port=self._udp_port())

    @property
    def record(self) -> str:
        """Our node record as `enr:` text; empty before the sockets are open."""
        return format_record(self._discovery.discovery.record) if self._discovery is not None else ""

    def peers(self) -> list[PeerInfo]:
        """Return the peers whose status fits ours."""
        validators = self._chain.validators()
        return [peer.info(validators) for peer in self._ready_peers()]

    def broadcast(self, raw: bytes, priority: Priority) -> None:
        """Push a consensus message of ours to every peer; repeating one sends it again to those who may have missed it."""
        digest = keccak256(raw)
        self._seen.add(digest)
        self._recent.add(Kept(priority=priority, digest=digest, raw=raw))
        if len(raw) <= protocol.SMALL_BYTES_MAX:
            outbounds = [prepare(Consensus(priority=priority, raw=raw))]
        else:
            outbounds = [prepare(message) for message in protocol.large_messages(priority, digest, raw)]
        for peer in self._recipients():
            if len(outbounds) > 1 and digest in peer.known:
                # It was sent, or has announced it itself: ask before it is sent once more.
                self._announce(peer, digest)
            elif peer.push(*outbounds):
                peer.known.add(digest)

    def send(self, node_id: NodeId, raw: bytes, priority: Priority = Priority.VOTE) -> None:
        """Send a consensus message to one peer; nothing happens when it is not connected."""
        peer = self._peers.get(node_id)
        if peer is not None and peer.is_ready:
            self._push_message(peer, Kept(priority=priority, digest=keccak256(raw), raw=raw))

    def broadcast_transactions(self, batch: bytes) -> None:
        """Send transactions that came from our own RPC, one RLP list, to every peer."""
        for piece in protocol.split_batch(batch):
            self._seen_batches.add(keccak256(piece))
            outbound = prepare(Transactions(batch=piece))
            for peer in self._ready_peers():
                peer.push(outbound)

    def announce_decided(self, height: Height, certificate: bytes) -> None:
        """Tell peers that we have decided a height, once `ChainView.tip` says so.

        Other validators have the certificate themselves in all likelihood: they get it a moment later, if they have not said so by then.
        """
        self._certificate = (height, certificate, asyncio.get_running_loop().time())
        heartbeat = prepare(self._heartbeat())
        outbound = prepare(Certificate(height=height, certificate=certificate))
        validators = self._chain.validators()
        for peer in self._ready_peers():
            if self._is_lazy(peer, validators):
                peer.push(heartbeat)
            elif peer.height < height:
                peer.push(outbound)
                peer.offered = height

    async def request_body(
        self, block_hash: Hash32, accept: Callable[[bytes], bool] | None = None
    ) -> bytes | None:
        """Return the body of a block, asked for at one peer after the other, validators first; None when nobody has it.

        `accept` says whether a body is the right one: a peer that sends another is charged, and the next one asked.
        """
        validators = self._chain.validators()
        peers = sorted(
            self._ready_peers(), key=lambda p: (p.proven not in validators, -p.height, p.round_trip_s)
        )
        for peer in peers:
            try:
                body = await peer.ask(
                    protocol.LARGE_BYTES_MAX, BODY_TIMEOUT_S, GetBody, block_hash=block_hash
                )
            except PeerUnavailable:
                self._charge(peer, Offence.NO_ANSWER)
                continue
            if not body:
                continue
            if accept is None or accept(body):
                return body
            self._charge(peer, Offence.BAD_BODY)
        return None

    async def request_blocks(
        self, first: Height, count: int, node_id: NodeId | None = None
    ) -> tuple[NodeId, list[bytes]]:
        """Return (who answered, decided blocks from `first`, at least one), each with its certificate in the node's sync encoding.

        Asks `node_id`, else in turn the peers that claim the height. Raises PeerUnavailable when nobody delivers. What the blocks are worth is for
        the caller to find out, and to `report`.
        """
        count = min(count, protocol.BLOCKS_MAX)
        if node_id is None:
            peers = [peer for peer in self._ready_peers() if peer.height >= first]
            self._blocks_turn += 1
            turn = self._blocks_turn % len(peers) if peers else 0
            peers = peers[turn:] + peers[:turn]
        else:
            peers = [peer for peer in self._ready_peers() if peer.node_id == node_id]
        for peer in peers:
            try:
                answer = await peer.ask(
                    protocol.RESPONSE_BYTES_MAX, BLOCKS_TIMEOUT_S, GetBlocks, first=first, count=count
                )
                blocks = protocol.decode_blocks(answer, count)
            except PeerUnavailable:
                self._charge(peer, Offence.NO_ANSWER)
                continue
            except InvalidInput as error:
                self.upon_fault(peer, error)
                continue
            if blocks:
                return peer.node_id, blocks
        raise PeerUnavailable(f"no peer has sent the blocks from {first}")

    def highest_claim(self) -> Height:
        """Return the highest height that a connected peer claims; proves nothing, and falls when that peer goes."""
        return max((peer.height for peer in self._ready_peers()), default=Height(0))

    def report(self, node_id: NodeId, offence: Offence) -> None:
        """Charge a peer with what the node has found out about it."""
        peer = self._peers.get(node_id)
        if peer is not None:
            self._charge(peer, offence)

    def add_peer(self, enode: Enode) -> bool:
        """Keep a peer connected from now on; return whether it is new (`admin_addPeer`)."""
        if str(enode) in self._static or enode.node_id == self._own_id:
            return False
        self._static[str(enode)] = enode
        return True

    def remove_peer(self, enode: Enode) -> bool:
        """Do not keep a peer connected, and disconnect it; return whether it was kept (`admin_removePeer`)."""
        was_static = self._static.pop(str(enode), None) is not None
        peer = None if enode.node_id is None else self._peers.get(enode.node_id)
        if peer is not None:
            peer.disconnect(DisconnectReason.REQUESTED)
        return was_static

    async def publish_record(self, seq: int, endpoints: tuple[Enode, ...] | None = None) -> ValidatorRecord:
        """Sign our validator record, keep it and tell everybody; `endpoints` are our sentries', if we are behind some."""
        assert self._signer is not None
        record = proofs.sign_record(
            self._signer,
            genesis_hash=self._chain.genesis_hash,
            chain_id=self._chain.chain_id,
            node_id=self._own_id,
            endpoints=endpoints or (self.enode,),
            seq=seq,
        )
        if self._book.add(record, self._chain.validators() | {record.address}):
            await self._store.save_record(record.address, rlp.encode(proofs.encode_record(record)))
            self._send_to_all(Records(records=(record,)))
        return record

    def records(self) -> list[ValidatorRecord]:
        """Return the validator records we know."""
        return self._book.all()

    def statistics(self) -> NetworkStatistics:
        """Return the counters and the present state."""
        ready = self._ready_peers()
        validators = self._chain.validators()
        received = Counter(self._received)
        for peer in self._connections:
            received.update(peer.received)
        return NetworkStatistics(
            peers_inbound=sum(peer.is_inbound for peer in ready),
            peers_outbound=sum(not peer.is_inbound for peer in ready),
            peers_validators=sum(peer.proven in validators for peer in ready),
            pending=sum(not peer.is_ready for peer in self._connections),
            queued_bytes=sum(peer.queued_bytes for peer in self._connections),
            assembling_bytes=self._assemblies.bytes,
            known_nodes=len(self._discovery.discovery.table) if self._discovery is not None else 0,
            bytes_in=self._bytes_in + sum(peer.bytes_in for peer in self._connections),
            bytes_out=self._bytes_out + sum(peer.bytes_out for peer in self._connections),
            messages_in=dict(received),
            messages_out=self._sent + sum(peer.sent.total() for peer in self._connections),
            dropped_out=self._dropped + sum(peer.dropped for peer in self._connections),
            dials_failed=self._dials_failed,
            refused_inbound=self._refused_inbound,
            datagrams_in=self._discovery.datagrams_in if self._discovery is not None else 0,
            datagrams_out=self._discovery.datagrams_out if self._discovery is not None else 0,
            disconnects=dict(self._disconnects),
            offences=dict(self._offences),
            transactions_dropped=self._transactions_dropped,
        )

    # The life of the network.

    async def run(self) -> None:
        """Listen, dial and serve until cancelled; raises OSError when a port is taken."""
        await self._load_records()
        server = await asyncio.start_server(
            self._accept, self._config.listen_host, self._config.listen_port, limit=2**16
        )
        try:
            self._port = int(server.sockets[0].getsockname()[1])
            self._discovery = await self._bind_discovery()
            log.info("network_listening", enode=str(self.enode))
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._discovery.run(), name="discovery")
                group.create_task(self._maintain(), name="network maintenance")
                group.create_task(self._announce_collected(), name="announcements")
                group.create_task(self._hand_in_transactions(), name="transactions")
                self.ready.set()
        finally:
            self._group = None
            server.close()

    async def _load_records(self) -> None:
        validators = self._chain.validators()
        for raw in await self._store.load_records():
            try:
                self._book.add(proofs.decode_record(rlp.decode(raw)), validators)
            except InvalidInput as error:
                # Of another network's database, or of an older version: it is gossiped again.
                log.warning("stored_record_ignored", error=str(error)[:200])

    async def _bind_discovery(self) -> DiscoveryService:
        host = self._config.listen_host
        port = self._config.discovery_port if self._config.discovery_port is not None else self._port
        advertised = self._config.advertised_host or host
        try:
            ip = unmapped(advertised)
        except ValueError:
            ip = None
        discovery = Discovery(
            key=self._config.key,
            endpoint=Endpoint(ip=ip, udp_port=port, tcp_port=self._port),
            now=self._wall_clock(),
            random=self._random,
            fork_id=self._chain.fork_id(),
        )
        service = DiscoveryService(
            discovery, host=host, port=port, upon_node=self._upon_discovered, clock=self._wall_clock
        )
        await service.bind()
        return service

    def _udp_port(self) -> int:
        return self._port if self._config.discovery_port is None else self._config.discovery_port

    async def _maintain(self) -> None:
        """Do what is due by time: dial loops, announcements that got lost, late certificates, heartbeats."""
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + HEARTBEAT_INTERVAL_S
        while True:
            now = loop.time()
            self._update_targets()
            self._dial_discovered(now)
            for node_id, digest in self._assemblies.overdue(now):
                peer = self._peers.get(node_id)
                if peer is not None and peer.is_ready:
                    peer.send(Want(digests=(digest,)))
            self._send_late_certificates(now)
            if now >= heartbeat_at:
                heartbeat_at = now + HEARTBEAT_INTERVAL_S
                self._send_to_all(self._heartbeat())
            await asyncio.sleep(MAINTENANCE_INTERVAL_S)

    def _update_targets(self) -> None:
        """Start and end dial loops, so that there is one for each static peer and for each endpoint of a validator."""
        assert self._group is not None
        wanted = {text: (enode, True) for text, enode in self._static.items()}
        validators = self._chain.validators()
        self._book.retain(validators | ({self._signer.address} if self._signer is not None else frozenset()))
        for record in self._book.all():
            if record.node_id != self._own_id and record.address in validators:
                for enode in record.endpoints:
                    wanted.setdefault(str(enode), (enode, False))
        for text in [text for text in self._targets if text not in wanted]:
            _, task = self._targets.pop(text)
            task.cancel()
        for text, (enode, is_static) in wanted.items():
            if text not in self._targets and enode.node_id != self._own_id:
                target = Target(enode, self, self._store, self._random, is_static=is_static)
                task = self._group.create_task(self._run_target(target), name=f"dial {enode.address}")
                self._targets[text] = (target, task)

    async def _run_target(self, target: Target) -> None:
        try:
            await target.run()
        except Exception:
            # An address must not end the node, whatever it makes us stumble over.
            log.exception("dial_loop_failed", address=target.enode.address)

    def _dial_discovered(self, now: float) -> None:
        """Call nodes that discovery has found, until half of the places are taken; the other half is for those who call us."""
        assert self._group is not None
        if not self._config.discovers:
            return
        ordinary = sum(not self._is_needed(peer) for peer in self._ready_peers())
        places = min(
            (self._config.max_peers + 1) // 2 - ordinary - len(self._dialling),
            DISCOVERED_AT_ONCE_MAX - len(self._dialling),
        )
        for node_id, (contact, retry_at) in list(self._discovered.items()):
            if places <= 0:
                return
            if (
                now < retry_at
                or node_id in self._peers
                or node_id in self._dialling
                or not self.may_dial(node_id)
            ):
                continue
            places -= 1
            self._discovered[node_id] = (contact, now + DISCOVERED_RETRY_S)
            self._dialling.add(node_id)
            self._group.create_task(self._dial_once(contact), name=f"dial {contact.ip}:{contact.tcp_port}")

    async def _dial_once(self, contact: Contact) -> None:
        try:
            await self.connect(contact.node_id, str(contact.ip), contact.tcp_port, is_static=False)
        except PeerUnavailable as error:
            log.debug("peer_dial_failed", address=f"{contact.ip}:{contact.tcp_port}", error=str(error)[:200])
        finally:
            self._dialling.discard(contact.node_id)

    def _upon_discovered(self, contact: Contact) -> None:
        if contact.tcp_port and contact.node_id != self._own_id:
            self._discovered[contact.node_id] = (contact, 0.0)
            if len(self._discovered) > DISCOVERED_MAX:
                self._discovered.popitem(last=False)

    # DialOwner.

    def may_dial(self, node_id: NodeId) -> bool:
        """Whether a node is not banned."""
        return not self._reputation.is_banned(node_id, asyncio.get_running_loop().time())

    def is_member(self, node_id: NodeId) -> bool:
        """Whether a node is a validator's, by its record or its proof."""
        validators = self._chain.validators()
        peer = self._peers.get(node_id)
        if peer is not None and peer.proven in validators:
            return True
        return any(
            node_id == record.node_id or any(node_id == enode.node_id for enode in record.endpoints)
            for record in self._book.all()
            if record.address in validators
        )

    async def wait_disconnected(self, node_id: NodeId) -> bool:
        """Return False at once when a node is not connected, else True after its connection has ended."""
        peer = self._peers.get(node_id)
        if peer is None:
            return False
        await peer.closed.wait()
        return True

    async def identify(self, ip: str, port: int) -> NodeId:
        """Return the node id behind an address."""
        assert self._discovery is not None
        return await self._discovery.identify(ip, port)

    def upon_resolved(self, enode: Enode, ip: str) -> None:
        """A target's host is at an address: it may call as often as it likes, and discovery may start there."""
        self._note_needed_ip(ip)
        if self._discovery is not None and enode.node_id != self._own_id:
            self._discovery.add_bootstrap(enode, ip)

    async def connect(self, node_id: NodeId, ip: str, port: int, *, is_static: bool) -> bool:
        """Connect and serve the connection to its end; return whether its status was good."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(ip, port, limit=2**16)
        except (OSError, TimeoutError) as error:
            self._dials_failed += 1
            detail = (
                f"no answer in {CONNECT_TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else str(error)
            )
            raise PeerUnavailable(f"{format_address(ip, port)}: {detail}") from error
        peer = self._peer(reader, writer, remote_id=node_id, is_static=is_static)
        await self._serve(peer)
        if not peer.was_ready:
            self._dials_failed += 1
            ended = peer.termination
            by = "the peer" if ended is not None and ended.by_peer else "us"
            reason = "" if ended is None else f"{ended.reason.name.lower()} by {by} {ended.detail}".rstrip()
            if node_id in self._peers:
                return False
            raise PeerUnavailable(f"{format_address(ip, port)}: {reason}")
        return True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve an inbound connection; asyncio's server owns the task, `_serve` puts it under our group."""
        refusal = self._inbound_refusal(writer)
        if refusal is not None or self._group is None:
            self._refused_inbound += 1
            log.debug("inbound_refused", reason=refusal)
            writer.transport.abort()
            return
        peer = self._peer(reader, writer, remote_id=None, is_static=False)
        self._connections.add(peer)
        self._group.create_task(self._serve(peer), name=f"{peer!r}")

    def _inbound_refusal(self, writer: asyncio.StreamWriter) -> str | None:
        """Return why an inbound connection is not served, or None."""
        if sum(not peer.is_ready for peer in self._connections) >= self._config.max_pending:
            return "too many pending connections"
        name = writer.get_extra_info("peername")
        if not name:
            return "gone already"
        ip = str(unmapped(name[0]))
        if ip_address(ip).is_loopback or ip in self._needed_ips:
            return None
        now = asyncio.get_running_loop().time()
        last = self._inbound.get(ip)
        self._inbound[ip] = now
        self._inbound.move_to_end(ip)
        if len(self._inbound) > INBOUND_ADDRESSES_MAX:
            self._inbound.popitem(last=False)
        if last is not None and now < last + INBOUND_INTERVAL_S:
            return f"{ip} calls again within {INBOUND_INTERVAL_S:g} s"
        return None

    def _peer(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        remote_id: NodeId | None,
        is_static: bool,
    ) -> Peer:
        connection = RLPxConnection(
            key=self._config.key,
            client=self._config.client,
            capability=protocol.CAPABILITY,
            now=asyncio.get_running_loop().time(),
            remote_id=remote_id,
            listen_port=self._port,
            limits=self._config.limits,
        )
        return Peer(
            connection=connection,
            reader=reader,
            writer=writer,
            owner=self,
            is_inbound=remote_id is None,
            is_static=is_static,
            status_timeout_s=self._config.status_timeout_s,
        )

    async def _serve(self, peer: Peer) -> None:
        self._connections.add(peer)
        try:
            await peer.run()
        except* Exception as group:
            # Our own mistake must cost one connection, not the node.
            log.exception("peer_session_failed", peer=repr(peer), error=repr(group.exceptions))
        finally:
            self._upon_closed(peer)

    def _upon_closed(self, peer: Peer) -> None:
        self._connections.discard(peer)
        peer.closed.set()
        self._announced.pop(peer, None)
        self._received.update(peer.received)
        self._sent += peer.sent.total()
        self._dropped += peer.dropped
        self._bytes_in += peer.bytes_in
        self._bytes_out += peer.bytes_out
        ended = peer.termination
        if ended is not None:
            self._disconnects[ended.reason.name.lower(), "peer" if ended.by_peer else "us"] += 1
        if self._peers.get(peer.node_id) is peer:
            del self._peers[peer.node_id]
            self._assemblies.upon_gone(peer.node_id)
        if peer.was_ready:
            self._handlers.upon_peer_gone(peer.info(self._chain.validators()))
        emit = log.info if peer.was_ready else log.debug
        emit(
            "peer_session",
            node=peer.node_id.hex()[:16],
            address=peer.address,
            client=peer.client[:200],
            inbound=peer.is_inbound,
            seconds=round(peer.age_s, 1),
            reason=None if ended is None else ended.reason.name.lower(),
            by="peer" if ended is not None and ended.by_peer else "us",
            detail="" if ended is None else ended.detail[:200],
        )

    # PeerOwner.

    def upon_ready(self, peer: Peer, ready: Ready) -> None:
        """Give the peer its place, or tell it that there is none, and say at once all that it needs to resume."""
        node_id = NodeId(ready.remote_id)
        if self._reputation.is_banned(node_id, asyncio.get_running_loop().time()):
            peer.disconnect(DisconnectReason.USELESS_PEER, "banned for now")
            return
        known = self._peers.get(node_id)
        if known is not None:
            if not self._replaces(peer, known):
                peer.disconnect(DisconnectReason.ALREADY_CONNECTED)
                return
            known.disconnect(DisconnectReason.ALREADY_CONNECTED, "a newer connection takes its place")
            self._assemblies.upon_gone(node_id)
        self._peers[node_id] = peer
        peer.is_static = peer.is_static or any(
            target.node_id == node_id
            for target, _ in self._targets.values()
            if str(target.enode) in self._static
        )
        peer.send(self._status(peer))
        self._send_opening(peer)

    def _replaces(self, new: Peer, known: Peer) -> bool:
        """Whether a second connection with a node is the one to keep; both ends come to the same answer.

        Who calls again has lost the first one. When both have called at the same time, the call of the larger node id is kept.
        """
        if new.is_inbound == known.is_inbound:
            return new.is_inbound
        if known.age_s - new.age_s > DUPLICATE_S:
            return True
        return new.is_inbound == (new.node_id > self._own_id)

    def upon_message(self, peer: Peer, message: Message) -> None:
        """Process a message; raises PeerFault when it is wrong."""
        if isinstance(message, Status):
            self._upon_status(peer, message)
            return
        if not peer.is_ready:
            raise PeerFault(f"{type(message).__name__.lower()}: before the status")
        now = asyncio.get_running_loop().time()
        match message:
            case Heartbeat():
                self._upon_heartbeat(peer, message)
            case Consensus():
                self._upon_consensus(peer, message.priority, message.raw)
            case Large():
                peer.known.add(message.digest)
                is_wanted = message.digest not in self._seen
                self._assemblies.upon_large(peer.node_id, message, is_wanted=is_wanted, now=now)
            case Part():
                whole = self._assemblies.upon_part(peer.node_id, message, now)
                if whole is not None:
                    self._upon_consensus(peer, *whole)
            case Announce():
                self._upon_announce(peer, message, now)
            case Want():
                for digest in message.digests:
                    kept = self._recent.get(digest)
                    if kept is not None:
                        self._push_message(peer, kept)
            case Certificate():
                self._upon_certificate(peer, message)
            case Transactions():
                self._upon_transactions(peer, message)
            case Records():
                self._upon_records(peer, message)
            case GetBlocks() | GetBody() | Response():
                raise AssertionError("requests and answers are the peer's own business")

    def upon_fault(self, peer: Peer, error: InvalidInput) -> None:
        """Charge a peer with something wrong, and disconnect it unless it is a trifle."""
        if isinstance(error, UnaskedResponse):
            self._charge(peer, Offence.UNASKED)
        elif isinstance(error, TooManyRequests):
            self._charge(peer, Offence.TOO_MANY_REQUESTS)
        elif isinstance(error, PeerFault) and error.disconnect is not DisconnectReason.PROTOCOL_BREACH:
            peer.disconnect(error.disconnect, str(error))
        else:
            self._charge(peer, Offence.MALFORMED, str(error))

    async def answer(self, request: Request) -> bytes:
        """Return the answer to a request, empty when we have none."""
        match request:
            case GetBlocks(first=first, count=count):
                blocks = await self._handlers.blocks(first, count, protocol.RESPONSE_BYTES_SOFT)
                return protocol.encode_blocks(blocks)
            case GetBody(block_hash=block_hash):
                body = await self._handlers.body(block_hash)
                return b"" if body is None or len(body) > protocol.LARGE_BYTES_MAX else body

    # Messages.

    def _status(self, peer: Peer) -> Status:
        proof = None
        if self._signer is not None:
            digest = proofs.proof_digest(
                self._chain.genesis_hash, self._chain.chain_id, self._own_id, peer.node_id, peer.session
            )
            proof = self._signer.sign_proof(digest)
        return Status(
            genesis_hash=self._chain.genesis_hash,
            network_id=self._chain.network_id,
            chain_id=self._chain.chain_id,
            fork_id=self._chain.fork_id(),
            tip=self._chain.tip(),
            time_ms=self._now_ms(),
            proof=proof,
        )

    def _send_opening(self, peer: Peer) -> None:
        """Send what resumes the current height: the tip's certificate, our own messages, pending transactions, records."""
        opening = self._handlers.opening_messages()
        if opening.certificate is not None:
            height, certificate = opening.certificate
            peer.send(Certificate(height=height, certificate=certificate))
            peer.offered = height
        for raw, priority in opening.consensus:
            kept = Kept(priority=priority, digest=keccak256(raw), raw=raw)
            self._seen.add(kept.digest)
            self._recent.add(kept)
            self._push_message(peer, kept)
        for batch in opening.transactions:
            for piece in protocol.split_batch(batch):
                peer.send(Transactions(batch=piece))
        records = self._book.all()
        for start in range(0, len(records), protocol.RECORDS_MAX):
            peer.send(Records(records=tuple(records[start : start + protocol.RECORDS_MAX])))

    def _upon_status(self, peer: Peer, status: Status) -> None:
        if peer.was_ready:
            raise PeerFault("status: sent twice")
        chain = self._chain
        if status.genesis_hash != chain.genesis_hash:
            raise PeerFault(
                f"status: genesis {status.genesis_hash.hex()}, ours is {chain.genesis_hash.hex()}",
                DisconnectReason.USELESS_PEER,
            )
        if (status.network_id, status.chain_id) != (chain.network_id, chain.chain_id):
            raise PeerFault(
                f"status: network {status.network_id} and chain {status.chain_id}, ours are {chain.network_id} and {chain.chain_id}",
                DisconnectReason.USELESS_PEER,
            )
        if not chain.accepts_fork(status.fork_id):
            raise PeerFault(
                f"status: fork id {status.fork_id.hash.hex()}/{status.fork_id.next} is of another chain or an older version",
                DisconnectReason.USELESS_PEER,
            )
        if status.proof is not None:
            digest = proofs.proof_digest(
                chain.genesis_hash, chain.chain_id, peer.node_id, self._own_id, peer.session
            )
            peer.proven = recover_address(digest, status.proof)
        if not self._is_needed(peer):
            ordinary = sum(not self._is_needed(other) for other in self._ready_peers())
            if ordinary >= self._config.max_peers:
                raise PeerFault("every place is taken", DisconnectReason.TOO_MANY_PEERS)
        peer.claimed = status.tip.height
        self._note_clock(peer, status.time_ms)
        peer.is_ready = peer.was_ready = True
        if peer.proven in chain.validators() and peer.remote_host:
            self._note_needed_ip(peer.remote_host)
        self._handlers.upon_peer_ready(peer.info(chain.validators()))

    def _upon_heartbeat(self, peer: Peer, heartbeat: Heartbeat) -> None:
        self._note_clock(peer, heartbeat.time_ms)
        if heartbeat.tip.height < peer.claimed:
            self._charge(peer, Offence.CLAIM_LOWERED, f"from {peer.claimed} to {heartbeat.tip.height}")
            return
        peer.claimed = heartbeat.tip.height

    def _upon_consensus(self, peer: Peer, priority: Priority, raw: bytes) -> None:
        digest = keccak256(raw)
        peer.known.add(digest)
        self._assemblies.forget(digest)
        if digest in self._seen:
            return
        match self._handlers.upon_consensus_message(raw, peer.node_id):
            case Verdict.RELAY:
                self._seen.add(digest)
                kept = Kept(priority=priority, digest=digest, raw=raw)
                self._recent.add(kept)
                self._relay(kept)
            case Verdict.DROP:
                pass
            case Verdict.MALFORMED:
                self._charge(peer, Offence.MALFORMED, "consensus message")

    def _relay(self, kept: Kept) -> None:
        """Hand a message on to those who do not have it."""
        validators = self._chain.validators()
        outbound: Outbound | None = None
        for peer in self._recipients():
            if kept.digest in peer.known:
                continue
            if len(kept.raw) > protocol.SMALL_BYTES_MAX or self._is_lazy(peer, validators):
                self._announce(peer, kept.digest)
            else:
                outbound = outbound or prepare(Consensus(priority=kept.priority, raw=kept.raw))
                if peer.push(outbound):
                    peer.known.add(kept.digest)

    def _push_message(self, peer: Peer, kept: Kept) -> None:
        if len(kept.raw) <= protocol.SMALL_BYTES_MAX:
            accepted = peer.push(prepare(Consensus(priority=kept.priority, raw=kept.raw)))
        else:
            messages = protocol.large_messages(kept.priority, kept.digest, kept.raw)
            accepted = peer.push(*[prepare(message) for message in messages])
        if accepted:
            peer.known.add(kept.digest)

    def _announce(self, peer: Peer, digest: Hash32) -> None:
        self._announced.setdefault(peer, []).append(digest)
        self._announce_woken.set()

    async def _announce_collected(self) -> None:
        while True:
            await self._announce_woken.wait()
            await asyncio.sleep(ANNOUNCE_DELAY_S)
            self._announce_woken.clear()
            announced, self._announced = self._announced, {}
            for peer, digests in announced.items():
                # What it has sent, or was sent, in the meantime needs no word; a repeated large message does.
                missing = [d for d in digests if d not in peer.known or self._is_large(d)]
                for start in range(0, len(missing), protocol.ANNOUNCED_MAX):
                    peer.send(Announce(digests=tuple(missing[start : start + protocol.ANNOUNCED_MAX])))

    def _is_large(self, digest: Hash32) -> bool:
        kept = self._recent.get(digest)
        return kept is not None and len(kept.raw) > protocol.SMALL_BYTES_MAX

    def _upon_announce(self, peer: Peer, announce: Announce, now: float) -> None:
        wanted = []
        for digest in announce.digests:
            peer.known.add(digest)
            if digest not in self._seen and self._assemblies.upon_announce(peer.node_id, digest, now):
                wanted.append(digest)
        if wanted:
            peer.send(Want(digests=tuple(wanted)))

    def _upon_certificate(self, peer: Peer, message: Certificate) -> None:
        verdict = self._handlers.upon_certificate(message.height, message.certificate, peer.node_id)
        match verdict:
            case Verdict.RELAY:
                peer.proved = max(peer.proved, message.height)
                outbound = prepare(message)
                validators = self._chain.validators()
                for other in self._ready_peers():
                    if (
                        other is not peer
                        and max(other.height, other.offered) < message.height
                        and not self._is_lazy(other, validators)
                    ):
                        other.push(outbound)
                        other.offered = message.height
            case Verdict.DROP:
                pass
            case Verdict.MALFORMED:
                self._charge(peer, Offence.MALFORMED, "certificate")

    def _send_late_certificates(self, now: float) -> None:
        """Send the tip's certificate to peers that have not reached it a while after we did."""
        if self._certificate is None or now < self._certificate[2] + CERTIFICATE_DELAY_S:
            return
        height, certificate, _ = self._certificate
        outbound: Outbound | None = None
        for peer in self._ready_peers():
            if max(peer.height, peer.offered) < height:
                outbound = outbound or prepare(Certificate(height=height, certificate=certificate))
                peer.push(outbound)
                peer.offered = height

    def _upon_transactions(self, peer: Peer, message: Transactions) -> None:
        digest = keccak256(message.batch)
        if digest in self._seen_batches:
            return
        self._seen_batches.add(digest)
        try:
            self._transactions.put_nowait((message.batch, peer))
        except asyncio.QueueFull:
            self._transactions_dropped += 1

    async def _hand_in_transactions(self) -> None:
        """Give batches to the pool one after the other, and relay those that brought something new."""
        while True:
            batch, peer = await self._transactions.get()
            validators = self._chain.validators()
            from_validator = peer.proven is not None and peer.proven in validators
            try:
                verdict = await self._handlers.upon_transactions(batch, peer.info(validators))
            except MetanodeError as error:
                log.warning("transactions_not_taken", error=str(error)[:200])
                continue
            if verdict is Verdict.MALFORMED:
                self._charge(peer, Offence.MALFORMED, "transactions")
            elif verdict is Verdict.RELAY:
                self._relay_transactions(batch, peer, from_validator=from_validator)

    def _relay_transactions(self, batch: bytes, source: Peer, *, from_validator: bool) -> None:
        """Hand a batch on once; from a validator to a validator never, as its author has sent it to all of them."""
        validators = self._chain.validators()
        outbound = prepare(Transactions(batch=batch))
        for peer in self._ready_peers():
            if peer is not source and not (from_validator and self._is_lazy(peer, validators)):
                peer.push(outbound)

    def _upon_records(self, peer: Peer, message: Records) -> None:
        assert self._group is not None
        validators = self._chain.validators()
        new = tuple(record for record in message.records if self._book.add(record, validators))
        if not new:
            return
        outbound = prepare(Records(records=new))
        for other in self._ready_peers():
            if other is not peer:
                other.push(outbound)
        self._group.create_task(self._save_records(new), name="save records")

    async def _save_records(self, records: Sequence[ValidatorRecord]) -> None:
        for record in records:
            try:
                await self._store.save_record(record.address, rlp.encode(proofs.encode_record(record)))
            except MetanodeError as error:
                log.warning("record_not_saved", error=str(error)[:200])

    # Small questions.

    def _ready_peers(self) -> list[Peer]:
        """Return the peers whose status has come, validators first: what is sent is sent to them first."""
        validators = self._chain.validators()
        ready = [peer for peer in self._peers.values() if peer.is_ready]
        ready.sort(key=lambda peer: peer.proven not in validators)
        return ready

    def _recipients(self) -> list[Peer]:
        """Return the peers to send consensus messages to: also those whose own status is still on its way, as ours has gone ahead of what we send."""
        validators = self._chain.validators()
        return sorted(self._peers.values(), key=lambda peer: peer.proven not in validators)

    def _note_needed_ip(self, host: str) -> None:
        ip = str(unmapped(host))
        self._needed_ips[ip] = None
        self._needed_ips.move_to_end(ip)
        if len(self._needed_ips) > INBOUND_ADDRESSES_MAX:
            self._needed_ips.popitem(last=False)

    def _is_lazy(self, peer: Peer, validators: frozenset[Address]) -> bool:
        """Whether we and the peer are both validators, so that it has everything from its author in all likelihood."""
        return self._signer is not None and self._signer.address in validators and peer.proven in validators

    def _is_needed(self, peer: Peer) -> bool:
        """Whether a place is reserved for a peer."""
        return (
            peer.is_static
            or (peer.proven is not None and peer.proven in self._chain.validators())
            or any(peer.node_id == target.node_id for target, _ in self._targets.values())
        )

    def _charge(self, peer: Peer, offence: Offence, detail: str = "") -> None:
        self._offences[offence.name.lower()] += 1
        now = asyncio.get_running_loop().time()
        log.warning("peer_offence", peer=repr(peer), offence=offence.name.lower(), detail=detail[:200])
        if not peer.node_id:
            peer.disconnect(DisconnectReason.PROTOCOL_BREACH, detail)
        elif self._reputation.charge(peer.node_id, offence, now, is_needed=self._is_needed(peer)):
            reason = (
                DisconnectReason.USELESS_PEER
                if offence in {Offence.NO_ANSWER, Offence.UNASKED, Offence.TOO_MANY_REQUESTS}
                else DisconnectReason.PROTOCOL_BREACH
            )
            peer.disconnect(reason, f"{offence.name.lower()} {detail}".rstrip())

    def _note_clock(self, peer: Peer, time_ms: int) -> None:
        peer.clock_skew_ms = time_ms - self._now_ms() + round(peer.round_trip_s * 500)

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(tip=self._chain.tip(), time_ms=self._now_ms())

    def _send_to_all(self, message: Message) -> None:
        outbound = prepare(message)
        for peer in self._ready_peers():
            peer.push(outbound)

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)
