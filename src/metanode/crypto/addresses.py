"""Addresses as text, with the EIP-55 checksum."""

from metanode.crypto.hashing import keccak256
from metanode.primitives import hexadecimal
from metanode.primitives.types import ADDRESS_BYTES, Address


def format_address(address: bytes) -> str:
    """Return the address as 0x and 40 digits whose case is the checksum. Source: EIP-55."""
    digits = address.hex()
    nibbles = keccak256(digits.encode()).hex()
    return "0x" + "".join(d.upper() if n in "89abcdef" else d for d, n in zip(digits, nibbles, strict=False))


def parse_address(text: str, *, field: str = "address") -> Address:
    """Return the address of 0x and 40 digits in any case; raises InvalidEncoding that names the field."""
    return Address(hexadecimal.decode_data(text, field=field, length=ADDRESS_BYTES))


def is_checksum_wrong(text: str) -> bool:
    """Tell whether a well-formed address is written in mixed case that is not its EIP-55 checksum."""
    digits = text[2:]
    if digits in {digits.lower(), digits.upper()}:
        return False
    return text != format_address(parse_address(text))
