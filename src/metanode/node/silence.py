"""Why a node that follows the chain signs nothing."""

from enum import Enum

from metanode.consensus.machine import Consensus


class Silence(Enum):
    """The reason."""

    FOLLOWER = "follower"
    """It has no validator key."""
    NO_MEMBER = "not in the validator set"
    KEY_SHARED = "key in use elsewhere"
    """Another process was seen to sign with it; for the rest of this life."""
    WATERMARK_LOST = "watermark lost"
    """Its key does not know what it has signed before."""
    OBSERVING = "observing"
    """It waits for a height that it cannot have signed before."""


def find_silence(core: Consensus, *, is_lost: bool, is_shared: bool) -> Silence | None:
    """Return why nothing is signed at the open height, whatever the mode; None when something is, or would be once the node is live.

    `is_lost`: the key does not know what it has signed. `is_shared`: another process was seen to sign with it.
    """
    if core.own is None:
        return Silence.FOLLOWER
    if core.own not in core.electorate.validators:
        return Silence.NO_MEMBER
    if is_shared:
        return Silence.KEY_SHARED
    if is_lost:
        return Silence.WATERMARK_LOST
    return Silence.OBSERVING if core.snapshot.silent_until > core.height else None
