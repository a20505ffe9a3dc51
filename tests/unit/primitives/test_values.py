"""Hex and units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidEncoding
from metanode.primitives import hexadecimal, units


@given(st.binary(max_size=40))
def test_data_round_trips(value: bytes) -> None:
    assert hexadecimal.decode_data(hexadecimal.encode_data(value)) == value


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_quantities_round_trip(value: int) -> None:
    assert hexadecimal.decode_quantity(hexadecimal.encode_quantity(value)) == value


@pytest.mark.parametrize("text", ["", "0x0g", "ab", "0x123", "0X12", "0x12 ", "0x\uff11\uff12", "0x12\n"])
def test_malformed_data_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(InvalidEncoding, match="coinbase: expected 0x"):
        hexadecimal.decode_data(text, field="coinbase")


@pytest.mark.parametrize("text", ["", "0x", "0x00", "0x01", "10", "0xg", "-0x1", "0x1_0"])
def test_malformed_quantities_are_refused(text: str) -> None:
    with pytest.raises(InvalidEncoding, match="gas: expected"):
        hexadecimal.decode_quantity(text, field="gas")


def test_sizes_are_bounded() -> None:
    with pytest.raises(InvalidEncoding, match="20 bytes, found 2"):
        hexadecimal.decode_data("0x1234", length=20)
    assert hexadecimal.decode_quantity("0x7f", bits=7) == 127
    with pytest.raises(InvalidEncoding, match="7 bits"):
        hexadecimal.decode_quantity("0x80", bits=7)
    with pytest.raises(InvalidEncoding, match="hex digits"):
        hexadecimal.decode_quantity("0x1" + "0" * 1_000_000, bits=64)


@pytest.mark.parametrize(
    ("text", "wei"),
    [("1", 10**18), ("1.5", 15 * 10**17), ("0.000000000000000001", 1), ("0", 0), ("1000000", 10**24)],
)
def test_token_amounts_are_exact(text: str, wei: int) -> None:
    assert units.parse_tokens(text) == wei
    assert units.format_tokens(wei) == text


@pytest.mark.parametrize("text", ["", "1e18", "-1", ".5", "1.", "1,5", "0.0000000000000000001", "nan"])
def test_amounts_that_would_be_rounded_or_guessed_are_refused(text: str) -> None:
    with pytest.raises(InvalidEncoding, match="drip: "):
        units.parse_tokens(text, field="drip")


def test_a_debt_has_its_sign() -> None:
    assert units.format_tokens(-15 * 10**17) == "-1.5"
