"""The database below the ledger: SQLite or PostgreSQL, one writer at a time, each change whole or not at all."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from metanode.errors import InvalidInput, StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

WAIT_S: Final = 10
"""How long a change waits for another process's."""
_ADVISORY_LOCK: Final = 0x6661_7563_6574
"""Ours among the locks of a PostgreSQL database: "faucet"."""


class Database:
    """One engine. A `change` excludes every other change of this database, in this process and in others.

    Everything here blocks: on the event loop it is called by a thread.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise InvalidInput(
                "database_url: expected sqlite:///PATH or postgresql://USER@HOST/NAME"
            ) from None
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        # A database in memory lives as long as its one connection; a change of a file by two threads would only wait longer.
        self._lock = threading.RLock()
        self._engine = _sqlite(parsed) if self._is_sqlite else _postgresql(parsed)

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, undone by an exception.

        Raises:
            StorageFailed: when the database refuses, or does not answer.
        """
        with self._lock, _as_storage_failed(), self._engine.begin() as connection:
            if not self._is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A transaction that reads. Raises StorageFailed."""
        with self._lock, _as_storage_failed(), self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _sqlite(url: URL) -> Engine:
    in_memory = url.database in {None, "", ":memory:"}
    options: dict[str, Any] = {"poolclass": StaticPool} if in_memory else {"pool_size": 1, "max_overflow": 0}
    engine = create_engine(
        url, connect_args={"check_same_thread": False, "timeout": WAIT_S, "isolation_level": None}, **options
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # What was promised has to be there after a power cut: a payout is signed once.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver's own BEGIN takes the lock at the first write, too late for what was read before it.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> Engine:
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=4,
        max_overflow=0,
        pool_timeout=WAIT_S,
        pool_pre_ping=True,  # a database that was restarted is met by a new connection, not by an error
        connect_args={"connect_timeout": WAIT_S},
    )


@contextmanager
def _as_storage_failed() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # The statement and its parameters are not for people; the driver's own words are.
        cause = getattr(error, "orig", None) or error
        raise StorageFailed(
            f"the faucet's database refused or did not answer: {str(cause).strip()}"
        ) from error
