"""The decoder takes every canonical encoding and nothing else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidEncoding
from metanode.primitives import rlp

values = st.recursive(st.binary(max_size=80), lambda children: st.lists(children, max_size=6), max_leaves=30)


def official_value(value: Any) -> rlp.Item:
    if isinstance(value, list):
        return [official_value(child) for child in value]
    if isinstance(value, int):
        return rlp.integer(value)
    if value.startswith("#"):
        return rlp.integer(int(value[1:]))
    return value.encode("latin-1")


def test_official_valid_vectors_encode_and_decode(vector: Callable[[str], bytes]) -> None:
    for name, case in json.loads(vector("ethereum-tests/RLPTests/rlptest.json")).items():
        data = bytes.fromhex(case["out"].removeprefix("0x"))
        assert rlp.encode(official_value(case["in"])) == data, name
        assert rlp.encode(rlp.decode(data)) == data, name


def test_official_invalid_vectors_are_refused(vector: Callable[[str], bytes]) -> None:
    for case in json.loads(vector("ethereum-tests/RLPTests/invalidRLPTest.json")).values():
        with pytest.raises(InvalidEncoding):
            rlp.decode(bytes.fromhex(case["out"].removeprefix("0x")))


@given(values)
def test_decoding_gives_back_what_was_encoded(value: rlp.Item) -> None:
    assert rlp.decode(rlp.encode(value)) == value


@given(st.binary(max_size=64))
def test_bytes_that_decode_are_the_canonical_encoding(data: bytes) -> None:
    try:
        value = rlp.decode(data)
    except InvalidEncoding:
        return
    assert rlp.encode(value) == data


@pytest.mark.parametrize("value", [b"dog", [b"", [b"cat", b"x" * 60], []], b"y" * 300, [b"z" * 70_000]])
def test_truncation_at_every_length_and_trailing_bytes_are_refused(value: rlp.Item) -> None:
    data = rlp.encode(value)
    for length in range(len(data)) if len(data) < 1000 else [*range(200), *range(len(data) - 200, len(data))]:
        with pytest.raises(InvalidEncoding):
            rlp.decode(data[:length])
    with pytest.raises(InvalidEncoding, match="after the end"):
        rlp.decode(data + b"\x80")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "missing"),
        ("8100", "single byte"),
        ("817f", "single byte"),
        ("b800", "leading zeros"),
        ("b837" + "00" * 55, "long form"),
        ("b801" + "00", "long form"),
        ("b90038" + "00" * 56, "leading zeros"),
        ("bfffffffffffffffff", "where 0 are left"),
        ("f8", "cut off"),
        ("c1", "where 0 are left"),
        ("c3820000", None),
        ("c28200", "where 1 are left"),
    ],
)
def test_non_canonical_and_impossible_lengths_are_refused(data: str, reason: str | None) -> None:
    if reason is None:
        assert rlp.decode(bytes.fromhex(data)) == [b"\0\0"]
        return
    with pytest.raises(InvalidEncoding, match=reason):
        rlp.decode(bytes.fromhex(data))


def test_depth_and_items_are_bounded() -> None:
    deep = b"\xc0"
    for _ in range(5000):
        deep = rlp.list_of_encoded(deep)
    with pytest.raises(InvalidEncoding, match="nested"):
        rlp.decode(deep)
    with pytest.raises(InvalidEncoding, match="nested"):
        rlp.decode(deep, depth_max=10**9)
    with pytest.raises(InvalidEncoding, match="too many items"):
        rlp.decode(rlp.encode([b""] * 11), items_max=11)
    assert rlp.decode(rlp.encode([b""] * 11), items_max=12, depth_max=1) == [b""] * 11
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        rlp.encode(endless)


def test_only_bytes_and_sequences_of_them_are_encoded() -> None:
    assert rlp.encode((b"a", [bytearray(b"bc"), memoryview(b"")])) == rlp.encode([b"a", [b"bc", b""]])
    for item in (5, [None], "text", [b"", "text"]):
        with pytest.raises((TypeError, RecursionError)):
            rlp.encode(item)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        rlp.integer(-1)


@given(st.binary(max_size=40), st.integers(min_value=0, max_value=50), st.integers(min_value=0, max_value=50))
def test_a_span_lies_within_what_was_asked(data: bytes, start: int, end: int) -> None:
    try:
        is_list, content, stop = rlp.item_span(data, start, end)
    except InvalidEncoding:
        return
    assert start <= content <= stop <= min(end, len(data))
    assert is_list == (data[start] >= 0xC0)


def test_a_reader_names_the_field() -> None:
    def reader() -> rlp.Reader:
        return rlp.Reader([b"\x01", b"ab", [b""], b"\x00\x01"], "thing")

    fields = reader()
    assert fields.integer("a") == 1
    with pytest.raises(InvalidEncoding, match=r"thing\.b: expected 3 bytes, found 2"):
        fields.bytes("b", length=3)
    assert fields.list("c", length_max=1) == [b""]
    with pytest.raises(InvalidEncoding, match=r"thing\.d: a number has leading zeros"):
        fields.integer("d")
    with pytest.raises(InvalidEncoding, match=r"thing\.e: missing"):
        fields.bytes("e")
    with pytest.raises(InvalidEncoding, match="thing: expected 0 items, found 4"):
        reader().end()
    with pytest.raises(InvalidEncoding, match="expected a list"):
        rlp.Reader(b"", "thing")


@given(st.integers(min_value=0, max_value=2**300), st.integers(min_value=0, max_value=300))
def test_numbers_of_any_size_keep_to_their_bits(value: int, bits: int) -> None:
    text = rlp.integer(value)
    assert text == value.to_bytes((value.bit_length() + 7) // 8, "big")
    if value.bit_length() <= bits:
        assert rlp.parse_integer(text, bits=bits) == value
        return
    with pytest.raises(InvalidEncoding, match=f"number: expected at most {bits} bits, found"):
        rlp.parse_integer(text, bits=bits, field="number")


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_integers_have_one_encoding(value: int) -> None:
    assert rlp.parse_integer(rlp.integer(value)) == value
    with pytest.raises(InvalidEncoding):
        rlp.parse_integer(b"\0" + rlp.integer(value))
    with pytest.raises(InvalidEncoding):
        rlp.parse_integer(rlp.integer(value + 2**64))
