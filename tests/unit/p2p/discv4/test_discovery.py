"""Discovery machines in virtual time: they meet, they look around, and they are not used against others."""

import ipaddress
from random import Random

import pytest

from metanode.crypto.hashing import keccak256
from metanode.p2p.discv4 import packets
from metanode.p2p.discv4.discovery import (
    PROOFS_MAX,
    Discovery,
    IdentityLearned,
    NodeProved,
    _may_relay,
)
from metanode.p2p.discv4.packets import (
    Contact,
    Endpoint,
    FindNode,
    Neighbours,
    Packet,
    Ping,
    Pong,
    RecordRequest,
    RecordResponse,
    Signed,
)
from metanode.p2p.enode import NodeId
from metanode.p2p.rlpx.handshake import NodeKey

NOW = 1_800_000_000.0
UDP = 30303


def key(name: object) -> NodeKey:
    return NodeKey(keccak256(f"node {name}".encode()))


def machine(name: object, ip: str, now: float = NOW) -> Discovery:
    endpoint = Endpoint(ip=ipaddress.ip_address(ip), udp_port=UDP, tcp_port=UDP)
    return Discovery(key=key(name), endpoint=endpoint, now=now, random=Random(str(name)))


class Lone:
    """One machine, and us writing to it by hand."""

    def __init__(self) -> None:
        self.machine = machine("target", "5.5.5.5")
        self.now = NOW

    def say(
        self, packet: Packet, *, who: object = "us", source: tuple[str, int] = ("6.6.6.6", UDP)
    ) -> list[Signed]:
        """Send a packet, return the answers."""
        datagram, _ = packets.encode(key(who), packet)
        return self.throw(datagram, source)

    def throw(self, datagram: bytes, source: tuple[str, int] = ("6.6.6.6", UDP)) -> list[Signed]:
        self.machine.receive_datagram(datagram, source, self.now)
        sent = self.machine.datagrams_to_send()
        assert all(address == (ipaddress.ip_address(source[0]), source[1]) for _, address in sent)
        return [packets.decode(datagram) for datagram, _ in sent]

    def bond(self, *, who: object = "us", source: tuple[str, int] = ("6.6.6.6", UDP)) -> None:
        pong, ping = self.say(self.ping(), who=who, source=source)
        assert isinstance(pong.packet, Pong)
        assert isinstance(ping.packet, Ping)
        assert self.say(self.pong(ping), who=who, source=source) == []

    def ping(self, **changes) -> Ping:
        fields = {"source": endpoint("6.6.6.6"), "target": endpoint("5.5.5.5"), "expiration": self.future}
        return Ping(**(fields | changes))

    def pong(self, ping: Signed) -> Pong:
        return Pong(target=endpoint("5.5.5.5"), ping_hash=ping.hash, expiration=self.future)

    def find(self) -> FindNode:
        return FindNode(target=key("somebody").node_id, expiration=self.future)

    @property
    def future(self) -> int:
        return int(self.now) + 20


def endpoint(ip: str) -> Endpoint:
    return Endpoint(ip=ipaddress.ip_address(ip), udp_port=UDP, tcp_port=UDP)


def kinds(answers: list[Signed]) -> list[type[Packet]]:
    return [type(answer.packet) for answer in answers]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"target": endpoint("192.0.2.0")},
        {"source": endpoint("192.0.2.0")},
        {"source": Endpoint(ip=None, udp_port=0, tcp_port=0)},
        {"record_seq": 2**64 - 1},
    ],
)
def test_row_27_a_ping_is_answered_by_a_pong_and_a_ping_whatever_it_says_of_endpoints(changes) -> None:
    lone = Lone()
    ping = lone.ping(**changes)
    pong, back = lone.say(ping)
    assert isinstance(pong.packet, Pong)
    assert pong.packet.ping_hash == packets.encode(key("us"), ping)[1]
    assert pong.packet.target.ip == ipaddress.ip_address("6.6.6.6")
    assert pong.packet.target.udp_port == UDP
    assert isinstance(back.packet, Ping)


@pytest.mark.parametrize(
    "expiration", [0, int(NOW) - 1, int(NOW) + 25 * 3600, int(NOW) * 1000, 2**64 - int(NOW)]
)
def test_row_27_a_packet_that_is_expired_or_absurdly_dated_is_not_answered(expiration: int) -> None:
    lone = Lone()
    lone.bond()
    for packet in (
        lone.ping(expiration=expiration),
        FindNode(target=bytes(64), expiration=expiration),
        RecordRequest(expiration=expiration),
    ):
        assert lone.say(packet) == []


def test_row_27_broken_packets_are_not_answered_and_the_next_good_one_is() -> None:
    lone = Lone()
    datagram, _ = packets.encode(key("us"), lone.ping())
    random = Random(27)
    for position in range(len(datagram)):
        broken = bytearray(datagram)
        broken[position] ^= 1 << random.randrange(8)
        lone.now += 0.1
        assert lone.throw(bytes(broken)) == []
    for length in range(0, 1400, 13):
        lone.now += 0.1
        assert lone.throw(random.randbytes(length)) == []
    assert kinds(lone.say(lone.ping())) == [Pong, Ping]


def test_row_28_findnode_without_an_endpoint_proof_is_answered_by_nothing() -> None:
    lone = Lone()
    assert lone.say(lone.find()) == []
    assert lone.say(RecordRequest(expiration=lone.future)) == []
    lone.bond()
    assert kinds(lone.say(lone.find())) == [Neighbours]
    assert kinds(lone.say(RecordRequest(expiration=lone.future))) == [RecordResponse]


def test_row_28_a_spoofed_pong_proves_nothing() -> None:
    lone = Lone()
    _, ping = lone.say(lone.ping())
    victim = ("7.7.7.7", UDP)
    lone.say(Pong(target=endpoint("5.5.5.5"), ping_hash=keccak256(b"?"), expiration=lone.future))
    lone.say(lone.pong(ping), source=victim)
    lone.say(lone.pong(ping), who="another")
    for source in (("6.6.6.6", UDP), victim, ("6.6.6.6", UDP + 1)):
        assert lone.say(lone.find(), source=source) == []
    lone.now += 1.5
    lone.say(lone.pong(ping))
    assert lone.say(lone.find()) == [], "a pong that comes too late"


def test_only_who_was_asked_is_heard_on_where_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metanode.p2p.discv4.discovery.TOLD_MAX", 2)
    lone = Lone()
    lone.say(Pong(target=endpoint("9.9.9.9"), ping_hash=keccak256(b"?"), expiration=lone.future))
    assert not lone.machine.told
    for n in range(3):
        lone.bond(who=n, source=(f"6.6.6.{n}", UDP))
    assert dict(lone.machine.told) == {key(n).node_id: ipaddress.ip_address("5.5.5.5") for n in (1, 2)}


def test_after_a_move_pings_and_record_name_the_new_place() -> None:
    lone = Lone()
    before = lone.machine.record
    lone.machine.move(endpoint("8.8.4.4"))
    assert lone.machine.record != before
    _, ping = lone.say(lone.ping())
    assert isinstance(ping.packet, Ping)
    assert ping.packet.source == lone.machine.endpoint == endpoint("8.8.4.4")


def test_row_28_a_proof_holds_for_one_address_and_one_day() -> None:
    lone = Lone()
    lone.bond()
    assert lone.say(lone.find(), source=("7.7.7.7", UDP)) == []
    assert lone.say(lone.find(), source=("6.6.6.6", 40000)) == []
    assert lone.say(lone.find(), who="another") == []
    lone.now += 24 * 3600
    assert lone.say(lone.find()) == []


def test_row_28_before_a_proof_a_ping_draws_a_pong_and_one_ping_of_its_own_size() -> None:
    lone = Lone()
    ping = lone.ping()
    datagram, _ = packets.encode(key("us"), ping)
    lone.machine.receive_datagram(datagram, ("6.6.6.6", UDP), lone.now)
    sent = sum(len(answer) for answer, _ in lone.machine.datagrams_to_send())
    assert sent <= 2.5 * len(datagram)
    for _ in range(20):
        assert kinds(lone.say(ping)) == [Pong], "our own ping is sent once"


def test_neighbours_that_nobody_asked_for_are_ignored() -> None:
    lone = Lone()
    lone.bond()
    fake = Contact(
        node_id=NodeId(key("fake").node_id), ip=ipaddress.ip_address("1.2.3.4"), udp_port=1, tcp_port=1
    )
    assert lone.say(Neighbours(contacts=(fake,), expiration=lone.future)) == []
    [answer] = lone.say(lone.find())
    assert isinstance(answer.packet, Neighbours)
    assert fake not in answer.packet.contacts


def test_a_stranger_cannot_make_us_remember_without_bound() -> None:
    lone = Lone()
    signer = key("us")
    for number in range(PROOFS_MAX + 500):
        lone.now += 0.02
        lone.machine._proof(NodeId(number.to_bytes(64, "big")), (ipaddress.ip_address("6.6.6.6"), number))
    assert len(lone.machine._proofs) == PROOFS_MAX
    datagram, _ = packets.encode(signer, lone.ping())
    for number in range(3000):
        source = f"6.{number // 256}.{number % 256}.1"
        lone.machine.receive_datagram(datagram, (source, UDP), lone.now)
    assert len(lone.machine._rates) <= 1024
    assert len(lone.machine._pings) <= 512


def test_a_flood_of_one_address_is_cut_and_others_are_answered() -> None:
    lone = Lone()
    datagram, _ = packets.encode(key("us"), lone.ping())
    answered = sum(bool(lone.throw(datagram)) for _ in range(1000))
    assert answered == 100
    assert kinds(lone.say(lone.ping(), who="other", source=("9.9.9.9", UDP))) == [Pong, Ping]


class World:
    """Machines that reach each other at their addresses, with time that passes by hand."""

    def __init__(self, ips: list[str]) -> None:
        self.now = NOW
        self.machines = {ip: machine(ip, ip) for ip in ips}

    def contact(self, ip: str) -> Contact:
        return Contact(
            node_id=NodeId(key(ip).node_id), ip=ipaddress.ip_address(ip), udp_port=UDP, tcp_port=UDP
        )

    def settle(self) -> None:
        """Carry datagrams until nobody has any."""
        while True:
            waiting = [
                (ip, datagram, address)
                for ip, item in self.machines.items()
                for datagram, address in item.datagrams_to_send()
            ]
            if not waiting:
                return
            for ip, datagram, (to, port) in waiting:
                target = self.machines.get(str(to))
                if target is not None and port == UDP:
                    target.receive_datagram(datagram, (ip, UDP), self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            for item in self.machines.values():
                if self.now >= item.timer_at:
                    item.handle_timer(self.now)
            self.settle()


def test_nodes_that_know_one_bootstrap_node_find_each_other() -> None:
    ips = [f"20.{number}.0.1" for number in range(12)]
    world = World(ips)
    for ip in ips[1:]:
        world.machines[ip].add_bootstrap(world.contact(ips[0]), world.now)
    world.run(180)
    assert [len(item.table) for item in world.machines.values()] == [11] * 12
    found = []
    while (event := world.machines[ips[3]].next_event()) is not None:
        assert isinstance(event, NodeProved)
        found.append(str(event.contact.ip))
    assert sorted(found) == sorted(set(ips) - {ips[3]})


def test_a_node_that_has_gone_leaves_the_table() -> None:
    world = World(["20.0.0.1", "20.1.0.1"])
    world.machines["20.1.0.1"].add_bootstrap(world.contact("20.0.0.1"), world.now)
    world.run(10)
    gone = world.machines.pop("20.1.0.1")
    assert len(gone.table) == 1
    world.run(90)
    assert len(world.machines["20.0.0.1"].table) == 0


def test_the_id_behind_an_address_is_learned_by_a_ping() -> None:
    world = World(["20.0.0.1", "20.1.0.1"])
    asker = world.machines["20.0.0.1"]
    address = ipaddress.ip_address("20.1.0.1"), UDP
    asker.identify(address, world.now)
    world.settle()
    events = []
    while (event := asker.next_event()) is not None:
        events.append(event)
    assert IdentityLearned(address=address, node_id=NodeId(key("20.1.0.1").node_id)) in events


def test_our_own_address_is_recognised_when_our_ping_comes_back() -> None:
    world = World(["20.0.0.1"])
    asker = world.machines["20.0.0.1"]
    address = ipaddress.ip_address("20.0.0.1"), UDP
    asker.identify(address, world.now)
    world.settle()
    assert asker.next_event() == IdentityLearned(address=address, node_id=NodeId(key("20.0.0.1").node_id))
    assert len(asker.table) == 0


@pytest.mark.parametrize(
    ("sender", "contact", "expected"),
    [
        ("8.8.8.8", "9.9.9.9", True),
        ("8.8.8.8", "127.0.0.1", False),
        ("8.8.8.8", "10.0.0.1", False),
        ("10.0.0.1", "10.0.0.2", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("10.0.0.1", "8.8.8.8", True),
        ("8.8.8.8", "0.0.0.0", False),
        ("8.8.8.8", "224.0.0.1", False),
        ("8.8.8.8", "255.255.255.255", False),
    ],
)
def test_nobody_is_told_of_addresses_he_cannot_reach(sender: str, contact: str, expected: bool) -> None:
    assert _may_relay(ipaddress.ip_address(sender), ipaddress.ip_address(contact)) is expected
