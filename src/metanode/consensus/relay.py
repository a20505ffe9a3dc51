"""Which messages of others a node hands on."""

from metanode.consensus.early import HEIGHTS_AHEAD_MAX
from metanode.consensus.messages import Commit, Decision, Message, Prepare, Proposal, RoundChange
from metanode.consensus.votes import ROUNDS_AHEAD_MAX
from metanode.primitives.types import Height, Round


def is_of_use(message: Message, *, height: Height, round: Round) -> bool:
    """Tell whether peers may need a message too: it is of a height that is not over, and of a round for which there is room."""
    if isinstance(message, Decision):
        return False
    if message.height != height:
        return height < message.height <= height + HEIGHTS_AHEAD_MAX
    match message:
        case Proposal() | RoundChange():
            return message.round >= round
        case Prepare():
            return round <= message.round <= round + ROUNDS_AHEAD_MAX
        case Commit():
            return message.round <= round + ROUNDS_AHEAD_MAX
