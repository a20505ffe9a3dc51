"""node.db: one SQLite file, durable at every commit.

Journal in WAL mode with synchronous=FULL: a commit that returned survives a power cut, and readers do not wait for the writer. Two threads
own a connection each; a call from the event loop is a function given to one of them. SQLite's own errors become StorageFailed, a file that
is none of ours StorageDamaged. The simulator hands in connections to a database in memory, and a thread on virtual time.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from metanode.errors import StorageDamaged, StorageFailed
from metanode.storage.checksums import REMEDY, add_checksums
from metanode.storage.threads import OwnThread, StorageThread

Result = TypeVar("Result")

APPLICATION_ID: Final = 0x4D45_5441
"""Written into the file's header: "META"."""
SCHEMA_VERSION: Final = 4
"""2 packs headers; 3 keeps what everybody has signed, and writes evidence in another form; 4 has checksums. Files of those before are taken over."""
BUSY_TIMEOUT_S: Final = 5.0
"""How long a statement waits for another process, such as a backup, before it fails."""

_HEARD: Final = "CREATE TABLE IF NOT EXISTS heard (height INTEGER PRIMARY KEY, signed BLOB NOT NULL)"
_SCHEMA: Final = f"""
CREATE TABLE fixed (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE current (name TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER) WITHOUT ROWID;
CREATE TABLE headers (height INTEGER PRIMARY KEY, execution_tag INTEGER NOT NULL, header BLOB NOT NULL, crc INTEGER);
CREATE INDEX headers_by_execution ON headers (execution_tag);
CREATE TABLE certificates (height INTEGER PRIMARY KEY, certificate BLOB NOT NULL, crc INTEGER);
CREATE TABLE requests (height INTEGER PRIMARY KEY, requests BLOB NOT NULL, crc INTEGER);
CREATE TABLE validator_sets (hash BLOB PRIMARY KEY, validators BLOB NOT NULL, crc INTEGER) WITHOUT ROWID;
CREATE TABLE bodies (id INTEGER PRIMARY KEY, height INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE, block BLOB NOT NULL, crc INTEGER);
CREATE INDEX bodies_by_height ON bodies (height);
CREATE TABLE evidence (digest BLOB PRIMARY KEY, height INTEGER NOT NULL, author BLOB NOT NULL, proof BLOB NOT NULL) WITHOUT ROWID;
{_HEARD};
CREATE TABLE pins (address TEXT PRIMARY KEY, node_id BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE validator_records (address BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
"""


def connect_file(path: Path) -> sqlite3.Connection:
    """Connect with a file, which is made if there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


class Database:
    """The file and its two threads. Made by `open`, ended by `close`."""

    def __init__(
        self,
        path: Path,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        make_thread: Callable[[str], StorageThread],
    ) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._writing = make_thread("storage")
        self._reading = make_thread("storage-read")

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        connect: Callable[[Path], sqlite3.Connection] = connect_file,
        make_thread: Callable[[str], StorageThread] = OwnThread,
    ) -> "Database":
        """Open or make the file; raises StorageDamaged, StorageFailed. Blocks: called before the loop has work."""
        try:
            writer = connect(path)
            try:
                _prepare(path, writer)
                reader = connect(path)
            except BaseException:
                writer.close()
                raise
            reader.execute("PRAGMA query_only = ON")
        except sqlite3.DatabaseError as error:
            raise _translated(path, error) from error
        return cls(path, writer, reader, make_thread)

    async def write(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run the action in one transaction on the storage thread; when this returns, the disk has it. Raises StorageFailed, nothing written."""

        def transaction() -> Result:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    result = action(self._writer)
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise _translated(self.path, error) from error
            return result

        return await self._writing.run(transaction)

    async def read(self, action: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run the action on the reading thread, on one consistent state of the file."""

        def transaction() -> Result:
            try:
                self._reader.execute("BEGIN")
                try:
                    return action(self._reader)
                finally:
                    self._reader.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise _translated(self.path, error) from error

        return await self._reading.run(transaction)

    def close(self) -> None:
        """Finish what is queued, then close the file. Nothing may be called after it."""
        self._reading.close()
        self._writing.close()
        self._reader.close()
        self._writer.close()


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if (application, version) == (0, 0) and not connection.execute(
        "SELECT count(*) FROM sqlite_master"
    ).fetchone()[0]:
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
        return
    if application != APPLICATION_ID:
        raise StorageDamaged(f"{path}: a database, but none of a Metanode node")
    if version in {1, 2, 3}:
        connection.execute("BEGIN IMMEDIATE")
        if version < 3:
            connection.execute(_HEARD)
            connection.execute("DELETE FROM evidence")
        add_checksums(connection)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
        return
    if version != SCHEMA_VERSION:
        raise StorageFailed(
            f"{path}: has the schema {version}, this software knows {SCHEMA_VERSION}: use the version that wrote it"
        )


def _translated(path: Path, error: sqlite3.Error) -> StorageFailed | StorageDamaged:
    # SQLITE_CORRUPT and SQLITE_NOTADB; their names are attributes since Python 3.11.
    if getattr(error, "sqlite_errorname", "") in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}:
        return StorageDamaged(f"{path}: {error}. {REMEDY}")
    return StorageFailed(f"{path}: {error}; look at the disk and at the rights of its directory")
