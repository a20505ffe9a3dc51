"""Which messages of others a node hands on."""

from collections import Counter
from typing import Final

from metanode.consensus.early import HEIGHTS_AHEAD_MAX
from metanode.consensus.messages import Commit, Decision, Message, Prepare, Proposal, RoundChange
from metanode.consensus.votes import ROUNDS_AHEAD_MAX
from metanode.primitives.types import Address, Height, Round

RELAYED_MAX: Final = 64
"""Messages of one author within one of our rounds. Who follows the rules has four a round, and one that is ten heights ahead has forty."""


class RelayBudget:
    """How much of each author may still be handed on: who signs thousands of different messages reaches its own connections with them, and no further."""

    def __init__(self) -> None:
        self._relayed: Counter[Address] = Counter()

    def take(self, author: Address) -> bool:
        """Tell whether one more message of this author may be handed on, and count it."""
        if self._relayed[author] >= RELAYED_MAX:
            return False
        self._relayed[author] += 1
        return True

    def renew(self) -> None:
        """Begin anew, with a height or a round of ours; an author can't make it come sooner."""
        self._relayed.clear()


def is_of_use(message: Message, *, height: Height, round: Round) -> bool:
    """Tell whether peers may need a message too: it is of a height that is not over, and of a round for which there is room."""
    if isinstance(message, Decision):
        return False
    if message.height != height:
        return height < message.height <= height + HEIGHTS_AHEAD_MAX
    match message:
        case RoundChange():
            # Also of those behind us: whether a round has its quorum is for those who are in it to say, and they may hear each other through us only.
            return True
        case Proposal():
            return message.round >= round
        case Prepare():
            return round <= message.round <= round + ROUNDS_AHEAD_MAX
        case Commit():
            return message.round <= round + ROUNDS_AHEAD_MAX
