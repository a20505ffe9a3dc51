"""The proof that a block was decided: the commit seals of a quorum.

A certificate names its height, the round in which the block was decided and the block's hash, has one bit for each validator of that
height's set in address order, and one 65-byte seal for each set bit. It is verified against the set of its own height, never against
"the current one"; every seal in it must be valid, so that nobody can pad one.
"""

from dataclasses import dataclass, field

from metanode.chain.quorum import QuorumRule
from metanode.chain.signing import SigningDomain, recover_signer
from metanode.chain.validators import VALIDATORS_MAX, ValidatorSet
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidCertificate, InvalidEncoding, InvalidSignature
from metanode.primitives import rlp
from metanode.primitives.types import SIGNATURE_BYTES, Address, Hash32, Height, Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Commit seals for one (height, round, block hash)."""

    height: Height
    round: Round
    """Round of the decision; the block may be of an earlier one."""
    block_hash: Hash32
    signers: bytes
    """Bit i (from the least significant of byte i // 8) is validator i of the height's set in address order."""
    seals: tuple[bytes, ...]
    """65-byte commit signatures, one for each set bit, in that order."""

    _hash: Hash32 | None = field(init=False, compare=False, repr=False, default=None)

    def __post_init__(self) -> None:
        if not 1 <= len(self.signers) <= (VALIDATORS_MAX + 7) // 8:
            raise InvalidEncoding(
                f"certificate.signers: expected 1 to {(VALIDATORS_MAX + 7) // 8} bytes, found {len(self.signers)}"
            )
        bits = int.from_bytes(self.signers, "little").bit_count()
        if bits != len(self.seals):
            raise InvalidEncoding(
                f"certificate.seals: expected one for each of {bits} signers, found {len(self.seals)}"
            )
        if any(len(seal) != SIGNATURE_BYTES for seal in self.seals):
            raise InvalidEncoding(f"certificate.seals: expected {SIGNATURE_BYTES} bytes each")

    @property
    def hash(self) -> Hash32:
        """keccak256 of the encoding; taken when it is first asked for, since most certificates only pass through."""
        if self._hash is None:
            object.__setattr__(self, "_hash", keccak256(self.encode()))
        assert self._hash is not None
        return self._hash

    @classmethod
    def of(
        cls,
        *,
        height: Height,
        round: Round,
        block_hash: Hash32,
        seals: dict[Address, bytes],
        validators: ValidatorSet,
    ) -> "Certificate":
        """Return the certificate of these validators' seals; strangers' seals are left out."""
        bits, ordered = 0, []
        for position, validator in enumerate(validators):
            seal = seals.get(validator.address)
            if seal is not None:
                bits |= 1 << position
                ordered.append(seal)
        signers = bits.to_bytes((len(validators) + 7) // 8, "little")
        return cls(height=height, round=round, block_hash=block_hash, signers=signers, seals=tuple(ordered))

    def positions(self) -> tuple[int, ...]:
        """Return the places of the signers in the set's order."""
        bits = int.from_bytes(self.signers, "little")
        return tuple(i for i in range(bits.bit_length()) if bits >> i & 1)

    def addresses(self, validators: ValidatorSet) -> tuple[Address, ...]:
        """Return the signers; the set must be the height's own. Raises InvalidCertificate for a bit beyond the set."""
        positions = self.positions()
        if len(self.signers) != (len(validators) + 7) // 8 or (
            positions and positions[-1] >= len(validators)
        ):
            raise InvalidCertificate(
                f"certificate.signers: the set of height {self.height} has {len(validators)} validators"
            )
        return tuple(validators.validators[position].address for position in positions)

    def to_item(self) -> rlp.Item:
        """Return the fields as RLP."""
        return [
            rlp.integer(self.height),
            rlp.integer(self.round),
            self.block_hash,
            self.signers,
            b"".join(self.seals),
        ]

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return rlp.encode(self.to_item())

    @classmethod
    def from_item(cls, item: rlp.Decoded) -> "Certificate":
        """Return the certificate of decoded RLP; raises InvalidEncoding that names the field."""
        fields = rlp.Reader(item, "certificate")
        height, round_ = Height(fields.integer("height")), Round(fields.integer("round"))
        block_hash = fields.hash32("block_hash")
        signers = fields.bytes("signers", length_max=(VALIDATORS_MAX + 7) // 8)
        joined = fields.bytes("seals", length_max=VALIDATORS_MAX * SIGNATURE_BYTES)
        fields.end()
        if len(joined) % SIGNATURE_BYTES:
            raise InvalidEncoding(
                f"certificate.seals: expected a multiple of {SIGNATURE_BYTES} bytes, found {len(joined)}"
            )
        seals = tuple(joined[i : i + SIGNATURE_BYTES] for i in range(0, len(joined), SIGNATURE_BYTES))
        return cls(height=height, round=round_, block_hash=block_hash, signers=signers, seals=seals)

    @classmethod
    def decode(cls, data: bytes) -> "Certificate":
        """Return the certificate of its canonical bytes; raises InvalidEncoding for any others."""
        return cls.from_item(rlp.decode(data, items_max=8))


def verify_certificate(
    certificate: Certificate,
    *,
    height: Height,
    block_hash: Hash32,
    validators: ValidatorSet,
    rule: QuorumRule,
    domain: SigningDomain,
) -> None:
    """Raise InvalidCertificate unless a quorum of the height's own set sealed exactly this block, and every seal is valid.

    About 50 us a seal that was not seen before; seals that arrived as COMMITs are remembered.
    """
    if certificate.height != height:
        raise InvalidCertificate(f"certificate.height: expected {height}, found {certificate.height}")
    if certificate.block_hash != block_hash:
        raise InvalidCertificate(
            f"certificate.block_hash: expected 0x{block_hash.hex()} at height {height}, found 0x{certificate.block_hash.hex()}"
        )
    signers = certificate.addresses(validators)
    weight = validators.weight(signers)
    if not rule.is_quorum(weight, validators.total_power):
        quorum = rule.quorum_weight(validators.total_power)
        raise InvalidCertificate(
            f"certificate.seals: a weight of {weight} of {validators.total_power} is below the quorum of {quorum}"
        )
    digest = domain.commit(height=height, round=certificate.round, block_hash=block_hash)
    for signer, seal in zip(signers, certificate.seals, strict=True):
        try:
            found = recover_signer(digest, seal)
        except InvalidSignature as error:
            raise InvalidCertificate(
                f"certificate.seals: the seal of 0x{signer.hex()} is malformed: {error}"
            ) from error
        if found != signer:
            raise InvalidCertificate(f"certificate.seals: the seal of 0x{signer.hex()} is of 0x{found.hex()}")
