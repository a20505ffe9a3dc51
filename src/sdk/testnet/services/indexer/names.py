"""What contracts say of themselves: names, symbols, decimals. Said by anybody, so it is cleaned, cut, and not waited for."""

from __future__ import annotations

import unicodedata
from typing import Final

from sdk.testnet.services.web.text import is_shapeless

TEXT_BYTES_MAX: Final = 64
"""Of UTF-8: longer names are there to be looked at, not to name."""
_READ_BYTES_MAX: Final = 1_024
"""Of an answer: what is behind would be cut anyway."""
_WORD: Final = 32
DECIMALS_MAX: Final = 255


def clean_text(raw: bytes) -> str | None:
    """Return text for people: no control, format and direction marks, single spaces, at most 64 bytes; None when nothing is left."""
    text = raw[:_READ_BYTES_MAX].decode("utf-8", errors="replace")
    kept = "".join(
        " " if character.isspace() else character
        for character in text
        # Categories C: control, format (with all direction marks), surrogates, private, unassigned. Zl and Zp are spaces.
        # A name of letters without shape would be a link that nobody sees.
        if character.isspace()
        or not (unicodedata.category(character).startswith("C") or is_shapeless(character))
    )
    short = " ".join(kept.split()).encode()[:TEXT_BYTES_MAX].decode(errors="ignore").strip()
    return short or None


def text_of_answer(answer: bytes) -> str | None:
    """Return the text of what a contract answered: an ABI string, or 32 bytes with zeros behind them as old tokens answer."""
    if len(answer) == _WORD:
        return clean_text(answer.rstrip(b"\0"))
    if len(answer) < 2 * _WORD:
        return None
    offset = int.from_bytes(answer[:_WORD], "big")
    if offset > len(answer) - _WORD:
        return None
    length = int.from_bytes(answer[offset : offset + _WORD], "big")
    start = offset + _WORD
    return clean_text(answer[start : start + min(length, _READ_BYTES_MAX)])


def decimals_of_answer(answer: bytes) -> int | None:
    """Return the decimals that a contract answered; None for no number of 8 bits."""
    if len(answer) != _WORD:
        return None
    value = int.from_bytes(answer, "big")
    return value if value <= DECIMALS_MAX else None
