"""Reading contracts: arguments as people type them or programs write them in JSON, encoded, and answers decoded. Pure.

Numbers are decimal or 0x-hexadecimal, addresses and bytes 0x-hexadecimal, lists and tuples JSON. Nobody's key is near this: a reading call changes nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import orjson
from eth_abi.abi import encode as encode_abi
from eth_abi.exceptions import EncodingError

from metanode.errors import InvalidInput
from metanode.primitives.hexadecimal import decode_data
from sdk.testnet.services.explorer.abi import Entry, Interface, parse_abi
from sdk.testnet.services.explorer.abi_values import split_types
from sdk.testnet.services.explorer.decoding import Decoded, decode_values
from sdk.testnet.services.store import TokenKind

if TYPE_CHECKING:
    from collections.abc import Sequence

ARGUMENT_CHARACTERS_MAX: Final = 8_000
_INTEGER: Final = re.compile(r"-?(?:0x[0-9a-fA-F]{1,64}|[0-9]{1,78})", re.ASCII)


def standard_interface(kind: TokenKind) -> Interface:
    """Return the reading functions that a token's standard promises; whether the contract keeps the promise, the call shows."""
    return parse_abi(orjson.dumps(_STANDARD[kind]).decode(), "guess")


def encode_call(entry: Entry, arguments: Sequence[Any]) -> bytes:
    """Return the call's data; each argument is a text, or what JSON has for its type. Raises InvalidInput that names the parameter."""
    if len(arguments) != len(entry.inputs):
        raise InvalidInput(
            f"arguments: expected {len(entry.inputs)} for {entry.signature}, found {len(arguments)}"
        )
    values = []
    for index, (parameter, given) in enumerate(zip(entry.inputs, arguments, strict=True)):
        name = parameter.name or f"argument {index + 1}"
        if not isinstance(given, str):
            values.append(_member(parameter.type, given, name))
            continue
        if len(given) > ARGUMENT_CHARACTERS_MAX:
            raise InvalidInput(
                f"{name}: expected at most {ARGUMENT_CHARACTERS_MAX} characters, found {len(given)}"
            )
        values.append(_value(parameter.type, given.strip(), name))
    types = [parameter.type for parameter in entry.inputs]
    try:
        return entry.selector + encode_abi(types, values)
    except (EncodingError, ValueError, OverflowError, TypeError) as error:
        raise InvalidInput(f"arguments: cannot be encoded as {entry.signature}: {str(error)[:200]}") from None


def decode_answer(entry: Entry, data: bytes) -> Decoded | None:
    """Return what a call answered; None when it is not what the function promises."""
    return decode_values(entry, data)


def _value(kind: str, text: str, name: str) -> Any:
    if kind.endswith("]") or kind.startswith("("):
        try:
            # Numbers of JSON are whole here, however long: 2^64 and more are the usual case.
            found = json.loads(text, parse_float=_refuse, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise InvalidInput(
                f"{name}: expected {kind} as JSON such as [1, 2], found {text[:60]!r}"
            ) from None
        return _member(kind, found, name)
    return _member(kind, text, name)


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _member(kind: str, found: Any, name: str) -> Any:
    """A value of a type; what came from JSON may be a number or a boolean already."""
    if kind.endswith("]"):
        if not isinstance(found, list):
            raise InvalidInput(f"{name}: expected a list for {kind}, found {found!r:.60}")
        inner = kind[: kind.rindex("[")]
        return [_member(inner, each, f"{name}[{index}]") for index, each in enumerate(found)]
    if kind.startswith("("):
        inner_kinds = split_types(kind[1:-1])
        if not isinstance(found, list) or len(found) != len(inner_kinds):
            raise InvalidInput(
                f"{name}: expected a list of {len(inner_kinds)} for {kind}, found {found!r:.60}"
            )
        return tuple(
            _member(each, value, f"{name}.{index}")
            for index, (each, value) in enumerate(zip(inner_kinds, found, strict=True))
        )
    if kind == "bool":
        words = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
        key = found.lower() if isinstance(found, str) else found
        if not isinstance(key, str | bool) or key not in words:
            raise InvalidInput(f"{name}: expected true or false, found {found!r:.60}")
        return words[key]
    if kind.startswith(("uint", "int")):
        text = str(found).replace("_", "").replace(",", "") if not isinstance(found, bool) else ""
        if not _INTEGER.fullmatch(text):
            raise InvalidInput(f"{name}: expected a whole number for {kind}, found {found!r:.60}")
        return int(text, 16 if "0x" in text else 10)
    if not isinstance(found, str):
        raise InvalidInput(f"{name}: expected text for {kind}, found {found!r:.60}")
    if kind == "string":
        return found
    if kind == "address":
        return decode_data(found, field=name, length=20)
    return decode_data(found, field=name)


def _view(name: str, inputs: Sequence[tuple[str, str]], *outputs: str) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "stateMutability": "view",
        "inputs": [{"name": each, "type": kind} for each, kind in inputs],
        "outputs": [{"name": "", "type": kind} for kind in outputs],
    }


_NAMED: Final = [_view("name", [], "string"), _view("symbol", [], "string")]
_STANDARD: Final = {
    TokenKind.ERC20: [
        *_NAMED,
        _view("decimals", [], "uint8"),
        _view("totalSupply", [], "uint256"),
        _view("balanceOf", [("account", "address")], "uint256"),
        _view("allowance", [("owner", "address"), ("spender", "address")], "uint256"),
    ],
    TokenKind.ERC721: [
        *_NAMED,
        _view("ownerOf", [("tokenId", "uint256")], "address"),
        _view("balanceOf", [("owner", "address")], "uint256"),
        _view("tokenURI", [("tokenId", "uint256")], "string"),
        _view("getApproved", [("tokenId", "uint256")], "address"),
        _view("isApprovedForAll", [("owner", "address"), ("operator", "address")], "bool"),
    ],
    TokenKind.ERC1155: [
        _view("balanceOf", [("account", "address"), ("id", "uint256")], "uint256"),
        _view("uri", [("id", "uint256")], "string"),
        _view("isApprovedForAll", [("account", "address"), ("operator", "address")], "bool"),
    ],
}
