"""The base protocol `p2p`: Hello, Disconnect, Ping, Pong, and which capabilities two peers share.

Source: https://github.com/ethereum/devp2p/blob/master/rlpx.md#p2p-capability. Decoding follows EIP-8: versions are not compared, additional list elements
are ignored. A base message has at most 2 KiB, which is checked on the frame's header.
"""

from dataclasses import dataclass
from typing import Final

from metanode.errors import InvalidInput
from metanode.p2p.errors import PeerFault
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.primitives import rlp

HELLO: Final = 0x00
DISCONNECT: Final = 0x01
PING: Final = 0x02
PONG: Final = 0x03
BASE_LENGTH: Final = 0x10
"""Message codes that the base protocol keeps for itself."""

BASE_MESSAGE_BYTES_MAX: Final = 2048
"""go-ethereum's bound (p2p/peer.go, baseProtocolMaxMsgSize)."""
VERSION: Final = 5
"""The version that brought snappy."""
_CLIENT_BYTES_MAX: Final = 255
_CAPABILITIES_MAX: Final = 64
"""Ethereum clients announce about six."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Capability:
    """A protocol that can be spoken over a connection."""

    name: str
    version: int
    length: int = 0
    """Message codes it uses; the peers agree on it by the version, so it is not on the wire."""

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who speaks, and what it can."""

    client: str
    capabilities: tuple[Capability, ...]
    node_id: bytes
    listen_port: int = 0
    version: int = VERSION


def encode_hello(hello: Hello) -> bytes:
    """Return the RLP of a hello."""
    capabilities = [[c.name.encode(), rlp.integer(c.version)] for c in sorted(hello.capabilities)]
    return rlp.encode(
        [
            rlp.integer(hello.version),
            hello.client.encode(),
            capabilities,
            rlp.integer(hello.listen_port),
            hello.node_id,
        ]
    )


def decode_hello(data: bytes) -> Hello:
    """Return the hello of RLP; raises PeerFault, with the reason that the peer is told."""
    try:
        reader = rlp.Reader(rlp.decode(data), "hello")
        version = reader.integer("version")
        client = reader.bytes("client", length_max=_CLIENT_BYTES_MAX).decode("utf-8", "replace")
        capabilities = []
        for item in reader.list("capabilities", length_max=_CAPABILITIES_MAX):
            pair = rlp.Reader(item, "hello.capability")
            name = pair.bytes("name", length_max=8).decode("ascii", "replace")
            capabilities.append(Capability(name=name, version=pair.integer("version")))
        hello = Hello(
            version=version,
            client=client,
            capabilities=tuple(capabilities),
            listen_port=reader.integer("listen_port"),
            node_id=reader.bytes("node_id", length=64),
        )
    except InvalidInput as error:
        raise PeerFault(str(error)) from error
    if hello.version < 1:
        raise PeerFault("hello.version: expected at least 1", DisconnectReason.INCOMPATIBLE_VERSION)
    return hello


def decode_disconnect(data: bytes) -> DisconnectReason:
    """Return the reason; some clients send a bare number, or nothing, and are leaving in any case."""
    try:
        item = rlp.decode(data)
        while isinstance(item, list):
            item = item[0]
        return DisconnectReason.parse(rlp.parse_integer(item, field="disconnect.reason"))
    except (InvalidInput, IndexError):
        return DisconnectReason.SUBPROTOCOL_ERROR


def encode_disconnect(reason: DisconnectReason) -> bytes:
    """Return the RLP of a disconnect."""
    return rlp.encode([rlp.integer(reason)])


def shared_capability(ours: Capability, theirs: Hello) -> tuple[Capability, int]:
    """Return our capability and the offset of its codes on this connection; raises PeerFault when the peer has another version or none.

    Codes are given to the shared capabilities in alphabetical order, so with one of ours the offset is always the first free code.
    """
    if any(c.name == ours.name and c.version == ours.version for c in theirs.capabilities):
        return ours, BASE_LENGTH
    raise PeerFault(f"the peer does not speak {ours}", DisconnectReason.USELESS_PEER)
