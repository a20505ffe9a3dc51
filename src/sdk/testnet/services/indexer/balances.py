"""Tokens and who has them, by adding up events in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdk.testnet.services.indexer import writing
from sdk.testnet.services.store.meanings import TokenKind
from sdk.testnet.services.store.tables import token_balances, tokens

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sdk.testnet.services.indexer.accounts import AccountBatch

_MOST: Final = 2**256 - 1
PROBES: Final = 3
"""How often a contract is asked for its names before it is taken not to have any."""


@dataclass(slots=True)
class TokenMove:
    """A move, with numbers for accounts. The zero address is None: it has nothing and wants nothing."""

    number: int
    token_id: int
    kind: TokenKind
    sender_id: int | None
    recipient_id: int | None
    ref: bytes
    """Empty for ERC-20."""
    amount: int


@dataclass(slots=True)
class _Token:
    kind: int
    name: str | None = None
    symbol: str | None = None
    decimals: int | None = None
    first_block: int = 0
    transfers: int = 0
    holders: int = 0
    supply: int = 0
    is_consistent: bool = True
    probes_left: int = PROBES
    name_key: str | None = None
    symbol_key: str | None = None
    is_new: bool = False


def write_moves(connection: Connection, accounts: AccountBatch, moves: list[TokenMove]) -> int:
    """Apply a batch's moves to tokens and balances; returns how many tokens are new."""
    if not moves:
        return 0
    known = _load_tokens(connection, sorted({move.token_id for move in moves}))
    before = _load_balances(connection, moves)
    after = dict(before)
    for move in moves:
        token = known.get(move.token_id)
        if token is None:
            token = known[move.token_id] = _Token(kind=move.kind, first_block=move.number, is_new=True)
        token.transfers += 1
        if token.kind != move.kind:
            token.is_consistent = False
        _apply(token, move, after)
    changed: list[tuple[int, int, bytes, bytes]] = []
    gone: list[tuple[int, int, bytes]] = []
    for key, amount in after.items():
        had = before.get(key, 0)
        if amount == had:
            continue
        account_id, token_id, ref = key
        if amount:
            changed.append((account_id, token_id, ref, amount.to_bytes(32, "big")))
        else:
            gone.append(key)
        step = (amount > 0) - (had > 0)
        known[token_id].holders += step
        accounts.changes[account_id].tokens += step
    writing.upsert(connection, token_balances, changed)
    writing.delete(connection, token_balances, gone)
    writing.upsert(
        connection,
        tokens,
        [
            (
                token_id, token.kind, token.name, token.symbol, token.decimals, token.first_block,
                token.transfers, token.holders, token.supply.to_bytes(32, "big"), token.is_consistent,
                token.probes_left, token.name_key, token.symbol_key,
            )
            for token_id, token in known.items()
        ],
    )  # fmt: skip
    return sum(token.is_new for token in known.values())


def _apply(token: _Token, move: TokenMove, balances: dict[tuple[int, int, bytes], int]) -> None:
    """One move. What can't be is cut to what can, and the token is no longer trusted."""
    if move.sender_id is None:
        token.supply += move.amount
    else:
        key = (move.sender_id, move.token_id, move.ref)
        left = balances.get(key, 0) - move.amount
        if left < 0:
            token.is_consistent = False
        balances[key] = max(0, left)
    if move.recipient_id is None:
        token.supply -= move.amount
    else:
        key = (move.recipient_id, move.token_id, move.ref)
        has = balances.get(key, 0) + move.amount
        if has > (1 if move.kind is TokenKind.ERC721 else _MOST):
            token.is_consistent = False
        balances[key] = min(_MOST, has)
    if not 0 <= token.supply <= _MOST:
        token.is_consistent = False
        token.supply = min(_MOST, max(0, token.supply))


def _load_tokens(connection: Connection, ids: list[int]) -> dict[int, _Token]:
    columns = (
        "account_id", "kind", "name", "symbol", "decimals", "first_block", "transfer_count", "holder_count", "supply",
        "is_consistent", "probes_left", "name_key", "symbol_key",
    )  # fmt: skip
    rows = writing.find(connection, tokens, columns, ("account_id",), [(one,) for one in ids])
    return {
        row[0]: _Token(
            kind=row[1],
            name=row[2],
            symbol=row[3],
            decimals=row[4],
            first_block=row[5],
            transfers=row[6],
            holders=row[7],
            supply=int.from_bytes(row[8], "big"),
            is_consistent=bool(row[9]),
            probes_left=row[10],
            name_key=row[11],
            symbol_key=row[12],
        )
        for row in rows
    }


def _load_balances(connection: Connection, moves: list[TokenMove]) -> dict[tuple[int, int, bytes], int]:
    keys = {
        (party, move.token_id, move.ref)
        for move in moves
        for party in (move.sender_id, move.recipient_id)
        if party is not None
    }
    rows = writing.find(
        connection,
        token_balances,
        ("account_id", "token_id", "ref", "raw"),
        ("account_id", "token_id", "ref"),
        sorted(keys),
    )
    return {(row[0], row[1], bytes(row[2])): int.from_bytes(row[3], "big") for row in rows}
