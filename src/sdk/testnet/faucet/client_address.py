"""Who asks: the address of a client behind proxies, and the networks that it stands for.

A header is believed only as far as the machines that wrote it are ours: from right to left, past every trusted proxy, the first stranger is
the client. What a stranger sends further left is its own invention (the eth-faucet and PoWFaucet took it).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: Final[tuple[IPNetwork, ...]] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)
"""The proxies that are trusted unless an operator names others."""
NOBODY: Final = ipaddress.IPv4Address(0)
"""All who come through a proxy of ours with an entry that no proxy would write: one client, who is no proxy. The gateway has the same."""
_HOPS_MAX: Final = 32
"""Entries of a header that are looked at; nobody has more proxies."""
_PORT_DIGITS_MAX: Final = 5
_PORT_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class Origin:
    """The two networks by which a client is counted."""

    narrow: IPNetwork
    """The IPv4 address itself, or the IPv6 /64 that one customer has."""
    wide: IPNetwork
    """The IPv4 /24, or the IPv6 /48 that one site has."""


def parse_ip(text: str) -> IPAddress:
    """Return the address; an IPv4 address mapped into IPv6 as the IPv4 address, and no zone. Raises InvalidInput."""
    try:
        address = ipaddress.ip_address(text.strip())
    except (ValueError, AttributeError):
        raise InvalidInput(f"ip_address: expected an IPv4 or IPv6 address, found {text!r:.60}") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        return ipaddress.IPv6Address(int(address))
    return address


def origin_of(address: IPAddress) -> Origin:
    """Return what this client is counted by."""
    narrow, wide = (32, 24) if address.version == 4 else (64, 48)
    return Origin(
        narrow=ipaddress.ip_network((address, narrow), strict=False),
        wide=ipaddress.ip_network((address, wide), strict=False),
    )


def client_address(
    peer: str, forwarded_for: Sequence[str] = (), *, trusted: Sequence[IPNetwork] = LOOPBACK
) -> IPAddress:
    """Return the client's address.

    Args:
        peer: Who holds the connection.
        forwarded_for: The values of all `X-Forwarded-For` headers, in the order they came.
        trusted: The proxies whose word counts.

    Returns:
        `peer` itself, when nothing is forwarded or it is no proxy; `NOBODY` for an entry that is no address, if trusted proxies alone
        stand to its right: taken for the proxy itself, its sender would be counted as little as the proxy is.

    Raises:
        InvalidInput: when `peer` is no IP address.
    """
    client = parse_ip(peer)
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    for hop in reversed(hops[-_HOPS_MAX:]):
        if not any(client.version == network.version and client in network for network in trusted):
            break
        try:
            client = _parse_hop(hop)
        except InvalidInput:
            return NOBODY
    return client


def _parse_hop(text: str) -> IPAddress:
    """Return the address of one entry, which some proxies write with the port of the connection. Raises InvalidInput."""
    entry = text.strip()
    if entry.startswith("["):
        # The brackets of a URL: `[2001:db8::7]`, `[2001:db8::7]:4711`.
        host, bracket, rest = entry[1:].partition("]")
        if not bracket or (rest and not (rest.startswith(":") and _is_port(rest[1:]))):
            raise InvalidInput(f"ip_address: expected an address in brackets, found {text!r:.60}")
        return parse_ip(host)
    host, colon, port = entry.partition(":")
    # Two colons and no brackets are an IPv6 address without a port.
    return parse_ip(host if colon and _is_port(port) else entry)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _PORT_DIGITS_MAX and int(text) <= _PORT_MAX
