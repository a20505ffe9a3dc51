"""Read a contract: its reading functions as forms, called on the newest state. GET only, for nothing changes; works without JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput, MetanodeError, Unavailable
from sdk.testnet.services.explorer.asking import ask_contract
from sdk.testnet.services.explorer.calling import decode_answer, encode_call
from sdk.testnet.services.explorer.functions import functions_of
from sdk.testnet.services.explorer.reading import AsOf, address_in
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.web.problems import reason_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from sdk.testnet.services.explorer.abi import Entry
    from sdk.testnet.services.explorer.decoding import Decoded
    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.explorer.proxies import Implementation

NOT_PROMISED: Final = "The contract answered something else than this function promises."
FUNCTIONS_MAX: Final = 100
"""On the page of one contract."""


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
    answer: Answer | None


def reading_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""

    async def read(request: Request) -> View:
        wanted = address_in(request.path_params["address"])
        known = await functions_of(parts.nodes, parts.reading.look, wanted)
        functions = tuple(entry for entry in known.entries if entry.is_reading)[:FUNCTIONS_MAX]
        model = ContractReading(
            as_of=await parts.reading.now(),
            address=wanted,
            source=known.source,
            implementation=known.implementation,
            functions=functions,
            answer=await _answer(parts, request, wanted, functions),
        )
        return View(template="reading.html", model=model)

    return {"/address/{address}/read": read}


async def _answer(
    parts: ExplorerParts, request: Request, address: bytes, functions: tuple[Entry, ...]
) -> Answer | None:
    selector = request.query_params.get("f", "")
    if not selector:
        return None
    parts.clients.count_stranger(request)
    entry = next((each for each in functions if f"0x{each.selector.hex()}" == selector.lower()), None)
    if entry is None:
        raise InvalidInput(f"f: expected the selector of a reading function, found {selector!r:.40}")
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
        signature=entry.signature, selector=selector.lower(), arguments=texts, decoded=decoded, raw=raw[:4096], error=error
    )  # fmt: skip
