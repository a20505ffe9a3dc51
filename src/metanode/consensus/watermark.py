"""What a key may still sign. The rule exists once: the core asks it before it signs, the signer's file before it writes.

Signatures move strictly upwards in (height, round, step). Signing again what stands at the mark is allowed for the same digest only; with
deterministic signatures that gives the same bytes. Everything below the mark is refused.
"""

from dataclasses import dataclass

from metanode.consensus.messages import Step
from metanode.primitives import rlp
from metanode.primitives.types import Hash32, Height, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStep:
    """One signature of a validator key; the last one durably written is the key's watermark."""

    height: Height
    round: Round
    step: Step
    digest: Hash32
    """What was signed."""
    signature: bytes

    @property
    def position(self) -> tuple[int, int, int]:
        """Where in the order of signing it stands."""
        return self.height, self.round, self.step

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return rlp.encode(
            [
                rlp.integer(self.height),
                rlp.integer(self.round),
                rlp.integer(self.step),
                self.digest,
                self.signature,
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> "SignedStep":
        """Return the step of its bytes; raises InvalidEncoding."""
        fields = rlp.Reader(rlp.decode(data, items_max=8), "signed step")
        signed = cls(
            height=Height(fields.integer("height")),
            round=Round(fields.integer("round")),
            step=Step(fields.integer("step", bits=2)),
            digest=fields.hash32("digest"),
            signature=fields.bytes("signature", length=65),
        )
        fields.end()
        return signed


def permits(mark: SignedStep | None, *, height: Height, round: Round, step: Step, digest: Hash32) -> bool:
    """Tell whether a key with this watermark may sign a digest at a position. None: nothing has been signed."""
    if mark is None:
        return True
    position = (height, round, step)
    return position > mark.position or (position == mark.position and digest == mark.digest)
