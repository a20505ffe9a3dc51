"""Runs migrations on the connection that `Store` hands in, inside its transaction."""

from __future__ import annotations

from alembic import context

from sdk.testnet.services.store.store import VERSION_TABLE
from sdk.testnet.services.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
