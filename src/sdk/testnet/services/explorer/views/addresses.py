"""Accounts: balance, code, and everything that happened to them, in tabs that exist only where there is something."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from metanode.crypto.addresses import format_address, is_checksum_wrong
from metanode.crypto.hashing import keccak256
from metanode.errors import MetanodeError
from metanode.primitives.hexadecimal import decode_data, decode_quantity
from sdk.testnet.services.explorer.abi import common
from sdk.testnet.services.explorer.decoding import decode_event
from sdk.testnet.services.explorer.functions import interfaces_of
from sdk.testnet.services.explorer.proxies import find_implementation, implementation_in
from sdk.testnet.services.explorer.reading import (
    LIVE_TIMEOUT_S,
    AsOf,
    address_in,
    first_url,
    is_twin,
    next_url,
    slice_of,
)
from sdk.testnet.services.explorer.room import (
    LINE_BYTES,
    LIST_BYTES,
    event_line_bytes,
    first_of_line,
    first_that_fit,
)
from sdk.testnet.services.explorer.sources import ENTRIES_SHOWN, sources_of
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.explorer.views.home import extras
from sdk.testnet.services.explorer.views.transactions import Event
from sdk.testnet.services.queries import Page, Slice
from sdk.testnet.services.queries.addresses import (
    AddressRow,
    account_internal_calls_page,
    account_logs,
    account_tokens,
    account_transfers_page,
    get_address,
)
from sdk.testnet.services.queries.blocks import account_withdrawals, list_blocks
from sdk.testnet.services.queries.contracts import ContractRow, get_contract, verified_twin
from sdk.testnet.services.queries.tokens import TokenRow, get_token
from sdk.testnet.services.queries.transactions import account_transactions_page
from sdk.testnet.services.queries.validators import ValidatorRow, get_validator

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler

Tab = Literal["transactions", "transfers", "internal", "tokens", "logs", "rewards", "blocks", "contract"]
TABS: tuple[Tab, ...] = (
    "transactions",
    "transfers",
    "internal",
    "tokens",
    "logs",
    "rewards",
    "blocks",
    "contract",
)
CODE_SHOWN = 2 * 1024
"""Bytes of code on the page, in two digits each; its JSON has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What the node says of an account now."""

    balance_wei: int
    nonce: int
    code: bytes

    @property
    def delegate(self) -> bytes | None:
        """The contract whose code an account runs by EIP-7702."""
        found = implementation_in(self.code)
        return found.address if found is not None and found.standard == "EIP-7702" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An account."""

    as_of: AsOf
    address: bytes
    live: Live | None
    """None while no node answers."""
    row: AddressRow | None
    """None of an account that no block has named."""
    token: TokenRow | None
    validator: ValidatorRow | None
    contract: ContractRow | None
    items: tuple[Any, ...]
    """Of the tab."""
    next: str | None


def address_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""
    reading = parts.reading

    def tabbed(tab: Tab) -> Handler:
        async def address(request: Request) -> View:
            text = request.path_params["address"]
            wanted = address_in(text)
            which = slice_of(request)
            room = None if is_twin(request) else LIST_BYTES

            def ask(connection: Connection) -> tuple[Any, ...]:
                return (
                    get_address(connection, wanted),
                    get_token(connection, wanted),
                    get_validator(connection, wanted),
                    get_contract(connection, wanted, with_sources=tab == "contract"),
                    _items(connection, wanted, tab, which, room),
                )

            row, token, validator, contract, page = await reading.look(ask)
            twin = None
            if contract is not None and contract.match is None:
                twin = await reading.look(lambda connection: verified_twin(connection, contract.code_hash))
            model = Address(
                as_of=await reading.now(),
                address=wanted,
                live=await _live(parts, wanted),
                row=row,
                token=token,
                validator=validator,
                contract=contract,
                items=page.items,
                next=page.next_cursor,
            )
            shown = None
            if tab == "contract" and contract is not None:
                # Megabytes of JSON are read.
                wanted_file = request.query_params.get("file", "")
                shown = await asyncio.to_thread(sources_of, contract, wanted_file)
            extra = {
                "tab": tab,
                "sources": shown,
                "implementation": await find_implementation(parts.nodes, wanted)
                if tab == "contract"
                else None,
                "can_verify": parts.verifier is not None,
                "tabs": _tabs(model),
                "next_url": next_url(request, page.next_cursor),
                "first_url": first_url(request),
                "checksum_is_wrong": len(text) == 42 and is_checksum_wrong(text),
                "code_shown": CODE_SHOWN,
                "sources_shown": ENTRIES_SHOWN,
                "line_values": lambda decoded: first_of_line(decoded.values, LINE_BYTES),
                "verified_twin": twin,
                "code_hash": None if model.live is None else keccak256(model.live.code),
            } | extras()
            return View(template="address.html", model=model, section="", extra=extra)

        return address

    handlers: dict[str, Handler] = {"/address/{address}": tabbed("transactions")}
    handlers |= {f"/address/{{address}}/{tab}": tabbed(tab) for tab in TABS}
    return handlers


def _items(connection: Connection, address: bytes, tab: Tab, which: Slice, room: int | None) -> Page[Any]:
    match tab:
        case "transactions":
            return account_transactions_page(connection, address, which)
        case "transfers":
            return account_transfers_page(connection, address, which)
        case "internal":
            return account_internal_calls_page(connection, address, which)
        case "tokens":
            return account_tokens(
                connection, address, Slice(cursor=which.cursor, limit=which.limit, newest_first=False)
            )
        case "logs":
            page = account_logs(connection, address, which)
            known = (*interfaces_of(connection, address), common())
            decoded = (
                Event(log=log, decoded=decode_event(log.topics, log.data, known)) for log in page.items
            )
            if room is None:
                events = tuple(decoded)
            else:
                events = first_that_fit(decoded, lambda each: event_line_bytes(each.log, each.decoded), room)
            if len(events) < len(page.items):
                page = account_logs(connection, address, replace(which, limit=len(events)))
            return Page(items=events, next_cursor=page.next_cursor)
        case "rewards":
            return account_withdrawals(connection, address, which)
        case "blocks":
            return list_blocks(connection, which, proposer=address)
        case "contract":
            return Page(items=(), next_cursor=None)


async def _live(parts: ExplorerParts, address: bytes) -> Live | None:
    text = format_address(address)
    methods = ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")
    try:
        async with asyncio.timeout(LIVE_TIMEOUT_S):
            balance, nonce, code = await parts.nodes.batch([(method, [text, "latest"]) for method in methods])
        return Live(
            balance_wei=decode_quantity(balance), nonce=decode_quantity(nonce), code=decode_data(code)
        )
    except (TimeoutError, MetanodeError, TypeError):
        return None


def _tabs(model: Address) -> list[tuple[str, str, int | None]]:
    """Tabs with something behind them: path, word, count."""
    row = model.row
    has_code = bool(model.live and model.live.code)
    found: list[tuple[str, str, int | None]] = [
        ("transactions", "Transactions", row.transaction_count if row else 0)
    ]
    counted = (
        ("transfers", "Token transfers", row.transfer_count if row else 0),
        ("tokens", "Tokens held", row.token_count if row else 0),
        ("internal", "Internal calls", row.internal_count if row else 0),
        ("logs", "Events", row.log_count if row else 0),
        ("blocks", "Proposed blocks", row.proposed_count if row else 0),
    )
    found += [(path, word, count) for path, word, count in counted if count]
    if model.validator is not None:
        found.append(("rewards", "Rewards", None))
    if has_code or model.contract is not None:
        found.append(("contract", "Code", None))
    return found
