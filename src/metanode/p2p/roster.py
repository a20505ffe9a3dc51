"""Who is connected, who needs a place, and who has misbehaved.

One `Roster` is shared by the network (which fills it) and the exchange of messages (which asks it); both live in the event loop.
"""

import asyncio
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final

import structlog

from metanode.p2p.discv4.packets import unmapped
from metanode.p2p.enode import NodeId
from metanode.p2p.limits import Saying
from metanode.p2p.peer import Peer
from metanode.p2p.ports import ChainView
from metanode.p2p.protocol import Message
from metanode.p2p.queue import prepare
from metanode.p2p.records import RecordBook
from metanode.p2p.refusals import Refusals
from metanode.p2p.reputation import Offence, Reputation
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.primitives.types import Address, Height

if TYPE_CHECKING:
    from metanode.p2p.dialer import Target

log = structlog.get_logger(__name__)

NEEDED_ADDRESSES_MAX: Final = 4096
STRANGERS_LINES_PER_S: Final = 0.5
STRANGERS_LINES_BURST: Final = 2
"""Lines of the log about peers that are no validators and not configured: less than the line a second that no stranger may exceed, blocks not counted."""

_TRIFLES: Final = frozenset({Offence.NO_ANSWER, Offence.UNASKED, Offence.TOO_MANY_REQUESTS})
"""What makes a peer useless rather than hostile."""


class Roster:
    """See the module."""

    def __init__(self, chain: ChainView, own_address: Address | None) -> None:
        self._chain = chain
        self._own_address = own_address
        self.connections: set[Peer] = set()
        """Every open connection."""
        self.peers: dict[NodeId, Peer] = {}
        """The one connection that counts of each node, from its hello on."""
        self.targets: dict[str, Target] = {}
        """Who is kept connected, by `enode://` text."""
        self.book = RecordBook(chain.genesis_hash, chain.chain_id)
        self.reputation = Reputation()
        self.refusals = Refusals()
        self.offences: Counter[str] = Counter()
        self._needed_ips: OrderedDict[str, None] = OrderedDict()
        self._saying = Saying(per_s=STRANGERS_LINES_PER_S, burst=STRANGERS_LINES_BURST)

    def ready(self) -> list[Peer]:
        """Return the peers whose status has come, validators first: what is sent is sent to them first."""
        validators = self._chain.validators()
        ready = [peer for peer in self.peers.values() if peer.is_ready]
        ready.sort(key=lambda peer: peer.proven not in validators)
        return ready

    def recipients(self) -> list[Peer]:
        """Return the peers to send consensus messages to: also those whose own status is still on its way, as ours has gone ahead of what we send."""
        validators = self._chain.validators()
        return sorted(self.peers.values(), key=lambda peer: peer.proven not in validators)

    def highest_claim(self) -> Height:
        """Return the highest height that a connected peer claims; proves nothing, and falls when that peer goes."""
        return max((peer.height for peer in self.ready()), default=Height(0))

    def is_member(self, node_id: NodeId) -> bool:
        """Whether a node is a validator's, by its record or its proof."""
        validators = self._chain.validators()
        peer = self.peers.get(node_id)
        if peer is not None and peer.proven in validators:
            return True
        return any(
            node_id == record.node_id or any(node_id == enode.node_id for enode in record.endpoints)
            for record in self.book.all()
            if record.address in validators
        )

    def is_lazy(self, peer: Peer, validators: frozenset[Address]) -> bool:
        """Whether we and the peer are both validators, so that it has everything from its author in all likelihood."""
        return self._own_address in validators and peer.proven in validators

    def is_needed(self, peer: Peer) -> bool:
        """Whether a place is reserved for a peer."""
        return (
            peer.is_static
            or (peer.proven is not None and peer.proven in self._chain.validators())
            or any(peer.node_id == target.node_id for target in self.targets.values())
        )

    def is_static(self, node_id: NodeId) -> bool:
        """Whether a node is one of the configured peers."""
        return any(target.node_id == node_id and target.is_static for target in self.targets.values())

    def is_needed_ip(self, ip: str) -> bool:
        """Whether somebody who is needed has been at an address."""
        return ip in self._needed_ips

    def note_needed_ip(self, host: str) -> None:
        """Remember where a needed peer is: it may call from there as often as it likes."""
        ip = str(unmapped(host))
        self._needed_ips[ip] = None
        self._needed_ips.move_to_end(ip)
        if len(self._needed_ips) > NEEDED_ADDRESSES_MAX:
            self._needed_ips.popitem(last=False)

    def say_of(self, peer: Peer, now: float) -> dict[str, int] | None:
        """Return what a line of the log about a peer has besides; None when there are too many about peers that nobody needs.

        Who has many addresses can break rules, and be shut out, as fast as it calls: counters have all of it.
        """
        if self.is_needed(peer):
            return {}
        left_out = self._saying.take(now)
        if left_out is None:
            return None
        return {"lines_left_out": left_out} if left_out else {}

    def send_to_all(self, message: Message) -> None:
        """Queue a message at every peer."""
        outbound = prepare(message)
        for peer in self.ready():
            peer.push(outbound)

    def charge(self, peer: Peer, offence: Offence, detail: str = "") -> None:
        """Note what a peer has done, and disconnect it when that is too much."""
        self.offences[offence.name.lower()] += 1
        now = asyncio.get_running_loop().time()
        if (more := self.say_of(peer, now)) is not None:
            log.warning(
                "peer_offence", peer=repr(peer), offence=offence.name.lower(), detail=detail[:200], **more
            )
        if not peer.node_id:
            peer.disconnect(DisconnectReason.PROTOCOL_BREACH, detail)
        elif self.reputation.charge(peer.node_id, offence, now, is_needed=self.is_needed(peer)):
            reason = (
                DisconnectReason.USELESS_PEER if offence in _TRIFLES else DisconnectReason.PROTOCOL_BREACH
            )
            peer.disconnect(reason, f"{offence.name.lower()} {detail}".rstrip())
