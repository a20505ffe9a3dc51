"""Parameters of our own JSON-RPC methods, read strictly; every refusal is -32602 with geth's wording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput
from metanode.primitives.hexadecimal import decode_data, decode_quantity
from metanode.primitives.types import HASH_BYTES, Hash32
from metanode.rpc.errors import InvalidParams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from metanode.primitives.types import Address

T = TypeVar("T")

TAGS_OF_HEAD = frozenset({"latest", "safe", "finalized"})
"""One block on a chain with immediate finality."""


def required(params: Sequence[Any], index: int) -> Any:
    """The parameter at `index`.

    Raises:
        InvalidParams: when there is none.
    """
    if index >= len(params) or params[index] is None:
        raise InvalidParams(f"missing value for required argument {index}")
    return params[index]


def check_count(params: Sequence[Any], most: int) -> None:
    """Refuse more parameters than the method has."""
    if len(params) > most:
        raise InvalidParams(f"too many arguments, want at most {most}")


def address(params: Sequence[Any], index: int) -> Address:
    """An address: 0x and 40 hexadecimal digits."""
    return _parsed(params, index, parse_address)


def block_hash(params: Sequence[Any], index: int) -> Hash32:
    """A hash: 0x and 64 hexadecimal digits."""
    return Hash32(_parsed(params, index, lambda text: decode_data(text, length=HASH_BYTES)))


def boolean(params: Sequence[Any], index: int) -> bool:
    """True or false, nothing that only looks like it."""
    value = required(params, index)
    if not isinstance(value, bool):
        raise InvalidParams(f"invalid argument {index}: expected true or false, found {value!r:.80}")
    return value


def height(params: Sequence[Any], index: int, *, head: int, default: int | None = None) -> int:
    """A block number or tag; `pending` is the block after the head."""
    if default is not None and (index >= len(params) or params[index] is None):
        return default

    def parse(text: str) -> int:
        if text in TAGS_OF_HEAD:
            return head
        if text == "earliest":
            return 0
        if text == "pending":
            return head + 1
        return decode_quantity(text, bits=64)

    return _parsed(params, index, parse)


def _parsed(params: Sequence[Any], index: int, parse: Callable[[str], T]) -> T:
    value = required(params, index)
    if not isinstance(value, str):
        raise InvalidParams(f"invalid argument {index}: expected text, found {value!r:.80}")
    try:
        return parse(value)
    except InvalidInput as error:
        raise InvalidParams(f"invalid argument {index}: {error}") from None
