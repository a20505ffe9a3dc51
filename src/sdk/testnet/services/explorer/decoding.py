"""What bytes of calls, events and reverts say, as text. Nothing here raises for anything that a chain holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidEncoding
from metanode.primitives.types import Address
from sdk.testnet.services.explorer.abi_values import read_values
from sdk.testnet.services.web.formatting import amount, group
from sdk.testnet.services.web.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.services.explorer.abi import Entry, Interface, Parameter, Source

DECODED_BYTES_MAX: Final = 32 * 1024
"""Longer data is shown raw: nobody reads its thousand values, and time is everybody's."""
VALUES_MAX: Final = 200
"""Lines of one call or event."""
_TEXT_MAX: Final = 400
_BYTES_SHOWN: Final = 256
ERROR_STRING: Final = bytes.fromhex("08c379a0")
PANIC: Final = bytes.fromhex("4e487b71")
PANICS: Final = {
    0x00: "a generic panic of the compiler",
    0x01: "an assertion failed",
    0x11: "an arithmetic operation went over or under the range of its type",
    0x12: "division or modulo by zero",
    0x21: "a value that its enum does not have",
    0x22: "a storage byte array that is encoded wrongly",
    0x31: "pop of an empty array",
    0x32: "an array index out of its bounds",
    0x41: "too much memory was asked for",
    0x51: "a call of a function variable that was never set",
}
"""Solidity's panic codes in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One decoded value, a line of a table."""

    depth: int
    """0 for parameters, deeper for members of tuples and arrays."""
    name: str
    type: str
    text: str
    """Empty of tuples and arrays: their members follow."""
    address: str = ""
    """The same where it is an address: to link it."""
    hint: str = ""
    """What a person would compute next: a number in tokens of 18 decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A call, an event or an error in words."""

    name: str
    signature: str
    source: Source
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revert:
    """Why a transaction failed."""

    sentence: str
    """For people; as far as it is known."""
    decoded: Decoded | None
    raw: bytes


def decode_call(data: bytes, interfaces: Sequence[Interface]) -> Decoded | None:
    """Return what a call says, by the first interface that fits; None when none does."""
    for interface in interfaces:
        for entry in interface.functions(data[:4]):
            found = _decoded(entry, data[4:], interface.source)
            if found is not None:
                return found
    return None


def decode_event(topics: Sequence[bytes], data: bytes, interfaces: Sequence[Interface]) -> Decoded | None:
    """Return what an event says; None when no interface fits."""
    if not topics:
        return None
    for interface in interfaces:
        for entry in interface.events(topics[0]):
            found = _decoded_event(entry, topics[1:], data, interface.source)
            if found is not None:
                return found
    return None


def decode_revert(data: bytes | None, interfaces: Sequence[Interface]) -> Revert:
    """Return why something failed, from what it returned."""
    if data is None:
        return Revert(sentence="Reverted; the reason is not known here", decoded=None, raw=b"")
    if not data:
        return Revert(sentence="Reverted without a reason", decoded=None, raw=b"")
    if data[:4] == ERROR_STRING:
        (text,) = _values(("string",), data[4:]) or (None,)
        if isinstance(text, str):
            return Revert(sentence=f"Reverted: {clean(text, _TEXT_MAX)}", decoded=None, raw=data)
    if data[:4] == PANIC:
        (code,) = _values(("uint256",), data[4:]) or (None,)
        if isinstance(code, int):
            words = PANICS.get(code, "an unknown panic")
            return Revert(sentence=f"Panicked: {words} (0x{code:02x})", decoded=None, raw=data)
    for interface in interfaces:
        for entry in interface.errors(data[:4]):
            found = _decoded(entry, data[4:], interface.source)
            if found is not None:
                return Revert(sentence=f"Reverted: {in_words(found)}", decoded=found, raw=data)
    return Revert(
        sentence=f"Reverted with an error that is not known here: 0x{data[:4].hex()}", decoded=None, raw=data
    )


def decode_values(entry: Entry, data: bytes) -> Decoded | None:
    """Return a function's answer by its outputs; None when it is none of these types."""
    if not entry.outputs:
        return Decoded(name=entry.name, signature=entry.signature, source="verified", values=())
    values = _values(tuple(each.type for each in entry.outputs), data)
    if values is None:
        return None
    return Decoded(
        name=entry.name, signature=entry.signature, source="verified", values=_lines(entry.outputs, values)
    )


def in_words(decoded: Decoded) -> str:
    """Return a decoded thing as one line: `ERC20InsufficientBalance(sender: 0x12…, needed: 5)`."""
    parts = [
        f"{value.name}: {value.text}" if value.name else value.text
        for value in decoded.values
        if value.depth == 0
    ]
    return f"{decoded.name}({', '.join(parts)})"[:_TEXT_MAX]


def method_name(selector: bytes | None, interfaces: Sequence[Interface]) -> str:
    """Return the name of a call for a list: a function's, or its selector; `transfer` and the like are guesses there."""
    if selector is None:
        return ""
    for interface in interfaces:
        for entry in interface.functions(selector):
            return entry.name
    return f"0x{selector.hex()}"


def _decoded(entry: Entry, data: bytes, source: Source) -> Decoded | None:
    types = tuple(each.type for each in entry.inputs)
    values = _values(types, data) if types else ()
    # A call with a few bytes more is somebody's; a guess that does not even use them is no meaning.
    if values is None or (source == "guess" and not types and data):
        return None
    return Decoded(
        name=entry.name,
        signature=entry.signature,
        source=source,
        values=_lines(entry.inputs, values),
    )


def _decoded_event(entry: Entry, topics: Sequence[bytes], data: bytes, source: Source) -> Decoded | None:
    indexed = [each for each in entry.inputs if each.indexed]
    plain = [each for each in entry.inputs if not each.indexed]
    if len(indexed) != len(topics):
        if source != "guess" or indexed:
            return None
        # A bare signature does not say what is indexed: mostly the first ones are.
        indexed, plain = list(entry.inputs[: len(topics)]), list(entry.inputs[len(topics) :])
        if len(indexed) != len(topics):
            return None
    values = _values(tuple(each.type for each in plain), data) if plain else ()
    if values is None or (not plain and data and source == "guess"):
        return None
    lines: dict[int, Any] = {id(parameter): value for parameter, value in zip(plain, values, strict=True)}
    for parameter, topic in zip(indexed, topics, strict=True):
        known = _values((parameter.type,), topic) if _is_word(parameter.type) else None
        lines[id(parameter)] = known[0] if known else _Hashed(topic)
    ordered = tuple(lines[id(each)] for each in entry.inputs)
    return Decoded(
        name=entry.name, signature=entry.signature, source=source, values=_lines(entry.inputs, ordered)
    )


@dataclass(frozen=True, slots=True)
class _Hashed:
    """An indexed text or array: only its hash is in the chain."""

    digest: bytes


def _values(types: tuple[str, ...], data: bytes) -> tuple[Any, ...] | None:
    """The values of ABI-encoded data; None where it is none of these types."""
    if len(data) > DECODED_BYTES_MAX:
        return None
    try:
        return read_values(types, data)
    except InvalidEncoding:
        return None


def _is_word(kind: str) -> bool:
    return not kind.endswith("]") and not kind.startswith("(") and kind not in {"string", "bytes"}


def _lines(parameters: Sequence[Parameter], values: Sequence[Any]) -> tuple[Value, ...]:
    lines: list[Value] = []
    for parameter, value in zip(parameters, values, strict=True):
        _put(lines, 0, parameter.name, parameter.type, parameter.components, value)
    return tuple(lines[:VALUES_MAX])


def _put(
    lines: list[Value], depth: int, name: str, kind: str, components: Sequence[Parameter], value: Any
) -> None:
    if len(lines) >= VALUES_MAX:
        return
    name = clean(name)
    if isinstance(value, _Hashed):
        text = f"hash 0x{value.digest.hex()}"
        lines.append(Value(depth=depth, name=name, type=kind, text=text, hint="only its hash is kept"))
    elif kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        lines.append(Value(depth=depth, name=name, type=kind, text="" if value else "[]"))
        for index, member in enumerate(value):
            _put(lines, depth + 1, f"[{index}]", inner, components, member)
    elif kind.startswith("("):
        lines.append(Value(depth=depth, name=name, type=kind if len(kind) <= 60 else "tuple", text=""))
        for parameter, member in zip(components, value, strict=True):
            _put(lines, depth + 1, parameter.name, parameter.type, parameter.components, member)
    else:
        lines.append(_leaf(depth, name, kind, value))


def _leaf(depth: int, name: str, kind: str, value: Any) -> Value:
    match value:
        case bool():
            return Value(depth=depth, name=name, type=kind, text="true" if value else "false")
        case int():
            # What looks like an amount of a token of 18 decimals is also said as one.
            hint = ""
            if kind in {"uint256", "int256"} and 10**14 <= abs(value) < 10**33:
                hint = f"{amount(value)} × 10¹⁸"  # noqa: RUF001 - the sign of multiplication is meant
            elif kind == "uint256" and value == 2**256 - 1:
                hint = "the highest number: without limit"
            return Value(depth=depth, name=name, type=kind, text=str(value), hint=hint or _grouped(value))
        case bytes() if kind == "address":
            address = format_address(Address(value))
            return Value(depth=depth, name=name, type=kind, text=address, address=address)
        case bytes():
            shown = f"0x{value[:_BYTES_SHOWN].hex()}" + ("…" if len(value) > _BYTES_SHOWN else "")
            return Value(depth=depth, name=name, type=kind, text=shown)
        case _:
            return Value(depth=depth, name=name, type=kind, text=clean(str(value), _TEXT_MAX))


def _grouped(value: int) -> str:
    return group(value) if 10_000 <= abs(value) < 10**14 else ""
