"""Accounts as other rows name them, and accounts found by their address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from sdk.testnet.services.store.tables import accounts

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.sql.selectable import FromClause


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An account in somebody's row."""

    address: bytes
    is_contract: bool
    name: str | None
    """From the operator's configuration: "faucet", "validator-1"; None for most."""


@cache
def accounts_as(role: str) -> FromClause:
    """Return `accounts` by the name of what an account is in a row: "sender", "recipient".

    Made once: a new alias describes all columns of the table again, which took half of what a page takes to ask its questions.
    """
    alias = accounts.alias(role)
    # Now, and not by the first threads that use it.
    assert len(alias.c)
    return alias


def party_columns(alias: FromClause) -> tuple[Any, Any, Any]:
    """What of an alias of `accounts` a `Party` is made of."""
    return alias.c.address, alias.c.is_contract, alias.c.name


def party(row: Any, first: int) -> Party | None:
    """The party of the three columns from `first` on; None where there was nobody to join."""
    address = row[first]
    if address is None:
        return None
    return Party(address=bytes(address), is_contract=bool(row[first + 1]), name=row[first + 2])


def known_party(row: Any, first: int) -> Party:
    """The same where there is always somebody."""
    found = party(row, first)
    assert found is not None
    return found


def account_id(connection: Connection, address: bytes) -> int | None:
    """Return an account's number; None when no block has named it."""
    found: int | None = connection.execute(
        select(accounts.c.id).where(accounts.c.address == address)
    ).scalar()
    return found
