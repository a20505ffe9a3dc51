"""Write to a contract: its other functions as forms. The page makes the call's data; a wallet in the browser signs and sends it, and nobody's key is here.

Without JavaScript a form answers with the data of its call, to be sent by whatever the reader has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.calling import encode_call
from sdk.testnet.services.explorer.functions import functions_of
from sdk.testnet.services.explorer.reading import AsOf, address_in
from sdk.testnet.services.explorer.room import html_bytes
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.explorer.views.reading_contracts import called_of, extras_of, page_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from sdk.testnet.services.explorer.abi import Entry
    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.explorer.proxies import Implementation

DATA_SHOWN: Final = 2 * 1024
"""Bytes of a call's data; the page's JSON has all of them."""
_COINS: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,18}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCall:
    """A call that can be sent."""

    signature: str
    selector: str
    arguments: tuple[str, ...]
    to: str
    """The contract, with its checksum."""
    data: bytes
    value_wei: int
    error: str
    """Why there is none; empty when there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractWriting:
    """The functions of a contract that change something, and the call of the one that was filled in."""

    as_of: AsOf
    address: bytes
    source: str
    implementation: Implementation | None
    functions: tuple[Entry, ...]
    """A page of them."""
    function_count: int
    next: str | None
    """Cursor of the next page of them."""
    call: PreparedCall | None


def writing_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""

    async def write(request: Request) -> View:
        wanted = address_in(request.path_params["address"])
        known = await functions_of(parts.nodes, parts.reading.look, wanted)
        functions = tuple(entry for entry in known.entries if not entry.is_reading)
        called = called_of(request, functions, "writing")
        call = None if called is None else _prepared(request, wanted, called)
        # The data stand there twice: to be read, and to be copied.
        above = 0 if call is None else 4 * min(len(call.data), DATA_SHOWN) + html_bytes(call.error) + 1_000
        page = page_of(request, functions, called, above=above)
        model = ContractWriting(
            as_of=await parts.reading.now(),
            address=wanted,
            source=known.source,
            implementation=known.implementation,
            functions=page.entries,
            function_count=page.total,
            next=page.next_cursor,
            call=call,
        )
        extra = extras_of(request, page) | {"data_shown": DATA_SHOWN}
        return View(template="writing.html", model=model, extra=extra)

    return {"/address/{address}/write": write}


def _prepared(request: Request, to: bytes, entry: Entry) -> PreparedCall:
    texts = tuple(request.query_params.getlist("a"))
    data, value_wei, error = b"", 0, ""
    try:
        data = encode_call(entry, texts)
        value_wei = _coins_for(entry, request.query_params.get("value", ""))
    except InvalidInput as wrong:
        error = str(wrong)[:300]
    return PreparedCall(
        signature=entry.signature,
        selector=f"0x{entry.selector.hex()}",
        arguments=texts,
        to=format_address(to),
        data=data,
        value_wei=value_wei,
        error=error,
    )


def _coins_for(entry: Entry, text: str) -> int:
    found = parse_coins(text)
    if found and entry.mutability != "payable":
        raise InvalidInput(f"value: {entry.signature} takes no coins")
    return found


def parse_coins(text: str) -> int:
    """Return wei for coins as people type them, e.g. `0.5`; nothing is 0. Raises InvalidInput."""
    if not text.strip():
        return 0
    found = _COINS.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"value: expected coins such as 0.5, found {text[:40]!r}")
    return int(found[1]) * 10**18 + int((found[2] or "").ljust(18, "0"))
