"""Tokens: the list, one token with its moves and holders; and contracts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.reading import (
    AsOf,
    address_in,
    first_url,
    flag_in,
    next_url,
    slice_of,
)
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.explorer.views.home import extras
from sdk.testnet.services.queries import Page, Slice
from sdk.testnet.services.queries.contracts import ContractRow, list_contracts
from sdk.testnet.services.queries.statistics import Totals, index_status, totals
from sdk.testnet.services.queries.tokens import (
    TokenRow,
    get_token,
    list_tokens,
    token_holders,
    token_instances,
    token_transfers,
)
from sdk.testnet.services.store import TokenKind
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler

KINDS = {"erc20": TokenKind.ERC20, "erc721": TokenKind.ERC721, "erc1155": TokenKind.ERC1155}
Tab = Literal["transfers", "holders", "instances"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A page of tokens."""

    as_of: AsOf
    items: tuple[TokenRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token."""

    as_of: AsOf
    token: TokenRow
    items: tuple[Any, ...]
    """Of the tab."""
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """A page of contracts."""

    as_of: AsOf
    totals: Totals
    items: tuple[ContractRow, ...]
    next: str | None


def token_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""
    reading = parts.reading

    async def tokens(request: Request) -> View:
        name = request.query_params.get("kind", "")
        if name and name not in KINDS:
            raise InvalidInput(f"kind: expected one of {', '.join(KINDS)}, found {name!r:.40}")
        which = slice_of(request)
        status, page = await reading.look(
            lambda connection: (
                index_status(connection),
                list_tokens(connection, which, kind=KINDS.get(name)),
            )
        )
        model = Tokens(as_of=await reading.as_of(status), items=page.items, next=page.next_cursor)
        extra = {
            "next_url": next_url(request, page.next_cursor),
            "first_url": first_url(request),
            "kind": name,
        }
        return View(template="tokens.html", model=model, section="tokens", extra=extra)

    def tabbed(tab: Tab) -> Handler:
        async def token(request: Request) -> View:
            wanted = address_in(request.path_params["address"])
            which = slice_of(request)
            found, page = await reading.look(
                lambda connection: (get_token(connection, wanted), _items(connection, wanted, tab, which))
            )
            if found is None:
                raise NotFound(
                    f"{format_address(wanted)} has sent no token event.",
                    "Its page as an account may say what it is.",
                )
            model = Token(as_of=await reading.now(), token=found, items=page.items, next=page.next_cursor)
            extra = {
                "tab": tab,
                "next_url": next_url(request, page.next_cursor),
                "first_url": first_url(request),
            } | extras()
            return View(template="token.html", model=model, section="tokens", extra=extra)

        return token

    async def contracts(request: Request) -> View:
        verified = flag_in(request, "verified")
        which = slice_of(request)
        status, counts, page = await reading.look(
            lambda connection: (
                index_status(connection),
                totals(connection),
                list_contracts(connection, which, verified_only=verified),
            )
        )
        model = Contracts(
            as_of=await reading.as_of(status), totals=counts, items=page.items, next=page.next_cursor
        )
        extra = {
            "next_url": next_url(request, page.next_cursor),
            "first_url": first_url(request),
            "verified": verified,
            "can_verify": parts.verifier is not None,
        }
        return View(template="contracts.html", model=model, section="contracts", extra=extra)

    return {
        "/tokens": tokens,
        "/contracts": contracts,
        "/token/{address}": tabbed("transfers"),
        "/token/{address}/holders": tabbed("holders"),
        "/token/{address}/instances": tabbed("instances"),
    }


def _items(connection: Connection, address: bytes, tab: Tab, which: Slice) -> Page[Any]:
    match tab:
        case "transfers":
            return token_transfers(connection, address, which)
        case "holders":
            return token_holders(connection, address, which)
        case "instances":
            return token_instances(
                connection, address, Slice(cursor=which.cursor, limit=which.limit, newest_first=False)
            )
