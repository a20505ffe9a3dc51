"""What nodes answer, taken for no more than it is: numbers, bytes and objects are read here, and a node that answers anything else is one that can't be used now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from metanode.errors import InvalidEncoding, Unavailable
from metanode.primitives.hexadecimal import decode_data, decode_quantity

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


def told_quantity(answer: Any, *, bits: int = 256) -> int:
    """Return a number that fits in `bits`. Raises Unavailable."""
    return _read(lambda text: decode_quantity(text, bits=bits), answer)


def told_data(answer: Any, *, length: int | None = None) -> bytes:
    """Return bytes, of this length if one is given. Raises Unavailable."""
    return _read(lambda text: decode_data(text, length=length), answer)


def told_height(answer: Any) -> int:
    """Return a number of a block, or of seconds. Raises Unavailable."""
    return told_quantity(answer, bits=63)


def told_object(answer: Any) -> dict[str, Any]:
    """Return an object. Raises Unavailable."""
    if not isinstance(answer, dict):
        raise unreadable()
    return answer


def unreadable() -> Unavailable:
    """Return what to raise of an answer that is none."""
    return Unavailable("the node answers what can't be read")


def _read(read: Callable[[str], Value], answer: Any) -> Value:
    if not isinstance(answer, str):
        raise unreadable()
    try:
        return read(answer)
    except InvalidEncoding:
        raise unreadable() from None
