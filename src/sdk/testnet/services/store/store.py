"""The index opened: its schema is brought up to date first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import inspect, text

from metanode.errors import InvalidInput
from sdk.testnet.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ADVISORY_LOCK: Final = 0x0069_6E64_6578
"""Ours among the locks of a PostgreSQL database: "index"."""
READERS: Final = 8
"""Reading connections. A page takes one for a few milliseconds; more would wait for the same processors."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "index_schema"


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
                _upgrade(connection)
        except BaseException:
            self.close()
            raise


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for migrations on this connection."""
    config = Config()
    # Percent signs would be read as references.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    config = migration_config(connection)
    scripts = ScriptDirectory.from_config(config)
    found = None
    if inspect(connection).has_table(VERSION_TABLE):
        # The table's name is ours.
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    if found == scripts.get_current_head():
        return
    try:
        scripts.get_revision(found or "base")
    except CommandError:
        raise InvalidInput(
            f"database_url: this index has schema {found}, which this version does not know; use the version that "
            "made it, or name an empty database: the index is made from the chain again"
        ) from None
    command.upgrade(config, "head")
