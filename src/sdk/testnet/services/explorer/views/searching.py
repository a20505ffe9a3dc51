"""Search: an exact meaning is gone to at once, several are listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from metanode.errors import MetanodeError
from sdk.testnet.services.explorer.twins import json_response, plain
from sdk.testnet.services.queries.search import QUERY_CHARACTERS_MAX, SearchResult, search

if TYPE_CHECKING:
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts
    from sdk.testnet.services.web.pages import Pages

PATHS: Final = {
    "block": "/block/",
    "transaction": "/tx/",
    "address": "/address/",
    "validator": "/validator/",
    "token": "/token/",
}
_HASH_CHARACTERS: Final = 66


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One meaning, and where it is."""

    kind: str
    key: str
    title: str | None
    is_exact: bool
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a text may mean."""

    query: str
    items: tuple[Hit, ...]


def search_routes(pages: Pages, parts: ExplorerParts) -> list[Route]:
    """Return the routes of the search and its twin."""

    async def find(request: Request) -> Found:
        text = request.query_params.get("q", "").strip()[:QUERY_CHARACTERS_MAX]
        if not text:
            return Found(query="", items=())
        items = await parts.reading.look(lambda connection: search(connection, text))
        if not items and await _waits(parts, text):
            items = (SearchResult(kind="transaction", key=text.lower(), title=None, is_exact=True),)
        return Found(query=text, items=tuple(_hit(item) for item in items))

    async def html(request: Request) -> Response:
        found = await find(request)
        exact = [item for item in found.items if item.is_exact]
        if len(exact) == 1:
            return RedirectResponse(exact[0].path, 302)
        return pages.render("search.html", request, model=found, twin="")

    async def json(request: Request) -> Response:
        return json_response(plain(await find(request)))

    return [Route("/search.json", json), Route("/search", html)]


def _hit(item: SearchResult) -> Hit:
    path = PATHS[item.kind] + quote(item.key)
    return Hit(kind=item.kind, key=item.key, title=item.title, is_exact=item.is_exact, path=path)


async def _waits(parts: ExplorerParts, text: str) -> bool:
    """Whether a hash is of a transaction that no indexed block has yet."""
    if len(text) != _HASH_CHARACTERS or not text.lower().startswith("0x"):
        return False
    try:
        return await parts.nodes.call("eth_getTransactionByHash", text.lower()) is not None
    except MetanodeError:
        return False
