"""node.db in memory: what SQLite has committed durably survives the crash of its node, and nothing else.

A commit is durable under the `PRAGMA synchronous` that the storage code gives its files, FULL or more. Under a weaker one SQLite in WAL mode
does not wait for the disk, and a power cut may take every commit since the last checkpoint: here it takes all of the node's life.
"""

import itertools
import sqlite3
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from metanode.storage import database

_NUMBERS: Final = itertools.count()
_FULL: Final = 2
"""What `PRAGMA synchronous` answers for FULL; NORMAL is 1."""


class _Connection(sqlite3.Connection):
    """A connection that tells before a transaction ends."""

    before_commit: Callable[[], None] | None = None

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """See sqlite3.Connection."""
        if sql == "COMMIT" and self.before_commit is not None:
            self.before_commit()
        return super().execute(sql, *parameters)


class DatabaseMedium:
    """Where one node's database is kept over its lives. Owner: the node's disk."""

    def __init__(self) -> None:
        self._name = f"file:simulated-{next(_NUMBERS)}?mode=memory&cache=shared"
        self._outside: list[_Connection] = []
        weakref.finalize(self, _close, self._outside)
        self._given: list[_Connection] = []
        self.before_commit: Callable[[], None] | None = None
        """Called before a node's transaction is committed: where the simulator kills."""
        self.outside = self.look()
        """A connection that is no node's: it keeps the database, and sees what is committed."""
        self._synced: sqlite3.Connection | None = None
        """What a power cut leaves, where commits of this life do not wait for the disk."""

    def connect(self, path: Path | None = None) -> sqlite3.Connection:
        """Give a node a connection; it ends with the node's life."""
        del path
        if self._synced is None and _synchronous_of_files() < _FULL:
            self._synced = self.copy()
        connection = self._connect()
        connection.before_commit = self._upon_commit
        self._given.append(connection)
        return connection

    def look(self, path: Path | None = None) -> sqlite3.Connection:
        """Return a connection that outlives the node."""
        del path
        connection = self._connect()
        self._outside.append(connection)
        return connection

    def cut_power(self) -> None:
        """End what the node has begun: an open transaction never was, and no commit that did not wait for the disk."""
        _close(self._given)
        self.before_commit = None
        if self._synced is not None:
            self.restore(self._synced)
            self._synced.close()
            self._synced = None

    def copy(self) -> sqlite3.Connection:
        """Return a copy of what is committed, in memory."""
        target = sqlite3.connect(":memory:", isolation_level=None)
        self.outside.backup(target)
        return target

    def restore(self, copy: sqlite3.Connection) -> None:
        """Become a copy made before. The node is down."""
        assert not self._given, "a database that is open is not replaced"
        copy.backup(self.outside)

    def _upon_commit(self) -> None:
        if self.before_commit is not None:
            self.before_commit()

    def _connect(self) -> _Connection:
        # One thread uses them; any thread may be the one whose garbage collection closes what a finished simulation has left.
        return sqlite3.connect(
            self._name, uri=True, isolation_level=None, factory=_Connection, check_same_thread=False
        )


def _synchronous_of_files() -> int:
    """Return how the storage code has a connection with a file commit; this one is to no file."""
    connection = database.connect_file(Path(":memory:"))
    try:
        (found,) = connection.execute("PRAGMA synchronous").fetchone()
    finally:
        connection.close()
    return int(found)


def _close(connections: list[_Connection]) -> None:
    while connections:
        connections.pop().close()
