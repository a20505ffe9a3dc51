"""`enode://` addresses: who a node is and where it listens.

`enode://ID@HOST:PORT?discport=PORT`. HOST is a name, an IPv4 address or an IPv6 address in brackets; the id, 64 bytes as hexadecimal, may be
left out (`enode://HOST:PORT`), in which case it is learned at first contact and pinned (`pins`).
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, NewType

from metanode.crypto import ecies
from metanode.p2p.errors import InvalidEnode

NodeId = NewType("NodeId", bytes)
"""64 bytes: the public key of a node, without the 0x04 prefix."""

NODE_ID_BYTES: Final = 64
HOST_CHARACTERS_MAX: Final = 253
"""Of a name in DNS."""
PORT_MAX: Final = 65535

_SCHEME: Final = "enode://"
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]*")
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?"
)
_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Enode:
    """Where a node listens, and its id if that is known."""

    node_id: NodeId | None
    host: str
    """A name or an IP address, without brackets."""
    tcp_port: int
    udp_port: int
    """0 when the node takes no part in discovery."""

    @property
    def address(self) -> str:
        """`host:port` of its stream, as a key and for people."""
        return format_address(self.host, self.tcp_port)

    def __str__(self) -> str:
        identity = "" if self.node_id is None else f"{self.node_id.hex()}@"
        query = "" if self.udp_port == self.tcp_port else f"?discport={self.udp_port}"
        return f"{_SCHEME}{identity}{self.address}{query}"


def parse_enode(text: str) -> Enode:
    """Return the address of an `enode://` text; raises InvalidEnode, which says what was found and what is expected."""
    if not text.startswith(_SCHEME):
        raise InvalidEnode(f"{_shown(text)} is not an enode address: expected {_SCHEME}ID@HOST:PORT")
    rest, _, query = text[len(_SCHEME) :].partition("?")
    identity, separator, address = rest.rpartition("@")
    node_id = _parse_node_id(identity, text) if separator else None
    host, tcp_port = _parse_address(address, text)
    return Enode(node_id=node_id, host=host, tcp_port=tcp_port, udp_port=_parse_query(query, text, tcp_port))


def format_address(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_host(host: str) -> bool:
    """Whether a text is a name or an IP address."""
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return "%" not in host
    return _NAME.fullmatch(host) is not None


def _parse_node_id(identity: str, text: str) -> NodeId:
    characters = NODE_ID_BYTES * 2
    if not _HEXADECIMAL.fullmatch(identity):
        wrong = next(c for c in identity if not _HEXADECIMAL.fullmatch(c))
        raise InvalidEnode(
            f"{_shown(text)}: the node id holds {wrong!r} at position {identity.index(wrong)}, expected {characters} hexadecimal digits"
        )
    if len(identity) != characters:
        found = (
            f"{len(identity)} digits"
            if len(identity) % 2
            else f"{len(identity) // 2} bytes ({len(identity)} digits)"
        )
        raise InvalidEnode(
            f"{_shown(text)}: the node id has {found}, expected {NODE_ID_BYTES} bytes ({characters} hexadecimal digits)"
        )
    node_id = NodeId(bytes.fromhex(identity))
    try:
        ecies.validate_public_key(node_id)
    except ecies.InvalidPoint as error:
        raise InvalidEnode(
            f"{_shown(text)}: the node id is no public key (not a point of secp256k1); was it cut or changed when copied?"
        ) from error
    return node_id


def _parse_address(address: str, text: str) -> tuple[str, int]:
    if address.startswith("["):
        host, bracket, port = address[1:].partition("]")
        if not bracket:
            raise InvalidEnode(f"{_shown(text)}: the bracket of the IPv6 address is not closed")
        if port and not port.startswith(":"):
            raise InvalidEnode(f"{_shown(text)}: expected a port after the IPv6 address, found {port!r}")
        port = port[1:]
        if ":" not in host:
            raise InvalidEnode(f"{_shown(text)}: {host!r} in brackets is no IPv6 address")
    else:
        host, _, port = address.partition(":")
        if ":" in port:
            raise InvalidEnode(
                f"{_shown(text)}: an IPv6 address stands in brackets, as in enode://ID@[::1]:30303"
            )
    if not host:
        raise InvalidEnode(f"{_shown(text)}: the host is missing")
    if not is_host(host):
        raise InvalidEnode(f"{_shown(text)}: {host!r} is neither an IP address nor a host name")
    if not port:
        raise InvalidEnode(
            f"{_shown(text)}: the port is missing, as in {_SCHEME}…{format_address(host, 30303)}"
        )
    return host, _parse_port(port, "port", text)


def _parse_port(port: str, name: str, text: str, lowest: int = 1) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", port) or not lowest <= int(port) <= PORT_MAX:
        raise InvalidEnode(
            f"{_shown(text)}: the {name} is {port!r}, expected a number from {lowest} to {PORT_MAX}"
        )
    return int(port)


def _parse_query(query: str, text: str, tcp_port: int) -> int:
    if not query:
        return tcp_port
    name, _, value = query.partition("=")
    if name != "discport":
        raise InvalidEnode(f"{_shown(text)}: unknown parameter {name!r}, expected discport=PORT")
    return _parse_port(value, "discport", text, lowest=0)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
