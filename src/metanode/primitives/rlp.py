"""RLP: one encoding for each value, and a decoder that accepts only that one.

Source: Ethereum Yellow Paper, appendix B. `decode` is made for the bytes of strangers: lengths are checked before anything is copied,
nesting and the number of items are bounded, and a non-canonical form (a long length that could be short, a single byte with a prefix,
leading zeros) is refused, so that two different byte strings never decode to one value.

`Reader` takes a decoded list apart field by field with errors that name the field. `item_span` walks over large items without
decoding what is in them.
"""

from typing import TYPE_CHECKING, Final, TypeAlias

from metanode.errors import InvalidEncoding
from metanode.primitives.types import ADDRESS_BYTES, HASH_BYTES, Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

Item: TypeAlias = "bytes | Sequence[Item]"
Decoded: TypeAlias = "bytes | list[Decoded]"

DEPTH_MAX: Final = 16
"""Nesting of lists; the deepest of our messages has 6."""
ITEMS_MAX: Final = 100_000
"""Strings and lists in one decoded value; the largest of our messages, a certificate of 1,000 validators, has about 2,000."""

_SHORT_MAX: Final = 55
_STRING: Final = 0x80
_LIST: Final = 0xC0
_SHORT_STRINGS: Final = tuple(bytes((_STRING + length,)) for length in range(_SHORT_MAX + 1))
"""The prefixes of short strings, by length: most of what is encoded."""


def encode(item: Item) -> bytes:
    """Return the RLP of bytes or of a nested sequence of bytes."""
    if isinstance(item, bytes):
        length = len(item)
        if length == 1 and item[0] < _STRING:
            return item
        return (_SHORT_STRINGS[length] if length <= _SHORT_MAX else _prefix(length, _STRING)) + item
    if isinstance(item, (bytearray, memoryview)):
        return encode(bytes(item))
    parts = []
    for child in item:
        # Short strings, most of all items, without the call.
        if type(child) is bytes and 1 < (length := len(child)) <= _SHORT_MAX:
            parts.append(_SHORT_STRINGS[length])
            parts.append(child)
        else:
            parts.append(encode(child))
    payload = b"".join(parts)
    return _prefix(len(payload), _LIST) + payload


def list_of_encoded(payload: bytes) -> bytes:
    """Return the RLP of a list whose items, already encoded, are the payload."""
    return _prefix(len(payload), _LIST) + payload


def integer(value: int) -> bytes:
    """Return the string that RLP uses for a number: big-endian without leading zeros, empty for zero."""
    assert value >= 0, value
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode(data: bytes, *, items_max: int = ITEMS_MAX, depth_max: int = DEPTH_MAX) -> Decoded:
    """Return the value of canonical RLP; raises InvalidEncoding for anything else, trailing bytes included."""
    budget = [items_max]
    value, end = _decode_item(data, 0, len(data), depth_max, budget)
    if end != len(data):
        raise InvalidEncoding(f"rlp: {len(data) - end} bytes after the end of the value")
    return value


def item_span(data: bytes, start: int, end: int) -> tuple[bool, int, int]:
    """Return (is it a list, where its content starts, where it ends) of the item at `start`, without looking into it.

    Raises InvalidEncoding when the prefix is not canonical or the item does not end at or before `end`.
    """
    if start >= end:
        raise InvalidEncoding("rlp: an item is missing at the end")
    first = data[start]
    if first < _STRING:
        return False, start, start + 1
    is_list = first >= _LIST
    short = first - (_LIST if is_list else _STRING)
    content = start + 1
    if short <= _SHORT_MAX:
        length = short
    else:
        size = short - _SHORT_MAX
        content += size
        if content > end:
            raise InvalidEncoding("rlp: a length is cut off")
        if data[start + 1] == 0:
            raise InvalidEncoding("rlp: a length has leading zeros")
        length = int.from_bytes(data[start + 1 : content], "big")
        if length <= _SHORT_MAX:
            raise InvalidEncoding(f"rlp: a length of {length} is written in the long form")
    if length > end - content:
        raise InvalidEncoding(f"rlp: an item of {length} bytes where {end - content} are left")
    if not is_list and length == 1 and data[content] < _STRING:
        raise InvalidEncoding("rlp: a single byte below 0x80 carries a prefix")
    return is_list, content, content + length


def parse_integer(value: bytes, *, bits: int = 64, field: str = "integer") -> int:
    """Return the number of an RLP string; raises InvalidEncoding for leading zeros or more than `bits`."""
    if value[:1] == b"\x00":
        raise InvalidEncoding(f"{field}: a number has leading zeros")
    if len(value) * 8 > bits + 7:
        raise InvalidEncoding(f"{field}: expected at most {bits} bits, found {len(value)} bytes")
    number = int.from_bytes(value, "big")
    if number >> bits:
        raise InvalidEncoding(f"{field}: expected at most {bits} bits, found {number.bit_length()}")
    return number


class Reader:
    """Takes the fields of one decoded list in order, with checked types; `end()` refuses what is left over."""

    __slots__ = ("_items", "_name", "_next")

    def __init__(self, item: Decoded, name: str) -> None:
        if isinstance(item, bytes):
            raise InvalidEncoding(f"{name}: expected a list, found a string of {len(item)} bytes")
        self._items = item
        self._name = name
        self._next = 0

    def __len__(self) -> int:
        return len(self._items) - self._next

    def item(self, field: str) -> Decoded:
        """Return the next item as it is."""
        if self._next >= len(self._items):
            raise InvalidEncoding(f"{self._name}.{field}: missing, the list has {len(self._items)} items")
        item = self._items[self._next]
        self._next += 1
        return item

    def bytes(self, field: str, *, length: int | None = None, length_max: int | None = None) -> bytes:
        """Return the next item as a string of exactly `length` or at most `length_max` bytes."""
        item = self.item(field)
        if not isinstance(item, bytes):
            raise InvalidEncoding(f"{self._name}.{field}: expected a string, found a list of {len(item)}")
        if length is not None and len(item) != length:
            raise InvalidEncoding(f"{self._name}.{field}: expected {length} bytes, found {len(item)}")
        if length_max is not None and len(item) > length_max:
            raise InvalidEncoding(
                f"{self._name}.{field}: expected at most {length_max} bytes, found {len(item)}"
            )
        return item

    def hash32(self, field: str) -> Hash32:
        """Return the next item as a hash."""
        return Hash32(self.bytes(field, length=HASH_BYTES))

    def address(self, field: str) -> Address:
        """Return the next item as an address."""
        return Address(self.bytes(field, length=ADDRESS_BYTES))

    def integer(self, field: str, *, bits: int = 64) -> int:
        """Return the next item as a number of at most `bits`."""
        return parse_integer(self.bytes(field), bits=bits, field=f"{self._name}.{field}")

    def list(self, field: str, *, length_max: int) -> "list[Decoded]":
        """Return the next item as a list of at most `length_max` items."""
        item = self.item(field)
        if isinstance(item, bytes):
            raise InvalidEncoding(
                f"{self._name}.{field}: expected a list, found a string of {len(item)} bytes"
            )
        if len(item) > length_max:
            raise InvalidEncoding(
                f"{self._name}.{field}: expected at most {length_max} items, found {len(item)}"
            )
        return item

    def reader(self, field: str) -> "Reader":
        """Return a reader of the next item, a list."""
        return Reader(self.item(field), f"{self._name}.{field}")

    def end(self) -> None:
        """Refuse items that nobody asked for."""
        if self._next != len(self._items):
            raise InvalidEncoding(f"{self._name}: expected {self._next} items, found {len(self._items)}")


def _prefix(length: int, kind: int) -> bytes:
    if length <= _SHORT_MAX:
        return bytes((kind + length,))
    size = (length.bit_length() + 7) // 8
    return bytes((kind + _SHORT_MAX + size,)) + length.to_bytes(size, "big")


def _decode_item(data: bytes, start: int, end: int, depth: int, budget: list[int]) -> tuple[Decoded, int]:
    is_list, position, stop = item_span(data, start, end)
    budget[0] -= 1
    if budget[0] < 0:
        raise InvalidEncoding("rlp: too many items")
    if not is_list:
        return data[position:stop], stop
    if depth <= 0:
        raise InvalidEncoding("rlp: lists are nested too deeply")
    children: list[Decoded] = []
    while position < stop:
        # Short strings, most of all items, without the call; item_span checks them in the same way.
        if _STRING + 1 < (first := data[position]) <= _STRING + _SHORT_MAX and budget[0] > 0:
            after = position + 1 + first - _STRING
            if after <= stop:
                budget[0] -= 1
                children.append(data[position + 1 : after])
                position = after
                continue
        child, position = _decode_item(data, position, stop, depth - 1, budget)
        children.append(child)
    return children, stop
