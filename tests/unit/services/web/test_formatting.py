"""Numbers, amounts and times as pages write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.primitives.units import format_tokens
from sdk.testnet.services.web import formatting, text
from sdk.testnet.services.web.formatting import NARROW_SPACE as N


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [
        (0, 18, "0"),
        (1, 18, "<0.000001"),
        (-1, 18, "-<0.000001"),
        (10**12, 18, "0.000001"),
        (10**18, 18, "1"),
        (1_234_567 * 10**18 + 5 * 10**17, 18, f"1{N}234{N}567.5"),
        (1_999_999_999_999_999_999, 18, "1.999999"),
        (123, 0, "123"),
        (5, 2, "0.05"),
        (2**256 - 1, 255, "<0.000001"),
    ],
)
def test_an_amount_is_cut_and_never_rounded_up(value: int, decimals: int, shown: str) -> None:
    assert formatting.amount(value, decimals) == shown


@given(st.integers(min_value=-(2**256), max_value=2**256))
def test_the_exact_amount_is_exact(value: int) -> None:
    assert formatting.exact(value) == format_tokens(value)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, f"0{N}s"),
        (59.9, f"59{N}s"),
        (60, f"1{N}min"),
        (11_520, f"3{N}h 12{N}min"),
        (86_400 + 61, f"1{N}d"),
        (-5, f"0{N}s"),
    ],
)
def test_a_duration_has_its_two_greatest_units(seconds: float, shown: str) -> None:
    assert formatting.duration(seconds) == shown


def test_times_say_the_zone() -> None:
    assert formatting.utc(1_790_000_000) == "2026-09-21 14:13:20 UTC"
    assert formatting.iso(1_790_000_000) == "2026-09-21T14:13:20Z"
    assert formatting.ago(1_790_000_000, 1_790_000_000 + 7_300) == f"2{N}h ago"
    assert formatting.ago(1_790_000_009, 1_790_000_000) == f"0{N}s ago", "clocks differ a little"


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(1, 3, f"33.3{N}%"), (0, 0, f"0{N}%"), (1, 100_000, f"<0.1{N}%"), (4, 4, f"100{N}%")],
)
def test_a_share_of_nothing_is_nothing(part: int, whole: int, shown: str) -> None:
    assert formatting.percent(part, whole) == shown


def test_a_figure_is_of_the_address_and_not_of_its_spelling() -> None:
    address = "0x742d35Cc6634C0532925a3b8D4C0b7C5C8C8b8b8"

    assert formatting.figure(address) == formatting.figure(address.lower())
    assert formatting.figure(address) != formatting.figure("0x" + "11" * 20)
    colour, path = formatting.figure("0x" + "00" * 20)
    assert colour.startswith("#")
    assert path


def test_a_figure_is_mirrored_and_says_each_field_once_in_few_pieces() -> None:
    for number in range(300):
        digits = number.to_bytes(2, "big") * 10
        _, path = formatting.figure("0x" + digits[:10].hex() + "00" * 10)
        pieces = re.findall(r"M(\d) (\d)h1v(\d)h-1z", path)
        if not pieces:
            assert path == "M1 1h3v3h-3z"
            continue
        assert "".join(f"M{x} {y}h1v{height}h-1z" for x, y, height in pieces) == path
        fields = [(int(x), int(y) + below) for x, y, height in pieces for below in range(int(height))]
        assert len(set(fields)) == len(fields)
        assert {(4 - x, y) for x, y in fields} == set(fields)
        assert all(y < 5 for _, y in fields)
        assert not any((int(x), int(y) + int(height)) in fields for x, y, height in pieces)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain", "plain"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("a\x00b\nc", "a\\u0000b\\u000ac"),
        (b"\xff\xfeok", "\ufffd\ufffdok"),
        ("x" * 1_000_000, "x" * 64 + "…"),
        ("\u200bUSDC", "\\u200bUSDC"),
        ("Z" + "\u0300" * 100, "Z" + "\u0300" * 2),
        ("\u3164\u115f\u1160\uffa0\u2800", "\\u3164\\u115f\\u1160\\uffa0\\u2800"),
        ("Z" + "\u20dd" * 100, "Z" + "\u20dd" * 2),
        ("A\ufe0f", "A\\ufe0f"),
        ("\U000e0041tag", "\\U000e0041tag"),
        (None, ""),
    ],
)
def test_hostile_text_is_seen_for_what_it_is(hostile: str | bytes | None, shown: str) -> None:
    assert text.clean(hostile) == shown


@given(st.text() | st.binary(), st.integers(min_value=1, max_value=80))
def test_clean_text_is_short_and_has_nothing_hidden(value: str | bytes, length_max: int) -> None:
    shown = text.clean(value, length_max)

    assert len(shown) <= length_max + 1 + 2 * length_max, "marks on letters come on top"
    assert shown.isprintable()
