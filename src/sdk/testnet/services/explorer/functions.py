"""What can be called of a contract: its own functions, those of its standard, and those of the contract whose code it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.crypto.addresses import format_address
from sdk.testnet.services.explorer.calling import standard_interface
from sdk.testnet.services.explorer.proxies import Implementation, find_implementation
from sdk.testnet.services.explorer.views.transactions import interfaces_of
from sdk.testnet.services.queries.tokens import get_token
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sdk.testnet.services.explorer.abi import Entry, Source
    from sdk.testnet.services.explorer.parts import ExplorerParts


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """Functions of a contract, and where they are known from."""

    entries: tuple[Entry, ...]
    source: Source
    implementation: Implementation | None
    """The contract whose code it runs."""
    is_implementation_known: bool
    """Whether that one's functions are among these."""


async def functions_of(parts: ExplorerParts, address: bytes) -> Functions:
    """Return what can be called of a contract; raises NotFound where nothing is known of it."""
    implementation = await find_implementation(parts.nodes, address)

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

    found = await parts.reading.look(look)
    if found is None:
        raise NotFound(
            f"The functions of {format_address(address)} are not known.",
            "They are once its source is verified, or when it is a token of a known standard.",
        )
    return found
