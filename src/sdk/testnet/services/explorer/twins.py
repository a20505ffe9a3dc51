"""Every page twice: HTML for people, the same facts as JSON at the same address with `.json`.

A handler returns a `View`: a template, and the model that it shows. The model is frozen dataclasses; their fields are the JSON's names. Addresses are
EIP-55, hashes and bytes 0x-hexadecimal, amounts decimal texts (JavaScript's numbers end at 2^53), times whole seconds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response
from starlette.routing import Route

from metanode.crypto.addresses import format_address
from sdk.testnet.services.explorer.room import html_bytes
from sdk.testnet.services.web.conditional import FIXED, SHORT, conditional

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from sdk.testnet.services.web.pages import Pages

_AMOUNTS: Final = ("_wei", "_gwei", "amount", "supply", "balance", "token_number", "value")
"""How names of numbers end that may be over 2^53."""
_ADDRESSES: Final = frozenset({"address", "proposer"})
"""What fields are called that hold an address; other bytes may have its length by chance."""
_ADDRESS_BYTES: Final = 20
_QUERY_BYTES: Final = 16 * 1024
"""Of a link to the twin: what a browser sends of a form. Longer ones, full of what HTML has to escape, somebody made by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One page before it is HTML or JSON."""

    template: str
    model: Any
    """A frozen dataclass: what the JSON twin says, `model` in the template."""
    section: str = ""
    """Entry of the navigation."""
    status: int = 200
    is_fixed: bool = False
    """Whether what it shows is final, so that it may be kept, and asked about by its tag."""
    is_kept: bool = True
    """Whether others may keep it for a moment: False of what somebody waits for to change."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What only the template needs, e.g. addresses of other pages."""


def twin_routes(pages: Pages, path: str, handler: Callable[[Request], Awaitable[View]]) -> list[Route]:
    """Return the routes of a page and its twin; the twin's stands first, for a path parameter takes dots too."""

    async def html(request: Request) -> Response:
        view = await handler(request)
        query = f"?{request.url.query}" if request.url.query else ""
        page = pages.render(
            view.template,
            request,
            status=view.status,
            section=view.section,
            headers={"cache-control": _cache_control(view)},
            model=view.model,
            twin=f"{request.url.path.rstrip('/') or '/index'}.json{query}"
            if html_bytes(query) <= _QUERY_BYTES
            else "",
            **view.extra,
        )
        return conditional(request, page)

    async def json(request: Request) -> Response:
        view = await handler(request)
        answer = json_response(plain(view.model), status=view.status)
        answer.headers["cache-control"] = _cache_control(view)
        return conditional(request, answer)

    twin = f"{path.rstrip('/') or '/index'}.json"
    return [Route(twin, json), Route(path, html)]


def _cache_control(view: View) -> str:
    return SHORT if view.is_kept and not view.is_fixed else FIXED


def json_response(document: Any, *, status: int = 200) -> Response:
    """Return JSON that other sites' pages may read: all of it is public."""
    return Response(
        orjson.dumps(document, option=orjson.OPT_INDENT_2),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-cache", "access-control-allow-origin": "*"},
    )


def plain(value: Any, name: str = "") -> Any:
    """Return a model as JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name), each.name) for each in dataclasses.fields(value)}
    match value:
        case Enum() if isinstance(value, str):
            return value.value
        case None | bool() | float() | str():
            return value
        case IntEnum():
            return value.name.lower()
        case int():
            return str(value) if name.endswith(_AMOUNTS) or abs(value) >= 2**53 else value
        case bytes():
            return (
                format_address(value)
                if name in _ADDRESSES and len(value) == _ADDRESS_BYTES
                else f"0x{value.hex()}"
            )
        case dict():
            return {
                str(plain(key, "address")): plain(part, key if isinstance(key, str) else "")
                for key, part in value.items()
            }
        case list() | tuple():
            return [plain(part, name) for part in value]
        case _:
            raise AssertionError(f"{name}: {type(value).__name__} has no form in JSON")
