"""Values of the ABI: what compilers encode is read as it was meant, and what nobody would encode costs nothing."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import InvalidEncoding
from sdk.testnet.services.explorer.abi_values import BYTES_MAX, VISITS_MAX, read_values

LEAVES: dict[str, Any] = {
    "uint256": st.integers(0, 2**256 - 1),
    "uint8": st.integers(0, 255),
    "int128": st.integers(-(2**127), 2**127 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20),
    "bytes": st.binary(max_size=80),
    "bytes4": st.binary(min_size=4, max_size=4),
    "string": st.text(max_size=40),
}


def _deeper(kinds: Any) -> Any:
    def listed(kind: tuple[str, Any]) -> Any:
        name, values = kind
        return st.one_of(
            st.just((f"{name}[]", st.lists(values, max_size=4))),
            st.integers(1, 3).map(lambda count: (f"{name}[{count}]", st.lists(values, min_size=count, max_size=count))),
        )  # fmt: skip

    def grouped(members: list[tuple[str, Any]]) -> tuple[str, Any]:
        return f"({','.join(name for name, _ in members)})", st.tuples(*(values for _, values in members))

    return st.one_of(kinds.flatmap(listed), st.lists(kinds, min_size=1, max_size=3).map(grouped))


KINDS = st.recursive(st.sampled_from(sorted(LEAVES)).map(lambda name: (name, LEAVES[name])), _deeper, max_leaves=5)  # fmt: skip


def plain(value: Any) -> Any:
    """Tuples as lists: both say the same."""
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


@given(st.lists(KINDS, min_size=1, max_size=3), st.data())
def test_what_is_encoded_is_read(kinds: list[tuple[str, Any]], data: Any) -> None:
    values = [data.draw(each) for _, each in kinds]
    types = [name for name, _ in kinds]
    encoded = encode(types, values)

    assert plain(read_values(types, encoded)) == plain(values)
    for length in range(0, len(encoded), 7):
        with contextlib.suppress(InvalidEncoding):
            # What is missing was padding.
            assert plain(read_values(types, encoded[:length])) == plain(values)


@given(st.lists(KINDS, min_size=1, max_size=3), st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(kinds: list[tuple[str, Any]], data: bytes) -> None:
    with contextlib.suppress(InvalidEncoding):
        read_values([name for name, _ in kinds], data)


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32) for number in numbers)


def test_pointers_to_one_array_again_and_again_are_not_followed_without_end() -> None:
    """32 KB that say 39 million numbers: 340 times an array of 340 times an array of 340."""
    count = 340
    inner = words(count, *range(count))
    middle = words(count, *([32 * count] * count)) + inner
    bomb = words(32, count, *([32 * count] * count)) + middle
    assert len(bomb) < 33_000

    with pytest.raises(InvalidEncoding, match=f"more than {VISITS_MAX:,}"):
        read_values(("uint256[][][]",), bomb)


def test_one_long_text_pointed_at_often_is_not_copied_without_end() -> None:
    count, text = 100, words(20_000) + bytes(20_000)
    bomb = words(32, count, *([32 * count] * count)) + text

    with pytest.raises(InvalidEncoding, match=f"more than {BYTES_MAX:,} bytes"):
        read_values(("bytes[]",), bomb)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("uint256[]", words(32, 2**200)),
        ("uint256[]", words(2**255)),
        ("uint256[999999][999999][999999]", words(1)),
        ("string[]", words(32, 2**64)),
        ("string", words(32, 2**64)),
        ("string", words(32, 2) + b"\xff\xfe" + bytes(30)),
        ("bool", words(2)),
        ("uint256", b"\x01" * 31),
    ],
)
def test_what_only_claims_to_be_there_is_refused(kind: str, data: bytes) -> None:
    with pytest.raises(InvalidEncoding):
        read_values((kind,), data)
