"""Lists as files: CSV for spreadsheets, or a JSON object a line. Streamed in steps, each a look of its own; slow readers hold nothing.

There are no jobs, for which a file would be made and kept until somebody fetches it: a file is at most 5,000 rows that begin to come at once, and a longer
list is several files, each from the last row of the one before. So nothing is to be stored, cleared up, counted per caller, or lost by a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from metanode.errors import InvalidInput
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents as d
from sdk.testnet.services.api.parts import Given, read_address
from sdk.testnet.services.queries import Page, Slice, addresses, blocks, transactions
from sdk.testnet.services.web.sheets import line

router = APIRouter(responses=parts.PROBLEMS)

ROWS_MAX: Final = 5_000
"""Of one file; `from_block` continues behind its last row."""
STEP: Final = 250
"""Rows that are read at once."""

What = Literal["blocks", "transactions", "transfers", "internal", "logs"]
Block = Annotated[int | None, Query(ge=0, le=2**63 - 1)]
Reader = Callable[[Connection, Slice], Page[Any]]


@router.get(
    "/exports/{what}",
    tags=["exports"],
    response_class=Response,
    responses={
        200: {
            "description": "The rows, as they are read.",
            "content": {"text/csv": {}, "application/x-ndjson": {}},
        }
    },
)
async def export(
    api: Given,
    what: Annotated[What, Path(description="Which list.")],
    address: Annotated[
        str | None, Query(max_length=60, description="Whose; blocks: whose proposals.")
    ] = None,
    from_block: Block = None,
    to_block: Block = None,
    order: Annotated[str, Query(pattern="^(desc|asc)$", description="Newest first: desc.")] = "asc",
    form: Annotated[Literal["csv", "ndjson"], Query(alias="format")] = "csv",
) -> Response:
    """A list as a file of at most 5,000 rows, which stream as they are read: there is no job to ask after. To go on, ask from the last row's block.

    Amounts are in the smallest unit.
    """
    who = None if address is None else read_address(address)
    if who is None and what not in {"blocks", "transactions"}:
        raise InvalidInput(f"address: expected whose {what} are wanted")
    read, make = _reader(what, who, from_block, to_block)

    def look(which: Slice) -> tuple[list[dict[str, Any]], str | None]:
        with api.store.look() as connection:
            page = read(connection, which)
        return [make(row).model_dump() for row in page.items], page.next_cursor

    rows = _rows(look, newest_first=order == "desc")
    # What cannot be read is said before the first byte.
    first = await anext(rows)
    kind, lines = (
        ("text/csv; charset=utf-8", _csv(first, rows))
        if form == "csv"
        else ("application/x-ndjson", _ndjson(first, rows))
    )
    return StreamingResponse(
        lines,
        media_type=kind,
        headers={
            "content-disposition": f'attachment; filename="{what}.{form}"',
            "cache-control": "no-store",
        },
    )


def _reader(
    what: What, who: bytes | None, first: int | None, last: int | None
) -> tuple[Reader, Callable[[Any], d.Document]]:
    """How pages of a list are read, and what each row is made."""
    within: dict[str, Any] = {"first_block": first, "last_block": last}
    if what == "blocks":
        return lambda c, which: blocks.list_blocks(c, which, proposer=who, **within), answers.block
    if who is None:
        return lambda c, which: transactions.list_transactions(c, which, **within), answers.transaction
    read: Any
    make: Any
    read, make = {
        "transactions": (transactions.account_transactions_page, answers.transaction),
        "transfers": (addresses.account_transfers_page, answers.transfer),
        "internal": (addresses.account_internal_calls_page, answers.internal_call),
        "logs": (addresses.account_logs, answers.log),
    }[what]
    return lambda c, which: read(c, who, which, **within), make


async def _rows(
    look: Callable[[Slice], tuple[list[dict[str, Any]], str | None]], *, newest_first: bool
) -> AsyncIterator[list[dict[str, Any]]]:
    """Read a list in steps, at least one."""
    cursor: str | None = None
    count = 0
    while True:
        which = Slice(cursor=cursor, limit=min(STEP, ROWS_MAX - count), newest_first=newest_first)
        found, cursor = await asyncio.to_thread(look, which)
        yield found
        count += len(found)
        if cursor is None or count >= ROWS_MAX:
            return


async def _ndjson(
    first: list[dict[str, Any]], steps: AsyncIterator[list[dict[str, Any]]]
) -> AsyncIterator[bytes]:
    yield b"".join(orjson.dumps(row) + b"\n" for row in first)
    async for rows in steps:
        yield b"".join(orjson.dumps(row) + b"\n" for row in rows)


async def _csv(first: list[dict[str, Any]], steps: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[str]:
    if first:
        yield line(list(flattened(first[0])))
    yield "".join(line(list(flattened(row).values())) for row in first)
    async for rows in steps:
        yield "".join(line(list(flattened(row).values())) for row in rows)


def flattened(row: dict[str, Any]) -> dict[str, Any]:
    """Return a document as cells: of accounts their addresses, of tokens their contract and symbol, lists with spaces."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        match value:
            case {"address": address, **_rest}:
                found[name] = address
            case {"contract": {"address": address}, "symbol": symbol, **_rest}:
                found |= {name: address, f"{name}_symbol": symbol}
            case list():
                found[name] = " ".join(map(str, value))
            case _:
                found[name] = value
    return found
