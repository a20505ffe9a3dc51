"""Lines for spreadsheets: RFC 4180, and no cell that one would run."""

from __future__ import annotations

import csv
import io
import unicodedata
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORMULAS: Final = ("=", "+", "-", "@")
"""How a cell begins that spreadsheets run, behind what they do not see."""
_LOOKED_AT: Final = 200
"""Characters of a cell; names are 64 bytes."""
_UNSEEN: Final = "".join(map(chr, range(0x21))) + "\x7f\u00a0\u1680\u180e\u202f\u205f\u3000\ufeff"


def line(cells: Sequence[Any]) -> str:
    """Return one line of RFC 4180, all of it in quotes, for other separators have other ends; a cell that would be run is made text by an apostrophe."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow([_cell(value) for value in cells])
    return text.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    # Spreadsheets of some countries take the wide signs for the usual ones.
    seen = unicodedata.normalize("NFKC", text[:_LOOKED_AT]).lstrip(_UNSEEN)
    return f"'{text}" if seen.startswith(_FORMULAS) or text[:1] in {"\t", "\r", "\n"} else text
