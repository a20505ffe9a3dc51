"""Discovery as a machine: datagrams and the time go in; datagrams and events come out.

Rules that keep it from being used against others:

- Nothing but a pong (and our own ping) is sent to an address that has not proved itself: a pong that names the hash of a ping we sent to exactly that
  address, within the last 24 hours. A pong is no longer than the ping it answers, so nobody is hit harder through us.
- Neighbours count only as the answer to a question we asked that node, and the nodes in them only once they have proved themselves.
- Expired packets, and packets that expire too far ahead to be meant, are ignored. What cannot be decoded is ignored. Nobody is told.
- Everything that a stranger can make us remember is bounded.

`now` is the wall clock in seconds: expirations are points in it. A clock that jumps costs proofs, which are made again.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from random import Random
from typing import Final, assert_never

from metanode.errors import InvalidInput
from metanode.p2p.discv4 import packets
from metanode.p2p.discv4.packets import (
    NEIGHBOURS_MAX,
    Contact,
    Endpoint,
    FindNode,
    IPAddress,
    Neighbours,
    Ping,
    Pong,
    RecordRequest,
    RecordResponse,
    Signed,
    unmapped,
)
from metanode.p2p.discv4.record import make_record
from metanode.p2p.discv4.table import BUCKET_SIZE, Table, distance
from metanode.p2p.enode import NodeId
from metanode.p2p.limits import TokenBucket
from metanode.p2p.ports import ForkId
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives import rlp
from metanode.primitives.types import Hash32

Address = tuple[IPAddress, int]
"""IP address and UDP port of a datagram's other end."""

EXPIRATION_S: Final = 20
PROOF_S: Final = 24 * 3600
"""How long an endpoint proof holds."""
PING_TIMEOUT_S: Final = 1.0
NEIGHBOURS_TIMEOUT_S: Final = 0.7
"""Round trip of a far peer; go-ethereum waits 0.5 s."""
CHECK_INTERVAL_S: Final = 10.0
"""Between two pings to nodes of the table."""
CHECK_FAILURES_MAX: Final = 3
LOOKUP_INTERVAL_S: Final = 30.0
"""Between two lookups; a network of validators is small and mostly known."""
BOOTSTRAP_INTERVAL_S: Final = 10.0
"""Between two pings to bootstrap nodes while the table is empty."""
CONCURRENCY: Final = 3
"""Questions under way in a lookup: Kademlia's alpha."""

PROOFS_MAX: Final = 4096
TOLD_MAX: Final = 256
"""Nodes whose word on our own address is remembered."""
PINGS_MAX: Final = 512
ADDRESSES_MAX: Final = 1024
"""Sources whose rate is remembered."""
PACKETS_PER_S: Final = 400.0
"""From everybody together: decoding one takes about 0.2 ms, so a flood takes less than a tenth of a core."""
PACKETS_PER_ADDRESS_PER_S: Final = 50.0
_EXPIRATION_AHEAD_MAX: Final = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProved:
    """A node has proved its endpoint for the first time in 24 hours, or moved."""

    contact: Contact


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLearned:
    """The node at an address has answered `identify`."""

    address: Address
    node_id: NodeId


Event = NodeProved | IdentityLearned


@dataclass(slots=True)
class _Proof:
    """What we know of one node at one address."""

    pong_at: float | None = None
    """When it proved its endpoint."""
    ping_at: float | None = None
    """When it pinged us: it may take our pong as our proof."""
    tcp_port: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _SentPing:
    address: Address
    node_id: NodeId | None
    sent_at: float
    tcp_port: int


@dataclass(slots=True)
class _Lookup:
    target: bytes
    asked: set[NodeId] = field(default_factory=set)
    pending: dict[NodeId, tuple[Address, float, int]] = field(default_factory=dict)
    """Who was asked: where, when, and how many nodes it may still name."""


class Discovery:
    """See the module. Owned by one task."""

    def __init__(
        self,
        *,
        key: NodeKey,
        endpoint: Endpoint,
        now: float,
        random: Random,
        fork_id: ForkId | None = None,
    ) -> None:
        self._key = key
        self._endpoint = endpoint
        self._fork_id = fork_id
        self._random = random
        self.told: OrderedDict[NodeId, IPAddress] = OrderedDict()
        """Where nodes that answered our pings see us, the latest last."""
        self._record_seq = int(now * 1000)
        self._record = make_record(key, endpoint, self._record_seq, fork_id)
        self.table = Table(NodeId(key.node_id))
        self._outgoing: deque[tuple[bytes, Address]] = deque()
        self._events: deque[Event] = deque()
        self._proofs: OrderedDict[tuple[NodeId, Address], _Proof] = OrderedDict()
        self._pings: OrderedDict[Hash32, _SentPing] = OrderedDict()
        self._bootstrap: dict[Address, Contact] = {}
        self._lookup: _Lookup | None = None
        self._check_at = now + CHECK_INTERVAL_S
        self._lookup_at = now + 2.0
        self._bootstrap_at = now
        self._rate = TokenBucket(per_s=PACKETS_PER_S, burst=2 * PACKETS_PER_S, now=now)
        self._rates: OrderedDict[IPAddress, TokenBucket] = OrderedDict()

    @property
    def record(self) -> list[rlp.Item]:
        """Our own node record."""
        return self._record

    @property
    def timer_at(self) -> float:
        """When `handle_timer` wants to be called."""
        times = [self._check_at, self._lookup_at, self._bootstrap_at]
        if self._pings:
            times.append(next(iter(self._pings.values())).sent_at + PING_TIMEOUT_S)
        if self._lookup is not None:
            times.extend(at + NEIGHBOURS_TIMEOUT_S for _, at, _ in self._lookup.pending.values())
        return min(times)

    def next_event(self) -> Event | None:
        """Return the oldest event that was not taken yet."""
        return self._events.popleft() if self._events else None

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Return what to send, once."""
        datagrams = list(self._outgoing)
        self._outgoing.clear()
        return datagrams

    @property
    def endpoint(self) -> Endpoint:
        """Where we say that we are."""
        return self._endpoint

    def move(self, endpoint: Endpoint) -> None:
        """Say from now on that we are somewhere else; nodes that have our record see by its number that it is old."""
        self._endpoint = endpoint
        self._record_seq += 1
        self._record = make_record(self._key, endpoint, self._record_seq, self._fork_id)

    def add_bootstrap(self, contact: Contact, now: float) -> None:
        """Remember a node to start from."""
        self._bootstrap[contact.ip, contact.udp_port] = contact
        self._bootstrap_at = min(self._bootstrap_at, now)

    def identify(self, address: Address, now: float) -> None:
        """Ping an address whose node id is not known; `IdentityLearned` tells it."""
        self._ping(address, None, 0, now)

    def receive_datagram(self, data: bytes, source: tuple[str, int], now: float) -> None:
        """Process a datagram; whatever is wrong with it is ignored."""
        address = unmapped(source[0]), source[1]
        if not self._is_within_rate(address[0], now):
            return
        try:
            signed = packets.decode(data)
        except InvalidInput:
            return
        if signed.node_id == self._key.node_id:
            self._upon_own(signed)
            return
        match signed.packet:
            case Ping() as ping:
                if _is_current(ping.expiration, now):
                    self._upon_ping(signed, ping, address, now)
            case Pong() as pong:
                if _is_current(pong.expiration, now):
                    self._upon_pong(signed, pong, address, now)
            case FindNode() as find_node:
                if _is_current(find_node.expiration, now) and self._is_proved(signed.node_id, address, now):
                    self._upon_find_node(find_node, address, now)
            case Neighbours() as neighbours:
                if _is_current(neighbours.expiration, now):
                    self._upon_neighbours(signed, neighbours, address, now)
            case RecordRequest() as request:
                if _is_current(request.expiration, now) and self._is_proved(signed.node_id, address, now):
                    response = RecordResponse(request_hash=signed.hash, record=self._record)  # type: ignore[arg-type] # items we encode
                    self._send(response, address)
            case RecordResponse():
                # We ask nobody for a record, so nobody answers.
                pass
            case _:
                assert_never(signed.packet)

    def handle_timer(self, now: float) -> None:
        """Give up on what was not answered, check old nodes, look for new ones."""
        self._expire_pings(now)
        self._continue_lookup(now)
        if now >= self._bootstrap_at:
            self._bootstrap_at = now + BOOTSTRAP_INTERVAL_S
            if len(self.table) == 0:
                for contact in self._bootstrap.values():
                    self._ping((contact.ip, contact.udp_port), contact.node_id, contact.tcp_port, now)
        if now >= self._check_at:
            self._check_at = now + CHECK_INTERVAL_S * self._random.uniform(0.5, 1.5)
            oldest = self.table.oldest(self._random.randrange(2**16))
            if oldest is not None:
                self._ping((oldest.ip, oldest.udp_port), oldest.node_id, oldest.tcp_port, now)
        if now >= self._lookup_at:
            self._lookup_at = now + LOOKUP_INTERVAL_S * self._random.uniform(0.8, 1.2)
            if self._lookup is None and len(self.table):
                own = self._random.randrange(3) == 0
                target = self._key.node_id if own else self._random.randbytes(64)
                self._lookup = _Lookup(target=target)
                self._continue_lookup(now)

    def _upon_own(self, signed: Signed) -> None:
        """Our own ping has come back: an address that was given without a node id is ours."""
        sent = self._pings.get(signed.hash)
        if sent is not None and sent.node_id is None:
            del self._pings[signed.hash]
            self._events.append(IdentityLearned(address=sent.address, node_id=signed.node_id))

    def _upon_ping(self, signed: Signed, ping: Ping, address: Address, now: float) -> None:
        # `from` and `to` are what the sender believes; the pong goes to where the ping came from.
        target = Endpoint(ip=address[0], udp_port=address[1], tcp_port=ping.source.tcp_port)
        self._send(
            Pong(
                target=target,
                ping_hash=signed.hash,
                expiration=int(now) + EXPIRATION_S,
                record_seq=self._record_seq,
            ),
            address,
        )
        proof = self._proof(signed.node_id, address)
        proof.ping_at = now
        proof.tcp_port = ping.source.tcp_port or proof.tcp_port
        if self._is_proved(signed.node_id, address, now):
            self._add(signed.node_id, address, proof.tcp_port)
        elif not any(p.address == address and p.node_id == signed.node_id for p in self._pings.values()):
            self._ping(address, signed.node_id, ping.source.tcp_port, now)

    def _upon_pong(self, signed: Signed, pong: Pong, address: Address, now: float) -> None:
        sent = self._pings.get(pong.ping_hash)
        if sent is None or sent.address != address or now > sent.sent_at + PING_TIMEOUT_S:
            return
        if sent.node_id is None:
            self._events.append(IdentityLearned(address=address, node_id=signed.node_id))
        elif sent.node_id != signed.node_id:
            return
        del self._pings[pong.ping_hash]
        if pong.target.ip is not None:
            self.told[signed.node_id] = unmapped(str(pong.target.ip))
            self.told.move_to_end(signed.node_id)
            if len(self.told) > TOLD_MAX:
                self.told.popitem(last=False)
        proof = self._proof(signed.node_id, address)
        is_new = not self._is_proved(signed.node_id, address, now)
        proof.pong_at = now
        proof.failures = 0
        proof.tcp_port = proof.tcp_port or sent.tcp_port
        self._add(signed.node_id, address, proof.tcp_port)
        if is_new:
            self._events.append(NodeProved(contact=_contact(signed.node_id, address, proof.tcp_port)))

    def _upon_find_node(self, request: FindNode, address: Address, now: float) -> None:
        closest = self.table.closest(request.target, BUCKET_SIZE)
        contacts = [contact for contact in closest if _may_relay(address[0], contact.ip)]
        # No node near the key is an answer too.
        for start in range(0, max(1, len(contacts)), NEIGHBOURS_MAX):
            self._send(
                Neighbours(
                    contacts=tuple(contacts[start : start + NEIGHBOURS_MAX]),
                    expiration=int(now) + EXPIRATION_S,
                ),
                address,
            )

    def _upon_neighbours(self, signed: Signed, neighbours: Neighbours, address: Address, now: float) -> None:
        lookup = self._lookup
        if lookup is None or signed.node_id not in lookup.pending:
            return
        asked_at_address, asked_at, left = lookup.pending[signed.node_id]
        if asked_at_address != address or now > asked_at + NEIGHBOURS_TIMEOUT_S:
            return
        taken = neighbours.contacts[:left]
        left -= len(taken)
        for contact in taken:
            if (
                contact.udp_port > 0
                and contact.node_id != self._key.node_id
                and contact.node_id not in self.table
                and _may_relay(address[0], contact.ip)
            ):
                self._ping((contact.ip, contact.udp_port), contact.node_id, contact.tcp_port, now)
        if left <= 0 or len(neighbours.contacts) < NEIGHBOURS_MAX:
            del lookup.pending[signed.node_id]
        else:
            lookup.pending[signed.node_id] = (address, asked_at, left)
        self._continue_lookup(now)

    def _continue_lookup(self, now: float) -> None:
        """Ask the nearest nodes that were not asked; the lookup is over when the nearest ones all were."""
        lookup = self._lookup
        if lookup is None:
            return
        for node_id, (_, at, _) in list(lookup.pending.items()):
            if now > at + NEIGHBOURS_TIMEOUT_S:
                del lookup.pending[node_id]
        closest = self.table.closest(lookup.target, BUCKET_SIZE)
        for contact in sorted(closest, key=lambda c: distance(c.node_id, lookup.target)):
            if len(lookup.pending) >= CONCURRENCY:
                return
            if contact.node_id in lookup.asked:
                continue
            lookup.asked.add(contact.node_id)
            address = contact.ip, contact.udp_port
            proof = self._proof(contact.node_id, address)
            if proof.ping_at is None or now > proof.ping_at + PROOF_S:
                # It has no proof of ours and would not answer; our ping makes it ask for one, for the next time.
                self._ping(address, contact.node_id, contact.tcp_port, now)
                continue
            lookup.pending[contact.node_id] = (address, now, BUCKET_SIZE)
            self._send(FindNode(target=lookup.target, expiration=int(now) + EXPIRATION_S), address)
        if not lookup.pending:
            self._lookup = None

    def _expire_pings(self, now: float) -> None:
        while self._pings:
            packet_hash, ping = next(iter(self._pings.items()))
            if now <= ping.sent_at + PING_TIMEOUT_S:
                return
            del self._pings[packet_hash]
            if ping.node_id is None:
                continue
            proof = self._proofs.get((ping.node_id, ping.address))
            if proof is not None:
                proof.failures += 1
                if proof.failures >= CHECK_FAILURES_MAX:
                    self.table.remove(ping.node_id)
            elif ping.node_id in self.table:
                self.table.remove(ping.node_id)

    def _ping(self, address: Address, node_id: NodeId | None, tcp_port: int, now: float) -> None:
        ping = Ping(
            source=self._endpoint,
            target=Endpoint(ip=address[0], udp_port=address[1], tcp_port=0),
            expiration=int(now) + EXPIRATION_S,
            record_seq=self._record_seq,
        )
        packet_hash = self._send(ping, address)
        self._pings.pop(packet_hash, None)
        self._pings[packet_hash] = _SentPing(address=address, node_id=node_id, sent_at=now, tcp_port=tcp_port)
        if len(self._pings) > PINGS_MAX:
            self._pings.popitem(last=False)

    def _send(self, packet: packets.Packet, address: Address) -> Hash32:
        datagram, packet_hash = packets.encode(self._key, packet)
        self._outgoing.append((datagram, address))
        return packet_hash

    def _add(self, node_id: NodeId, address: Address, tcp_port: int) -> None:
        self.table.add(_contact(node_id, address, tcp_port))
        self.table.touch(node_id)

    def _proof(self, node_id: NodeId, address: Address) -> _Proof:
        """Return what is known of a node at an address, remembered from now on; the longest unused one is forgotten for it."""
        proof = self._proofs.setdefault((node_id, address), _Proof())
        self._proofs.move_to_end((node_id, address))
        if len(self._proofs) > PROOFS_MAX:
            self._proofs.popitem(last=False)
        return proof

    def _is_proved(self, node_id: NodeId, address: Address, now: float) -> bool:
        proof = self._proofs.get((node_id, address))
        return proof is not None and proof.pong_at is not None and 0 <= now - proof.pong_at < PROOF_S

    def _is_within_rate(self, ip: IPAddress, now: float) -> bool:
        bucket = self._rates.get(ip)
        if bucket is None:
            bucket = self._rates[ip] = TokenBucket(
                per_s=PACKETS_PER_ADDRESS_PER_S, burst=2 * PACKETS_PER_ADDRESS_PER_S, now=now
            )
            if len(self._rates) > ADDRESSES_MAX:
                self._rates.popitem(last=False)
        else:
            self._rates.move_to_end(ip)
        return bucket.take(1, now) and self._rate.take(1, now)


def _contact(node_id: NodeId, address: Address, tcp_port: int) -> Contact:
    return Contact(node_id=node_id, ip=address[0], udp_port=address[1], tcp_port=tcp_port)


def _is_current(expiration: int, now: float) -> bool:
    """Whether a packet is neither expired nor dated so far ahead that its sender means something else (a negative number, milliseconds)."""
    return now <= expiration <= now + _EXPIRATION_AHEAD_MAX


def _may_relay(sender: IPAddress, contact: IPAddress) -> bool:
    """Whether nodes at these addresses can know of each other: nobody outside a private network can reach what is inside."""
    if contact.is_unspecified or contact.is_multicast or contact.is_reserved:
        return False
    if sender.is_loopback:
        return True
    if contact.is_loopback:
        return False
    if contact.is_private or contact.is_link_local:
        return sender.is_private or sender.is_link_local
    return True
