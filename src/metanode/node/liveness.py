"""When a node may take part (docs/spec/consensus.md, Starting again): it knows that nobody is ahead, or that nobody can be, or it has waited long enough.

What a peer claims counts for nothing; a certificate that verifies does.
"""

from typing import Final

from metanode.chain.certificate import Certificate
from metanode.chain.validators import ValidatorSet
from metanode.consensus.justification import Electorate
from metanode.node.ports import Signer
from metanode.primitives.types import Address, Height

WAIT_FOR_PEERS_S: Final = 5.0
"""From the start, if nobody proves to be ahead."""


class LiveGate:
    """Tells whether others may be ahead. Owner: the driver's task."""

    def __init__(self, *, own: Address | None, started_at: float, has_signed: bool = True) -> None:
        """`own` is the validator whose past this node remembers: None in a follower, and when its watermark is lost. `has_signed`: it knows of a signature."""
        self._own = own
        self._has_signed = has_signed
        self._started_at = started_at
        self._visible: dict[str, tuple[Address, Height]] = {}
        self._target = Height(0)
        self._has_opened = False
        self.is_held_back = False
        """Sync brings certified blocks that others have decided: they are ahead, whatever else is known of them."""

    @classmethod
    def of(cls, signer: Signer | None, *, started_at: float) -> "LiveGate":
        """Return the gate of a new life."""
        if signer is None or signer.is_watermark_lost:
            return cls(own=None, started_at=started_at)
        return cls(own=signer.address, started_at=started_at, has_signed=signer.watermark is not None)

    @property
    def target(self) -> Height:
        """The highest height known to be decided."""
        return self._target

    @property
    def waits_until(self) -> float:
        """The loop's time at which waiting for peers ends."""
        return self._started_at + WAIT_FOR_PEERS_S

    def see(self, peer: str, validator: Address, height: Height) -> None:
        """Note that a peer has proven to be a validator, and the tip that it claims: it only counts once we are there."""
        self._visible[peer] = (validator, height)

    def lose(self, peer: str) -> None:
        """Note that a peer has gone."""
        self._visible.pop(peer, None)

    def look_for_own(self, certificate: Certificate | None, validators: ValidatorSet) -> None:
        """Look for our own seal in a certificate, while our key knows of nothing that it has signed: if there is one, it has forgotten."""
        if self._has_signed or self._own is None or certificate is None:
            return
        if self._own in certificate.addresses(validators):
            self._own = None

    def raise_target(self, height: Height) -> None:
        """Note that a height is decided."""
        self._target = max(self._target, height)

    def is_certain(self, tip: Height, electorate: Electorate, *, counts_own: bool = True) -> bool:
        """Tell whether nobody can be ahead: whoever we do not see, or see ahead, is less than a quorum. `counts_own`: we are seen."""
        seen = {validator for validator, height in self._visible.values() if height <= tip}
        if self._own is not None and counts_own:
            seen.add(self._own)
        unseen = [address for address in electorate.validators.addresses if address not in seen]
        return tip >= self._target and not electorate.is_quorum(unseen)

    def is_open(self, tip: Height, electorate: Electorate, now: float) -> bool:
        """Tell whether this node may take part. Once open, it closes only while a higher height is known to be decided."""
        if tip < self._target or self.is_held_back:
            return False
        if not self._has_opened:
            self._has_opened = now >= self.waits_until or self.is_certain(tip, electorate)
        return self._has_opened
