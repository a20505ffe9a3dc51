"""Verification of contracts: a queue of sources, and more of what was found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go from "0002" to "0003"."""
    for name, kind in (
        ("runtime_match", sa.String(16)),
        ("creation_match", sa.String(16)),
        ("source_path", sa.Text()),
        ("details", sa.Text()),
    ):
        op.add_column("contracts", sa.Column(name, kind, nullable=True))
    op.create_table(
        "verifications",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("address", sa.LargeBinary(20), nullable=False),
        sa.Column("requester", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("language", sa.String(32), nullable=False),
        sa.Column("compiler_version", sa.String(128), nullable=False),
        sa.Column("contract_name", sa.Text(), nullable=False),
        sa.Column("standard_json", sa.Text(), nullable=True),
        sa.Column("creation_transaction", sa.LargeBinary(32), nullable=True),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("verifications_by_state", "verifications", ["state", "submitted_at"], unique=False)
    op.create_index("verifications_by_address", "verifications", ["address", "submitted_at"], unique=False)
