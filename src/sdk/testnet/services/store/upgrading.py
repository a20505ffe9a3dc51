"""Brings the schema of an index that an older version made up to date. Alembic is loaded for that only: it takes 10 MB of a process for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from sqlalchemy import Connection

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, found: str | None) -> None:
    """Run the migrations behind a version, or all; raises InvalidInput for a version that is not known."""
    config = Config()
    # Percent signs would be read as references.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        ScriptDirectory.from_config(config).get_revision(found or "base")
    except CommandError:
        raise InvalidInput(
            f"database_url: this index has schema {found}, which this version does not know; use the version that "
            "made it, or name an empty database: the index is made from the chain again"
        ) from None
    command.upgrade(config, "head")
