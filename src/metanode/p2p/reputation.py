"""What peers have done wrong, and for how long they stay away.

Pure. A peer's penalty points go away with time; at `BAN_POINTS` it is disconnected and banned, each time for twice as long. Peers that the network needs
(static ones and validators) are disconnected just the same, but may return after `NEEDED_BAN_S`: a fault of theirs must not cost a quorum.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from metanode.p2p.enode import NodeId

BAN_POINTS: Final = 100
POINTS_FORGIVEN_PER_S: Final = 0.5
BAN_S: Final = 60.0
BAN_S_MAX: Final = 3600.0
NEEDED_BAN_S: Final = 5.0
PEERS_MAX: Final = 4096
"""Peers whose conduct is remembered."""


class Offence(Enum):
    """What a peer did. Not numbered by the penalty: members of one value would be one member, with one name in logs and counters."""

    MALFORMED = auto()
    """Bytes that no correct node sends or relays."""
    CLAIM_LOWERED = auto()
    """It said a height, and later a lower one."""
    BAD_BLOCKS = auto()
    """Blocks that do not follow one another, or are not certified."""
    FALSE_CERTIFICATE = auto()
    """A certificate of a decided or the current height that proves nothing. Nobody hands one on before it has verified it."""
    BAD_BODY = auto()
    """A body of another hash."""
    UNASKED = auto()
    """An answer to no question."""
    TOO_MANY_REQUESTS = auto()
    NO_ANSWER = auto()
    SLOW = auto()
    """Blocks that others, asked later, sent sooner."""


PENALTIES: Final = {
    Offence.MALFORMED: 100,
    Offence.CLAIM_LOWERED: 100,
    Offence.BAD_BLOCKS: 100,
    Offence.FALSE_CERTIFICATE: 100,
    Offence.BAD_BODY: 100,
    Offence.UNASKED: 25,
    Offence.TOO_MANY_REQUESTS: 10,
    Offence.NO_ANSWER: 5,
    Offence.SLOW: 34,
}
"""Points for each."""


@dataclass(slots=True)
class _Conduct:
    points: float = 0.0
    at: float = 0.0
    bans: int = 0
    banned_until: float = float("-inf")


class Reputation:
    """See the module. Owned by the network; `now` is monotonic."""

    def __init__(self) -> None:
        self._conduct: OrderedDict[NodeId, _Conduct] = OrderedDict()

    def charge(self, node_id: NodeId, offence: Offence, now: float, *, is_needed: bool = False) -> bool:
        """Charge a peer; return whether it is banned by this."""
        conduct = self._conduct.setdefault(node_id, _Conduct(at=now))
        self._conduct.move_to_end(node_id)
        if len(self._conduct) > PEERS_MAX:
            self._conduct.popitem(last=False)
        forgiven = (now - conduct.at) * POINTS_FORGIVEN_PER_S
        conduct.points = max(0.0, conduct.points - forgiven) + PENALTIES[offence]
        conduct.at = now
        if conduct.points < BAN_POINTS:
            return False
        conduct.points = 0.0
        ban_s = NEEDED_BAN_S if is_needed else min(BAN_S_MAX, BAN_S * 2.0**conduct.bans)
        conduct.bans = min(conduct.bans + 1, 16)
        conduct.banned_until = now + ban_s
        return True

    def is_banned(self, node_id: NodeId, now: float) -> bool:
        """Whether a peer has to stay away."""
        conduct = self._conduct.get(node_id)
        return conduct is not None and now < conduct.banned_until
