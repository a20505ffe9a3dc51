"""Two signatures that no honest validator makes: proof against one signer, for anyone who has the chain's domain.

Same height, same round, same step, different content. A proposal counts as a prepare, so a proposal and a prepare for different blocks
are a pair too (consensus.md 2.4).
"""

from dataclasses import dataclass

from metanode.chain.signing import SigningDomain
from metanode.consensus.messages import (
    Commit,
    Prepare,
    Proposal,
    RoundChange,
    RoundChangeClaim,
    SignedMessage,
    Step,
    step_of,
)
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_HASH, Address, Hash32, Height, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedContent:
    """What is needed to rebuild the digest of one signature."""

    step: Step
    block_hash: Hash32 | None
    """Of a ROUND_CHANGE the prepared hash, None for none."""
    prepared_round: Round
    """Of a ROUND_CHANGE only."""
    signature: bytes

    def to_item(self) -> rlp.Item:
        """Return the fields as RLP."""
        return [
            rlp.integer(self.step),
            self.block_hash or b"",
            rlp.integer(self.prepared_round),
            self.signature,
        ]

    def digest(self, domain: SigningDomain, height: Height, round: Round) -> Hash32:
        """Return what was signed."""
        if self.step is Step.ROUND_CHANGE:
            prepared = (self.prepared_round, self.block_hash) if self.block_hash is not None else None
            return domain.round_change(height=height, round=round, prepared=prepared)
        digest_of = {
            Step.PROPOSAL: domain.proposal,
            Step.PREPARE: domain.prepare,
            Step.COMMIT: domain.commit,
        }[self.step]
        return digest_of(height=height, round=round, block_hash=self.block_hash or ZERO_HASH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivocation:
    """A pair by one signer."""

    height: Height
    round: Round
    author: Address
    first: SignedContent
    second: SignedContent

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return rlp.encode(
            [
                rlp.integer(self.height),
                rlp.integer(self.round),
                self.author,
                self.first.to_item(),
                self.second.to_item(),
            ]
        )


def content_of(message: SignedMessage | RoundChangeClaim) -> SignedContent:
    """Return the signed content of a message."""
    if isinstance(message, RoundChange):
        message = message.claim
    match message:
        case RoundChangeClaim():
            round_, block_hash = message.prepared or (Round(0), None)
            return SignedContent(
                step=Step.ROUND_CHANGE,
                block_hash=block_hash,
                prepared_round=round_,
                signature=message.signature,
            )
        case Proposal() | Prepare() | Commit():
            return SignedContent(
                step=step_of(message),
                block_hash=message.block_hash,
                prepared_round=Round(0),
                signature=message.signature,
            )


def equivocation(
    height: Height,
    round: Round,
    author: Address,
    first: SignedMessage | RoundChangeClaim,
    second: SignedMessage | RoundChangeClaim,
) -> Equivocation:
    """Return the proof made of two messages of one author, height, round and class."""
    return Equivocation(
        height=height, round=round, author=author, first=content_of(first), second=content_of(second)
    )
