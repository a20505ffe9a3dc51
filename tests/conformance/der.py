"""A strict reader of DER, as far as keys and signatures of Wycheproof need it: the product has neither, its keys are 64 bytes and its signatures 65.

What is not the one encoding of a value raises NotDer: an indefinite or too long length, bytes behind the end, a number with a needless zero.
"""

from typing import Final

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OBJECT_IDENTIFIER: Final = 0x06
EC_PUBLIC_KEY: Final = bytes.fromhex("2a8648ce3d0201")
"""1.2.840.10045.2.1, in what names the kind of a key."""
SECP256K1: Final = bytes.fromhex("2b8104000a")
"""1.3.132.0.10."""
_LONG: Final = 0x80


class NotDer(Exception):
    """The bytes are not the DER of what is expected."""


def point_of_key(encoded: bytes) -> bytes:
    """The point of a SubjectPublicKeyInfo of secp256k1, as it is written; raises NotDer, also for another or an unnamed curve (RFC 5480)."""
    algorithm, key = _items(_only(encoded, SEQUENCE), SEQUENCE, BIT_STRING)
    kind, curve = _items(algorithm, OBJECT_IDENTIFIER, OBJECT_IDENTIFIER)
    if kind != EC_PUBLIC_KEY or curve != SECP256K1:
        raise NotDer("a key of something else than secp256k1")
    if key[:1] != b"\0":
        raise NotDer("a string of bits that is none of bytes")
    return key[1:]


def numbers_of_signature(encoded: bytes) -> tuple[int, int]:
    """R and s of an ECDSA signature; raises NotDer, also for a number below zero."""
    r, s = _items(_only(encoded, SEQUENCE), INTEGER, INTEGER)
    return _natural(r), _natural(s)


def _natural(content: bytes) -> int:
    if not content or content[0] & 0x80:
        raise NotDer("a number below zero, or none")
    if len(content) > 1 and content[0] == 0 and not content[1] & 0x80:
        raise NotDer("a number with a needless zero")
    return int.from_bytes(content, "big")


def _items(content: bytes, *tags: int) -> list[bytes]:
    """The contents of items with these tags, and nothing behind them."""
    found = []
    for tag in tags:
        item, content = _first(content, tag)
        found.append(item)
    if content:
        raise NotDer(f"{len(content)} bytes behind the end")
    return found


def _only(encoded: bytes, tag: int) -> bytes:
    return _items(encoded, tag)[0]


def _first(encoded: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first item, and what follows it."""
    if len(encoded) < 2 or encoded[0] != tag:
        raise NotDer(f"expected an item with the tag {tag:#x}")
    length, start = encoded[1], 2
    if length & _LONG:
        digits = length & ~_LONG
        start += digits
        length = int.from_bytes(encoded[2:start], "big")
        if length < _LONG or length.bit_length() <= 8 * (digits - 1):
            raise NotDer("a length that is not written the shortest way")
    if len(encoded) < start + length:
        raise NotDer("an item that ends too early")
    return encoded[start : start + length], encoded[start + length :]
