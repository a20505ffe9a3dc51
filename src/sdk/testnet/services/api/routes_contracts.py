"""Calls of contracts: a reading function asked, and any function's call encoded. Nobody's key is near this, and nothing is sent."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Response

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidEncoding, InvalidInput
from metanode.rpc.errors import ServerError
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents_contracts as d
from sdk.testnet.services.api.answering import OWN
from sdk.testnet.services.api.parts import Given, read_address
from sdk.testnet.services.api.routes_accounts import AddressText
from sdk.testnet.services.explorer.abi_values import read_values, split_types
from sdk.testnet.services.explorer.asking import ask_contract
from sdk.testnet.services.explorer.calling import encode_call
from sdk.testnet.services.explorer.decoding import DECODED_BYTES_MAX
from sdk.testnet.services.explorer.functions import Functions, functions_of
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from sdk.testnet.services.explorer.abi import Entry

router = APIRouter(responses=parts.PROBLEMS)

ARGUMENTS_BYTES_MAX: Final = 32 * 1024
"""Of one call as JSON: encoding takes a twentieth of a second then."""
_NAMED_MAX: Final = 10
"""Functions that an error names."""


@router.post("/contracts/{address}/call", tags=["contracts"])
async def call_contract(
    api: Given, response: Response, address: AddressText, wanted: d.FunctionCall
) -> d.CallAnswer:
    """Ask a reading function of a contract whose functions are known: it is verified, runs the code of one that is, or is a token."""
    raw = read_address(address)
    known, entry = await _function(api, raw, wanted.function)
    if not entry.is_reading:
        raise InvalidInput(
            f"function: expected one that changes nothing, found {entry.signature}; encode gives its call to be signed and sent"
        )
    call = await asyncio.to_thread(_encoded, entry, wanted.arguments)
    returned, error = b"", None
    try:
        found = await ask_contract(api.node, raw, call)
        returned, error = found.data, None if found.revert is None else found.revert.sentence
    except ServerError as failed:
        # Out of gas, an invalid instruction: the contract's doing, without words of its own.
        error = failed.message[:300]
    values = None if error is not None else _values(entry, returned)
    if error is None and values is None:
        error = "The contract answered something else than this function promises."
    response.headers["cache-control"] = OWN
    return d.CallAnswer(
        contract=format_address(raw),
        signature=entry.signature,
        interface=known.source,
        call=answers.hex_of(call),
        succeeded=values is not None,
        values=values,
        error=error,
        returned=answers.hex_of(returned[:DECODED_BYTES_MAX]),
        returned_bytes=len(returned),
    )


@router.post("/contracts/{address}/encode", tags=["contracts"])
async def encode_function(
    api: Given, response: Response, address: AddressText, wanted: d.FunctionCall
) -> d.EncodedCall:
    """Write a call of any function of a contract whose functions are known as the data of a transaction, which the caller signs and sends."""
    raw = read_address(address)
    _, entry = await _function(api, raw, wanted.function)
    data = await asyncio.to_thread(_encoded, entry, wanted.arguments)
    response.headers["cache-control"] = OWN
    return d.EncodedCall(
        to=format_address(raw),
        data=answers.hex_of(data),
        signature=entry.signature,
        selector=answers.hex_of(entry.selector),
        state_mutability=entry.mutability,
    )


async def _function(api: parts.Parts, address: bytes, text: str) -> tuple[Functions, Entry]:
    """The function that a text means; raises NotFound where the contract has none such, and InvalidInput where it has several."""

    def look(ask: Callable[[Connection], Functions | None]) -> Functions | None:
        with api.store.look() as connection:
            return ask(connection)

    known = await functions_of(api.node, lambda ask: asyncio.to_thread(look, ask), address)
    wanted = "".join(text.split())
    for is_meant in (
        lambda entry: f"0x{entry.selector.hex()}" == wanted.lower(),
        lambda entry: entry.signature == wanted,
        lambda entry: entry.name == wanted,
    ):
        found = [entry for entry in known.entries if is_meant(entry)]
        if len(found) > 1:
            raise InvalidInput(f"function: {text[:60]!r} is the name of several: {_named(found)}")
        if found:
            return known, found[0]
    raise NotFound(
        f"the contract has no function {text[:60]!r} that is known here", f"It has {_named(known.entries)}."
    )


def _named(entries: list[Entry] | tuple[Entry, ...]) -> str:
    more = f" and {len(entries) - _NAMED_MAX} more" if len(entries) > _NAMED_MAX else ""
    return ", ".join(entry.signature[:100] for entry in entries[:_NAMED_MAX]) + more


def _encoded(entry: Entry, arguments: list[Any]) -> bytes:
    if len(json.dumps(arguments)) > ARGUMENTS_BYTES_MAX:
        raise InvalidInput(f"arguments: expected at most {ARGUMENTS_BYTES_MAX} bytes of JSON, found more")
    return encode_call(entry, arguments)


def _values(entry: Entry, data: bytes) -> list[d.ReturnedValue] | None:
    """What a function returned; None for what it does not promise, and for more than anybody reads."""
    if len(data) > DECODED_BYTES_MAX:
        return None
    types = [each.type for each in entry.outputs]
    try:
        found = read_values(types, data) if types else ()
    except InvalidEncoding:
        return None
    return [
        d.ReturnedValue(name=each.name, type=each.type, value=_json_of(each.type, value))
        for each, value in zip(entry.outputs, found, strict=True)
    ]


def _json_of(kind: str, value: Any) -> Any:
    """A value as the API writes it: what JSON's numbers cannot hold is text."""
    match value:
        case list() if kind.endswith("]"):
            return [_json_of(kind[: kind.rindex("[")], each) for each in value]
        case list():
            return [_json_of(inner, each) for inner, each in zip(split_types(kind[1:-1]), value, strict=True)]
        case bytes() if kind == "address":
            return format_address(value)
        case bytes():
            return answers.hex_of(value)
        case int() if not isinstance(value, bool):
            return str(value)
        case _:
            return value
