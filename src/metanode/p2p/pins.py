"""Which node id was first met at an address that was given without one (`enode://host:port`).

Trust on first use: the id that answers first is pinned, and a different one later is refused until a person forgets the pin.
"""

from collections.abc import Sequence
from typing import Protocol

from metanode.p2p.enode import NodeId
from metanode.p2p.errors import PeerFault
from metanode.p2p.rlpx.reasons import DisconnectReason


class PinMismatch(PeerFault):
    """Another node answers at a pinned address."""

    def __init__(self, address: str, pinned: NodeId, found: NodeId) -> None:
        super().__init__(
            f"{address}: the node id is {found.hex()}, but {pinned.hex()} was met there first. "
            f"If that node has a new key, forget the pin, in its directory: metanode node forget-pin {address}",
            DisconnectReason.UNEXPECTED_IDENTITY,
        )
        self.address = address


class PeerStore(Protocol):
    """What the network remembers across restarts; kept in node.db."""

    async def load_pin(self, address: str) -> bytes | None:
        """Return the node id that is pinned to `host:port`."""
        ...

    async def save_pin(self, address: str, node_id: bytes) -> None:
        """Pin a node id to `host:port`."""
        ...

    async def load_records(self) -> Sequence[bytes]:
        """Return the validator records, each as it was saved."""
        ...

    async def save_record(self, address: bytes, record: bytes) -> None:
        """Save the record of a validator in the place of an older one."""
        ...


class MemoryPeerStore:
    """A store for nodes without a disk: followers of a moment, and the bootstrap node."""

    def __init__(self) -> None:
        self.pins: dict[str, bytes] = {}
        self.records: dict[bytes, bytes] = {}

    async def load_pin(self, address: str) -> bytes | None:
        """Return the pin of an address."""
        return self.pins.get(address)

    async def save_pin(self, address: str, node_id: bytes) -> None:
        """Pin a node id."""
        self.pins[address] = node_id

    async def load_records(self) -> Sequence[bytes]:
        """Return all records."""
        return list(self.records.values())

    async def save_record(self, address: bytes, record: bytes) -> None:
        """Save a record."""
        self.records[address] = record


async def check_pin(store: PeerStore, address: str, found: NodeId) -> bool:
    """Pin an id at first use and return True then, False when it was pinned before; raises PinMismatch when it is another one."""
    pinned = await store.load_pin(address)
    if pinned is None:
        await store.save_pin(address, found)
        return True
    if pinned != found:
        raise PinMismatch(address, NodeId(pinned), found)
    return False
