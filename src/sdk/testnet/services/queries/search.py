"""What somebody may mean who types a few characters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import select, union

from sdk.testnet.services.queries.blocks import find_block, get_block
from sdk.testnet.services.queries.paging import INTEGER_MAX
from sdk.testnet.services.queries.parties import party_columns
from sdk.testnet.services.queries.transactions import get_transaction
from sdk.testnet.services.store.meanings import search_key
from sdk.testnet.services.store.tables import accounts, tokens, validators

if TYPE_CHECKING:
    from sqlalchemy import Connection

RESULTS_MAX: Final = 10
QUERY_CHARACTERS_MAX: Final = 200
NAMED_MAX: Final = 1_000
"""Accounts with names of the operator's, which are looked through."""
CANDIDATES_MAX: Final = 100
"""Tokens whose name begins so, of which the most used are told: anybody can make thousands of one name."""
_LAST: Final = "\U0010ffff"
"""Behind every character of a name."""

ResultKind = Literal["block", "transaction", "address", "validator", "token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """One thing that was found."""

    kind: ResultKind
    key: str
    """What its page is called by: a block's number, else 0x and lower-case digits."""
    title: str | None
    """A name, where it has one."""
    is_exact: bool
    """Whether the whole of what was typed names exactly this: go there."""


def search(connection: Connection, text: str) -> tuple[SearchResult, ...]:
    """Return what a text may mean, exact meanings first; at most 10.

    Spaces around it, commas inside numbers and a missing 0x do not matter. An address that no block has named is found all the same.
    """
    # No name holds a NUL, and PostgreSQL takes none.
    words = text.replace("\0", "").strip()[:QUERY_CHARACTERS_MAX]
    plain = re.sub(r"[\s,_]", "", words)
    found: list[SearchResult] = []
    if plain.isascii() and plain.removeprefix("#").isdecimal():
        number = int(plain.removeprefix("#"))
        if number <= INTEGER_MAX and get_block(connection, number) is not None:
            found.append(SearchResult(kind="block", key=str(number), title=None, is_exact=True))
    digits = plain.lower().removeprefix("0x")
    if re.fullmatch(r"[0-9a-f]+", digits):
        if len(digits) == 64:
            found += _of_hash(connection, bytes.fromhex(digits))
        elif len(digits) == 40:
            found.append(_of_address(connection, bytes.fromhex(digits)))
        elif 4 <= len(digits) < 40 and plain.lower().startswith("0x"):
            found += _of_prefix(connection, digits)
    if words and not any(result.is_exact for result in found):
        found += _of_name(connection, words)
    return tuple(found[:RESULTS_MAX])


def _of_hash(connection: Connection, value: bytes) -> list[SearchResult]:
    transaction = get_transaction(connection, value)
    if transaction is not None:
        return [SearchResult(kind="transaction", key=f"0x{value.hex()}", title=None, is_exact=True)]
    block = find_block(connection, value)
    if block is not None:
        return [SearchResult(kind="block", key=str(block.number), title=None, is_exact=True)]
    return []


def _of_address(connection: Connection, address: bytes) -> SearchResult:
    row = connection.execute(
        select(accounts.c.name, validators.c.account_id, tokens.c.account_id, tokens.c.name)
        .outerjoin(validators, validators.c.account_id == accounts.c.id)
        .outerjoin(tokens, tokens.c.account_id == accounts.c.id)
        .where(accounts.c.address == address)
    ).first()
    kind: ResultKind = "address"
    title = None
    if row is not None:
        kind = "token" if row[2] is not None else "validator" if row[1] is not None else "address"
        title = row[0] or row[3]
    return SearchResult(kind=kind, key=f"0x{address.hex()}", title=title, is_exact=True)


def _of_prefix(connection: Connection, digits: str) -> list[SearchResult]:
    low = bytes.fromhex(digits.ljust(40, "0"))
    high = bytes.fromhex(digits.ljust(40, "f"))
    rows = connection.execute(
        select(*party_columns(accounts))
        .where(accounts.c.address.between(low, high))
        .order_by(accounts.c.address)
        .limit(RESULTS_MAX)
    )
    return [
        SearchResult(kind="address", key=f"0x{bytes(row[0]).hex()}", title=row[2], is_exact=False)
        for row in rows
    ]


def _of_name(connection: Connection, words: str) -> list[SearchResult]:
    wanted = search_key(words)
    if wanted is None:
        return []
    named = connection.execute(
        select(accounts.c.address, accounts.c.name, validators.c.account_id)
        .outerjoin(validators, validators.c.account_id == accounts.c.id)
        .where(accounts.c.name.is_not(None))
        .order_by(accounts.c.name)
        .limit(NAMED_MAX)
    )
    found = [
        SearchResult(
            kind="address" if row[2] is None else "validator",
            key=f"0x{bytes(row[0]).hex()}",
            title=row[1],
            is_exact=False,
        )
        for row in named
        if (search_key(row[1]) or "").startswith(wanted)
    ][:RESULTS_MAX]
    # Two ranges of two indexes; the most used of those that each of them begins with.
    ends = wanted + _LAST
    parts = [
        select(column.label("key"), tokens.c.account_id)
        .where(column >= wanted, column < ends)
        .order_by(column)
        .limit(CANDIDATES_MAX)
        .subquery()
        for column in (tokens.c.symbol_key, tokens.c.name_key)
    ]
    chosen = union(*(select(part.c.account_id) for part in parts)).subquery()
    called = connection.execute(
        select(accounts.c.address, tokens.c.name, tokens.c.symbol)
        .select_from(chosen)
        .join(tokens, tokens.c.account_id == chosen.c.account_id)
        .join(accounts, accounts.c.id == tokens.c.account_id)
        .order_by(tokens.c.transfer_count.desc(), tokens.c.account_id)
        .limit(RESULTS_MAX)
    )
    found += [
        SearchResult(kind="token", key=f"0x{bytes(row[0]).hex()}", title=row[1] or row[2], is_exact=False)
        for row in called
    ]
    return found
