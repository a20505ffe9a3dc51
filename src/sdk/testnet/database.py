"""Databases of the toolkit: SQLite or PostgreSQL by URL, one writer at a time, each change whole or not at all."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import URL, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from metanode.errors import InvalidInput, StorageFailed
from sdk.testnet.database_pulse import CONNECT_S, Pulse, ServerSilent
from sdk.testnet.database_watch import ConnectionWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import psycopg
    from sqlalchemy import Connection, Engine

WAIT_S: Final = 10
"""How long a change waits for another's, and anybody for a connection."""
READ_S: Final = 5
"""Of one statement that reads beside changes: a page is made in milliseconds, and who asks for what no index finds does not keep the others waiting."""
WRITE_S: Final = 30
"""Of one statement of a change: the largest blocks are some seconds of a small machine."""
IDLE_S: Final = 60
"""After which a PostgreSQL server gives up a change whose process says nothing more, and with it the lock."""
SILENT_S: Final = 15
"""What a server may take longer than its own limits before its connection is cut off."""
_PING_S: Final = 5.0
_SLICE_S: Final = 0.25
"""How often who waits for a place is told that the server says nothing."""
_READ_STEPS: Final = 20_000
"""Of SQLite's machine between two looks at the clock, well under a millisecond."""
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
        self._watch = ConnectionWatch()
        self._looks = ConnectionWatch()
        self._pulse = None if self.is_sqlite else Pulse(lambda: _connected(parsed), self._looks.cut_all)
        self._engine = (
            _sqlite(parsed, synchronous)
            if self.is_sqlite
            else _postgresql(parsed, CONNECTIONS, self._watch, self._check_pulse, statement_s=WRITE_S)
        )
        self._reading: Engine | None = None
        # The pool's own queue would be waited in also while the server is silent.
        self._places = threading.BoundedSemaphore(max(1, readers))
        if readers and not in_memory:
            self._reading = (
                _sqlite_readers(parsed, readers)
                if self.is_sqlite
                else _postgresql(
                    parsed,
                    readers,
                    self._looks,
                    self._check_pulse,
                    statement_s=READ_S,
                    connect_s=CONNECT_S,
                    isolation_level="REPEATABLE READ",
                )
            )

    @property
    def engine(self) -> Engine:
        """The writing side, for migrations."""
        return self._engine

    @contextmanager
    def change(self, *, is_limited: bool = True) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, undone by an exception.

        Args:
            is_limited: False for migrations, which take what they take, and wait for those of others.

        Raises:
            StorageFailed: when the database refuses, or does not answer in time.
        """
        with self._alone(), self._as_storage_failed(), self._engine.connect() as connection:
            limit_s = 2 * WRITE_S + WAIT_S + SILENT_S if is_limited else None
            with self._watched(connection, limit_s), connection.begin():
                if not self.is_sqlite:
                    if not is_limited:
                        connection.execute(text("SET LOCAL statement_timeout = 0"))
                        connection.execute(text("SET LOCAL lock_timeout = 0"))
                    connection.execute(
                        text("SELECT pg_advisory_xact_lock(:key)"), {"key": self._advisory_lock}
                    )
                yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A transaction that reads, all of it from one state. Raises StorageFailed, also when a statement takes over `READ_S`."""
        if self._reading is not None:
            # A page's statements are some; each has the server's own limit.
            with (
                self._as_storage_failed(),
                self._place(),
                self._reading.connect() as connection,
                self._looked(connection, 4 * READ_S + SILENT_S),
            ):
                yield connection
        else:
            with (
                self._alone(),
                self._as_storage_failed(),
                self._engine.connect() as connection,
                self._watched(connection, WRITE_S + SILENT_S),
            ):
                yield connection

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of this process."""
        if not self._waited_for(self._lock, WAIT_S + WRITE_S):
            raise StorageFailed(f"{self._owner} is held by another change for over {WAIT_S + WRITE_S} s")
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold one of the reading connections."""
        if not self._waited_for(self._places, WAIT_S):
            raise StorageFailed(f"{self._owner} is read by so many that none ended within {WAIT_S} s")
        try:
            yield
        finally:
            self._places.release()

    def _waited_for(self, place: Any, seconds: float) -> bool:
        """Take a lock, and say whether it was had in time; raises StorageFailed as soon as the server is known to say nothing."""
        until_s = time.monotonic() + seconds
        while True:
            self._check_pulse()
            left_s = until_s - time.monotonic()
            if place.acquire(timeout=max(0.0, min(left_s, _SLICE_S))):
                return True
            if left_s <= _SLICE_S:
                return False

    def _check_pulse(self) -> None:
        if self._pulse is not None:
            try:
                self._pulse.check()
            except ServerSilent:
                raise StorageFailed(f"{self._owner} says nothing: its server hangs, or is cut off") from None

    def _watched(self, connection: Connection, seconds: float | None) -> AbstractContextManager[None]:
        if self.is_sqlite or seconds is None:
            return nullcontext()
        return self._watch.within(connection.connection.dbapi_connection, seconds)

    def _looked(self, connection: Connection, seconds: float) -> AbstractContextManager[None]:
        if self.is_sqlite:
            return nullcontext()
        return self._looks.within(connection.connection.dbapi_connection, seconds)

    def close(self) -> None:
        """Close all connections."""
        if self._pulse is not None:
            self._pulse.close()
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
    def _prepare(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA query_only = ON")
        until = record.info["until_s"] = [float("inf")]
        connection.set_progress_handler(lambda: time.monotonic() > until[0], _READ_STEPS)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    @event.listens_for(engine, "before_cursor_execute")
    def _start(connection: Connection, *_: Any) -> None:
        connection.info["until_s"][0] = time.monotonic() + READ_S

    return engine


def _sqlite_engine(url: URL, **options: Any) -> Engine:
    connect_args = {"check_same_thread": False, "timeout": WAIT_S, "isolation_level": None}
    return create_engine(url, connect_args=connect_args, **options)


def _connected(url: URL) -> psycopg.Connection[Any]:
    """A connection that only asks whether anybody is there."""
    import psycopg  # noqa: PLC0415 - 6 MB that SQLite does without

    plain = url.set(drivername="postgresql").difference_update_query(["options"])
    return psycopg.connect(
        plain.render_as_string(hide_password=False), connect_timeout=CONNECT_S, autocommit=True
    )


def _postgresql(
    url: URL,
    connections: int,
    watch: ConnectionWatch,
    check_pulse: Callable[[], None],
    *,
    statement_s: int,
    connect_s: int = WAIT_S,
    **options: Any,
) -> Engine:
    limits = {
        "lock_timeout": WAIT_S,
        "statement_timeout": statement_s,
        "idle_in_transaction_session_timeout": IDLE_S,
    }
    own = str(url.query.get("options", ""))
    engine = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT_S,
        connect_args={
            "connect_timeout": connect_s,
            # Behind ours, so that who runs the database may set others.
            "options": " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items()) + f" {own}",
            "keepalives_idle": WAIT_S,
            "keepalives_interval": WAIT_S // 3,
            "keepalives_count": 3,
            "tcp_user_timeout": 2_000 * WAIT_S,
        },
        **options,
    )

    @event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: Any, _proxy: Any) -> None:
        # A database that was restarted is met by a new connection, not by an error; one that is silent does not hold us here.
        if record.info.get("is_used"):
            try:
                with watch.within(connection, _PING_S):
                    engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error:
                # A new connection to one that is silent would be waited for as long again.
                check_pulse()
                raise InvalidatePoolError from None
        record.info["is_used"] = True

    return engine
