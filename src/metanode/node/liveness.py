"""When a node may take part (consensus.md 1.16): it knows that nobody is ahead, or that nobody can be, or it has waited long enough.

What a peer claims counts for nothing; a certificate that verifies does.
"""

from typing import Final

from metanode.consensus.justification import Electorate
from metanode.primitives.types import Address, Height

WAIT_FOR_PEERS_S: Final = 5.0
"""From the start, if nobody proves to be ahead."""


class LiveGate:
    """Tells whether others may be ahead. Owner: the driver's task."""

    def __init__(self, *, own: Address | None, started_at: float) -> None:
        self._own = own
        self._started_at = started_at
        self._visible: dict[str, Address] = {}
        self._target = Height(0)
        self._has_opened = False

    @property
    def target(self) -> Height:
        """The highest height known to be decided."""
        return self._target

    @property
    def waits_until(self) -> float:
        """The loop's time at which waiting for peers ends."""
        return self._started_at + WAIT_FOR_PEERS_S

    def see(self, peer: str, validator: Address) -> None:
        """Note that a peer has proven to be a validator, and has told its tip."""
        self._visible[peer] = validator

    def lose(self, peer: str) -> None:
        """Note that a peer has gone."""
        self._visible.pop(peer, None)

    def raise_target(self, height: Height) -> None:
        """Note that a height is decided."""
        self._target = max(self._target, height)

    def is_open(self, tip: Height, electorate: Electorate, now: float) -> bool:
        """Tell whether this node may take part. Once open, it closes only while a higher height is known to be decided."""
        if tip < self._target:
            return False
        if not self._has_opened:
            seen = {*self._visible.values()} | ({self._own} if self._own is not None else set())
            unseen = [address for address in electorate.validators.addresses if address not in seen]
            self._has_opened = not electorate.is_quorum(unseen) or now >= self.waits_until
        return self._has_opened
