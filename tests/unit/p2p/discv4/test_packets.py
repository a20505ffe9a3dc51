"""The packets of discovery against EIP-8's vectors, and what is no packet."""

import ipaddress
import json
from pathlib import Path

import coincurve
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput
from metanode.p2p.discv4 import packets
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
)
from metanode.p2p.discv4.record import format_record, make_record
from metanode.p2p.enode import NodeId
from metanode.p2p.ports import ForkId
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives import rlp
from metanode.primitives.types import Hash32

VECTORS = {
    name: bytes.fromhex(value)
    for name, value in json.loads(
        (Path(__file__).parent.parent / "vectors" / "eip-8.json").read_text()
    ).items()
}
KEY = NodeKey(VECTORS["static_key_b"])

ports = st.integers(0, 65535)
seconds = st.integers(0, 2**63)
ips = st.ip_addresses().filter(lambda ip: ip.version == 4 or ip.ipv4_mapped is None)
endpoints = st.builds(Endpoint, ip=ips, udp_port=ports, tcp_port=ports)
hashes = st.binary(min_size=32, max_size=32).map(Hash32)
ids = st.binary(min_size=64, max_size=64).map(NodeId)
contacts = st.builds(Contact, node_id=ids, ip=ips, udp_port=ports, tcp_port=ports)
PACKETS: st.SearchStrategy[Packet] = st.one_of(
    st.builds(Ping, source=endpoints, target=endpoints, expiration=seconds, record_seq=seconds),
    st.builds(Pong, target=endpoints, ping_hash=hashes, expiration=seconds, record_seq=seconds),
    st.builds(FindNode, target=ids, expiration=seconds),
    st.builds(Neighbours, contacts=st.lists(contacts, max_size=12).map(tuple), expiration=seconds),
    st.builds(RecordRequest, expiration=seconds),
    st.builds(RecordResponse, request_hash=hashes, record=st.just([b"signature", b"\x01"])),
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ping_v4", Ping),
        ("ping_v555", Ping),
        ("pong", Pong),
        ("findnode", FindNode),
        ("neighbours", Neighbours),
    ],
)
def test_the_packets_of_eip_8_are_understood(name: str, kind: type[Packet]) -> None:
    signed = packets.decode(VECTORS[name])
    assert isinstance(signed.packet, kind)
    assert signed.node_id == KEY.node_id
    assert signed.hash == VECTORS[name][:32]


def test_the_fields_of_eip_8s_packets_are_read() -> None:
    ping = packets.decode(VECTORS["ping_v555"]).packet
    assert isinstance(ping, Ping)
    assert ping.source == Endpoint(
        ip=ipaddress.ip_address("2001:db8:3c4d:15::abcd:ef12"), udp_port=3322, tcp_port=5544
    )
    assert ping.expiration == 1136239445
    neighbours = packets.decode(VECTORS["neighbours"]).packet
    assert isinstance(neighbours, Neighbours)
    assert [str(contact.ip) for contact in neighbours.contacts] == [
        "99.33.22.55",
        "1.2.3.4",
        "2001:db8:3c4d:15::abcd:ef12",
        "2001:db8:85a3:8d3:1319:8a2e:370:7348",
    ]


@given(PACKETS)
def test_every_packet_is_read_as_it_was_written(packet: Packet) -> None:
    datagram, packet_hash = packets.encode(KEY, packet)
    signed = packets.decode(datagram)
    assert (signed.packet, signed.hash, signed.node_id) == (packet, packet_hash, KEY.node_id)
    assert len(datagram) <= packets.PACKET_BYTES_MAX


@pytest.mark.parametrize("name", ["ping_v4", "pong", "findnode", "neighbours"])
def test_no_packet_is_read_from_a_part_of_it(name: str) -> None:
    for length in range(len(VECTORS[name])):
        with pytest.raises(InvalidInput):
            packets.decode(VECTORS[name][:length])


def rehash(signed: bytes) -> bytes:
    return keccak256(signed) + signed


def resign(kind: int, body: bytes) -> bytes:
    content = bytes((kind,)) + body
    return rehash(KEY.signing.sign(keccak256(content)) + content)


@pytest.mark.parametrize(
    ("desc", "datagram"),
    [
        ("empty", b""),
        ("hash only", bytes(98)),
        ("bad hash", b"\x00" * 32 + VECTORS["ping_v4"][32:]),
        ("bad signature", rehash(bytes(65) + VECTORS["ping_v4"][97:])),
        ("recovery id 4", rehash(VECTORS["ping_v4"][32:96] + b"\x04" + VECTORS["ping_v4"][97:])),
        ("unknown type", resign(7, b"\xc0")),
        ("type 0", resign(0, b"\xc0")),
        ("no list", resign(1, b"\x80")),
        ("empty list", resign(1, b"\xc0")),
        ("a list that is cut", resign(3, b"\xf8\x50\x01")),
        ("1,281 bytes", resign(5, rlp.encode([b"\x7f\xff\xff\xff"]) + bytes(1281 - 98 - 6))),
        ("seventeen neighbours", resign(4, rlp.encode([[[b"", b"", b"", b""]] * 17, b"\x01"]))),
        ("neighbour without address", resign(4, rlp.encode([[[b"", b"", b"", bytes(64)]], b"\x01"]))),
        ("port of 17 bits", resign(4, rlp.encode([[[bytes(4), b"\x01\x00\x00", b"", bytes(64)]], b"\x01"]))),
        ("target of 63 bytes", resign(3, rlp.encode([bytes(63), b"\x01"]))),
    ],
)
def test_row_27_what_is_no_packet_is_refused(desc: str, datagram: bytes) -> None:
    if desc == "1,281 bytes":
        assert len(datagram) == 1281
        packets.decode(rehash(datagram[32:-1]))
    with pytest.raises(InvalidInput):
        packets.decode(datagram)


@given(st.integers(0, 8), st.binary(max_size=300))
def test_any_signed_bytes_are_a_packet_or_refused(kind: int, body: bytes) -> None:
    try:
        packets.decode(resign(kind, body))
    except InvalidInput:
        return
    assert 1 <= kind <= 6


def test_our_record_is_signed_by_the_key_in_it() -> None:
    endpoint = Endpoint(ip=ipaddress.ip_address("10.1.2.3"), udp_port=30303, tcp_port=30304)
    record = make_record(KEY, endpoint, 5, ForkId(hash=b"abcd", next=9))
    signature, *content = record
    names = content[1::2]
    assert names == sorted(names) == [b"id", b"ip", b"mtn", b"secp256k1", b"tcp", b"udp"]
    key = coincurve.PublicKey(content[content.index(b"secp256k1") + 1])
    assert key.format(compressed=False)[1:] == KEY.node_id
    assert isinstance(signature, bytes)
    der = coincurve.ecdsa.cdata_to_der(coincurve.ecdsa.deserialize_compact(signature))
    assert key.verify(der, keccak256(rlp.encode(content)), hasher=None)
    assert format_record(record).startswith("enr:-")


def test_the_record_of_eip_778_is_made_from_its_key() -> None:
    key = NodeKey(bytes.fromhex("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"))
    endpoint = Endpoint(ip=ipaddress.ip_address("127.0.0.1"), udp_port=30303, tcp_port=0)
    assert format_record(make_record(key, endpoint, 1)) == (
        "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1"
        "NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8"
    )
