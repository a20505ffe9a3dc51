"""The table of known nodes: Kademlia's buckets, by go-ethereum's rules against being filled by one network.

Pure. A node is in here only after it has proved its endpoint. A full bucket keeps its old nodes (who stayed long will stay longer) and remembers a few
newcomers, which take the place of nodes that stop answering.
"""

import functools
import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from metanode.crypto.hashing import keccak256
from metanode.p2p.discv4.packets import Contact, IPAddress
from metanode.p2p.enode import NodeId

BUCKET_SIZE: Final = 16
"""Kademlia's k."""
REPLACEMENTS_MAX: Final = 10
BUCKET_COUNT: Final = 17
"""Half of all nodes are in the farthest bucket, a quarter in the next, ...: the 240 nearest distances share one."""
NEIGHBOURHOOD_PER_BUCKET_MAX: Final = 2
NEIGHBOURHOOD_PER_TABLE_MAX: Final = 10
"""Nodes of one /24 (IPv4) or /48 (IPv6); private networks are not bounded, they are what one tests in."""

_DISTANCE_SHARED: Final = 256 - BUCKET_COUNT + 1


@dataclass(slots=True)
class _Bucket:
    entries: list[Contact] = field(default_factory=list)
    """Oldest first."""
    replacements: list[Contact] = field(default_factory=list)
    neighbourhoods: Counter[str] = field(default_factory=Counter)


class Table:
    """See the module. Owned by one `Discovery`."""

    def __init__(self, own_id: NodeId) -> None:
        self._own_id = own_id
        self._own_position = _position(own_id)
        self._buckets = [_Bucket() for _ in range(BUCKET_COUNT)]
        self._neighbourhoods: Counter[str] = Counter()
        self._members: dict[NodeId, Contact] = {}
        """Entries and replacements."""

    def __len__(self) -> int:
        return sum(len(bucket.entries) for bucket in self._buckets)

    def __contains__(self, node_id: NodeId) -> bool:
        return node_id in self._members

    def contacts(self) -> list[Contact]:
        """Return all entries."""
        return [contact for bucket in self._buckets for contact in bucket.entries]

    def add(self, contact: Contact) -> bool:
        """Take in a node that has proved its endpoint, or move it; return whether it is in the table now."""
        if contact.node_id == self._own_id:
            return False
        bucket = self._bucket(contact.node_id)
        known = self._members.get(contact.node_id)
        if known is not None:
            if known.ip != contact.ip:
                # It moved: it has to find a place under the rules of its new network.
                self.remove(contact.node_id)
                return self.add(contact)
            _replace(bucket.entries, contact)
            _replace(bucket.replacements, contact)
            self._members[contact.node_id] = contact
            return contact in bucket.entries
        name = neighbourhood(contact.ip)
        if name is not None and (
            self._neighbourhoods[name] >= NEIGHBOURHOOD_PER_TABLE_MAX
            or bucket.neighbourhoods[name] >= NEIGHBOURHOOD_PER_BUCKET_MAX
        ):
            return False
        is_full = len(bucket.entries) >= BUCKET_SIZE
        if is_full and len(bucket.replacements) >= REPLACEMENTS_MAX:
            self._forget(bucket, bucket.replacements.pop(0))
        (bucket.replacements if is_full else bucket.entries).append(contact)
        self._members[contact.node_id] = contact
        if name is not None:
            self._neighbourhoods[name] += 1
            bucket.neighbourhoods[name] += 1
        return not is_full

    def remove(self, node_id: NodeId) -> None:
        """Drop a node that does not answer; the newest replacement of its bucket takes the place."""
        contact = self._members.get(node_id)
        if contact is None:
            return
        bucket = self._bucket(node_id)
        self._forget(bucket, contact)
        if contact in bucket.replacements:
            bucket.replacements.remove(contact)
            return
        bucket.entries.remove(contact)
        if bucket.replacements:
            bucket.entries.append(bucket.replacements.pop())

    def touch(self, node_id: NodeId) -> None:
        """Note that a node has answered: it is checked again after the others of its bucket."""
        bucket = self._bucket(node_id)
        for position, contact in enumerate(bucket.entries):
            if contact.node_id == node_id:
                bucket.entries.append(bucket.entries.pop(position))
                return

    def oldest(self, choice: int) -> Contact | None:
        """Return the node of a bucket whose last answer is longest ago; `choice` picks among the buckets that are not empty."""
        filled = [bucket for bucket in self._buckets if bucket.entries]
        return filled[choice % len(filled)].entries[0] if filled else None

    def closest(self, target: bytes, count: int) -> list[Contact]:
        """Return the entries nearest to a 64-byte key."""
        position = _position(target)
        return sorted(self.contacts(), key=lambda contact: _position(contact.node_id) ^ position)[:count]

    def _bucket(self, node_id: NodeId) -> _Bucket:
        distance = (_position(node_id) ^ self._own_position).bit_length()
        return self._buckets[max(0, distance - _DISTANCE_SHARED)]

    def _forget(self, bucket: _Bucket, contact: Contact) -> None:
        del self._members[contact.node_id]
        name = neighbourhood(contact.ip)
        if name is not None:
            for counter in (self._neighbourhoods, bucket.neighbourhoods):
                counter[name] -= 1
                if counter[name] <= 0:
                    del counter[name]


def distance(left: bytes, right: bytes) -> int:
    """Return Kademlia's distance of two 64-byte keys: the xor of their hashes."""
    return _position(left) ^ _position(right)


def neighbourhood(ip: IPAddress) -> str | None:
    """Return the network whose nodes are counted together, or None for an address that everybody may use."""
    if ip.is_loopback or ip.is_private or ip.is_link_local:
        return None
    prefix = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network((ip, prefix), strict=False))


@functools.lru_cache(maxsize=4096)
def _position(node_id: bytes) -> int:
    return int.from_bytes(keccak256(node_id), "big")


def _replace(contacts: list[Contact], contact: Contact) -> None:
    for position, known in enumerate(contacts):
        if known.node_id == contact.node_id:
            contacts[position] = contact
