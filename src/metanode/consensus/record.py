"""What a validator must find again after a crash, beside the watermark: one record, replaced as a whole.

Bodies are saved beside it by hash, once each, and dropped with their height.
"""

from dataclasses import dataclass
from typing import Final

from metanode.chain.signing import SigningDomain
from metanode.consensus import wire
from metanode.consensus.messages import Decision, PreparedCertificate, SignedMessage
from metanode.errors import InvalidEncoding
from metanode.primitives import rlp
from metanode.primitives.types import Height, Round

OWN_MESSAGES_MAX: Final = 64
"""Own messages kept of one height: those of the current round, the newest commits before it (height.OWN_COMMITS_MAX), one prepare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusRecord:
    """The state of one height that safety needs."""

    height: Height
    round: Round
    """A restart enters this round and none before it."""
    prepared: PreparedCertificate | None
    """The highest one; it goes into every later ROUND_CHANGE."""
    messages: tuple[SignedMessage, ...]
    """Own signed messages, to be sent again byte for byte; proposals without their bodies."""

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return rlp.encode(
            [
                rlp.integer(self.height),
                rlp.integer(self.round),
                wire.prepared_item(self.prepared),
                [wire.encode_again(message) for message in self.messages],
            ]
        )

    @classmethod
    def decode(cls, data: bytes, domain: SigningDomain) -> "ConsensusRecord":
        """Return the record of its bytes; raises InvalidInput."""
        fields = rlp.Reader(rlp.decode(data), "record")
        height, round_ = Height(fields.integer("height")), Round(fields.integer("round"))
        prepared = fields.list("prepared", length_max=4)
        messages: list[SignedMessage] = []
        for item in fields.list("messages", length_max=OWN_MESSAGES_MAX):
            if not isinstance(item, bytes):
                raise InvalidEncoding("record.messages: expected strings")
            message = wire.decode(item, domain)
            if isinstance(message, Decision):
                raise InvalidEncoding("record.messages: expected own messages")
            messages.append(message)
        fields.end()
        return cls(
            height=height,
            round=round_,
            prepared=wire.decode_prepared(prepared, height, domain) if prepared else None,
            messages=tuple(messages),
        )
