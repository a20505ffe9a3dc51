"""Numbers, amounts, hashes and times as pages write them. Pure; integers only where money is.

Groups are parted by a narrow space that does not break (U+202F), decimals by a point. What is shortened here stands whole in `title` and behind the
copy button.
"""

from __future__ import annotations

import colorsys
import itertools
import re
from datetime import UTC, datetime
from typing import Final

NARROW_SPACE: Final = "\u202f"
WEI_PER_GWEI_DECIMALS: Final = 9
TOKEN_DECIMALS: Final = 18
SHOWN_DECIMALS: Final = 6
_DECIMALS_MAX: Final = 255
"""uint8: what `decimals()` of a token can say."""


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by so that `validator-2` stands before `validator-10`."""
    return [
        (int(part[:18]), "") if part.isascii() and part.isdecimal() else (-1, part.casefold())
        for part in re.split(r"([0-9]+)", name)
    ]


def group(number: int) -> str:
    """Return an integer with its thousands apart."""
    return f"{number:,}".replace(",", NARROW_SPACE)


def exact(amount: int, decimals: int = TOKEN_DECIMALS) -> str:
    """Return an amount of smallest units as the shortest exact decimal, without groups: to copy."""
    decimals = min(max(decimals, 0), _DECIMALS_MAX)
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    whole, fraction = divmod(amount, 10**decimals)
    places = f"{fraction:0{decimals}d}".rstrip("0") if decimals and fraction else ""
    return f"{sign}{whole}.{places}" if places else f"{sign}{whole}"


def amount(value: int, decimals: int = TOKEN_DECIMALS, shown: int = SHOWN_DECIMALS) -> str:
    """Return an amount of smallest units with at most `shown` decimals, cut and never rounded up; what is smaller is `<0.000001`."""
    sign, digits = ("-", -value) if value < 0 else ("", value)
    whole, _, places = exact(digits, decimals).partition(".")
    places = places[:shown].rstrip("0")
    if digits and whole == "0" and not places:
        return f"{sign}<0.{'0' * (shown - 1)}1"
    grouped = group(int(whole))
    return f"{sign}{grouped}.{places}" if places else f"{sign}{grouped}"


def gwei(value_wei: int) -> str:
    """Return wei as gwei."""
    return amount(value_wei, WEI_PER_GWEI_DECIMALS, 4)


def shorten(value: str, head: int = 6, tail: int = 4) -> str:
    """Return the beginning and the end of a hash or an address, `0x1234…cdef`; short text stays whole."""
    return value if len(value) <= head + tail + 1 else f"{value[:head]}…{value[-tail:]}"


def hexed(value: bytes) -> str:
    """Return bytes as 0x and lower-case digits."""
    return f"0x{value.hex()}"


def percent(part: float, whole: float) -> str:
    """Return a share in percent with at most one decimal; `0 %` of nothing."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return f"<0.1{NARROW_SPACE}%"
    text = f"{share:.1f}".removesuffix(".0")
    return f"{text}{NARROW_SPACE}%"


def size(count_bytes: int) -> str:
    """Return a size in bytes or KiB, MiB, GiB."""
    value = float(count_bytes)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f}{NARROW_SPACE}B" if unit == "B" else f"{value:.1f}{NARROW_SPACE}{unit}"
        value /= 1024
    return f"{value:.1f}{NARROW_SPACE}GiB"


def duration(seconds: float) -> str:
    """Return a length of time in its two greatest units: `3 h 12 min`."""
    rest = max(0, int(seconds))
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{NARROW_SPACE}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts) or f"0{NARROW_SPACE}s"


def ago(timestamp: float, now: float) -> str:
    """Return how long ago a moment was, in its greatest unit: `5 s ago`. The script `times.js` says the same as time goes on."""
    passed = max(0, int(now - timestamp))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if passed >= length:
            return f"{passed // length}{NARROW_SPACE}{unit} ago"
    return f"{passed}{NARROW_SPACE}s ago"


def iso(timestamp: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC: what `<time datetime>` and the JSON twins say."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc(timestamp: float) -> str:
    """Return seconds since the epoch as people read UTC."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(timestamp: float) -> str:
    """Return the time of day in UTC: for lists of one day."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%H:%M:%S")


def figure(address: str) -> tuple[str, str]:
    """Return colour and SVG path of the small figure that stands beside an address: five by five fields, mirrored, the same for every spelling."""
    digits = bytes.fromhex(address[2:42].lower().ljust(40, "0"))
    bits = int.from_bytes(digits[2:4], "big") ^ int.from_bytes(digits[10:12], "big")
    path = ""
    for x in range(5):
        column = [bool(bits >> (3 * y + min(x, 4 - x)) & 1) for y in range(5)]
        y = 0
        # Fields below each other are one piece: a page of a list has fifty figures.
        for is_set, run in itertools.groupby(column):
            height = len(list(run))
            path += f"M{x} {y}h1v{height}h-1z" if is_set else ""
            y += height
    path = path or "M1 1h3v3h-3z"
    # One lightness for light and dark: readable on both, and it is never the only mark.
    red, green, blue = colorsys.hls_to_rgb(digits[0] / 256, 0.5, 0.45 + digits[1] / 1024)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}", path
