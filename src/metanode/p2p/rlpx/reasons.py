"""The reason codes of the Disconnect message."""

from enum import IntEnum


class DisconnectReason(IntEnum):
    """Source: https://github.com/ethereum/devp2p/blob/master/rlpx.md#disconnect-0x01."""

    REQUESTED = 0x00
    TCP_ERROR = 0x01
    PROTOCOL_BREACH = 0x02
    USELESS_PEER = 0x03
    TOO_MANY_PEERS = 0x04
    ALREADY_CONNECTED = 0x05
    INCOMPATIBLE_VERSION = 0x06
    INVALID_IDENTITY = 0x07
    CLIENT_QUITTING = 0x08
    UNEXPECTED_IDENTITY = 0x09
    SELF = 0x0A
    READ_TIMEOUT = 0x0B
    SUBPROTOCOL_ERROR = 0x10

    @classmethod
    def parse(cls, code: int) -> "DisconnectReason":
        """Return the reason of a code; an unknown code is a subprotocol's business."""
        try:
            return cls(code)
        except ValueError:
            return cls.SUBPROTOCOL_ERROR
