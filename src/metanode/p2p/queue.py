"""What waits to be sent to one peer, in the order of `Priority`.

Pure. A queue is bounded in messages and bytes. What does not fit is not sent: of votes and proposals the oldest go (the newest round matters), of the
rest the newest is refused (its sender asks again, or somebody else has it). A vote waits behind at most the message that is being written.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from metanode.p2p import protocol, snappy
from metanode.p2p.ports import Priority
from metanode.p2p.protocol import Message

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


class OutboundQueue:
    """See the module. Filled by the network, emptied by the peer's writer."""

    def __init__(self, *, bytes_max: int = QUEUE_BYTES_MAX, messages_max: int = QUEUE_MESSAGES_MAX) -> None:
        self._bytes_max = bytes_max
        self._messages_max = messages_max
        self._queues: tuple[deque[Outbound], ...] = tuple(deque() for _ in Priority)
        self.bytes = 0
        self.dropped = 0
        """Messages that did not fit, so far."""

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues)

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
        """Queue all of these or none: half of a large message helps nobody."""
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

    def pop(self) -> Outbound | None:
        """Return the next message to send."""
        for queue in self._queues:
            if queue:
                outbound = queue.popleft()
                self.bytes -= len(outbound.compressed)
                return outbound
        return None
