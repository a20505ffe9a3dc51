"""Under which host others reach us: what the operator says, else where we listen, else what known peers see, else our only address. Pure."""

import ipaddress
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from metanode.p2p.discv4.packets import IPAddress

TELLERS_MIN: Final = 2
"""Known peers that have to agree: one alone may be wrong, or sit behind the same router."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvertisedHost:
    """What others are told, and why it was chosen."""

    host: str | None
    """A name or an IP address; None when nothing is known that others could use."""
    because: str
    """For the log."""


def is_unspecified(host: str) -> bool:
    """Tell whether a host to listen on stands for all addresses."""
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def choose_host(
    *, configured: str | None, listening: str, told: Collection[IPAddress], local: Sequence[str]
) -> AdvertisedHost:
    """Return the host to advertise.

    `told` has one address for each peer that is known (configured, or a validator's) and has said where it sees us: strangers could
    send everybody to a wrong place. `local` are the addresses of this machine's interfaces.
    """
    if configured is not None:
        return AdvertisedHost(host=configured, because="it is configured")
    if not is_unspecified(listening):
        return AdvertisedHost(host=listening, because="we listen there")
    seen = Counter(ip for ip in told if not (ip.is_loopback or ip.is_unspecified))
    for ip, count in seen.most_common(1):
        if count >= TELLERS_MIN and 2 * count > seen.total():
            return AdvertisedHost(host=str(ip), because=f"{count} of {seen.total()} known peers see us there")
    found = usable_addresses(local, allow_ipv6=":" in listening)
    if len(found) == 1:
        return AdvertisedHost(host=found[0], because="it is this machine's only address")
    if found:
        return AdvertisedHost(host=None, because=f"this machine has the addresses {', '.join(found)}")
    return AdvertisedHost(host=None, because="this machine has no address that others could reach")


def usable_addresses(local: Sequence[str], *, allow_ipv6: bool) -> list[str]:
    """Return the addresses that other machines may reach: IPv4 where there is any, for a node on all IPv6 addresses has those too."""
    addresses = {ipaddress.ip_address(text.partition("%")[0]) for text in local}
    usable = [ip for ip in addresses if not (ip.is_loopback or ip.is_link_local or ip.is_unspecified)]
    by_family = {version: sorted(str(ip) for ip in usable if ip.version == version) for version in (4, 6)}
    return by_family[4] or (by_family[6] if allow_ipv6 else [])
