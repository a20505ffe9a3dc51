"""Discovery that gives strangers no more bytes than it got from them.

Anybody can write anybody's address on a datagram. An answer to a ping is a pong and a ping of our own, together longer than what they answer: sent to
whoever is named as the sender, they would make a bootstrap node, whose address is public, a small amplifier. So each IP address has a credit: what came from
it, and an allowance that is enough for whole racks of nodes to introduce themselves at once. Whoever has proved its endpoint is answered in any case.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from metanode.p2p.discv4.discovery import Discovery

if TYPE_CHECKING:
    from metanode.p2p.discv4.discovery import Address
    from metanode.p2p.discv4.packets import IPAddress, Ping, Signed

ALLOWANCE_BYTES: Final = 16 * 1024
"""Fifty introductions."""
ALLOWANCE_BYTES_PER_S: Final = ALLOWANCE_BYTES / 60
ANSWER_BYTES_MAX: Final = 384
"""A pong and a ping with IPv6 addresses."""
ADDRESSES_MAX: Final = 4096
"""Addresses whose credit is remembered. Discovery takes 400 datagrams a second from everybody, so a forgotten one is ten seconds old."""


class Credits:
    """How many bytes each IP address may still be sent without a proof."""

    def __init__(self) -> None:
        self._credits: OrderedDict[IPAddress, tuple[float, float]] = OrderedDict()
        """Bytes, and when they were counted; the address that was heard of last is last."""

    def __len__(self) -> int:
        return len(self._credits)

    def add(self, ip: IPAddress, size_bytes: int, now: float) -> float:
        """Note what came from an address; return its credit, never above the allowance."""
        credit, at = self._credits.get(ip, (float(ALLOWANCE_BYTES), now))
        refill = max(0.0, now - at) * ALLOWANCE_BYTES_PER_S
        credit = min(float(ALLOWANCE_BYTES), credit + refill + size_bytes)
        self._credits[ip] = (credit, now)
        self._credits.move_to_end(ip)
        if len(self._credits) > ADDRESSES_MAX:
            self._credits.popitem(last=False)
        return credit

    def spend(self, ip: IPAddress, size_bytes: int) -> None:
        """Note what was sent to an address."""
        credit, at = self._credits[ip]
        self._credits[ip] = (credit - size_bytes, at)


class FrugalDiscovery(Discovery):
    """`Discovery` with the rule of this module."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._credits = Credits()
        self._received_bytes = 0

    def receive_datagram(self, data: bytes, source: tuple[str, int], now: float) -> None:
        """Process a datagram; whatever is wrong with it is ignored."""
        self._received_bytes = len(data)
        super().receive_datagram(data, source, now)

    def _upon_ping(self, signed: Signed, ping: Ping, address: Address, now: float) -> None:
        if self._is_proved(signed.node_id, address, now):
            super()._upon_ping(signed, ping, address, now)
            return
        if self._credits.add(address[0], self._received_bytes, now) < ANSWER_BYTES_MAX:
            return
        before = len(self._outgoing)
        super()._upon_ping(signed, ping, address, now)
        answers = [self._outgoing[index] for index in range(before, len(self._outgoing))]
        size_bytes = sum(len(datagram) for datagram, _ in answers)
        assert size_bytes <= ANSWER_BYTES_MAX, size_bytes
        self._credits.spend(address[0], size_bytes)
