"""Read a contract: its reading functions as forms, called on the newest state. GET only, for nothing changes; works without JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import InvalidInput, MetanodeError, Unavailable
from sdk.testnet.services.explorer.asking import ask_contract
from sdk.testnet.services.explorer.calling import decode_answer, encode_call
from sdk.testnet.services.explorer.functions import FunctionsPage, functions_of, page_of_functions
from sdk.testnet.services.explorer.reading import AsOf, address_in, is_twin, place_of
from sdk.testnet.services.explorer.room import (
    ANSWER_BYTES,
    ARGUMENTS_BYTES,
    LIST_BYTES,
    OUTPUTS_SHOWN,
    first_values,
    html_bytes,
    value_bytes,
)
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.web.problems import reason_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from sdk.testnet.services.explorer.abi import Entry
    from sdk.testnet.services.explorer.decoding import Decoded
    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.explorer.proxies import Implementation

NOT_PROMISED: Final = "The contract answered something else than this function promises."
RAW_SHOWN: Final = 2 * 1024
"""Bytes of an answer that is not understood; the page's JSON has twice as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call gave."""

    signature: str
    selector: str
    arguments: tuple[str, ...]
    decoded: Decoded | None
    raw: bytes
    error: str
    """Why there is none; empty when there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractReading:
    """The reading functions of a contract, and the answer of the one that was called."""

    as_of: AsOf
    address: bytes
    source: str
    """Where the functions are known from."""
    implementation: Implementation | None
    """The contract whose code it runs."""
    functions: tuple[Entry, ...]
    """A page of them."""
    function_count: int
    next: str | None
    """Cursor of the next page of them."""
    answer: Answer | None


def reading_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""

    async def read(request: Request) -> View:
        wanted = address_in(request.path_params["address"])
        known = await functions_of(parts.nodes, parts.reading.look, wanted)
        functions = tuple(entry for entry in known.entries if entry.is_reading)
        called = called_of(request, functions, "reading")
        answer = None if called is None else await _answer(parts, request, wanted, called)
        values = () if answer is None or answer.decoded is None else answer.decoded.values
        shown = first_values(values, ANSWER_BYTES)
        above = sum(value_bytes(each) for each in shown)
        if answer is not None and answer.error:
            above += 2 * RAW_SHOWN + html_bytes(answer.error)
        page = page_of(request, functions, called, above=above)
        model = ContractReading(
            as_of=await parts.reading.now(),
            address=wanted,
            source=known.source,
            implementation=known.implementation,
            functions=page.entries,
            function_count=page.total,
            next=page.next_cursor,
            answer=answer,
        )
        extra = extras_of(request, page) | {"answer_values": shown, "raw_shown": RAW_SHOWN}
        return View(template="reading.html", model=model, extra=extra)

    return {"/address/{address}/read": read}


def called_of(request: Request, functions: tuple[Entry, ...], what: str) -> Entry | None:
    """Return the function that `?f=` says by its selector; None where nobody asks. Raises InvalidInput."""
    selector = request.query_params.get("f", "")
    if not selector:
        return None
    for entry in functions:
        if f"0x{entry.selector.hex()}" == selector.lower():
            return entry
    raise InvalidInput(f"f: expected the selector of a {what} function, found {selector!r:.40}")


def page_of(
    request: Request, functions: tuple[Entry, ...], called: Entry | None, *, above: int
) -> FunctionsPage:
    """Return the functions that a page has room for, below so many bytes of an answer, and beside what the request says, which is on the page again."""
    begin = place_of(request, len(functions))
    said = html_bytes(request.url.query) + sum(html_bytes(each) for each in arguments_of(request))
    room = None if is_twin(request) else LIST_BYTES - above - said
    return page_of_functions(functions, begin, called=called, room=room)


def arguments_of(request: Request) -> tuple[str, ...]:
    """Return what was typed into a form, for the form to have it again; nothing of what is too long for that."""
    texts = tuple(request.query_params.getlist("a"))
    return texts if sum(html_bytes(each) for each in texts) <= ARGUMENTS_BYTES else ()


def extras_of(request: Request, page: FunctionsPage) -> dict[str, Any]:
    """Return what a page of functions needs beside its model. Its pages are without a call: to go on is not to ask again."""
    path = request.url.path
    return {
        "page": page,
        "arguments": arguments_of(request),
        "outputs_shown": OUTPUTS_SHOWN,
        "next_url": "" if page.next_cursor is None else f"{path}?cursor={page.next_cursor}",
        "first_url": path if page.begin else "",
    }


async def _answer(parts: ExplorerParts, request: Request, address: bytes, entry: Entry) -> Answer:
    parts.clients.count_stranger(request)
    texts = tuple(request.query_params.getlist("a"))
    decoded, raw, error = None, b"", ""
    try:
        returned = await ask_contract(parts.nodes, address, encode_call(entry, texts))
        raw = returned.data
        if returned.revert is not None:
            error = returned.revert.sentence
        elif (decoded := decode_answer(entry, raw)) is None:
            error = NOT_PROMISED
    except Unavailable as failed:
        error = reason_of(failed)[:300]
    except MetanodeError as failed:
        error = str(failed)[:300]
    return Answer(
        signature=entry.signature, selector=f"0x{entry.selector.hex()}", arguments=texts, decoded=decoded, raw=raw[:4096], error=error
    )  # fmt: skip
