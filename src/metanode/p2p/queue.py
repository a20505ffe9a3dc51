"""What waits to be sent to one peer, in the order of `Priority`.

Pure. A queue is bounded in messages and bytes. What does not fit is not sent: of votes and proposals the oldest go (the newest round matters), of the
rest the newest is refused (its sender asks again, or somebody else has it). A vote waits behind at most the message that is being written.

A large message is queued as one thing: its parts never lose their head, and the head of a third one waits until the first is through, as the peer takes
no more than `protocol.LARGES_AT_A_TIME_MAX`.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from metanode.p2p import protocol, snappy
from metanode.p2p.ports import Priority
from metanode.p2p.protocol import Message
from metanode.primitives.types import Hash32

QUEUE_BYTES_MAX: Final = 32 * 1024 * 1024
"""For one peer (reth's bound); parts are shared by all queues they are in, so 25 slow peers do not cost 25 times that."""
QUEUE_MESSAGES_MAX: Final = 1024
"""For one peer and priority (reth's bound)."""

_OLDEST_GO: Final = frozenset({Priority.VOTE, Priority.PROPOSAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """A message as it will be on the wire, but for the encryption: made once for all peers."""

    priority: Priority
    code: int
    compressed: bytes


def prepare(message: Message, priority: Priority | None = None) -> Outbound:
    """Return a message encoded and compressed."""
    code, payload = protocol.encode(message)
    return Outbound(
        priority=protocol.priority_of(message) if priority is None else priority,
        code=code,
        compressed=snappy.compress(payload),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundLarge:
    """A message that travels in parts."""

    digest: Hash32
    head: Outbound
    parts: tuple[Outbound, ...]

    @property
    def size_bytes(self) -> int:
        """What all of it takes in a queue."""
        return len(self.head.compressed) + sum(len(part.compressed) for part in self.parts)


def prepare_large(priority: Priority, digest: Hash32, raw: bytes) -> OutboundLarge:
    """Return a large message cut, encoded and compressed."""
    head, *parts = [prepare(message) for message in protocol.large_messages(priority, digest, raw)]
    return OutboundLarge(digest=digest, head=head, parts=tuple(parts))


@dataclass(slots=True)
class _Begun:
    """A large message whose head is sent."""

    digest: Hash32
    left: deque[Outbound] = field(default_factory=deque)


class OutboundQueue:
    """See the module. Filled by the network, emptied by the peer's writer."""

    def __init__(self, *, bytes_max: int = QUEUE_BYTES_MAX, messages_max: int = QUEUE_MESSAGES_MAX) -> None:
        self._bytes_max = bytes_max
        self._messages_max = messages_max
        self._queues: tuple[deque[Outbound], ...] = tuple(deque() for _ in Priority)
        self._larges: deque[OutboundLarge] = deque()
        """Not begun yet."""
        self._begun: deque[_Begun] = deque()
        self.bytes = 0
        self.dropped = 0
        """Messages that did not fit, so far."""

    def __len__(self) -> int:
        larges = sum(1 + len(large.parts) for large in self._larges)
        return larges + sum(map(len, self._queues)) + sum(len(begun.left) for begun in self._begun)

    def push(self, outbound: Outbound) -> bool:
        """Queue a message; return whether it will be sent."""
        queue = self._queues[outbound.priority]
        size = len(outbound.compressed)
        if outbound.priority in _OLDEST_GO:
            while queue and (len(queue) >= self._messages_max or self.bytes + size > self._bytes_max):
                self.bytes -= len(queue.popleft().compressed)
                self.dropped += 1
        if len(queue) >= self._messages_max or self.bytes + size > self._bytes_max:
            self.dropped += 1
            return False
        queue.append(outbound)
        self.bytes += size
        return True

    def push_all(self, outbounds: list[Outbound]) -> bool:
        """Queue all of these or none: half of an answer helps nobody."""
        size = sum(len(outbound.compressed) for outbound in outbounds)
        counts = [0] * len(self._queues)
        for outbound in outbounds:
            counts[outbound.priority] += 1
        fits = all(
            len(queue) + count <= self._messages_max
            for queue, count in zip(self._queues, counts, strict=True)
        )
        if not fits or self.bytes + size > self._bytes_max:
            self.dropped += len(outbounds)
            return False
        for outbound in outbounds:
            self._queues[outbound.priority].append(outbound)
        self.bytes += size
        return True

    def push_large(self, large: OutboundLarge) -> bool:
        """Queue a large message; return whether it will be sent. One that is on its way already is not sent twice."""
        on_the_way = {waiting.digest for waiting in self._larges} | {begun.digest for begun in self._begun}
        if large.digest in on_the_way:
            return True
        if (
            len(self) + 1 + len(large.parts) > self._messages_max
            or self.bytes + large.size_bytes > self._bytes_max
        ):
            self.dropped += 1 + len(large.parts)
            return False
        self._larges.append(large)
        self.bytes += large.size_bytes
        return True

    def pop(self) -> Outbound | None:
        """Return the next message to send."""
        for priority in Priority:
            outbound = self._next(priority)
            if outbound is not None:
                self.bytes -= len(outbound.compressed)
                return outbound
        return None

    def _next(self, priority: Priority) -> Outbound | None:
        if self._queues[priority]:
            return self._queues[priority].popleft()
        if len(self._begun) < protocol.LARGES_AT_A_TIME_MAX:
            for large in self._larges:
                if large.head.priority == priority:
                    self._larges.remove(large)
                    self._begun.append(_Begun(large.digest, deque(large.parts)))
                    return large.head
        if priority == Priority.PART and self._begun:
            outbound = self._begun[0].left.popleft()
            if not self._begun[0].left:
                self._begun.popleft()
            return outbound
        return None
