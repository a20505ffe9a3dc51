"""What can be called of a contract: its own functions, those of its standard, and those of the contract whose code it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address
from sdk.testnet.services.explorer.abi import parse_abi
from sdk.testnet.services.explorer.calling import standard_interface
from sdk.testnet.services.explorer.proxies import Implementation, find_implementation
from sdk.testnet.services.explorer.room import FORMLESS_BYTES, first_that_fit, form_bytes
from sdk.testnet.services.queries.contracts import get_contract, verified_twin
from sdk.testnet.services.queries.tokens import get_token
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection

    from sdk.testnet.services.explorer.abi import Entry, Interface, Source
    from sdk.testnet.services.node_pool import Node

FUNCTIONS_MAX: Final = 100
"""Of one page's JSON; the page has as many of them as there is room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """Functions of a contract, and where they are known from."""

    entries: tuple[Entry, ...]
    source: Source
    implementation: Implementation | None
    """The contract whose code it runs."""
    is_implementation_known: bool
    """Whether that one's functions are among these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionsPage:
    """Some of the functions that a contract has."""

    entries: tuple[Entry, ...]
    begin: int
    """The place of the first of them."""
    total: int
    forms: tuple[bool, ...] = ()
    """Whether there is room for the form of each of these; nothing where there are no forms."""

    @property
    def end(self) -> int:
        """The place behind the last of them."""
        return self.begin + len(self.entries)

    @property
    def next_cursor(self) -> str | None:
        """Where the next page begins; None on the last one."""
        return str(self.end) if self.end < self.total else None


def page_of_functions(
    entries: tuple[Entry, ...], begin: int, *, called: Entry | None, room: int | None
) -> FunctionsPage:
    """Return the functions from a place on that fit into `room` bytes of HTML; the one that was called is always among them. Without a room, a hundred."""

    def shown(begin: int) -> FunctionsPage:
        rest = entries[begin : begin + FUNCTIONS_MAX]
        if room is None:
            return FunctionsPage(entries=rest, begin=begin, total=len(entries))
        # Weighed here and nowhere else: for a form of hostile names that takes half a millisecond.
        weighed = ((entry, form_bytes(entry)) for entry in rest)
        found = first_that_fit(weighed, lambda each: FORMLESS_BYTES if each[1] is None else each[1], room)
        return FunctionsPage(
            entries=tuple(entry for entry, _ in found),
            begin=begin,
            total=len(entries),
            forms=tuple(form is not None for _, form in found),
        )

    page = shown(begin)
    if called is None or called in page.entries:
        return page
    return shown(entries.index(called))


def interfaces_of(connection: Connection, address: bytes | None) -> tuple[Interface, ...]:
    """Return what is known of a contract's interface, the best first, without guesses."""
    contract = None if address is None else get_contract(connection, address)
    if contract is None:
        return ()
    if contract.abi:
        return (parse_abi(contract.abi),)
    twin = verified_twin(connection, contract.code_hash)
    return (parse_abi(twin.abi, "same code"),) if twin is not None and twin.abi else ()


async def functions_of(
    nodes: Node,
    look_up: Callable[[Callable[[Connection], Functions | None]], Awaitable[Functions | None]],
    address: bytes,
) -> Functions:
    """Return what can be called of a contract; raises NotFound where nothing is known of it. `look_up` asks the index on a thread."""
    implementation = await find_implementation(nodes, address)

    def look(connection: Connection) -> Functions | None:
        behind = interfaces_of(connection, implementation.address) if implementation is not None else ()
        own = interfaces_of(connection, address)
        if not own and not behind:
            token = get_token(connection, address)
            own = () if token is None else (standard_interface(token.kind),)
        known = (*behind, *own)
        if not known:
            return None
        entries: dict[bytes, Entry] = {}
        for interface in known:
            for entry in interface.entries:
                if entry.kind == "function":
                    entries.setdefault(entry.selector, entry)
        return Functions(
            entries=tuple(entries.values()),
            source=known[0].source,
            implementation=implementation,
            is_implementation_known=bool(behind),
        )

    found = await look_up(look)
    if found is None:
        raise NotFound(
            f"The functions of {format_address(address)} are not known.",
            "They are once its source is verified, or when it is a token of a known standard.",
        )
    return found
