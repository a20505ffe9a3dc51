"""Hostile text made fit to show: what hides, turns or floods is written out or cut.

Escaping for HTML is the templates' business; this is about what survives it: control characters, marks that turn the direction of text, invisible
characters, and length.
"""

from __future__ import annotations

import unicodedata
from typing import Final

CHARACTERS_MAX: Final = 64
"""The length of a name that nobody reads further; the whole is in the page's JSON twin."""
_HIDDEN: Final = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
"""Unicode categories that have no shape of their own: control, format (with the marks of direction), private, surrogate, unassigned, separators."""
_WITHOUT_SHAPE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Letters and marks that nobody sees: Hangul fillers, variation selectors, the empty Braille pattern. Source: Default_Ignorable_Code_Point of Unicode."""
_MARKS_IN_A_ROW_MAX: Final = 2
"""Combining marks that are kept on one letter; more climb out of the line."""


def clean(value: str | bytes | None, length_max: int = CHARACTERS_MAX) -> str:
    r"""Return text in which everything is seen: hidden characters as `\u202e`, invalid UTF-8 as U+FFFD, at most `length_max` characters.

    Reads no more than it shows, so that a megabyte costs what a word does.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value[: 4 * length_max + 4].decode("utf-8", errors="replace")
    shown: list[str] = []
    length = marks = 0
    for character in value:
        category = unicodedata.category(character)
        marks = marks + 1 if category.startswith("M") else 0
        if marks > _MARKS_IN_A_ROW_MAX:
            continue
        is_hidden = category in _HIDDEN or character in _WITHOUT_SHAPE
        piece = _escaped(character) if is_hidden else " " if category == "Zs" else character
        if length + len(piece) > length_max:
            shown.append("…")
            break
        shown.append(piece)
        length += len(piece)
    return "".join(shown)


def clean_lines(value: str, lines_max: int = 200, length_max: int = 400) -> str:
    """Return text of several lines, each of them clean: what is copied into a chat."""
    return "\n".join(clean(line, length_max) for line in value.splitlines()[:lines_max])


def is_shapeless(character: str) -> bool:
    """Whether a letter or mark leaves no trace on the page."""
    return character in _WITHOUT_SHAPE


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
