"""The index opened: its tables are made, or brought up to date, first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, inspect, text

from sdk.testnet.database import Database
from sdk.testnet.services.store.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ADVISORY_LOCK: Final = 0x0069_6E64_6578
"""Ours among the locks of a PostgreSQL database: "index"."""
READERS: Final = 8
"""Reading connections. A page takes one for a few milliseconds; more would wait for the same processors."""
VERSION_TABLE: Final = "index_schema"
SCHEMA: Final = "0005"
"""The newest of `migrations`: what `tables` says."""


class Store(Database):
    """The index's database. Indexers change it, everybody else looks.

    The chain says all of it again, but for the sources of contracts and the queue of their verification, which `services.verification` writes, the
    hashes of keys that visitors of the community API have made, and a day of the dashboard's looks.

    Opening it makes or upgrades its tables. Everything here blocks: on the event loop it is called by a thread.

    Raises:
        InvalidInput: for a URL of another kind, and for a schema of a newer version than this.
        StorageFailed: when the database does not answer.
    """

    def __init__(self, url: str) -> None:
        # An index that loses its last second in a power cut takes it from the chain again.
        super().__init__(
            url, owner="the index's database", lock=_ADVISORY_LOCK, synchronous="NORMAL", readers=READERS
        )
        try:
            with self.change(is_limited=False) as connection:
                _prepare(connection)
        except BaseException:
            self.close()
            raise


def _prepare(connection: Connection) -> None:
    """Make the tables of a new index as they are now, or bring those of an older one up to date."""
    if not inspect(connection).has_table(VERSION_TABLE):
        # What all migrations would make, by a test; tables that are there and of no version are refused by the database.
        metadata.create_all(connection, checkfirst=False)
        version = Column("version_num", String(32), nullable=False)
        key = PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc")
        table = Table(VERSION_TABLE, MetaData(), version, key)
        table.create(connection)
        connection.execute(table.insert().values(version_num=SCHEMA))
        return
    # The table's name is ours.
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    if found != SCHEMA:
        from sdk.testnet.services.store.upgrading import upgrade  # noqa: PLC0415 - it says why

        upgrade(connection, found)
