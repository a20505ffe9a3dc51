"""Hex at the edges, in the two forms of the JSON-RPC specification.

DATA is bytes: "0x" and two digits a byte. QUANTITY is a number: "0x" and the fewest digits, "0x0" for zero.
"""

import re
from typing import Final

from metanode.errors import InvalidEncoding

_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)
_QUANTITY: Final = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]*)", re.ASCII)
_SHOWN_CHARACTERS: Final = 80
"""How much of a wrong value an error repeats."""


def encode_data(value: bytes) -> str:
    """Return bytes as DATA."""
    return "0x" + value.hex()


def decode_data(text: str, *, field: str = "value", length: int | None = None) -> bytes:
    """Return the bytes of DATA; `length` is the number of bytes required. Raises InvalidEncoding that names the field."""
    if not _DATA.fullmatch(text):
        raise InvalidEncoding(f"{field}: expected 0x and an even number of hex digits, found {_shown(text)}")
    value = bytes.fromhex(text[2:])
    if length is not None and len(value) != length:
        raise InvalidEncoding(f"{field}: expected {length} bytes, found {len(value)} in {_shown(text)}")
    return value


def encode_quantity(value: int) -> str:
    """Return a number as QUANTITY."""
    assert value >= 0, value
    return hex(value)


def decode_quantity(text: str, *, field: str = "value", bits: int = 256) -> int:
    """Return the number of a QUANTITY that fits in `bits`. Raises InvalidEncoding that names the field."""
    if not _QUANTITY.fullmatch(text):
        raise InvalidEncoding(
            f"{field}: expected 0x and hex digits without leading zeros, found {_shown(text)}"
        )
    if len(text) - 2 > (bits + 3) // 4:
        raise InvalidEncoding(f"{field}: expected at most {bits} bits, found {len(text) - 2} hex digits")
    value = int(text, 16)
    if value >> bits:
        raise InvalidEncoding(f"{field}: expected at most {bits} bits, found {_shown(text)}")
    return value


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN_CHARACTERS else repr(text[:_SHOWN_CHARACTERS]) + "..."
