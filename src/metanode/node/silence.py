"""Why a node that follows the chain signs nothing."""

from enum import Enum

import structlog

from metanode.consensus.machine import Consensus
from metanode.consensus.phases.guarding import NEVER
from metanode.node.liveness import LiveGate
from metanode.node.ports import Signer
from metanode.primitives.types import Height

log = structlog.get_logger(__name__)


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


class KeySilence:
    """When the node's key may sign again in this life. Owner: the driver's task."""

    def __init__(self, signer: Signer | None, *, may_sign_without_watermark: bool) -> None:
        """`may_sign_without_watermark` is the operator's word that a lost watermark endangers nothing."""
        self._signer = signer
        self._waits = signer is not None and signer.watermark is None and not may_sign_without_watermark
        """The key does not know what it has signed, and waits until that cannot matter."""
        self._signs_after_engine = Height(0)
        self.is_key_shared = False
        """With another process: this one signs nothing more then."""

    def begin(self, head: Height) -> Height:
        """Return below which height nothing is signed when a life begins, with the client's head."""
        self._signs_after_engine = Height(head + 1)
        if not self._waits:
            return self._signs_after_engine
        assert self._signer is not None
        if self._signer.is_watermark_lost:
            log.warning("watermark_lost", address="0x" + self._signer.address.hex())
        return NEVER

    def find_end(self, core: Consensus, gate: LiveGate, now: float) -> Height | None:
        """Return from which height a key signs that does not know what it has signed, once; None while that is not known.

        What a former life signed was at or below the height that is open now, if nobody can be ahead: others decide that one, and the next is
        only listened to, for another process with this key. Where nothing was decided, or we are no member, nothing can be contradicted. A
        key that has signed nothing counts itself among those who are not ahead only where there are no others, or they had time to come.
        """
        if not self._waits or self.is_key_shared:
            return None
        is_alone = len(core.electorate.validators) == 1
        counts_own = is_alone or now >= gate.waits_until
        if not gate.is_certain(core.tip.header.height, core.electorate, counts_own=counts_own):
            return None
        self._waits = False
        may_have_signed = core.height > 1 and core.own in core.electorate.validators
        first = max(Height(core.height + (2 if may_have_signed else 0)), self._signs_after_engine)
        log.info("signing_begins", height=first)
        return first

    def reason(self, core: Consensus) -> Silence | None:
        """Return why nothing is signed at the open height, whatever the mode; None when something is, or would be once the node is live."""
        if core.own is None:
            return Silence.FOLLOWER
        if core.own not in core.electorate.validators:
            return Silence.NO_MEMBER
        if self.is_key_shared:
            return Silence.KEY_SHARED
        if self._waits and self._signer is not None and self._signer.is_watermark_lost:
            return Silence.WATERMARK_LOST
        mark = None if self._signer is None else self._signer.watermark
        # What the watermark holds back is signed by nobody: an old copy of the chain beside a key that knows more.
        is_behind_key = mark is not None and mark.height > core.height
        return Silence.OBSERVING if is_behind_key or core.snapshot.silent_until > core.height else None
