"""Why a node that follows the chain signs nothing."""

from enum import Enum

from metanode.consensus.machine import Consensus


class Silence(Enum):
    """The reason."""

    FOLLOWER = "follower"
    """It has no validator key."""
    NO_MEMBER = "not in the validator set"
    WATERMARK_LOST = "watermark lost"
    """Its key does not know what it has signed before."""
    OBSERVING = "observing"
    """It waits for a height that it cannot have signed before."""


def find_silence(core: Consensus, *, is_watermark_lost: bool) -> Silence | None:
    """Return why nothing is signed at the open height, whatever the mode; None when something is, or would be once the node is live."""
    if core.own is None:
        return Silence.FOLLOWER
    if core.own not in core.electorate.validators:
        return Silence.NO_MEMBER
    if is_watermark_lost:
        return Silence.WATERMARK_LOST
    return Silence.OBSERVING if core.snapshot.silent_until > core.height else None
