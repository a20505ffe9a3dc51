"""Signatures of validators and accounts: secp256k1 by libsecp256k1.

A signature is 65 bytes: r, s, and the recovery id 0 or 1. Signing is deterministic (RFC 6979), and a signature is valid in one form only:
r and s in 1 to n - 1, s in the lower half, so that nobody can turn a valid signature into another one.
"""

from typing import Final

import coincurve

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidSignature
from metanode.primitives.types import HASH_BYTES, SIGNATURE_BYTES, Address

ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""n, the number of points of the group."""
HALF_ORDER: Final = ORDER // 2

_ORDER_BYTES: Final = ORDER.to_bytes(32, "big")
_HALF_ORDER_BYTES: Final = HALF_ORDER.to_bytes(32, "big")
_ZERO: Final = bytes(32)


class PrivateKey:
    """A signing key; it never shows itself."""

    __slots__ = ("_key", "address", "public_key")

    address: Address
    """Last 20 bytes of the keccak256 of the public key."""
    public_key: bytes
    """64 bytes, x and y, without the 0x04 prefix."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32 or not _ZERO < secret < _ORDER_BYTES:
            raise InvalidSignature("a private key is 32 bytes, from 1 to the order of secp256k1 less 1")
        self._key = coincurve.PrivateKey(secret)
        self.public_key = self._key.public_key.format(compressed=False)[1:]
        self.address = public_key_address(self.public_key)

    def __repr__(self) -> str:
        return "PrivateKey(***)"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")

    @property
    def secret(self) -> bytes:
        """The 32 secret bytes, for the key file and for ECDH only."""
        return bytes(self._key.secret)

    def sign(self, digest: bytes) -> bytes:
        """Return the 65-byte signature of a 32-byte digest; the same for the same input, always. About 20 us."""
        assert len(digest) == HASH_BYTES, len(digest)
        return bytes(self._key.sign_recoverable(digest, hasher=None))


def public_key_address(public_key: bytes) -> Address:
    """Return the address of a 64-byte public key."""
    assert len(public_key) == 64, len(public_key)
    return Address(keccak256(public_key)[-20:])


def recover_public_key(digest: bytes, signature: bytes) -> bytes:
    """Return the 64-byte public key that made the signature; raises InvalidSignature. About 35 us."""
    assert len(digest) == HASH_BYTES, len(digest)
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature(f"a signature has {SIGNATURE_BYTES} bytes, found {len(signature)}")
    r, s, recovery_id = signature[:32], signature[32:64], signature[64]
    if not _ZERO < r < _ORDER_BYTES:
        raise InvalidSignature("the r of a signature is from 1 to the order of the group less 1")
    if not _ZERO < s <= _HALF_ORDER_BYTES:
        raise InvalidSignature("the s of a signature is from 1 to half the order of the group")
    if recovery_id > 1:
        raise InvalidSignature(f"the recovery id of a signature is 0 or 1, found {recovery_id}")
    try:
        key = coincurve.PublicKey.from_signature_and_message(bytes(signature), digest, hasher=None)
    except Exception as error:
        # coincurve raises plain Exception and ValueError here; both mean that no point fits this signature.
        raise InvalidSignature("no public key fits this signature") from error
    return bytes(key.format(compressed=False)[1:])


def recover_address(digest: bytes, signature: bytes) -> Address:
    """Return the address that made the signature; raises InvalidSignature. About 40 us."""
    return public_key_address(recover_public_key(digest, signature))
