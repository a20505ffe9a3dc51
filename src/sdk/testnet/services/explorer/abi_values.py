"""Values of ABI-encoded data, read with bounds: what a contract or its caller makes is no more than so much work. Pure.

The encoding has pointers, and pointers may be the same: 32 kilobytes can say 39 million values. So it is counted what is visited, not what is there.
Padding is not looked at, as compilers of callers differ in it. Source: the contract ABI specification of Solidity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import InvalidEncoding

if TYPE_CHECKING:
    from collections.abc import Sequence

VISITS_MAX: Final = 10_000
"""Values, and arrays and tuples around them: fifty times what a page shows, a hundredth of a second."""
BYTES_MAX: Final = 64 * 1024
"""Of all texts and bytes together: twice what is looked at."""
_WORD: Final = 32
_TYPES_KEPT: Final = 1_000
_ARRAY: Final = re.compile(r"(.*)\[([1-9][0-9]*)?\]", re.DOTALL)
_INTEGER: Final = re.compile(r"(u?)int([0-9]+)")
_FIXED_BYTES: Final = re.compile(r"bytes([0-9]+)")


def read_values(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Return the values: int, bool, str, bytes (also of addresses), and lists of these for arrays and tuples.

    Raises:
        InvalidEncoding: when the data are none of these types, or too much to read.
    """
    return tuple(_Reader(data).sequence(tuple(_kind(each) for each in types), 0))


def split_types(text: str) -> list[str]:
    """Return the types of a tuple's inside: `uint256,(address,bool)[]` has two."""
    found: list[str] = []
    depth, begin = 0, 0
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append(text[begin:index])
            begin = index + 1
    return [*found, text[begin:]] if text else []


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type, taken apart."""

    name: str
    members: tuple[_Kind, ...] = ()
    """Of a tuple; the one of an array."""
    length: int | None = None
    """Of an array; None of one that says its length itself, and of what is none."""
    is_array: bool = False
    bits: int = 0
    """Of a number; bytes of `bytes1` to `bytes32`."""

    @property
    def is_dynamic(self) -> bool:
        """Whether a pointer stands in its place."""
        if self.name in {"bytes", "string"} or (self.is_array and self.length is None):
            return True
        return any(member.is_dynamic for member in self.members)

    @property
    def size(self) -> int:
        """Bytes in its place."""
        if self.is_dynamic:
            return _WORD
        if self.is_array:
            assert self.length is not None
            return self.length * self.members[0].size
        return sum(member.size for member in self.members) if self.name == "tuple" else _WORD


@lru_cache(_TYPES_KEPT)
def _kind(text: str) -> _Kind:
    if found := _ARRAY.fullmatch(text):
        length = None if found[2] is None else int(found[2])
        return _Kind("array", (_kind(found[1]),), length, is_array=True)
    if text.startswith("(") and text.endswith(")") and len(text) > 2:
        return _Kind("tuple", tuple(_kind(each) for each in split_types(text[1:-1])))
    if (found := _INTEGER.fullmatch(text)) and 8 <= int(found[2]) <= 256 and int(found[2]) % 8 == 0:
        return _Kind("uint" if found[1] else "int", bits=int(found[2]))
    if (found := _FIXED_BYTES.fullmatch(text)) and 1 <= int(found[1]) <= _WORD:
        return _Kind("fixed", bits=int(found[1]))
    if text == "function":
        return _Kind("fixed", bits=24)
    if text in {"address", "bool", "bytes", "string"}:
        return _Kind(text)
    raise InvalidEncoding(f"type: expected one of the contract ABI, found {text!r:.60}")


class _Reader:
    """Goes through data once, and counts."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._visits = 0
        self._bytes = 0

    def sequence(self, kinds: Sequence[_Kind], start: int) -> list[Any]:
        """The values that stand side by side from `start` on; pointers count from there."""
        place = start
        values = []
        for kind in kinds:
            values.append(self._at(kind, start, place))
            place += kind.size
        return values

    def _at(self, kind: _Kind, start: int, place: int) -> Any:
        self._visits += 1
        if self._visits > VISITS_MAX:
            raise InvalidEncoding(f"values: more than {VISITS_MAX:,}")
        if kind.is_dynamic:
            place = start + self._number(place)
        if kind.name == "tuple":
            return self.sequence(kind.members, place)
        if kind.is_array:
            return self._array(kind, place)
        return self._leaf(kind, place)

    def _array(self, kind: _Kind, place: int) -> list[Any]:
        count, (member,) = kind.length, kind.members
        if count is None:
            count, place = self._number(place), place + _WORD
        # Before anything is made of a length that only somebody says.
        if count * member.size > len(self._data) - place:
            raise InvalidEncoding(f"array: says {count!r:.40} members, which are not there")
        return [self._at(member, place, place + index * member.size) for index in range(count)]

    def _leaf(self, kind: _Kind, place: int) -> Any:
        if kind.name in {"bytes", "string"}:
            return self._text(kind.name, place)
        word = self._word(place)
        match kind.name:
            case "uint":
                return int.from_bytes(word[_WORD - kind.bits // 8 :])
            case "int":
                return int.from_bytes(word[_WORD - kind.bits // 8 :], signed=True)
            case "address":
                return word[12:]
            case "bool":
                if word[-1] > 1:
                    raise InvalidEncoding(f"bool: found {word[-1]}")
                return word[-1] == 1
            case _:
                return word[: kind.bits]

    def _text(self, name: str, place: int) -> bytes | str:
        length = self._number(place)
        begin = place + _WORD
        if length > len(self._data) - begin:
            raise InvalidEncoding(f"{name}: says {length!r:.40} bytes, which are not there")
        self._bytes += length
        if self._bytes > BYTES_MAX:
            raise InvalidEncoding(f"{name}: more than {BYTES_MAX:,} bytes of texts")
        found = self._data[begin : begin + length]
        if name == "bytes":
            return found
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise InvalidEncoding("string: is not UTF-8") from None

    def _number(self, place: int) -> int:
        return int.from_bytes(self._word(place))

    def _word(self, place: int) -> bytes:
        word = self._data[place : place + _WORD]
        if len(word) < _WORD:
            raise InvalidEncoding(f"data: ends within a value, at {place!r:.40}")
        return word
