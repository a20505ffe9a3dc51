"""Lists as CSV: streamed, at most 5,000 rows, decimal texts, and no cell that a spreadsheet would run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from metanode.crypto.addresses import format_address
from sdk.testnet.services.explorer.reading import address_in
from sdk.testnet.services.queries import Page, Slice
from sdk.testnet.services.queries.addresses import account_transfers_page
from sdk.testnet.services.queries.blocks import BlockRow, list_blocks
from sdk.testnet.services.queries.tokens import HolderRow, token_holders
from sdk.testnet.services.queries.transactions import (
    TransactionRow,
    account_transactions_page,
    list_transactions,
)
from sdk.testnet.services.web.formatting import exact, iso
from sdk.testnet.services.web.sheets import line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts
    from sdk.testnet.services.queries.moves import TransferRow
    from sdk.testnet.services.queries.parties import Party

ROWS_MAX: Final = 5_000
"""Of one file; who needs more asks the community API page by page."""
STEP: Final = 500
"""Rows that are read at once."""


def export_routes(parts: ExplorerParts) -> list[Route]:
    """Return the routes of all lists as CSV; each stands before the page that would take its path for a parameter."""

    def route(
        path: str,
        header: Sequence[str],
        read: Callable[[Connection, Request, Slice], Page[Any]],
        cells: Callable[[Any], Sequence[Any]],
    ) -> Route:
        async def answer(request: Request) -> Response:
            address = request.path_params.get("address", "")
            if address:
                address_in(address)
            name = path.replace("{address}", address).strip("/").replace("/", "-")
            lines = _lines(parts, request, header, read, cells)
            # What cannot be read is said before the first byte.
            first = await anext(lines)
            return StreamingResponse(
                _all(first, lines),
                media_type="text/csv; charset=utf-8",
                headers={
                    "content-disposition": f'attachment; filename="{name}"',
                    "cache-control": "no-store",
                },
            )

        return Route(path, answer)

    return [
        route(
            "/blocks.csv",
            BLOCK_HEADER,
            lambda connection, _, which: list_blocks(connection, which),
            block_cells,
        ),
        route(
            "/transactions.csv",
            TRANSACTION_HEADER,
            lambda connection, _, which: list_transactions(connection, which),
            transaction_cells,
        ),
        route(
            "/address/{address}/transactions.csv",
            TRANSACTION_HEADER,
            lambda connection, request, which: account_transactions_page(
                connection, _address(request), which
            ),
            transaction_cells,
        ),
        route(
            "/address/{address}/transfers.csv",
            TRANSFER_HEADER,
            lambda connection, request, which: account_transfers_page(connection, _address(request), which),
            transfer_cells,
        ),
        route(
            "/token/{address}/holders.csv",
            HOLDER_HEADER,
            lambda connection, request, which: token_holders(connection, _address(request), which),
            holder_cells,
        ),
    ]


async def _lines(
    parts: ExplorerParts,
    request: Request,
    header: Sequence[str],
    read: Callable[[Connection, Request, Slice], Page[Any]],
    cells: Callable[[Any], Sequence[Any]],
) -> AsyncIterator[str]:
    """The file in steps; the first has the header and the first rows."""
    start, cursor = line(header), None
    for _ in range(ROWS_MAX // STEP):
        which = Slice(cursor=cursor, limit=STEP)
        page = await parts.reading.look(lambda connection, which=which: read(connection, request, which))  # type: ignore[misc]
        yield start + "".join(line(cells(item)) for item in page.items)
        start, cursor = "", page.next_cursor
        if cursor is None:
            return


async def _all(first: str, others: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for one in others:
        yield one


def _address(request: Request) -> bytes:
    return address_in(request.path_params["address"])


def _party(party: Party | None) -> str:
    return "" if party is None else format_address(party.address)


BLOCK_HEADER: Final = (
    "number",
    "hash",
    "time",
    "proposer",
    "round",
    "seals",
    "transactions",
    "gas_used",
    "gas_limit",
    "base_fee_wei",
    "size_bytes",
)


def block_cells(row: BlockRow) -> Sequence[Any]:
    """Return a block's cells."""
    return (
        row.number, f"0x{row.hash.hex()}", iso(row.timestamp), _party(row.proposer), row.round, row.seals_count,
        row.transaction_count, row.gas_used, row.gas_limit, row.base_fee_wei, row.size_bytes,
    )  # fmt: skip


TRANSACTION_HEADER: Final = (
    "hash",
    "block",
    "index",
    "time",
    "status",
    "from",
    "to",
    "created",
    "nonce",
    "value",
    "method",
    "gas_used",
    "fee",
)


def transaction_cells(row: TransactionRow) -> Sequence[Any]:
    """Return a transaction's cells; value and fee in whole coins."""
    return (
        f"0x{row.hash.hex()}", row.number, row.index, iso(row.timestamp), "final" if row.succeeded else "reverted",
        _party(row.sender), _party(row.recipient), _party(row.created), row.nonce, exact(row.value_wei),
        "" if row.method_id is None else f"0x{row.method_id.hex()}", row.gas_used, exact(row.fee_wei),
    )  # fmt: skip


TRANSFER_HEADER: Final = (
    "transaction",
    "block",
    "time",
    "token",
    "symbol",
    "kind",
    "from",
    "to",
    "amount",
    "token_number",
)


def transfer_cells(row: TransferRow) -> Sequence[Any]:
    """Return a token move's cells; the amount in the token's own unit where it says its decimals."""
    return (
        f"0x{row.transaction_hash.hex()}", row.number, iso(row.timestamp), _party(row.token.contract), row.token.symbol,
        row.token.kind.name, _party(row.sender), _party(row.recipient), exact(row.amount, row.token.decimals or 0),
        row.token_number,
    )  # fmt: skip


HOLDER_HEADER: Final = ("address", "token_number", "raw_amount")


def holder_cells(row: HolderRow) -> Sequence[Any]:
    """Return a holder's cells."""
    return (_party(row.account), row.token_number, row.amount)
