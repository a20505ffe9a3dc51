"""Tokens, who holds them, and how they moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from sdk.testnet.services.queries.moves import TransferRow, transfer_rows
from sdk.testnet.services.queries.paging import FIRST, Page, Slice, bounded, number_of, page_of, range_of
from sdk.testnet.services.queries.parties import Party, account_id, accounts_as, known_party, party_columns
from sdk.testnet.services.store.meanings import TokenKind
from sdk.testnet.services.store.tables import accounts, token_balances, tokens, transfers

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A contract that sent token events."""

    contract: Party
    kind: TokenKind
    name: str | None
    """What the contract says, cleaned of control and direction marks and cut at 64 bytes; anybody can say anything."""
    symbol: str | None
    decimals: int | None
    first_block: int
    transfer_count: int
    holder_count: int
    """Holdings above zero; of ERC-721 and ERC-1155 one for each holder and number."""
    supply: int
    """Made less burnt, by the events, in the smallest unit."""
    is_consistent: bool
    """False when the events move what nobody had: balances and supply are then not to be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderRow:
    """An account that holds a token."""

    account: Party
    token_number: int | None
    amount: int


_KEY = (tokens.c.transfer_count, tokens.c.account_id)


def list_tokens(
    connection: Connection, which: Slice = FIRST, *, kind: TokenKind | None = None
) -> Page[TokenRow]:
    """Return tokens, those with most transfers first."""
    chosen = _with_contract()
    if kind is not None:
        chosen = chosen.where(tokens.c.kind == int(kind))
    statement = bounded(chosen, _KEY, (int, int), which)
    return page_of(connection, statement, which, _token, lambda row: (row.transfer_count, row.account_id))


def get_token(connection: Connection, contract: bytes) -> TokenRow | None:
    """Return a token by its contract's address."""
    row = connection.execute(_with_contract().where(accounts.c.address == contract)).first()
    return None if row is None else _token(row)


def token_transfers(
    connection: Connection,
    contract: bytes,
    which: Slice = FIRST,
    *,
    token_number: int | None = None,
    kind: TokenKind | None = None,
    first_block: int | None = None,
    last_block: int | None = None,
) -> Page[TransferRow]:
    """Return a token's moves; of one number of an ERC-721 or ERC-1155, of one kind, of a range of blocks, ends included."""
    found = account_id(connection, contract)
    if found is None:
        return Page(items=(), next_cursor=None)
    chosen = select(transfers).where(
        transfers.c.token_id == found, *range_of(transfers.c.number, first_block, last_block)
    )
    if kind is not None:
        chosen = chosen.where(transfers.c.kind == int(kind))
    if token_number is not None:
        if not 0 <= token_number < 2**256:
            return Page(items=(), next_cursor=None)
        chosen = chosen.where(transfers.c.token_ref == token_number.to_bytes(32, "big"))
    return transfer_rows(connection, chosen, which)


def token_holders(connection: Connection, contract: bytes, which: Slice = FIRST) -> Page[HolderRow]:
    """Return who holds a token, those with most first."""
    found = account_id(connection, contract)
    if found is None:
        return Page(items=(), next_cursor=None)
    balances = token_balances
    key = (balances.c.raw, balances.c.account_id, balances.c.ref)
    chosen = _with_holder().where(balances.c.token_id == found)
    statement = bounded(chosen, key, (bytes, int, bytes), which)
    return page_of(
        connection, statement, which, _holder, lambda row: (bytes(row.raw), row.account_id, bytes(row.ref))
    )


def instance_holders(
    connection: Connection, contract: bytes, token_number: int, which: Slice = FIRST
) -> Page[HolderRow]:
    """Return who holds one number of an ERC-721 or ERC-1155; of the former one account or none."""
    found = account_id(connection, contract)
    if found is None or not 0 <= token_number < 2**256:
        return Page(items=(), next_cursor=None)
    balances = token_balances
    chosen = _with_holder().where(
        balances.c.token_id == found, balances.c.ref == token_number.to_bytes(32, "big")
    )
    statement = bounded(chosen, (balances.c.account_id,), (int,), which)
    return page_of(connection, statement, which, _holder, lambda row: (row.account_id,))


def token_instances(connection: Connection, contract: bytes, which: Slice | None = None) -> Page[HolderRow]:
    """Return the numbers of an ERC-721 or ERC-1155 that exist, each with a holder, by number."""
    which = which or Slice(newest_first=False)
    found = account_id(connection, contract)
    if found is None:
        return Page(items=(), next_cursor=None)
    balances = token_balances
    chosen = _with_holder().where(balances.c.token_id == found)
    statement = bounded(chosen, (balances.c.ref, balances.c.account_id), (bytes, int), which)
    return page_of(connection, statement, which, _holder, lambda row: (bytes(row.ref), row.account_id))


def _with_contract() -> Select[Any]:
    return select(
        *party_columns(accounts),
        *(column for column in tokens.c if column.name not in {"name", "name_key", "symbol_key"}),
        tokens.c.name.label("token_name"),
    ).join(accounts, accounts.c.id == tokens.c.account_id)


def _with_holder() -> Select[Any]:
    who = accounts_as("who")
    return select(
        *party_columns(who), token_balances.c.account_id, token_balances.c.ref, token_balances.c.raw
    ).join(who, who.c.id == token_balances.c.account_id)


def _token(row: Any) -> TokenRow:
    return TokenRow(
        contract=known_party(row, 0),
        kind=TokenKind(row.kind),
        name=row.token_name,
        symbol=row.symbol,
        decimals=row.decimals,
        first_block=row.first_block,
        transfer_count=row.transfer_count,
        holder_count=row.holder_count,
        supply=number_of(row.supply),
        is_consistent=bool(row.is_consistent),
    )


def _holder(row: Any) -> HolderRow:
    return HolderRow(
        account=known_party(row, 0),
        token_number=number_of(row.ref) if row.ref else None,
        amount=number_of(row.raw),
    )
