"""Who is listed. Pure: peers and the time go in, answers come out; nothing here opens a socket or a file.

A peer gets in by hand (`register`, marked unverified), or because it has proved its endpoint (`prove`). It goes when it was not seen for the timeout,
when it is removed, when it stops answering and came by itself, or when it turns out to be of another chain. `now` is seconds since 1970.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import InvalidInput
from metanode.p2p.discv4.packets import unmapped
from metanode.p2p.discv4.table import NEIGHBOURHOOD_PER_TABLE_MAX, neighbourhood
from metanode.p2p.enode import NODE_ID_BYTES, Enode, NodeId, is_host

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from random import Random

    from metanode.p2p.discv4.packets import Contact

NAME_CHARACTERS_MAX: Final = 256
"""Of a node id; an enode's has 128."""
VERSION_CHARACTERS_MAX: Final = 255
"""What a hello may say of a client."""
CHECK_INTERVAL_S_MAX: Final = 300.0
"""Between two looks at a peer that answers; a quarter of the timeout where that is less."""
RETRY_S: Final = 30.0
"""Before one that did not answer is asked again."""
FAILURES_MAX: Final = 3
"""Looks in a row without an answer, after which a peer counts as unverified; one that came by itself goes."""
REFUSED_MAX: Final = 4096
"""Nodes of other chains that are remembered."""

_NAME: Final = re.compile(r"[!-~]{1,256}")
_NODE_ID: Final = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapPeer:
    """One listed peer."""

    node_id: str
    """128 hexadecimal digits, the key of a node; or whatever name it was registered by."""
    address: str
    """IP address, or the host name that it was registered with."""
    port: int
    """TCP; 0 when the node does not say that it listens."""
    udp_port: int
    version: str = ""
    """What it calls itself, or was registered as; empty when it has not said."""
    verified: bool = False
    """Whether a node with this id has proved that it is at this address."""
    registered: bool = False
    """Whether somebody has registered it; otherwise it came by itself."""
    chain_id: int | None = None
    """What it said in an authenticated greeting; None when it has not said yet."""
    first_seen: float = 0.0
    """Seconds since 1970."""
    last_seen: float = 0.0
    """When it was registered, or answered last; seconds since 1970."""

    @property
    def key(self) -> NodeId | None:
        """The node's public key; None of a peer that was registered by a name, which nobody can prove."""
        return NodeId(bytes.fromhex(self.node_id)) if _NODE_ID.fullmatch(self.node_id) else None

    @property
    def enode(self) -> str | None:
        """Its `enode://` address, where it has a key and a TCP port."""
        key = self.key
        if key is None or not self.port:
            return None
        return str(Enode(node_id=key, host=self.address, tcp_port=self.port, udp_port=self.udp_port))

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them, and `enode`."""
        stored = {name: getattr(self, name) for name in BootstrapPeer.__slots__}
        return stored | {"enode": self.enode}


@dataclass(slots=True)
class _Check:
    """When a peer is looked at, and how that went."""

    due_at: float
    failures: int = 0


class PeerRegistry:
    """See the module. Owned by one `BootstrapNode`."""

    def __init__(
        self, *, max_peers: int, timeout_s: float, chain_id: int, genesis_hash: bytes | None = None
    ) -> None:
        self._max_peers = max_peers
        self._timeout_s = timeout_s
        self._chain_id = chain_id
        self._genesis_hash = genesis_hash
        self._peers: dict[str, BootstrapPeer] = {}
        self._checks: dict[str, _Check] = {}
        self._neighbourhoods: Counter[str] = Counter()
        self._refused: OrderedDict[str, int] = OrderedDict()
        self.total_seen = 0
        """Times that a peer came that was not listed."""
        self.changes = 0
        """Grows with every change: who saves compares."""

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def peers(self) -> Mapping[str, BootstrapPeer]:
        """All listed, by node id; a view that cannot be written to."""
        return MappingProxyType(self._peers)

    @property
    def refused(self) -> int:
        """How many nodes of other chains are remembered."""
        return len(self._refused)

    def register(
        self,
        *,
        node_id: str,
        address: str,
        port: int,
        version: str,
        chain_id: int | None,
        now: float,
    ) -> bool:
        """List a peer by hand, or refresh it; return False when the registry is full or the peer is of another chain.

        Raises:
            InvalidInput: when a field is none that a peer can have.
        """
        node_id = _checked(node_id, address, port, version)
        if (chain_id is not None and chain_id != self._chain_id) or node_id in self._refused:
            return False
        known = self._peers.get(node_id)
        if known is None:
            return self._insert(
                BootstrapPeer(
                    node_id=node_id, address=address, port=port, udp_port=port, version=version, registered=True,
                    first_seen=now, last_seen=now,
                ),
                now,
            )  # fmt: skip
        moved = (known.address, known.port) != (address, port)
        if moved and known.verified:
            # Who says where a node is proves nothing: what the node itself has proved stands.
            address, port = known.address, known.port
        self._replace(
            replace(
                known,
                address=address,
                port=port,
                udp_port=known.udp_port if not moved or known.verified else port,
                version=version or known.version,
                registered=True,
                last_seen=now,
            )
        )
        return True

    def prove(self, contact: Contact, now: float) -> bool:
        """List a node that has proved its endpoint; return False when there is no place for it, or it is of another chain."""
        node_id = contact.node_id.hex()
        if node_id in self._refused:
            return False
        known = self._peers.get(node_id)
        address = str(contact.ip)
        fields: dict[str, Any] = {
            "address": address, "udp_port": contact.udp_port, "verified": True, "last_seen": now,
        }  # fmt: skip
        if known is not None:
            self._replace(replace(known, **fields, port=contact.tcp_port or known.port))
            self._checks[node_id].failures = 0
            return True
        name = neighbourhood(contact.ip)
        if name is not None and self._neighbourhoods[name] >= NEIGHBOURHOOD_PER_TABLE_MAX:
            return False
        return self._insert(
            BootstrapPeer(node_id=node_id, port=contact.tcp_port, first_seen=now, **fields), now
        )

    def greeted(self, node_id: str, *, version: str, chain_id: int, genesis_hash: bytes) -> bool:
        """Note what a node said in an authenticated greeting; return whether it is of our chain. One of another chain is listed no more."""
        if chain_id != self._chain_id or self._genesis_hash not in (None, genesis_hash):
            self.remove(node_id)
            self._refused[node_id] = chain_id
            self._refused.move_to_end(node_id)
            if len(self._refused) > REFUSED_MAX:
                self._refused.popitem(last=False)
            return False
        self._refused.pop(node_id, None)
        known = self._peers.get(node_id)
        if known is not None:
            version = "".join(c if c.isprintable() else "?" for c in version[:VERSION_CHARACTERS_MAX])
            self._replace(replace(known, version=version or known.version, chain_id=chain_id))
        return True

    def answered(self, node_id: str, now: float) -> None:
        """Note that a listed node has just proved again that it is where we say."""
        known = self._peers.get(node_id)
        if known is None:
            return
        self._replace(replace(known, verified=True, last_seen=now))
        self._checks[node_id] = _Check(due_at=now + min(CHECK_INTERVAL_S_MAX, self._timeout_s / 4))

    def unanswered(self, node_id: str, now: float) -> None:
        """Note that a listed node was asked and did not answer."""
        known = self._peers.get(node_id)
        if known is None:
            return
        check = self._checks[node_id]
        check.failures += 1
        check.due_at = now + min(RETRY_S, self._timeout_s / 4)
        if check.failures < FAILURES_MAX:
            return
        if known.registered:
            self._replace(replace(known, verified=False))
        else:
            self.remove(node_id)

    def remove(self, node_id: str) -> bool:
        """List a peer no more; return whether it was listed."""
        peer = self._peers.pop(node_id, None)
        if peer is None:
            return False
        del self._checks[node_id]
        self._count(peer, -1)
        self.changes += 1
        return True

    def expire(self, now: float) -> int:
        """Drop who was not seen for the timeout; return how many."""
        late = [peer.node_id for peer in self._peers.values() if now - peer.last_seen >= self._timeout_s]
        for node_id in late:
            self.remove(node_id)
        return len(late)

    def due(self, now: float, count: int) -> list[BootstrapPeer]:
        """Return peers with keys that are to be looked at, the longest due first."""
        waiting = sorted(
            (check.due_at, node_id) for node_id, check in self._checks.items() if check.due_at <= now
        )
        return [self._peers[node_id] for _, node_id in waiting[:count]]

    def choose(self, count: int, exclude: Collection[str], random: Random) -> list[BootstrapPeer]:
        """Return peers to tell somebody: verified ones first, and each time others first, so that no node is everybody's."""
        left_out = {node_id.lower() for node_id in exclude} | set(exclude)
        peers = [peer for peer in self._peers.values() if peer.node_id not in left_out]
        random.shuffle(peers)
        peers.sort(key=lambda peer: not peer.verified)
        return peers[: max(0, count)]

    def restore(self, peers: Collection[BootstrapPeer], total_seen: int, now: float) -> None:
        """Take over what was saved; whoever has timed out since stays away."""
        for peer in peers:
            # A clock that has been set back must not make anybody immortal.
            seen = replace(peer, last_seen=min(peer.last_seen, now), first_seen=min(peer.first_seen, now))
            if now - seen.last_seen < self._timeout_s and peer.node_id not in self._peers:
                self._insert(seen, now)
        self.total_seen = max(total_seen, len(self._peers))

    def _insert(self, peer: BootstrapPeer, now: float) -> bool:
        if len(self._peers) >= self._max_peers and not self.expire(now):
            return False
        self._peers[peer.node_id] = peer
        self._checks[peer.node_id] = _Check(due_at=now if peer.key is not None else float("inf"))
        self._count(peer, 1)
        self.total_seen += 1
        self.changes += 1
        return True

    def _replace(self, peer: BootstrapPeer) -> None:
        known = self._peers[peer.node_id]
        self._count(known, -1)
        self._peers[peer.node_id] = peer
        self._count(peer, 1)
        has_moved = (known.address, known.port, known.udp_port) != (peer.address, peer.port, peer.udp_port)
        if has_moved and peer.key is not None:
            check = self._checks[peer.node_id]
            check.due_at = min(check.due_at, peer.last_seen)
        self.changes += 1

    def _count(self, peer: BootstrapPeer, change: int) -> None:
        """Keep the number of nodes of one public network that came by themselves."""
        if peer.registered:
            return
        name = neighbourhood(unmapped(peer.address))
        if name is not None:
            self._neighbourhoods[name] += change
            if not self._neighbourhoods[name]:
                del self._neighbourhoods[name]


def _checked(node_id: Any, address: Any, port: Any, version: Any) -> str:
    """Return the node id as it is listed: digits of a key in lower case. Raises InvalidInput with a line for each wrong field."""
    problems = []
    if not isinstance(node_id, str) or not _NAME.fullmatch(node_id):
        problems.append(
            f"node_id: expected {2 * NODE_ID_BYTES} hexadecimal digits or a name of at most {NAME_CHARACTERS_MAX} "
            f"printable characters without spaces, found {node_id!r:.80}"
        )
    if not isinstance(address, str) or not is_host(address):
        problems.append(f"address: expected an IP address or a host name, found {address!r:.80}")
    if type(port) is not int or not 1 <= port <= 65_535:
        problems.append(f"port: expected a whole number from 1 to 65,535, found {port!r:.60}")
    if not isinstance(version, str) or len(version) > VERSION_CHARACTERS_MAX or not version.isprintable():
        problems.append(
            f"version: expected at most {VERSION_CHARACTERS_MAX} printable characters, found {version!r:.80}"
        )
    if problems:
        raise InvalidInput("\n".join(problems))
    key = node_id.lower().removeprefix("0x")
    return key if _NODE_ID.fullmatch(key) else str(node_id)
