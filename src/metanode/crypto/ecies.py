"""ECIES as RLPx uses it, and the plain Diffie-Hellman below it.

Source: https://github.com/ethereum/devp2p/blob/master/rlpx.md (ECIES Encryption). The curve work is OpenSSL's: its scalar
multiplication takes the same time for every secret, which libsecp256k1's public interface does not offer for the x coordinate.

A stranger chooses the point we multiply with our secret, so a point is checked to be on the curve first; all of secp256k1 is one
prime-order group, so such a point is safe. Whatever is wrong with a ciphertext, point or MAC, the caller sees one error after the same work.
"""

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC_KEY_BYTES: Final = 64
"""x and y, without the 0x04 prefix."""
OVERHEAD_BYTES: Final = 65 + 16 + 32
"""Ephemeral point, initialisation vector and MAC around the text."""

_CURVE: Final = ec.SECP256K1()
_UNCOMPRESSED: Final = b"\x04"
_GENERATOR: Final = ec.derive_private_key(1, _CURVE).public_key()


class DecryptionFailed(InvalidInput):
    """A ciphertext is not for us, was changed, or its point is not on the curve: nobody is told which."""


class InvalidPoint(InvalidInput):
    """64 bytes are not the coordinates of a point of secp256k1."""


class AgreementKey:
    """A private key that agrees on secrets; for node keys and the ephemeral keys of a handshake."""

    __slots__ = ("_key",)

    def __init__(self, secret: bytes) -> None:
        self._key = ec.derive_private_key(int.from_bytes(secret, "big"), _CURVE)

    def __repr__(self) -> str:
        return "AgreementKey(***)"

    def agree(self, public_key: bytes) -> bytes:
        """Return the x coordinate of the shared point; raises InvalidPoint unless the public key is on the curve. About 400 us."""
        return self._exchange(_load_point(public_key))

    def decrypt(self, ciphertext: bytes, authenticated: bytes = b"") -> bytes:
        """Return the text of a ciphertext for this key; raises DecryptionFailed.

        `authenticated` is covered by the MAC but is no part of the ciphertext (the size prefix of EIP-8).
        """
        if len(ciphertext) < OVERHEAD_BYTES:
            raise DecryptionFailed("ecies: the message cannot be decrypted")
        point_is_valid = ciphertext[:1] == _UNCOMPRESSED
        try:
            point = _load_point(ciphertext[1:65])
        except InvalidPoint:
            # The multiplication is done all the same, on a point that tells nothing, so that the answer takes as long.
            point, point_is_valid = _GENERATOR, False
        encryption_key, mac_key = _derive_keys(self._exchange(point))
        body, mac = ciphertext[65:-32], ciphertext[-32:]
        mac_is_valid = hmac.compare_digest(
            hmac.digest(mac_key, body + authenticated, "sha256"),
            mac,
        )
        if not (point_is_valid and mac_is_valid):
            raise DecryptionFailed("ecies: the message cannot be decrypted")
        return _apply_aes(encryption_key, body[:16], body[16:])

    def _exchange(self, point: ec.EllipticCurvePublicKey) -> bytes:
        return self._key.exchange(ec.ECDH(), point)


def encrypt(
    public_key: bytes,
    text: bytes,
    authenticated: bytes = b"",
    *,
    randomness: "Callable[[int], bytes]" = os.urandom,
) -> bytes:
    """Return the ciphertext of a text for the holder of a public key; raises InvalidPoint. About 1.5 ms."""
    point = _load_point(public_key)
    ephemeral = _draw_key(randomness)
    encryption_key, mac_key = _derive_keys(ephemeral.exchange(ec.ECDH(), point))
    numbers = ephemeral.public_key().public_numbers()
    vector = randomness(16)
    body = vector + _apply_aes(encryption_key, vector, text)
    mac = hmac.digest(mac_key, body + authenticated, "sha256")
    return b"".join(
        (_UNCOMPRESSED, numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"), body, mac),
    )


def validate_public_key(public_key: bytes) -> None:
    """Raise InvalidPoint unless 64 bytes are a point of the curve."""
    _load_point(public_key)


def _load_point(public_key: bytes) -> ec.EllipticCurvePublicKey:
    """Return the point, checked by OpenSSL: x and y below p, the equation of the curve holds, not infinity."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise InvalidPoint(f"a public key has {PUBLIC_KEY_BYTES} bytes, found {len(public_key)}")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, _UNCOMPRESSED + public_key)
    except ValueError as error:
        raise InvalidPoint("a public key is not a point of secp256k1") from error


def _draw_key(randomness: "Callable[[int], bytes]") -> ec.EllipticCurvePrivateKey:
    """Return a private key from 32 random bytes; a draw outside the group's order (2^-128) is drawn again."""
    while True:
        try:
            return ec.derive_private_key(int.from_bytes(randomness(32), "big"), _CURVE)
        except ValueError:
            continue


def _derive_keys(shared: bytes) -> tuple[bytes, bytes]:
    """Return (encryption key, MAC key): one round of the NIST SP 800-56 concatenation KDF, as 32 bytes are asked for."""
    derived = hashlib.sha256(b"\x00\x00\x00\x01" + shared).digest()
    return derived[:16], hashlib.sha256(derived[16:]).digest()


def _apply_aes(key: bytes, vector: bytes, data: bytes) -> bytes:
    """Return data xor the AES-128-CTR key stream: both directions."""
    return Cipher(algorithms.AES(key), modes.CTR(vector)).encryptor().update(data)
