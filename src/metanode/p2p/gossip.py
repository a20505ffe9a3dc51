"""What was heard already, what can be handed on, and large messages on their way in.

Pure. What was seen is a `HashSet` of the raw bytes' hashes: a message that was dropped is not in it, so it may come again. `Assemblies` puts
parts together; a part is kept only in its place after a `Large` that fits the bounds, so nobody makes us keep more than he has sent.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from metanode.crypto.hashing import keccak256
from metanode.p2p import protocol
from metanode.p2p.enode import NodeId
from metanode.p2p.errors import PeerFault
from metanode.p2p.ports import Priority
from metanode.p2p.protocol import LARGE_BYTES_MAX, Large, Part
from metanode.primitives.types import Hash32

SEEN_MAX: Final = 16_384
"""Hashes: all messages of some 80 heights of 100 validators."""
KEPT_MESSAGES_MAX: Final = 4096
KEPT_BYTES_MAX: Final = 24 * 1024 * 1024
"""Two of the largest messages; what is asked for was announced a moment ago."""
KNOWN_MAX: Final = 4096
"""Hashes that one peer is known to have."""

ASSEMBLIES_BYTES_MAX: Final = 5 * LARGE_BYTES_MAX
"""Of all peers together."""
ASKED_PER_PEER_MAX: Final = 512
"""Announced messages that we wait for from one peer, which can keep only its own places taken; a height of 100 validators has 300."""
PROGRESS_TIMEOUT_S: Final = 1.0
"""A large message that does not move for so long is asked for elsewhere."""
_SOURCES_MAX: Final = 4


class HashSet:
    """A bounded set that forgets what was added least recently, and with every second `grow_old` whatever was not added since."""

    __slots__ = ("_hashes", "_older", "_size_max")

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._hashes: OrderedDict[Hash32, None] = OrderedDict()
        self._older: OrderedDict[Hash32, None] = OrderedDict()

    def __contains__(self, digest: Hash32) -> bool:
        return digest in self._hashes or digest in self._older

    def __len__(self) -> int:
        return len(self._hashes) + len(self._older)

    def add(self, digest: Hash32) -> None:
        """Remember a hash."""
        self._older.pop(digest, None)
        self._hashes[digest] = None
        self._hashes.move_to_end(digest)
        if len(self) > self._size_max:
            (self._older or self._hashes).popitem(last=False)

    def grow_old(self) -> None:
        """Forget what was not added since the call before."""
        self._older, self._hashes = self._hashes, OrderedDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A message that a peer may ask for."""

    priority: Priority
    digest: Hash32
    raw: bytes


class RecentMessages:
    """The latest consensus messages, ours and relayed, to answer `Want` with."""

    def __init__(self, *, messages_max: int = KEPT_MESSAGES_MAX, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._messages: OrderedDict[Hash32, Kept] = OrderedDict()
        self.bytes = 0

    def get(self, digest: Hash32) -> Kept | None:
        """Return a message by its hash."""
        return self._messages.get(digest)

    def add(self, kept: Kept) -> None:
        """Keep a message, and forget the oldest ones that have no room any more."""
        if kept.digest in self._messages:
            return
        self._messages[kept.digest] = kept
        self.bytes += len(kept.raw)
        while len(self._messages) > self._messages_max or self.bytes > self._bytes_max:
            _, oldest = self._messages.popitem(last=False)
            self.bytes -= len(oldest.raw)


@dataclass(slots=True)
class _Assembly:
    large: Large
    progress_at: float
    parts: list[bytes] = field(default_factory=list)
    is_wanted: bool = True
    """False when we have it already and only wait for the last part to pass."""


class Assemblies:
    """Large messages on their way in, by peer and digest, and who else has them."""

    def __init__(self) -> None:
        self._assemblies: dict[tuple[NodeId, Hash32], _Assembly] = {}
        self._asked: dict[Hash32, tuple[NodeId, float]] = {}
        """What we asked for, whom, and when there was last progress."""
        self._asked_of: dict[NodeId, int] = {}
        """How much of it each peer was asked for."""
        self._sources: OrderedDict[Hash32, list[NodeId]] = OrderedDict()
        """Who else announced it."""
        self.bytes = 0

    def upon_announce(self, peer: NodeId, digest: Hash32, now: float) -> bool:
        """A peer has a message that we have not; return whether to ask it now. Otherwise it is a source to fall back to."""
        if digest not in self._asked and not any(key[1] == digest for key in self._assemblies):
            if self._asked_of.get(peer, 0) >= ASKED_PER_PEER_MAX:
                return False
            self._ask(digest, peer, now)
            return True
        sources = self._sources.setdefault(digest, [])
        if peer not in sources and len(sources) < _SOURCES_MAX:
            sources.append(peer)
        if len(self._sources) > KNOWN_MAX:
            self._sources.popitem(last=False)
        return False

    def upon_large(self, peer: NodeId, large: Large, *, is_wanted: bool, now: float) -> None:
        """Parts will come from a peer; raises PeerFault when it sends too many at a time."""
        key = peer, large.digest
        if key in self._assemblies:
            raise PeerFault("large: the same message is on its way already")
        if sum(known == peer for known, _ in self._assemblies) >= protocol.LARGES_AT_A_TIME_MAX:
            raise PeerFault(f"large: more than {protocol.LARGES_AT_A_TIME_MAX} messages at a time")
        self._assemblies[key] = _Assembly(large=large, progress_at=now, is_wanted=is_wanted)

    def upon_part(self, peer: NodeId, part: Part, now: float) -> tuple[Priority, bytes] | None:
        """Add a part; return the whole message after the last one. Raises PeerFault for a part out of order, or a wrong hash."""
        assembly = self._assemblies.get((peer, part.digest))
        if assembly is None:
            raise PeerFault("part: of a message that was not begun")
        large = assembly.large
        if part.index != len(assembly.parts) or len(part.data) != protocol.part_bytes(large.size, part.index):
            raise PeerFault(f"part: number {part.index} of {len(part.data)} bytes is not the next one")
        assembly.progress_at = now
        if large.digest in self._asked:
            self._ask(large.digest, peer, now)
        # What is not wanted, or has no room, leaves an empty place.
        data = part.data
        if not assembly.is_wanted or self.bytes + len(data) > ASSEMBLIES_BYTES_MAX:
            assembly.is_wanted = False
            data = b""
        assembly.parts.append(data)
        self.bytes += len(data)
        if len(assembly.parts) < protocol.part_count(large.size):
            return None
        self._remove((peer, large.digest))
        if not assembly.is_wanted:
            return None
        raw = b"".join(assembly.parts)
        if keccak256(raw) != large.digest:
            raise PeerFault("part: the message has another hash than was said")
        self.forget(large.digest)
        return large.priority, raw

    def forget(self, digest: Hash32) -> None:
        """Note that a message is here: parts that still come are let pass, and nobody is asked for it."""
        self._unask(digest)
        self._sources.pop(digest, None)
        for (_, known), assembly in self._assemblies.items():
            if known == digest:
                assembly.is_wanted = False
                self.bytes -= sum(map(len, assembly.parts))
                assembly.parts = [b""] * len(assembly.parts)

    def upon_gone(self, peer: NodeId) -> None:
        """Forget what a peer has begun; `overdue` finds another source at once."""
        for key in [key for key in self._assemblies if key[0] == peer]:
            self._remove(key)
        for digest, (asked, _) in list(self._asked.items()):
            if asked == peer:
                self._asked[digest] = (asked, float("-inf"))
        for sources in self._sources.values():
            if peer in sources:
                sources.remove(peer)

    def overdue(self, now: float) -> list[tuple[NodeId, Hash32]]:
        """Return whom to ask for what, as the one who was asked does not deliver."""
        asks = []
        for digest, (_, at) in list(self._asked.items()):
            if now < at + PROGRESS_TIMEOUT_S:
                continue
            sources = self._sources.get(digest)
            if sources:
                peer = sources.pop(0)
                self._ask(digest, peer, now)
                asks.append((peer, digest))
            else:
                self._unask(digest)
                self._sources.pop(digest, None)
        return asks

    def _ask(self, digest: Hash32, peer: NodeId, now: float) -> None:
        self._unask(digest)
        self._asked[digest] = (peer, now)
        self._asked_of[peer] = self._asked_of.get(peer, 0) + 1

    def _unask(self, digest: Hash32) -> None:
        asked = self._asked.pop(digest, None)
        if asked is None:
            return
        peer, _ = asked
        self._asked_of[peer] -= 1
        if not self._asked_of[peer]:
            del self._asked_of[peer]

    def _remove(self, key: tuple[NodeId, Hash32]) -> None:
        assembly = self._assemblies.pop(key)
        self.bytes -= sum(map(len, assembly.parts))
