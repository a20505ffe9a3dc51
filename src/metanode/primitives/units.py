"""Wei as people write it: whole tokens and decimals. Integers only.

Text amounts are exact decimals: "1.5" tokens is 1_500_000_000_000_000_000 wei, and an amount with more places than the unit has is
refused rather than rounded.
"""

import re
from typing import Final

from metanode.errors import InvalidEncoding
from metanode.primitives.types import Wei

WEI_PER_TOKEN: Final = 10**18
TOKEN_DECIMALS: Final = 18

_DECIMAL: Final = re.compile(r"[0-9]{1,60}(?:\.[0-9]{1,60})?", re.ASCII)


def parse_tokens(text: str, *, field: str = "amount") -> Wei:
    """Return a decimal number of tokens as wei; raises InvalidEncoding for anything but a plain decimal of at most 18 places."""
    if not _DECIMAL.fullmatch(text):
        raise InvalidEncoding(
            f"{field}: expected a decimal number of tokens such as 1.5, found {text[:80]!r}"
        )
    whole, _, fraction = text.partition(".")
    if len(fraction) > TOKEN_DECIMALS:
        raise InvalidEncoding(
            f"{field}: a token has {TOKEN_DECIMALS} decimals, found {len(fraction)} in {text[:80]!r}"
        )
    return Wei(int(whole) * WEI_PER_TOKEN + int(fraction.ljust(TOKEN_DECIMALS, "0")))


def format_tokens(amount_wei: int) -> str:
    """Return wei as the shortest exact decimal number of tokens."""
    sign, amount_wei = ("-", -amount_wei) if amount_wei < 0 else ("", amount_wei)
    whole, fraction = divmod(amount_wei, WEI_PER_TOKEN)
    places = f"{fraction:018d}".rstrip("0")
    return f"{sign}{whole}.{places}" if places else f"{sign}{whole}"
