"""Every page is one range of one index: tokens by their use and by the beginning of their names, events by their topic."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sdk.testnet.services.store.meanings import search_key

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from "0001" to "0002"."""
    searched = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("tokens", sa.Column("name_key", searched, nullable=True))
    op.add_column("tokens", sa.Column("symbol_key", searched, nullable=True))
    tokens = sa.table(
        "tokens", *(sa.column(name) for name in ("account_id", "name", "symbol", "name_key", "symbol_key"))
    )
    connection = op.get_bind()
    named = connection.execute(
        sa.select(tokens.c.account_id, tokens.c.name, tokens.c.symbol).where(
            tokens.c.name.is_not(None) | tokens.c.symbol.is_not(None)
        )
    ).all()
    for account_id, name, symbol in named:
        connection.execute(
            sa.update(tokens)
            .where(tokens.c.account_id == account_id)
            .values(name_key=search_key(name), symbol_key=search_key(symbol))
        )
    op.create_index("tokens_by_popularity", "tokens", ["transfer_count", "account_id"], unique=False)
    op.create_index("tokens_by_name", "tokens", ["name_key", "account_id"], unique=False)
    op.create_index("tokens_by_symbol", "tokens", ["symbol_key", "account_id"], unique=False)
    op.create_index("logs_by_topic", "logs", ["account_id", "topic0", "number", "log_idx"], unique=False)
