"""What an index has that pages can be asked for: `find_subjects`, and `kinds`, the kinds of pages with their addresses."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from metanode.crypto.addresses import format_address
from sdk.testnet.services.queries.statistics import index_status
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import (
    account_transactions,
    accounts,
    contracts,
    index_state,
    internal_calls,
    tokens,
    transactions,
    validators,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Select

SAMPLES: Final = 500
"""Transactions to choose from; each request is for another."""


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """What the index has, to choose from."""

    chain_id: int
    head: int
    genesis_hash: bytes
    """Of the consensus header, which seals are bound to."""
    hashes: Sequence[str]
    within: Sequence[str]
    """Transactions that moved coins inside."""
    rare: Sequence[str]
    busy: str
    """The account of the most of the newest transactions."""
    tokens: Sequence[str]
    verified: Sequence[str]
    """Contracts with sources."""
    validators: Sequence[str]


def kinds(found: Subjects, chance: random.Random) -> dict[str, Callable[[], str]]:
    """Return what makes the address of another page of each kind."""

    def block() -> int:
        return chance.randrange(1, found.head)

    def one(among: Sequence[str], pattern: str) -> Callable[[], str]:
        return lambda: pattern.format(chance.choice(among))

    return {
        "home": lambda: "/",
        "blocks": lambda: "/blocks",
        "block": lambda: f"/block/{block()}",
        "transactions": lambda: "/transactions",
        "transaction": one(found.hashes, "/tx/{}"),
        "transaction, events": one(found.hashes, "/tx/{}/logs"),
        "transaction, calls": one(found.within, "/tx/{}/calls"),
        "transaction, internal": one(found.within, "/tx/{}/internal"),
        "pending": lambda: "/pending",
        "account": one(found.rare, "/address/{}"),
        "account in a tenth of all": lambda: f"/address/{found.busy}",
        "its tokens": lambda: f"/address/{found.busy}/tokens",
        "its transfers": lambda: f"/address/{found.busy}/transfers",
        "its internal calls": lambda: f"/address/{found.busy}/internal",
        "contract, events": one(found.tokens, "/address/{}/logs"),
        "contract, internal calls": one(found.tokens, "/address/{}/internal"),
        "contract, verified": one(found.verified, "/address/{}/contract"),
        "contract, read": one(found.verified, "/address/{}/read"),
        "contract, write": one(found.verified, "/address/{}/write"),
        "token": one(found.tokens, "/token/{}"),
        "holders": one(found.tokens, "/token/{}/holders"),
        "tokens": lambda: "/tokens",
        "contracts": lambda: "/contracts",
        "validators": lambda: "/validators",
        "validator": one(found.validators, "/validator/{}"),
        "its blocks": one(found.validators, "/address/{}/blocks"),
        "votes": lambda: "/votes",
        "rounds": lambda: "/rounds",
        "late blocks": lambda: "/blocks?late=1",
        "dashboard": lambda: "/dashboard",
        "charts": lambda: "/charts?range=quarter",
        "search, a hash": one(found.hashes, "/search?q={}"),
        "search, a beginning": lambda: f"/search?q={chance.choice(found.hashes)[:9]}",
    }


def find_subjects(url: str) -> Subjects:
    """Read what an index has."""
    store = Store(url)
    try:
        with store.look() as connection:
            return _found(connection)
    finally:
        store.close()


def _found(connection: Connection) -> Subjects:
    status = index_status(connection)
    assert status is not None, "the index is empty: python -m benchmarks.index_generator URL"
    chance = random.Random(2)
    anywhere = [chance.randrange(1, status.number + 1) for _ in range(SAMPLES)]
    hashes = [
        _first(connection, select(transactions.c.hash).where(transactions.c.number >= each))
        for each in anywhere
    ]
    moved = select(transactions.c.hash).join(
        internal_calls,
        (internal_calls.c.number == transactions.c.number) & (internal_calls.c.tx_idx == transactions.c.idx),
    )
    within = [_first(connection, moved.where(internal_calls.c.number >= each)) for each in anywhere]
    newest = (
        select(account_transactions.c.account_id)
        .where(account_transactions.c.number > status.number - 2_000)
        .limit(20_000)
        .subquery()
    )
    busiest = newest.c.account_id
    busy_id = connection.execute(
        select(busiest).group_by(busiest).order_by(func.count().desc()).limit(1)
    ).scalar_one()
    addresses = select(accounts.c.address)
    of_contracts = addresses.join(contracts, contracts.c.account_id == accounts.c.id)

    def written(statement: Select[Any]) -> list[str]:
        return [format_address(bytes(one)) for one in connection.scalars(statement)]

    return Subjects(
        chain_id=status.chain_id,
        head=status.number,
        genesis_hash=bytes(connection.execute(select(index_state.c.consensus_genesis_hash)).scalar_one()),
        hashes=[one for one in hashes if one],
        within=[one for one in within if one],
        rare=written(addresses.order_by(accounts.c.id.desc()).limit(SAMPLES)),
        busy=written(addresses.where(accounts.c.id == busy_id))[0],
        tokens=written(addresses.join(tokens, tokens.c.account_id == accounts.c.id).limit(SAMPLES)),
        verified=written(of_contracts.where(contracts.c.match.is_not(None)).limit(SAMPLES)),
        validators=written(addresses.join(validators, validators.c.account_id == accounts.c.id)),
    )


def _first(connection: Connection, statement: Select[Any]) -> str:
    found = connection.execute(statement.limit(1)).scalar()
    return "" if found is None else f"0x{bytes(found).hex()}"
