"""What may go wrong with a peer, as exceptions that carry the reason to disconnect.

::

    InvalidInput
    ├── InvalidEnode       an `enode://` text; the message names what is wrong
    └── PeerFault          a peer broke a rule; `disconnect` is what it is told
    Unavailable
    └── PeerUnavailable    no peer could answer, or it was too slow
"""

from metanode.errors import InvalidInput, Unavailable
from metanode.p2p.rlpx.reasons import DisconnectReason


class InvalidEnode(InvalidInput):
    """A text is not an `enode://` address."""


class PeerFault(InvalidInput):
    """A peer broke a rule of the protocol."""

    def __init__(self, message: str, disconnect: DisconnectReason = DisconnectReason.PROTOCOL_BREACH) -> None:
        super().__init__(message)
        self.disconnect = disconnect


class PeerUnavailable(Unavailable):
    """No peer answered a request in time."""
