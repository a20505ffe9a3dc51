"""Databases of the toolkit: SQLite or PostgreSQL by URL, one writer at a time, each change whole or not at all."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import URL, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from metanode.errors import InvalidInput, StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

WAIT_S: Final = 10
"""How long a change waits for another process's."""
CONNECTIONS: Final = 4
"""To PostgreSQL, of the writing side."""

Synchronous = Literal["FULL", "NORMAL"]


class Database:
    """One engine. A `change` excludes every other change of this database, in this process and in others.

    Everything here blocks: on the event loop it is called by a thread.

    Args:
        url: sqlite:///PATH or postgresql://USER@HOST/NAME.
        owner: Whose it is, in the messages of its failures: "the faucet's database".
        lock: Number of its lock among the advisory locks of a PostgreSQL database.
        synchronous: Of SQLite: FULL when a change that was promised has to survive a power cut; NORMAL when it can be made again.
        readers: How many `look`s run beside each other and beside a change; 0 when they take turns with changes, for readers that
            must see what was just written by somebody else.
    """

    def __init__(
        self, url: str, *, owner: str, lock: int, synchronous: Synchronous = "FULL", readers: int = 0
    ) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise InvalidInput(
                "database_url: expected sqlite:///PATH or postgresql://USER@HOST/NAME"
            ) from None
        backend = parsed.get_backend_name()
        if backend not in {"sqlite", "postgresql"}:
            raise InvalidInput(f"database_url: found {backend}; expected sqlite or postgresql")
        self.is_sqlite: Final = backend == "sqlite"
        self._owner = owner
        self._advisory_lock = lock
        in_memory = self.is_sqlite and _is_in_memory(parsed)
        # A database in memory lives as long as its one connection; a change of a file by two threads would only wait longer.
        self._lock = threading.RLock()
        self._engine = _sqlite(parsed, synchronous) if self.is_sqlite else _postgresql(parsed, CONNECTIONS)
        self._reading: Engine | None = None
        if readers and not in_memory:
            self._reading = (
                _sqlite_readers(parsed, readers)
                if self.is_sqlite
                else _postgresql(parsed, readers, isolation_level="REPEATABLE READ")
            )

    @property
    def engine(self) -> Engine:
        """The writing side, for migrations."""
        return self._engine

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, undone by an exception.

        Raises:
            StorageFailed: when the database refuses, or does not answer.
        """
        with self._lock, self._as_storage_failed(), self._engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self._advisory_lock})
            yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A transaction that reads, all of it from one state. Raises StorageFailed."""
        if self._reading is not None:
            with self._as_storage_failed(), self._reading.connect() as connection:
                yield connection
        else:
            with self._lock, self._as_storage_failed(), self._engine.connect() as connection:
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()
        if self._reading is not None:
            self._reading.dispose()

    @contextmanager
    def _as_storage_failed(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # The statement and its parameters are not for people; the driver's own words are.
            cause = getattr(error, "orig", None) or error
            raise StorageFailed(f"{self._owner} refused or did not answer: {str(cause).strip()}") from error


def _is_in_memory(url: URL) -> bool:
    return url.database in {None, "", ":memory:"}


def _sqlite(url: URL, synchronous: Synchronous) -> Engine:
    options: dict[str, Any] = (
        {"poolclass": StaticPool} if _is_in_memory(url) else {"pool_size": 1, "max_overflow": 0}
    )
    engine = _sqlite_engine(url, **options)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver's own BEGIN takes the lock at the first write, too late for what was read before it.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _sqlite_readers(url: URL, count: int) -> Engine:
    engine = _sqlite_engine(url, pool_size=count, max_overflow=0, pool_timeout=WAIT_S)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _sqlite_engine(url: URL, **options: Any) -> Engine:
    connect_args = {"check_same_thread": False, "timeout": WAIT_S, "isolation_level": None}
    return create_engine(url, connect_args=connect_args, **options)


def _postgresql(url: URL, connections: int, **options: Any) -> Engine:
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT_S,
        pool_pre_ping=True,  # a database that was restarted is met by a new connection, not by an error
        connect_args={"connect_timeout": WAIT_S},
        **options,
    )
