"""The network as the rest of the node sees it: listening, dialling, and what can be asked of peers.

`Network.run` owns every task below it; each peer and each dial loop is one. All state is touched in the event loop only. What peers say to each other is
`exchange`'s business, who they are `roster`'s.
"""

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import structlog

from metanode.errors import InvalidInput, MetanodeError
from metanode.p2p import proofs, protocol
from metanode.p2p.dialer import Target
from metanode.p2p.discv4.discovery import Discovery
from metanode.p2p.discv4.packets import Contact, unmapped
from metanode.p2p.discv4.record import format_record
from metanode.p2p.discv4.service import DiscoveryService
from metanode.p2p.enode import Enode, NodeId, format_address
from metanode.p2p.errors import NoAnswer, PeerUnavailable
from metanode.p2p.exchange import Exchange
from metanode.p2p.limits import LastTimes
from metanode.p2p.own_address import OwnAddress
from metanode.p2p.peer import Peer
from metanode.p2p.pins import MemoryPeerStore, PeerStore
from metanode.p2p.ports import ChainView, NodeHandlers, PeerInfo, Priority, ProofSigner
from metanode.p2p.proofs import ValidatorRecord
from metanode.p2p.protocol import GetBlocks, GetBody, Records
from metanode.p2p.refusals import Refusal
from metanode.p2p.reputation import Offence
from metanode.p2p.rlpx.connection import ConnectionLimits, RLPxConnection
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.p2p.roster import Roster
from metanode.p2p.statistics import NetworkStatistics, Totals, collect
from metanode.primitives import rlp
from metanode.primitives.types import Address, Hash32, Height

log = structlog.get_logger(__name__)

MAINTENANCE_INTERVAL_S: Final = 0.25
HEARTBEAT_INTERVAL_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0
INBOUND_INTERVAL_S: Final = 30.0
"""The same address may not call again within this (go-ethereum's); loopback and the addresses of needed peers may."""
INBOUND_ADDRESSES_MAX: Final = 4096
BODY_TIMEOUT_S: Final = 2.0
BLOCKS_TIMEOUT_S: Final = 10.0
"""A megabyte, which is what sync asks for, at a million bits a second."""
DISCOVERED_MAX: Final = 256
DISCOVERED_RETRY_S: Final = 30.0
ADDRESS_INTERVAL_S: Final = 10.0
"""How often we look whether others reach us elsewhere."""
DIALS_AT_ONCE_MAX: Final = 8
"""Of nodes that discovery has found."""


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
    """Name or address under which others reach us; when None, `advertising` chooses."""
    advertised_port: int | None = None
    """The port under which they do, of stream and datagrams; the listening ones when None."""
    local_addresses: tuple[str, ...] = ()
    """Of this machine's interfaces: what there is to advertise when we listen on all of them."""
    sentries: tuple[Enode, ...] = ()
    """What our validator record names in the place of ourselves. We then connect with these and with `peers` only, and stay out of discovery."""
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
        self._signer = signer
        self._store = store or MemoryPeerStore()
        self._random = random or Random(os.urandom(16))  # noqa: S311 - jitter and lookup targets, no secrets
        self._wall_clock = wall_clock
        self._own_id = NodeId(config.key.node_id)
        self._roster = Roster(chain, None if signer is None else signer.address)
        self._exchange = Exchange(
            own_id=self._own_id,
            roster=self._roster,
            chain=chain,
            handlers=handlers,
            signer=signer,
            upon_new_records=self._upon_new_records,
            wall_clock=wall_clock,
            max_peers=config.max_peers,
            admits=self._admits,
        )
        self._handlers = handlers
        self._group: asyncio.TaskGroup | None = None
        self._discovery: DiscoveryService | None = None
        """None before the sockets are open, and behind sentries."""
        self._port = config.listen_port
        self._own = OwnAddress(
            configured=config.advertised_host,
            port=config.advertised_port,
            listening=config.listen_host,
            local=config.local_addresses,
        )
        self._static: dict[str, Enode] = {str(enode): enode for enode in (*config.peers, *config.sentries)}
        self._target_tasks: dict[str, asyncio.Task[None]] = {}
        self._callers = LastTimes(INBOUND_INTERVAL_S, INBOUND_ADDRESSES_MAX)
        self._discovered: OrderedDict[NodeId, tuple[Contact, float]] = OrderedDict()
        self._dialling: set[NodeId] = set()
        self._blocks_turn = 0
        self.ready = asyncio.Event()
        """Set once the sockets are open."""
        self._totals = Totals()

    # What the node asks of the network.

    @property
    def own_id(self) -> NodeId:
        """Our node id."""
        return self._own_id

    @property
    def enode(self) -> Enode:
        """Our own address as others are to use it; its ports are right once `ready` is set."""
        tcp_port, udp_port = self._own.port or self._port, self._udp_port()
        return Enode(
            node_id=self._own_id, host=self._own.host or "127.0.0.1", tcp_port=tcp_port, udp_port=udp_port
        )

    @property
    def listen_address(self) -> str:
        """Where we listen, as `host:port`."""
        return format_address(self._config.listen_host, self._port)

    @property
    def record(self) -> str:
        """Our node record as `enr:` text; empty before the sockets are open."""
        return format_record(self._discovery.discovery.record) if self._discovery is not None else ""

    def peers(self) -> list[PeerInfo]:
        """Return the peers whose status fits ours."""
        validators = self._chain.validators()
        return [peer.info(validators) for peer in self._roster.ready()]

    def refusals(self) -> list[Refusal]:
        """Return the nodes of other chains that were met lately."""
        return self._roster.refusals.all()

    def broadcast(self, raw: bytes, priority: Priority) -> None:
        """Push a consensus message of ours to every peer; repeating one sends it again to those who may have missed it."""
        self._exchange.broadcast(raw, priority)

    def send(self, node_id: NodeId, raw: bytes, priority: Priority = Priority.VOTE) -> None:
        """Send a consensus message to one peer; nothing happens when it is not connected."""
        self._exchange.send(node_id, raw, priority)

    def broadcast_transactions(self, batch: bytes) -> None:
        """Send transactions that came from our own RPC, one RLP list, to every peer."""
        self._exchange.broadcast_transactions(batch)

    def announce_decided(self, height: Height, certificate: bytes) -> None:
        """Tell peers that we have decided a height, once `ChainView.tip` says so."""
        self._exchange.announce_decided(height, certificate)

    def claims(self) -> dict[NodeId, Height]:
        """Return the height that each connected peer says it has, or has sent a certificate of; proves nothing, and goes with the peer."""
        return {peer.node_id: peer.height for peer in self._roster.peers.values() if peer.is_ready}

    def highest_claim(self) -> Height:
        """Return the highest height that a connected peer claims; proves nothing, and falls when that peer goes."""
        return self._roster.highest_claim()

    async def request_body(
        self,
        block_hash: Hash32,
        accept: Callable[[bytes], bool] | None = None,
        holders: Collection[Address] = (),
    ) -> bytes | None:
        """Return the body of a block, asked for at one peer after the other; None when nobody has it.

        Asked first are the validators in `holders`, who have said that they have it, then other validators; who has left a question of ours
        without an answer is asked last. `accept` says whether a body is the right one: a peer that sends another is charged, and the next one asked.
        """
        validators = self._chain.validators()
        peers = sorted(
            self._roster.ready(),
            key=lambda p: (
                p.unanswered,
                p.proven not in holders,
                p.proven not in validators,
                -p.height,
                p.round_trip_s,
            ),
        )
        for peer in peers:
            try:
                body = await peer.ask(
                    protocol.LARGE_BYTES_MAX, BODY_TIMEOUT_S, GetBody, block_hash=block_hash
                )
            except NoAnswer:
                self._roster.charge(peer, Offence.NO_ANSWER)
                continue
            except PeerUnavailable:
                continue
            if not body:
                continue
            if accept is None or accept(body):
                return body
            self._roster.charge(peer, Offence.BAD_BODY)
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
            peers = [peer for peer in self._roster.ready() if peer.height >= first]
            self._blocks_turn += 1
            turn = self._blocks_turn % len(peers) if peers else 0
            peers = sorted(peers[turn:] + peers[:turn], key=lambda p: p.unanswered)
        else:
            peers = [peer for peer in self._roster.ready() if peer.node_id == node_id]
        for peer in peers:
            try:
                answer = await peer.ask(
                    protocol.RESPONSE_BYTES_MAX, BLOCKS_TIMEOUT_S, GetBlocks, first=first, count=count
                )
                blocks = protocol.decode_blocks(answer, count)
            except NoAnswer:
                self._roster.charge(peer, Offence.NO_ANSWER)
                continue
            except PeerUnavailable:
                continue
            except InvalidInput as error:
                self._exchange.upon_fault(peer, error)
                continue
            if blocks:
                return peer.node_id, blocks
        raise PeerUnavailable(f"no peer has sent the blocks from {first}")

    def report(self, node_id: NodeId, offence: Offence) -> None:
        """Charge a peer with what the node has found out about it."""
        peer = self._roster.peers.get(node_id)
        if peer is not None:
            self._roster.charge(peer, offence)

    def add_peer(self, enode: Enode) -> bool:
        """Keep a peer connected from now on; return whether it is new (`admin_addPeer`)."""
        if str(enode) in self._static or enode.node_id == self._own_id:
            return False
        self._static[str(enode)] = enode
        return True

    def remove_peer(self, enode: Enode) -> bool:
        """Do not keep a peer connected, and disconnect it; return whether it was kept (`admin_removePeer`)."""
        was_static = self._static.pop(str(enode), None) is not None
        target = self._roster.targets.get(str(enode))
        if target is not None:
            # At once: the peer may call back before the targets are looked through again.
            target.is_static = False
        node_id = enode.node_id if target is None else target.node_id
        peer = None if node_id is None else self._roster.peers.get(node_id)
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
        if self._roster.book.add(record, self._chain.validators() | {record.address}):
            await self._save_records((record,))
            self._roster.send_to_all(Records(records=(record,)))
        return record

    def records(self) -> list[ValidatorRecord]:
        """Return the validator records we know."""
        return self._roster.book.all()

    def statistics(self) -> NetworkStatistics:
        """Return the counters and the present state."""
        return collect(self._totals, self._roster, self._exchange, self._discovery, self._chain.validators())

    # The life of the network.

    async def run(self) -> None:
        """Listen, dial and serve until cancelled; raises OSError when a port is taken."""
        await self._load_records()
        server = await asyncio.start_server(
            self._accept, self._config.listen_host, self._config.listen_port, limit=2**16
        )
        try:
            self._port = int(server.sockets[0].getsockname()[1])
            if not self._config.sentries:
                self._discovery = await self._bind_discovery()
            log.info("network_listening", enode=str(self.enode), listening=self.listen_address)
            self._own.log_choice(self._port)
            await self._publish_own_record()
            async with asyncio.TaskGroup() as group:
                self._group = group
                if self._discovery is not None:
                    group.create_task(self._discovery.run(), name="discovery")
                    group.create_task(self._watch_address(), name="own address")
                group.create_task(self._maintain(), name="network maintenance")
                group.create_task(self._exchange.announce_collected(), name="announcements")
                group.create_task(self._exchange.hand_in_transactions(), name="transactions")
                self.ready.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    # First nobody is let in any more, then those who are in are told goodbye.
                    server.close()
                    self._group = None
        finally:
            server.close()

    async def _load_records(self) -> None:
        validators = self._chain.validators()
        if self._signer is not None:
            validators |= {self._signer.address}
        for raw in await self._store.load_records():
            try:
                self._roster.book.add(proofs.decode_record(rlp.decode(raw)), validators)
            except InvalidInput as error:
                # Of another network's database, or of an older version: it is gossiped again.
                log.warning("stored_record_ignored", error=str(error)[:200])

    async def _bind_discovery(self) -> DiscoveryService:
        host = self._config.listen_host
        port = self._config.discovery_port if self._config.discovery_port is not None else self._port
        discovery = Discovery(
            key=self._config.key,
            endpoint=await self._own.endpoint(tcp_port=self._port, udp_port=port),
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
        if self._config.sentries:
            return 0
        return self._own.port or self._config.discovery_port or self._port

    async def _watch_address(self) -> None:
        """Notice that known peers see us elsewhere, or that our name has moved."""
        assert self._discovery is not None
        discovery = self._discovery.discovery
        while True:
            await asyncio.sleep(ADDRESS_INTERVAL_S)
            known = self._roster.is_static, self._roster.is_member
            told = [ip for node_id, ip in discovery.told.items() if any(is_one(node_id) for is_one in known)]
            if self._own.choose(told):
                self._own.log_choice(self._port)
                await self._publish_own_record()
            endpoint = await self._own.endpoint(tcp_port=self._port, udp_port=self._udp_port())
            # A name that does not resolve for a moment is where it was.
            if endpoint.ip is not None and endpoint != discovery.endpoint:
                discovery.move(endpoint)

    async def _maintain(self) -> None:
        """Do what is due by time: dial loops, announcements that got lost, late certificates, heartbeats."""
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + HEARTBEAT_INTERVAL_S
        while True:
            now = loop.time()
            self._update_targets()
            self._dial_discovered(now)
            self._exchange.handle_timer(now)
            if now >= heartbeat_at:
                heartbeat_at = now + HEARTBEAT_INTERVAL_S
                self._exchange.send_heartbeat()
            await asyncio.sleep(MAINTENANCE_INTERVAL_S)

    def _update_targets(self) -> None:
        """Start and end dial loops, so that there is one for each static peer and for each endpoint of a validator."""
        assert self._group is not None
        wanted = {text: (enode, True) for text, enode in self._static.items()}
        validators = self._chain.validators()
        reachable = frozenset() if self._config.sentries else validators
        self._roster.book.retain(
            validators | ({self._signer.address} if self._signer is not None else frozenset())
        )
        for record in self._roster.book.all():
            if record.node_id != self._own_id and record.address in reachable:
                for enode in record.endpoints:
                    wanted.setdefault(str(enode), (enode, False))
        targets = self._roster.targets
        for text in [text for text in targets if text not in wanted]:
            del targets[text]
            self._target_tasks.pop(text).cancel()
        for text, (enode, is_static) in wanted.items():
            if text in targets:
                # A validator's endpoint that was configured, and is not any more, or the other way round.
                targets[text].is_static = is_static
            elif enode.node_id != self._own_id:
                target = Target(enode, self, self._store, self._random, is_static=is_static)
                task = self._group.create_task(self._run_target(target), name=f"dial {enode.address}")
                targets[text] = target
                self._target_tasks[text] = task
        for peer in self._roster.peers.values():
            # One that is connected already may have been configured since, or not be any more.
            peer.is_static = self._roster.is_static(peer.node_id)

    async def _run_target(self, target: Target) -> None:
        try:
            await target.run()
        except Exception:
            # An address must not end the node, whatever it makes us stumble over.
            log.exception("dial_loop_failed", address=target.enode.address)

    def _dial_discovered(self, now: float) -> None:
        """Call nodes that discovery has found, until half of the places are taken; the other half is for those who call us."""
        assert self._group is not None
        if not self._config.discovers or self._config.sentries:
            return
        ordinary = sum(not self._roster.is_needed(peer) for peer in self._roster.ready())
        places = min(
            (self._config.max_peers + 1) // 2 - ordinary - len(self._dialling),
            DIALS_AT_ONCE_MAX - len(self._dialling),
        )
        for node_id, (contact, retry_at) in list(self._discovered.items()):
            if places <= 0:
                return
            if (
                now < retry_at
                or node_id in self._roster.peers
                or node_id in self._dialling
                or not self.may_dial(node_id)
            ):
                continue
            places -= 1
            self._discovered[node_id] = (contact, now + DISCOVERED_RETRY_S)
            self._group.create_task(self._dial_once(contact), name=f"dial {contact.ip}:{contact.tcp_port}")

    async def _dial_once(self, contact: Contact) -> None:
        try:
            await self.connect(contact.node_id, str(contact.ip), contact.tcp_port, is_static=False)
        except PeerUnavailable as error:
            log.debug("peer_dial_failed", address=f"{contact.ip}:{contact.tcp_port}", error=str(error)[:200])

    def _upon_discovered(self, contact: Contact) -> None:
        if contact.tcp_port and contact.node_id != self._own_id:
            self._discovered[contact.node_id] = (contact, 0.0)
            if len(self._discovered) > DISCOVERED_MAX:
                self._discovered.popitem(last=False)

    # DialOwner.

    def may_dial(self, node_id: NodeId) -> bool:
        """Whether a node is not banned."""
        return not self._roster.reputation.is_banned(node_id, asyncio.get_running_loop().time())

    def is_member(self, node_id: NodeId) -> bool:
        """Whether a node is a validator's, by its record or its proof."""
        return self._roster.is_member(node_id)

    async def wait_disconnected(self, node_id: NodeId) -> bool:
        """Return False at once when a node is not connected, else True after its connection has ended."""
        peer = self._roster.peers.get(node_id)
        if peer is None:
            return False
        await peer.closed.wait()
        return True

    async def identify(self, ip: str, port: int) -> NodeId:
        """Return the node id behind an address."""
        if self._discovery is None:
            raise PeerUnavailable(
                f"{format_address(ip, port)}: its id must be given, as we take no part in discovery"
            )
        return await self._discovery.identify(ip, port)

    def upon_resolved(self, enode: Enode, ip: str) -> None:
        """A target's host is at an address: it may call as often as it likes, and discovery may start there."""
        self._roster.note_needed_ip(ip)
        if self._discovery is not None and enode.node_id != self._own_id:
            self._discovery.add_bootstrap(enode, ip)

    async def connect(self, node_id: NodeId, ip: str, port: int, *, is_static: bool) -> bool:
        """Connect and serve the connection to its end; return whether its status was good."""
        if node_id in self._dialling or node_id in self._roster.peers:
            # Two calls of ours at once would each make the other side give up the other one.
            return False
        self._dialling.add(node_id)
        try:
            peer = await self._open(node_id, ip, port, is_static=is_static)
            await self._serve(peer)
        finally:
            self._dialling.discard(node_id)
        if peer.was_ready:
            return True
        if node_id in self._roster.peers:
            return False
        ended = peer.termination
        by = "the peer" if ended is not None and ended.by_peer else "us"
        reason = (
            "cancelled" if ended is None else f"{ended.reason.name.lower()} by {by} {ended.detail}".rstrip()
        )
        raise PeerUnavailable(f"{format_address(ip, port)}: {reason}")

    async def _open(self, node_id: NodeId, ip: str, port: int, *, is_static: bool) -> Peer:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(ip, port, limit=2**16)
        except (OSError, TimeoutError) as error:
            self._totals.connections["outbound", "failed"] += 1
            detail = (
                f"no answer in {CONNECT_TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else str(error)
            )
            raise PeerUnavailable(f"{format_address(ip, port)}: {detail}") from error
        return self._peer(reader, writer, remote_id=node_id, is_static=is_static)

    def _admits(self, node_id: NodeId) -> bool:
        """Whether a node may be connected: anybody, but for a node behind sentries."""
        return not self._config.sentries or self._roster.is_static(node_id)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve an inbound connection in a task of our group."""
        refusal = self._inbound_refusal(writer)
        if refusal is not None or self._group is None:
            self._totals.connections["inbound", "refused"] += 1
            log.debug("inbound_refused", reason=refusal)
            writer.transport.abort()
            return
        peer = self._peer(reader, writer, remote_id=None, is_static=False)
        self._roster.connections.add(peer)
        task = self._group.create_task(self._serve(peer), name=f"{peer!r}")
        # A task that is cancelled before its first step runs nothing of its own.
        task.add_done_callback(lambda _: writer.close())

    def _inbound_refusal(self, writer: asyncio.StreamWriter) -> str | None:
        """Return why an inbound connection is not served, or None."""
        if sum(not peer.is_ready for peer in self._roster.connections) >= self._config.max_pending:
            return "too many pending connections"
        name = writer.get_extra_info("peername")
        if not name:
            return "gone already"
        ip = unmapped(name[0])
        if ip.is_loopback or self._roster.is_needed_ip(str(ip)):
            return None
        now = asyncio.get_running_loop().time()
        if not self._callers.take(str(ip), now):
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
            listen_port=self._own.port or self._port,
            limits=self._config.limits,
        )
        return Peer(
            connection=connection,
            reader=reader,
            writer=writer,
            owner=self._exchange,
            is_inbound=remote_id is None,
            is_static=is_static,
            status_timeout_s=self._config.status_timeout_s,
        )

    async def _serve(self, peer: Peer) -> None:
        self._roster.connections.add(peer)
        try:
            await peer.run()
        except* Exception as group:
            # Our own mistake must cost one connection, not the node.
            log.exception("peer_session_failed", peer=repr(peer), error=repr(group.exceptions))
        finally:
            self._upon_closed(peer)

    def _upon_closed(self, peer: Peer) -> None:
        self._roster.connections.discard(peer)
        peer.closed.set()
        self._totals.add(peer)
        ended = peer.termination
        self._exchange.upon_closed(peer)
        other = self._roster.peers.get(peer.node_id)
        # Where both have called at once, the connection that stays may be ready before the other one is closed: the peer is not gone.
        if peer.was_ready and (other is None or not other.is_ready):
            try:
                self._handlers.upon_peer_gone(peer.info(self._chain.validators()))
            except Exception:
                log.exception("peer_gone_not_handled", peer=repr(peer))
        more = self._roster.say_of(peer, asyncio.get_running_loop().time()) if peer.was_ready else {}
        log.log(
            logging.INFO if peer.was_ready and more is not None else logging.DEBUG,
            "peer_session",
            node=peer.node_id.hex()[:16],
            address=peer.address,
            client=peer.client[:200],
            inbound=peer.is_inbound,
            seconds=round(peer.age_s, 1),
            reason=None if ended is None else ended.reason.name.lower(),
            by="peer" if ended is not None and ended.by_peer else "us",
            detail="" if ended is None else ended.detail[:200],
            **(more or {}),
        )

    async def _publish_own_record(self) -> None:
        """Publish where we are, when that is new and others can use it."""
        if self._signer is None or (self._own.host is None and not self._config.sentries):
            return
        endpoints = self._config.sentries or (self.enode,)
        known = self._roster.book.get(self._signer.address)
        if known is not None and (known.node_id, known.endpoints) == (self._own_id, endpoints):
            return
        # Seconds since the epoch grow even when the database with the last number is lost.
        seq = max(0 if known is None else known.seq + 1, int(self._wall_clock()))
        await self.publish_record(seq, endpoints)

    def _upon_new_records(self, records: tuple[ValidatorRecord, ...]) -> None:
        if self._group is not None:
            self._group.create_task(self._save_records(records), name="save records")

    async def _save_records(self, records: Sequence[ValidatorRecord]) -> None:
        for record in records:
            try:
                await self._store.save_record(record.address, rlp.encode(proofs.encode_record(record)))
            except MetanodeError as error:
                log.warning("record_not_saved", error=str(error)[:200])
