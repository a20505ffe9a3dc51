"""A bootstrap node sends strangers no more than it got from them, in virtual time."""

from __future__ import annotations

import ipaddress
from random import Random

import pytest

from metanode.crypto.hashing import keccak256
from metanode.p2p.discv4 import packets
from metanode.p2p.discv4.packets import Endpoint, FindNode, Neighbours, Ping, Pong, RecordRequest
from metanode.p2p.rlpx.handshake import NodeKey
from sdk.testnet.bootstrap.frugal import (
    ADDRESSES_MAX,
    ALLOWANCE_BYTES,
    ALLOWANCE_BYTES_PER_S,
    Credits,
    FrugalDiscovery,
)

NOW = 1_800_000_000.0
EMPTY = Endpoint(ip=None, udp_port=0, tcp_port=0)


def endpoint(ip: str) -> Endpoint:
    return Endpoint(ip=ipaddress.ip_address(ip), udp_port=30303, tcp_port=30303)


def machine(ip: str = "5.5.5.5") -> FrugalDiscovery:
    return FrugalDiscovery(key=NodeKey(b"\x05" * 32), endpoint=endpoint(ip), now=NOW, random=Random(5))


def key(number: int) -> NodeKey:
    return NodeKey(keccak256(b"%d" % number))


def ping(number: int, now: float, source: Endpoint = EMPTY) -> bytes:
    return packets.encode(key(number), Ping(source=source, target=EMPTY, expiration=int(now) + 20))[0]


@pytest.mark.parametrize(("ip", "own"), [("6.6.6.6", "5.5.5.5"), ("2001:db8::6", "2001:db8::5")])
@pytest.mark.parametrize("per_s", [1, 20])
def test_row_28_a_flood_with_somebody_elses_address_brings_it_no_more_than_was_sent(
    ip: str, own: str, per_s: int
) -> None:
    discovery, now, received, sent = machine(own), NOW, 0, 0
    for number in range(800):
        now += 1 / per_s
        # The shortest ping there is, each of another node.
        datagram = ping(number, now)
        received += len(datagram)
        discovery.receive_datagram(datagram, (ip, 30303), now)
        sent += sum(len(answer) for answer, _ in discovery.datagrams_to_send())
    allowance = ALLOWANCE_BYTES + ALLOWANCE_BYTES_PER_S * (now - NOW)
    assert 0 < sent <= received + allowance


def test_fifty_nodes_behind_one_address_introduce_themselves_at_once() -> None:
    discovery = machine()
    for number in range(50):
        discovery.receive_datagram(
            ping(number, NOW, endpoint("10.0.0.7")), ("10.0.0.7", 30000 + number), NOW + number / 1000
        )
        kinds = [type(packets.decode(datagram).packet) for datagram, _ in discovery.datagrams_to_send()]
        assert kinds == [Pong, Ping], number


def test_who_has_proved_its_endpoint_is_answered_however_many_strangers_share_its_address() -> None:
    discovery, now = machine(), NOW
    discovery.receive_datagram(ping(0, now), ("6.6.6.6", 30303), now)
    _, back = (packets.decode(datagram) for datagram, _ in discovery.datagrams_to_send())
    pong = Pong(target=EMPTY, ping_hash=back.hash, expiration=int(now) + 20)
    discovery.receive_datagram(packets.encode(key(0), pong)[0], ("6.6.6.6", 30303), now)
    for number in range(1, 400):
        now += 0.05
        discovery.receive_datagram(ping(number, now), ("6.6.6.6", 30303), now)
    discovery.datagrams_to_send()
    discovery.receive_datagram(ping(9999, now), ("6.6.6.6", 30303), now)
    assert not discovery.datagrams_to_send(), "a stranger's turn is over"
    discovery.receive_datagram(ping(0, now), ("6.6.6.6", 30303), now)
    assert [type(packets.decode(datagram).packet) for datagram, _ in discovery.datagrams_to_send()] == [Pong]


@pytest.mark.parametrize(
    "packet",
    [
        FindNode(target=bytes(64), expiration=int(NOW) + 20),
        RecordRequest(expiration=int(NOW) + 20),
        Pong(target=EMPTY, ping_hash=keccak256(b"no ping of ours"), expiration=int(NOW) + 20),
        Neighbours(contacts=(), expiration=int(NOW) + 20),
    ],
    ids=lambda packet: type(packet).__name__,
)
def test_row_28_nothing_but_a_ping_is_answered_without_a_proof(packet) -> None:
    discovery = machine()
    for number in range(100):
        discovery.receive_datagram(packets.encode(key(number), packet)[0], ("6.6.6.6", 30303), NOW)
    assert discovery.datagrams_to_send() == []


def test_the_memory_of_credits_is_bounded() -> None:
    credits_ = Credits()
    for number in range(2 * ADDRESSES_MAX):
        credits_.add(ipaddress.ip_address(number), 100, NOW)
    assert len(credits_) == ADDRESSES_MAX
