"""Why a node that follows the chain signs nothing."""

from enum import Enum

from metanode.consensus.machine import Consensus
from metanode.node.ports import Signer


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
    """It waits until nothing that its key may have signed before can matter."""


def find_silence(core: Consensus, signer: Signer | None, *, waits: bool, shared: bool) -> Silence | None:
    """Return why nothing is signed at the open height, whatever the mode; None when something is, or would be once the node is live.

    `waits`: until nothing that the key may have signed before can matter. `shared`: another process was seen to sign with it.
    """
    if core.own is None:
        return Silence.FOLLOWER
    if core.own not in core.electorate.validators:
        return Silence.NO_MEMBER
    if shared:
        return Silence.KEY_SHARED
    if waits and signer is not None and signer.is_watermark_lost:
        return Silence.WATERMARK_LOST
    return Silence.OBSERVING if core.snapshot.silent_until > core.height else None
