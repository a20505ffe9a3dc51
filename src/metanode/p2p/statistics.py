"""What the network counts, for metrics and `admin_nodeInfo`."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metanode.p2p.roster import Roster
from metanode.primitives.types import Address

if TYPE_CHECKING:
    from metanode.p2p.discv4.service import DiscoveryService
    from metanode.p2p.exchange import Exchange
    from metanode.p2p.peer import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStatistics:
    """Counters since the start, and the present state, for metrics and `admin_nodeInfo`."""

    peers_inbound: int
    peers_outbound: int
    peers_validators: int
    pending: int
    queued_messages: int
    queued_bytes: int
    assembling_bytes: int
    known_nodes: int
    bytes_in: int
    bytes_out: int
    messages_in: dict[str, int]
    messages_out: int
    dropped_out: int
    connections: dict[tuple[str, str], int]
    """By ("inbound" or "outbound", "ok", "failed" or "refused")."""
    datagrams_in: int
    datagrams_out: int
    datagram_bytes_in: int
    datagram_bytes_out: int
    disconnects: dict[tuple[str, str], int]
    """By (reason, "us" or "peer")."""
    offences: dict[str, int]
    transactions_dropped: int


@dataclass(slots=True)
class Totals:
    """Counters of connections that have ended, and of those that never were."""

    received: Counter[str] = field(default_factory=Counter)
    disconnects: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent: int = 0
    dropped: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connections: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, peer: "Peer") -> None:
        """Take in the counters of a connection that has ended."""
        self.received.update(peer.received)
        self.sent += peer.sent.total()
        self.dropped += peer.dropped
        self.bytes_in += peer.bytes_in
        self.bytes_out += peer.bytes_out
        self.connections[_direction(peer), "ok" if peer.was_ready else "failed"] += 1
        if peer.termination is not None:
            by = "peer" if peer.termination.by_peer else "us"
            self.disconnects[peer.termination.reason.name.lower(), by] += 1


def collect(
    totals: Totals,
    roster: Roster,
    exchange: "Exchange",
    discovery: "DiscoveryService | None",
    validators: frozenset[Address],
) -> NetworkStatistics:
    """Return the counters and the present state."""
    ready = roster.ready()
    received, connections = Counter(totals.received), Counter(totals.connections)
    for peer in roster.connections:
        received.update(peer.received)
        if peer.was_ready:
            connections[_direction(peer), "ok"] += 1
    return NetworkStatistics(
        peers_inbound=sum(peer.is_inbound for peer in ready),
        peers_outbound=sum(not peer.is_inbound for peer in ready),
        peers_validators=sum(peer.proven in validators for peer in ready),
        pending=sum(not peer.is_ready for peer in roster.connections),
        queued_messages=sum(peer.queued_messages for peer in roster.connections),
        queued_bytes=sum(peer.queued_bytes for peer in roster.connections),
        assembling_bytes=exchange.assembling_bytes,
        known_nodes=len(discovery.discovery.table) if discovery is not None else 0,
        bytes_in=totals.bytes_in + sum(peer.bytes_in for peer in roster.connections),
        bytes_out=totals.bytes_out + sum(peer.bytes_out for peer in roster.connections),
        messages_in=dict(received),
        messages_out=totals.sent + sum(peer.sent.total() for peer in roster.connections),
        dropped_out=totals.dropped + sum(peer.dropped for peer in roster.connections),
        connections=dict(connections),
        datagrams_in=discovery.datagrams_in if discovery is not None else 0,
        datagrams_out=discovery.datagrams_out if discovery is not None else 0,
        datagram_bytes_in=discovery.bytes_in if discovery is not None else 0,
        datagram_bytes_out=discovery.bytes_out if discovery is not None else 0,
        disconnects=dict(totals.disconnects),
        offences=dict(roster.offences),
        transactions_dropped=exchange.transactions_dropped,
    )


def _direction(peer: "Peer") -> str:
    return "inbound" if peer.is_inbound else "outbound"
