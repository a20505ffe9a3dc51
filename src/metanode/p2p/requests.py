"""Our questions to one peer and its answers.

Pure. An answer counts only for a question that is open, by its id; its parts come in order and are no longer than was said at first. An answer that nobody
asked for is charged to the peer, one that comes too late is not.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from metanode.p2p import protocol
from metanode.p2p.errors import PeerFault
from metanode.p2p.protocol import Response

OPEN_MAX: Final = 8
"""Questions to one peer at a time."""
_LATE_MAX: Final = 64
"""Ids of given-up questions that are remembered."""


class UnaskedResponse(PeerFault):
    """An answer to no question of ours."""


@dataclass(slots=True)
class _Open:
    size_max: int
    size: int | None = None
    parts: list[bytes] = field(default_factory=list)


class Requests:
    """See the module. Owned by one peer."""

    def __init__(self, first_id: int = 1) -> None:
        self._next_id = first_id
        self._open: dict[int, _Open] = {}
        self._late: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, size_max: int) -> int:
        """Return the id of a new question whose answer has at most `size_max` bytes."""
        assert len(self._open) < OPEN_MAX, len(self._open)
        request_id = self._next_id
        self._next_id = (self._next_id + 1) % 2**64
        self._open[request_id] = _Open(size_max=size_max)
        return request_id

    def give_up(self, request_id: int) -> None:
        """Close a question without an answer."""
        opened = self._open.pop(request_id, None)
        if opened is not None:
            self._late[request_id] = len(opened.parts)
            if len(self._late) > _LATE_MAX:
                self._late.popitem(last=False)

    def upon_response(self, response: Response) -> tuple[int, bytes] | None:
        """Add a part; return (id, whole answer) after the last one, None before. Raises PeerFault."""
        opened = self._open.get(response.request_id)
        if opened is None:
            if response.request_id in self._late:
                return None
            raise UnaskedResponse(f"response: nobody asked for number {response.request_id}")
        if opened.size is None:
            if response.size > opened.size_max:
                raise PeerFault(f"response: {response.size} bytes, expected at most {opened.size_max}")
            opened.size = response.size
        if (
            response.size != opened.size
            or response.index != len(opened.parts)
            or len(response.data) != protocol.part_bytes(opened.size, response.index)
        ):
            raise PeerFault(f"response: part {response.index} is not the next one")
        opened.parts.append(response.data)
        if len(opened.parts) < protocol.part_count(opened.size):
            return None
        del self._open[response.request_id]
        return response.request_id, b"".join(opened.parts)
