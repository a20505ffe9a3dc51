"""What may go wrong with a peer, as exceptions that carry the reason to disconnect.

::

    InvalidInput
    ├── InvalidEnode       an `enode://` text; the message names what is wrong
    └── PeerFault          a peer broke a rule; `disconnect` is what it is told
    Unavailable
    └── PeerUnavailable    no peer could answer, or nobody is there
        └── NoAnswer       a peer had time to answer, and did not
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
    """There is no peer to ask, or to connect to."""


class NoAnswer(PeerUnavailable):
    """A peer that stayed connected did not answer in time."""
