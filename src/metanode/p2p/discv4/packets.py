"""Discovery packets: the codec, and nothing else.

A packet is hash ‖ signature ‖ type ‖ RLP, at most 1,280 bytes. As EIP-8 asks, versions are not compared, additional list elements and whatever
follows the list are ignored.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final, assert_never

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import recover_public_key
from metanode.errors import InvalidEncoding
from metanode.p2p.enode import NODE_ID_BYTES, NodeId
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives import rlp
from metanode.primitives.types import HASH_BYTES, SIGNATURE_BYTES, Hash32

PACKET_BYTES_MAX: Final = 1280
HEAD_BYTES: Final = HASH_BYTES + SIGNATURE_BYTES + 1
VERSION: Final = 4
NEIGHBOURS_MAX: Final = 12
"""Nodes in one packet: 12 with IPv6 addresses stay under 1,280 bytes."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a node says it is."""

    ip: IPAddress | None
    """None when the field is empty or no address; the sender's real address is known from the datagram."""
    udp_port: int
    tcp_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A node and where it can be reached."""

    node_id: NodeId
    ip: IPAddress
    udp_port: int
    tcp_port: int
    """0 when it is not known, or the node does not listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Are you there? Starts an endpoint proof."""

    source: Endpoint
    target: Endpoint
    expiration: int
    """Seconds since the Unix epoch; later than this the packet is ignored."""
    record_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """The answer to a ping, which proves that its sender is where it says."""

    target: Endpoint
    ping_hash: Hash32
    expiration: int
    record_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FindNode:
    """Which nodes do you know near this key?"""

    target: bytes
    """64 bytes."""
    expiration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The answer to FindNode, in one packet or two."""

    contacts: tuple[Contact, ...]
    expiration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """ENRRequest of EIP-868."""

    expiration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordResponse:
    """ENRResponse of EIP-868."""

    request_hash: Hash32
    record: rlp.Decoded


Packet = Ping | Pong | FindNode | Neighbours | RecordRequest | RecordResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A packet and who signed it."""

    packet: Packet
    hash: Hash32
    node_id: NodeId


def encode(key: NodeKey, packet: Packet) -> tuple[bytes, Hash32]:
    """Return the datagram of a packet, and its hash."""
    kind, fields = _fields(packet)
    content = bytes((kind,)) + rlp.encode(fields)
    signed = key.signing.sign(keccak256(content)) + content
    packet_hash = keccak256(signed)
    datagram = packet_hash + signed
    assert len(datagram) <= PACKET_BYTES_MAX, len(datagram)
    return datagram, packet_hash


def decode(datagram: bytes) -> Signed:
    """Return the packet of a datagram; raises InvalidInput. The signature is recovered last, after all that is cheaper."""
    if not HEAD_BYTES < len(datagram) <= PACKET_BYTES_MAX:
        raise InvalidEncoding(
            f"discv4: a datagram of {len(datagram)} bytes, expected {HEAD_BYTES + 1} to {PACKET_BYTES_MAX}"
        )
    packet_hash = Hash32(datagram[:HASH_BYTES])
    if keccak256(datagram[HASH_BYTES:]) != packet_hash:
        raise InvalidEncoding("discv4: the hash of the packet is wrong")
    packet = _decode_body(datagram[HEAD_BYTES - 1], datagram[HEAD_BYTES:])
    signature = datagram[HASH_BYTES : HEAD_BYTES - 1]
    node_id = recover_public_key(keccak256(datagram[HEAD_BYTES - 1 :]), signature)
    return Signed(packet=packet, hash=packet_hash, node_id=NodeId(node_id))


def _fields(packet: Packet) -> tuple[int, list[rlp.Item]]:
    match packet:
        case Ping():
            return 0x01, [
                rlp.integer(VERSION),
                _encode_endpoint(packet.source),
                _encode_endpoint(packet.target),
                rlp.integer(packet.expiration),
                rlp.integer(packet.record_seq),
            ]
        case Pong():
            return 0x02, [
                _encode_endpoint(packet.target),
                packet.ping_hash,
                rlp.integer(packet.expiration),
                rlp.integer(packet.record_seq),
            ]
        case FindNode():
            return 0x03, [packet.target, rlp.integer(packet.expiration)]
        case Neighbours():
            assert len(packet.contacts) <= NEIGHBOURS_MAX, len(packet.contacts)
            nodes = [
                [c.ip.packed, rlp.integer(c.udp_port), rlp.integer(c.tcp_port), c.node_id]
                for c in packet.contacts
            ]
            return 0x04, [nodes, rlp.integer(packet.expiration)]
        case RecordRequest():
            return 0x05, [rlp.integer(packet.expiration)]
        case RecordResponse():
            return 0x06, [packet.request_hash, packet.record]
        case _:
            assert_never(packet)


def _decode_body(kind: int, body: bytes) -> Packet:
    _, _, end = rlp.item_span(body, 0, len(body))
    reader = rlp.Reader(rlp.decode(body[:end], items_max=PACKET_BYTES_MAX), "discv4")
    match kind:
        case 0x01:
            reader.item("version")
            return Ping(
                source=_decode_endpoint(reader.reader("from")),
                target=_decode_endpoint(reader.reader("to")),
                expiration=reader.integer("expiration"),
                record_seq=_decode_seq(reader),
            )
        case 0x02:
            return Pong(
                target=_decode_endpoint(reader.reader("to")),
                ping_hash=reader.hash32("ping_hash"),
                expiration=reader.integer("expiration"),
                record_seq=_decode_seq(reader),
            )
        case 0x03:
            return FindNode(
                target=reader.bytes("target", length=NODE_ID_BYTES), expiration=reader.integer("expiration")
            )
        case 0x04:
            items = reader.list("nodes", length_max=NEIGHBOURS_MAX + 4)
            return Neighbours(
                contacts=tuple(_decode_contact(rlp.Reader(item, "node")) for item in items),
                expiration=reader.integer("expiration"),
            )
        case 0x05:
            return RecordRequest(expiration=reader.integer("expiration"))
        case 0x06:
            return RecordResponse(request_hash=reader.hash32("request_hash"), record=reader.item("record"))
        case _:
            raise InvalidEncoding(f"discv4: no packet has the type {kind:#x}")


def _decode_seq(reader: rlp.Reader) -> int:
    """Return EIP-868's sequence number, which older nodes do not send and EIP-8's vectors fill with something else."""
    if not len(reader):
        return 0
    item = reader.item("enr_seq")
    if isinstance(item, list) or len(item) > 8:
        return 0
    return int.from_bytes(item, "big")


def _encode_endpoint(endpoint: Endpoint) -> rlp.Item:
    address = bytes(4) if endpoint.ip is None else endpoint.ip.packed
    return [address, rlp.integer(endpoint.udp_port), rlp.integer(endpoint.tcp_port)]


def _decode_endpoint(reader: rlp.Reader) -> Endpoint:
    packed = reader.bytes("ip", length_max=16)
    return Endpoint(
        ip=unmapped(packed) if len(packed) in {4, 16} else None,
        udp_port=reader.integer("udp_port", bits=16),
        tcp_port=reader.integer("tcp_port", bits=16) if len(reader) else 0,
    )


def _decode_contact(reader: rlp.Reader) -> Contact:
    packed = reader.bytes("ip", length_max=16)
    if len(packed) not in {4, 16}:
        raise InvalidEncoding(f"node.ip: expected 4 or 16 bytes, found {len(packed)}")
    return Contact(
        ip=unmapped(packed),
        udp_port=reader.integer("udp_port", bits=16),
        tcp_port=reader.integer("tcp_port", bits=16),
        node_id=NodeId(reader.bytes("node_id", length=NODE_ID_BYTES)),
    )


def unmapped(packed: bytes | str) -> IPAddress:
    """Return an address, an IPv4 one that is written as IPv6 (`::ffff:1.2.3.4`) as what it is."""
    address = ipaddress.ip_address(packed)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
