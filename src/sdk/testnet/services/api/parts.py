"""What all routes are given: the index, a node, the configuration; and how lists are asked for and answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from sqlalchemy import Connection

from metanode.crypto.addresses import is_checksum_wrong, parse_address
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.services.api import answers
from sdk.testnet.services.api.configuration import ApiConfig
from sdk.testnet.services.api.cursors import open_cursor, seal_cursor
from sdk.testnet.services.api.keys import VisitorKeys
from sdk.testnet.services.api.shared import Shared
from sdk.testnet.services.explorer.pending import PoolWatch
from sdk.testnet.services.heads import Heads
from sdk.testnet.services.node_pool import Node
from sdk.testnet.services.queries import Page, Slice, statistics
from sdk.testnet.services.store import Store
from sdk.testnet.services.verification import Verifier
from sdk.testnet.services.web.live import LiveHub
from sdk.testnet.services.web.problems import NotFound

LIMIT: Final = 25
LIMIT_MAX: Final = 100
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)

Row = TypeVar("Row")
Item = TypeVar("Item")


class Alert(Protocol):
    """Something that the monitor tells."""

    def to_dict(self) -> dict[str, Any]:
        """Return its fields."""


class Monitor(Protocol):
    """What watches the network's nodes."""

    @property
    def alerts(self) -> Sequence[Alert]:
        """What fires now, the gravest first."""

    @property
    def events(self) -> Sequence[Alert]:
        """What began, ended and happened, the newest first."""

    def get_dashboard_data(self) -> dict[str, Any]:
        """Return everything that a page shows."""


@dataclass(slots=True)
class Parts:
    """What an API is made of; `shared` is there while it serves."""

    store: Store
    node: Node
    config: ApiConfig
    hub: LiveHub
    shared: Shared
    pool: PoolWatch
    """What waits in a node's pool."""
    heads: Heads | None = None
    """Says when the index has a new block; None where it has to be asked."""
    block_time_s: int = 0
    """Seconds between blocks; 0 until a node has said."""
    monitor: Monitor | None = None
    """Of this network's nodes; None where nobody watches them."""
    verifier: Verifier | None = None
    """None where contracts are not verified."""
    keys: VisitorKeys | None = None
    """Keys that visitors make; None where they may not."""
    tells_claims: bool = False
    """Whether streams are told how claims of the faucet go."""


def parts_of(request: Request) -> Parts:
    """Return the parts of the app that answers."""
    found: Parts = request.app.state.parts
    return found


Given = Annotated[Parts, Depends(parts_of)]


@dataclass(frozen=True, slots=True)
class Listing:
    """Which part of a list is asked for, and what its answer's links are made of."""

    which: Slice
    scope: str
    parts: Parts
    response: Response
    others: str
    """The query of the request, without its cursor."""
    path: str
    with_total: bool

    def answer(
        self,
        connection: Connection,
        page: Page[Row],
        make: Callable[[Row], Item],
        total: int | None = None,
    ) -> dict[str, Any]:
        """Return the envelope of a page, and put the next page's whole URL into the headers."""
        cursor = None
        if page.next_cursor is not None:
            cursor = seal_cursor(page.next_cursor, scope=self.scope, secret=self.parts.config.cursor_secret)
            query = "&".join(part for part in (self.others, f"cursor={cursor}") if part)
            self.response.headers["link"] = f'<{self.parts.config.public_url}{self.path}?{query}>; rel="next"'
        return {
            "items": [make(row) for row in page.items],
            "next": cursor,
            "as_of": answers.as_of(known_status(connection)),
            "total": total if self.with_total else None,
        }


def listing(
    request: Request,
    response: Response,
    parts: Given,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items of a page.")] = LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=400, description="`next` of the page before; not to be made by hand.")
    ] = None,
    order: Annotated[
        str, Query(pattern="^(desc|asc)$", description="Newest or highest first: desc.")
    ] = "desc",
    include: Annotated[
        str | None, Query(pattern="^total$", description="total: with a count, where one is kept.")
    ] = None,
) -> Listing:
    """Read what all lists are asked with."""
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    filters = sorted((name, value) for name, value in others if name not in {"limit", "include"})
    scope = f"{request.url.path} {filters}"
    position = None if cursor is None else open_cursor(cursor, scope=scope, secret=parts.config.cursor_secret)

    return Listing(
        which=Slice(cursor=position, limit=limit, newest_first=order == "desc"),
        scope=scope,
        parts=parts,
        response=response,
        others=urlencode(others),
        path=request.url.path,
        with_total=include == "total",
    )


Listed = Annotated[Listing, Depends(listing)]


def known_status(connection: Connection) -> statistics.IndexStatus:
    """Return how far the index is; raises Unavailable before its first block."""
    status = statistics.index_status(connection)
    if status is None:
        raise Unavailable("the index has no block yet; it follows the chain from its beginning")
    return status


def read_address(text: str) -> bytes:
    """Return an address of 0x and 40 digits; raises InvalidInput that says what is wrong."""
    address = parse_address(text)
    if is_checksum_wrong(text):
        raise InvalidInput(
            f"address: found {text}, whose upper and lower case is not its checksum (EIP-55); a digit may be wrong"
        )
    return address


def read_hash(text: str, *, field: str = "hash") -> bytes:
    """Return a hash of 0x and 64 digits."""
    if not _HASH.fullmatch(text):
        raise InvalidInput(f"{field}: expected 0x and 64 hexadecimal digits, found {text[:80]!r}")
    return bytes.fromhex(text[2:])


def found(row: Row | None, what: str) -> Row:
    """Return the row; raises NotFound that names what there is not."""
    if row is None:
        raise NotFound(f"there is no {what} in the index")
    return row


def first_of(kinds: Sequence[str], text: str | None, field: str) -> str | None:
    """Return the text if it is one of these; raises InvalidInput otherwise."""
    if text is not None and text not in kinds:
        raise InvalidInput(f"{field}: expected one of {', '.join(kinds)}; found {text[:60]!r}")
    return text


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": what,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
    for status, what in (
        (400, "The request can't be read."),
        (404, "It is not there."),
        (422, "A parameter has a wrong value."),
        (429, "The limit is reached."),
        (503, "Index or node do not answer now."),
    )
}
"""What every route may answer instead."""
