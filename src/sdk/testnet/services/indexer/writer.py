"""Blocks into the database: some of them a transaction, which moves the index's head with them. Nothing is there twice, and nothing is left out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import select, update

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.services.indexer import writing
from sdk.testnet.services.indexer.accounts import AccountBook
from sdk.testnet.services.indexer.balances import write_moves
from sdk.testnet.services.indexer.consensus import ConsensusBatch, ConsensusBook
from sdk.testnet.services.indexer.rows import Batch, MovesOfLogs, add_block, addresses_in
from sdk.testnet.services.indexer.told import told
from sdk.testnet.services.store import tables
from sdk.testnet.services.store.meanings import Counter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from sdk.testnet.services.indexer.fetched import FetchedBlock, Identity
    from sdk.testnet.services.store import Store

log = structlog.get_logger(__name__)

_ONLY_ROW: Final = 1
_FIRST_ACCOUNT: Final = 1
LOGGED_MAX: Final = 10
"""Blocks that one line names."""


@dataclass(slots=True)
class _Books:
    """What is remembered between batches: all of it is in the database too."""

    number: int | None
    hash: bytes
    timestamp: int | None
    accounts: AccountBook
    consensus: ConsensusBook


class Writer:
    """Writes the blocks of one chain. Used by one thread at a time; several processes may write to one database, and take turns."""

    def __init__(self, store: Store, names: Mapping[bytes, str]) -> None:
        self._store = store
        self._names = names
        self._identity: Identity | None = None
        self._books: _Books | None = None
        self.invalid_seals = 0
        """Wrong seals in certificates of the blocks that it has written."""

    def open(self, identity: Identity) -> int | None:
        """Make sure that the index is of this chain, and return its newest block; None when it is empty.

        Raises:
            InvalidInput: when it is of another chain; the message says what to do.
        """
        with self._store.change() as connection:
            row = connection.execute(select(tables.index_state)).first()
            if row is not None:
                _check_chain(row, identity)
            self._identity = identity
            self._name_accounts(connection)
            self._books = self._load(connection)
            return self._books.number

    def write(self, fetched: Sequence[FetchedBlock]) -> int | None:
        """Write consecutive blocks in one transaction; returns the index's newest block.

        Blocks that are there already are left out: another process may have written them.

        Raises:
            Unavailable: when the node's answers do not belong together; the index is as before.
            InvalidInput: when the node's chain is another than the index's.
            StorageFailed: when the database does not take them; the index is as before, or has them all.
        """
        try:
            with self._store.change() as connection:
                books = self._current(connection)
                fresh = [one for one in fetched if books.number is None or one.number > books.number]
                invalid = self._write(connection, books, fresh) if fresh else {}
        except BaseException:
            self._books = None
            raise
        if invalid:
            self.invalid_seals += sum(invalid.values())
            log.error(
                "indexer_invalid_seals", blocks=sorted(invalid)[:LOGGED_MAX], seals=sum(invalid.values())
            )
        return books.number

    def _current(self, connection: Connection) -> _Books:
        """What is remembered, if it is still what the database has."""
        books = self._books
        state = connection.execute(select(tables.index_state.c.number)).scalar()
        if books is None or books.number != state:
            books = self._books = self._load(connection)
        return books

    def _load(self, connection: Connection) -> _Books:
        assert self._identity is not None, "open() comes first"
        state = connection.execute(select(tables.index_state)).first()
        if state is None:
            consensus = ConsensusBook(connection, self._identity, number=None, order=b"")
            return _Books(None, b"", None, AccountBook(_FIRST_ACCOUNT, self._names), consensus)
        timestamp = connection.execute(
            select(tables.blocks.c.timestamp).where(tables.blocks.c.number == state.number)
        ).scalar_one()
        return _Books(
            state.number,
            bytes(state.hash),
            timestamp,
            AccountBook(state.next_account_id, self._names),
            ConsensusBook(connection, self._identity, number=state.number, order=bytes(state.proposer_order)),
        )

    def _write(
        self, connection: Connection, books: _Books, fetched: Sequence[FetchedBlock]
    ) -> dict[int, int]:
        """Write them, and return by block how many seals of its certificate are wrong."""
        moves_of_logs: MovesOfLogs = {}
        addresses = dict.fromkeys(chain.from_iterable(addresses_in(one, moves_of_logs) for one in fetched))
        batch = Batch(accounts=books.accounts.batch(connection, addresses), moves_of_logs=moves_of_logs)
        consensus = ConsensusBatch()
        for one in fetched:
            expected = 0 if books.number is None else books.number + 1
            if one.number != expected:
                raise Unavailable(f"block {one.number} does not follow the index, whose next is {expected}")
            add_block(batch, one, parent_timestamp=books.timestamp)
            row = batch.blocks[one.number]
            if books.number is not None and row["parent_hash"] != books.hash:
                raise InvalidInput(_another_chain(f"block {one.number} of the node follows another block"))
            if books.number is None and self._identity and row["hash"] != self._identity.genesis_hash:
                raise Unavailable("the node tells two genesis blocks")
            with told(f"the consensus of block {one.number}"):
                books.consensus.add_block(batch, consensus, one)
            books.number, books.hash, books.timestamp = one.number, row["hash"], row["timestamp"]
        if not batch.accounts.changes.keys() >= batch.accounts.new.keys():
            raise Unavailable("the node names accounts in a block that have no part in it")
        self._write_rows(connection, books, batch, consensus)
        self._write_state(connection, books)
        return consensus.invalid

    def _write_rows(
        self, connection: Connection, books: _Books, batch: Batch, consensus: ConsensusBatch
    ) -> None:
        writing.insert(connection, tables.blocks, [tuple(row.values()) for row in batch.blocks.values()])
        books.consensus.write(connection, consensus)
        for table, rows in (
            (tables.transactions, batch.transactions),
            (tables.transaction_inputs, batch.transaction_inputs),
            (tables.account_transactions, batch.account_transactions),
            (tables.logs, batch.logs),
            (tables.transfers, batch.transfers),
            (tables.account_transfers, batch.account_transfers),
            (tables.internal_calls, batch.internal_calls),
            (tables.account_internal_calls, batch.account_internal_calls),
            (tables.withdrawals, batch.withdrawals),
        ):
            writing.insert(connection, table, rows)
        batch.series.count(Counter.CONTRACTS, _write_contracts(connection, batch.created))
        batch.series.count(Counter.TOKENS, write_moves(connection, batch.accounts, batch.moves))
        for number in batch.accounts.new:
            first = batch.blocks[batch.accounts.changes[number].first_block]
            for sums in batch.series.at(first["timestamp"]):
                sums.new_account_count += 1
        batch.series.count(Counter.ACCOUNTS, len(batch.accounts.new))
        books.accounts.write(connection, batch.accounts)
        batch.series.write(connection)

    def _write_state(self, connection: Connection, books: _Books) -> None:
        assert self._identity is not None
        assert books.number is not None
        state = tables.index_state
        values: dict[str, Any] = {
            "number": books.number,
            "hash": books.hash,
            "indexed_at": int(time.time()),
            "next_account_id": books.accounts.next_id,
            "proposer_order": books.consensus.order,
        }
        changed = connection.execute(update(state).where(state.c.id == _ONLY_ROW).values(**values))
        if not changed.rowcount:
            connection.execute(
                state.insert().values(
                    id=_ONLY_ROW,
                    chain_id=self._identity.chain_id,
                    genesis_hash=self._identity.genesis_hash,
                    consensus_genesis_hash=self._identity.consensus_genesis_hash,
                    **values,
                )
            )

    def _name_accounts(self, connection: Connection) -> None:
        """Give the accounts that are there already the names of the configuration, and take away others."""
        table = tables.accounts
        connection.execute(update(table).where(table.c.name.is_not(None)).values(name=None))
        for address, name in self._names.items():
            connection.execute(update(table).where(table.c.address == address).values(name=name))


def _write_contracts(connection: Connection, created: dict[int, int]) -> int:
    """Write new contracts; those that were there are looked at again. Returns how many are new."""
    table = tables.contracts
    there = {
        row[0]
        for row in writing.find(
            connection, table, ("account_id",), ("account_id",), [(one,) for one in created]
        )
    }
    nothing = (None,) * (len(table.c) - 4)
    rows = [(one, None, None, number, *nothing) for one, number in created.items() if one not in there]
    writing.insert(connection, table, rows)
    writing.update(
        connection, table, ("code_hash = {}",), ("code_hash",), [(one, None) for one in sorted(there)]
    )
    return len(rows)


def _check_chain(row: Any, identity: Identity) -> None:
    if bytes(row.genesis_hash) != identity.genesis_hash or row.chain_id != identity.chain_id:
        raise InvalidInput(
            _another_chain(
                f"it begins with genesis 0x{bytes(row.genesis_hash).hex()} (chain id {row.chain_id}), the node's with "
                f"0x{identity.genesis_hash.hex()} (chain id {identity.chain_id})"
            )
        )


def _another_chain(why: str) -> str:
    return (
        f"this index is of another chain: {why}. An index is made from its chain and holds nothing else: name an empty "
        "database (database_url), or delete this one (of SQLite the file with its -wal and -shm), and start again"
    )
