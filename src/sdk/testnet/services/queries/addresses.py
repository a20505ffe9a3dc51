"""Accounts: what they are, and everything that happened to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, case, or_, select, union, union_all

from sdk.testnet.services.queries.moves import (
    InternalRow,
    LogRow,
    TokenRef,
    TransferRow,
    internal_rows,
    log_rows,
    transfer_rows,
)
from sdk.testnet.services.queries.paging import FIRST, Page, Slice, bounded, number_of, page_of, range_of
from sdk.testnet.services.queries.parties import (
    Party,
    account_id,
    accounts_as,
    known_party,
    party,
    party_columns,
)
from sdk.testnet.services.store.meanings import Direction, TokenKind
from sdk.testnet.services.store.tables import (
    account_internal_calls,
    account_transactions,
    account_transfers,
    accounts,
    blocks,
    internal_calls,
    logs,
    token_balances,
    tokens,
    transactions,
    transfers,
    withdrawals,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRow:
    """What the index knows of an account; its balance, nonce and code are the node's to tell."""

    address: bytes
    name: str | None
    is_contract: bool
    """Created by a transaction, or found to have code."""
    creator: Party | None
    creation_transaction: bytes | None
    first_block: int
    last_block: int
    transaction_count: int
    """Sent, received, and the one that created it."""
    transfer_count: int
    internal_count: int
    log_count: int
    """Events that it emitted."""
    proposed_count: int
    """Blocks that it proposed."""
    token_count: int
    """Rows of `account_tokens`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingRow:
    """Tokens that an account has, by the events."""

    token: TokenRef
    token_number: int | None
    """Which of an ERC-721's or ERC-1155's tokens."""
    amount: int
    is_consistent: bool
    """False when the token's events move what nobody had: its balances are not to be trusted."""


def get_address(connection: Connection, address: bytes) -> AddressRow | None:
    """Return an account; None when no block has named it."""
    creator = accounts_as("creator")
    row = connection.execute(
        select(*party_columns(creator), transactions.c.hash, accounts)
        .select_from(accounts)
        .outerjoin(creator, creator.c.id == accounts.c.creator_id)
        .outerjoin(
            transactions,
            (transactions.c.number == accounts.c.creation_number)
            & (transactions.c.idx == accounts.c.creation_idx),
        )
        .where(accounts.c.address == address)
    ).first()
    if row is None:
        return None
    mine = row._mapping  # noqa: SLF001 - the library's public door, named so as not to meet a column
    return AddressRow(
        address=bytes(mine[accounts.c.address]),
        name=mine[accounts.c.name],
        is_contract=bool(mine[accounts.c.is_contract]),
        creator=party(row, 0),
        creation_transaction=None if row.hash is None else bytes(row.hash),
        first_block=row.first_block,
        last_block=row.last_block,
        transaction_count=row.transaction_count,
        transfer_count=row.transfer_count,
        internal_count=row.internal_count,
        log_count=row.log_count,
        proposed_count=row.proposed_count,
        token_count=row.token_count,
    )


def account_transfers_page(
    connection: Connection,
    address: bytes,
    which: Slice = FIRST,
    *,
    kinds: Sequence[TokenKind] = tuple(TokenKind),
    token: bytes | None = None,
    first_block: int | None = None,
    last_block: int | None = None,
) -> Page[TransferRow]:
    """Return tokens that an account got and gave; of some kinds, of one contract, of a range of blocks, ends included."""
    found = account_id(connection, address)
    if found is None or not kinds:
        return Page(items=(), next_cursor=None)
    of_token = None if token is None else account_id(connection, token)
    if token is not None and of_token is None:
        return Page(items=(), next_cursor=None)
    feed, key = (
        account_transfers,
        (account_transfers.c.number, account_transfers.c.log_idx, account_transfers.c.sub_idx),
    )
    within = range_of(feed.c.number, first_block, last_block)
    if of_token is not None and _has_fewer_transfers(connection, of_token, found):
        return transfer_rows(
            connection,
            _of_token(of_token, found, kinds).where(*range_of(transfers.c.number, first_block, last_block)),
            which,
        )
    parts = []
    for kind in kinds:
        chosen = select(*key, feed.c.direction).where(
            feed.c.account_id == found, feed.c.kind == int(kind), *within
        )
        if of_token is not None:
            chosen = chosen.join(
                transfers,
                (transfers.c.number == feed.c.number)
                & (transfers.c.log_idx == feed.c.log_idx)
                & (transfers.c.sub_idx == feed.c.sub_idx),
            ).where(transfers.c.token_id == of_token)
        part = bounded(chosen, key, (int, int, int), which, is_part=True).subquery()
        parts.append(select(part.c.number, part.c.log_idx, part.c.sub_idx, part.c.direction))
    merged = (union_all(*parts) if len(parts) > 1 else parts[0]).subquery()
    place = (merged.c.number, merged.c.log_idx, merged.c.sub_idx)
    part = bounded(select(merged), place, (int, int, int), which).subquery()
    chosen = select(transfers, part.c.direction.label("direction")).join(
        part,
        (transfers.c.number == part.c.number)
        & (transfers.c.log_idx == part.c.log_idx)
        & (transfers.c.sub_idx == part.c.sub_idx),
    )
    # The limit takes nothing away, but keeps apart what belongs together. Without it PostgreSQL joins names to all transfers of all tokens first, as it thinks that
    # few are of a token whose name is known, and looks for the page's afterwards: 200,000 were read for 500.
    return transfer_rows(connection, chosen.limit(which.limit + 1), which, is_bounded=True)


def _has_fewer_transfers(connection: Connection, token: int, account: int) -> bool:
    """Tell whether a token's own list is the shorter way to what it has to do with an account."""
    of_token = connection.execute(
        select(tokens.c.transfer_count).where(tokens.c.account_id == token)
    ).scalar()
    of_account = connection.execute(
        select(accounts.c.transfer_count).where(accounts.c.id == account)
    ).scalar_one()
    return int(of_token or 0) < int(of_account)


def _of_token(token: int, account: int, kinds: Sequence[TokenKind]) -> Select[Any]:
    """A token's moves from and to an account."""
    direction = case(
        (transfers.c.from_id == transfers.c.to_id, int(Direction.SELF)),
        (transfers.c.from_id == account, int(Direction.OUT)),
        else_=int(Direction.IN),
    )
    return select(transfers, direction.label("direction")).where(
        transfers.c.token_id == token,
        (transfers.c.from_id == account) | (transfers.c.to_id == account),
        transfers.c.kind.in_([int(kind) for kind in kinds]),
    )


def account_internal_calls_page(
    connection: Connection,
    address: bytes,
    which: Slice = FIRST,
    *,
    first_block: int | None = None,
    last_block: int | None = None,
) -> Page[InternalRow]:
    """Return value that an account got and gave inside transactions, and what it created; of a range of blocks, ends included."""
    found = account_id(connection, address)
    if found is None:
        return Page(items=(), next_cursor=None)
    feed = account_internal_calls
    chosen = select(feed).where(feed.c.account_id == found, *range_of(feed.c.number, first_block, last_block))
    key = (feed.c.number, feed.c.tx_idx, feed.c.position)
    part = bounded(chosen, key, (int, int, int), which).subquery()
    joined = select(internal_calls, part.c.direction.label("direction")).join(
        part,
        (internal_calls.c.number == part.c.number)
        & (internal_calls.c.tx_idx == part.c.tx_idx)
        & (internal_calls.c.position == part.c.position),
    )
    return internal_rows(connection, joined, which, is_bounded=True)


def account_logs(
    connection: Connection,
    address: bytes | None,
    which: Slice = FIRST,
    *,
    first_block: int | None = None,
    last_block: int | None = None,
    topics: Sequence[bytes | None] = (),
    any_of_topics: bool = False,
) -> Page[LogRow]:
    """Return the events that a contract emitted, or anybody in a range of blocks; with these topics at these places, None for any.

    Args:
        connection: Of the index.
        address: The contract; None for all, which is a range of blocks that the caller keeps short.
        which: The page.
        first_block: The first of the range.
        last_block: The last, included.
        topics: By their places.
        any_of_topics: Whether one of them is enough.
    """
    chosen = select(logs).where(*range_of(logs.c.number, first_block, last_block))
    if address is not None:
        found = account_id(connection, address)
        if found is None:
            return Page(items=(), next_cursor=None)
        chosen = chosen.where(logs.c.account_id == found)
    columns = (logs.c.topic0, logs.c.topic1, logs.c.topic2, logs.c.topic3)
    wanted = [column == topic for column, topic in zip(columns, topics, strict=False) if topic is not None]
    if wanted:
        chosen = chosen.where(or_(*wanted) if any_of_topics else and_(*wanted))
    return log_rows(connection, chosen, (logs.c.number, logs.c.log_idx), which)


def account_blocks(
    connection: Connection, address: bytes, limit: int, *, before: int | None = None
) -> tuple[tuple[int, int], ...]:
    """Return the newest blocks in which coins of an account may have moved, each with its time: those of its transactions, of calls inside others', of rewards.

    Args:
        connection: Of the index.
        address: Whose.
        limit: Of the blocks, 1 to 100.
        before: Only blocks below this one.
    """
    found = account_id(connection, address)
    if found is None:
        return ()
    parts = []
    for feed in (account_transactions, account_internal_calls, withdrawals):
        chosen = select(feed.c.number).where(feed.c.account_id == found)
        if before is not None:
            chosen = chosen.where(feed.c.number < before)
        # Each list is in the order of its index; many rows of one block are one.
        part = chosen.distinct().order_by(feed.c.number.desc()).limit(limit).subquery()
        parts.append(select(part.c.number))
    numbers = union(*parts).subquery()
    rows = connection.execute(
        select(blocks.c.number, blocks.c.timestamp)
        .join(numbers, numbers.c.number == blocks.c.number)
        .order_by(blocks.c.number.desc())
        .limit(limit)
    )
    return tuple((row.number, row.timestamp) for row in rows)


def account_tokens(
    connection: Connection,
    address: bytes,
    which: Slice | None = None,
    *,
    kinds: Sequence[TokenKind] = tuple(TokenKind),
) -> Page[HoldingRow]:
    """Return the tokens that an account holds, in the order of the contracts' first appearance."""
    which = which or Slice(newest_first=False)
    found = account_id(connection, address)
    if found is None:
        return Page(items=(), next_cursor=None)
    contract = accounts_as("contract")
    key = (token_balances.c.token_id, token_balances.c.ref)
    chosen = (
        select(
            *party_columns(contract),
            tokens.c.kind,
            tokens.c.name.label("token_name"),
            tokens.c.symbol,
            tokens.c.decimals,
            tokens.c.is_consistent,
            token_balances.c.token_id,
            token_balances.c.ref,
            token_balances.c.raw,
        )
        .join(tokens, tokens.c.account_id == token_balances.c.token_id)
        .join(contract, contract.c.id == token_balances.c.token_id)
        .where(token_balances.c.account_id == found)
    )
    if set(kinds) != set(TokenKind):
        chosen = chosen.where(tokens.c.kind.in_([int(kind) for kind in kinds]))
    statement = bounded(chosen, key, (int, bytes), which)
    return page_of(connection, statement, which, _holding, lambda row: (row.token_id, bytes(row.ref)))


def _holding(row: Any) -> HoldingRow:
    return HoldingRow(
        token=TokenRef(
            contract=known_party(row, 0),
            kind=TokenKind(row.kind),
            name=row.token_name,
            symbol=row.symbol,
            decimals=row.decimals,
        ),
        token_number=number_of(row.ref) if row.ref else None,
        amount=number_of(row.raw),
        is_consistent=bool(row.is_consistent),
    )
