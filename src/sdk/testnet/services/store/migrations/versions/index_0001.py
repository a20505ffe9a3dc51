"""The first schema of the index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables in an empty database."""
    op.create_table(
        "account_internal_calls",
        sa.Column(
            "account_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("tx_idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("direction", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number", "tx_idx", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "account_transactions",
        sa.Column(
            "account_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("direction", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "number", "idx"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "account_transfers",
        sa.Column(
            "account_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("log_idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sub_idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("direction", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "kind", "number", "log_idx", "sub_idx"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "accounts",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("address", sa.LargeBinary(length=20), nullable=False),
        sa.Column("is_contract", sa.Boolean(), nullable=False),
        sa.Column("creator_id", sa.BigInteger(), nullable=True),
        sa.Column("creation_number", sa.BigInteger(), nullable=True),
        sa.Column("creation_idx", sa.Integer(), nullable=True),
        sa.Column("first_block", sa.BigInteger(), nullable=False),
        sa.Column("last_block", sa.BigInteger(), nullable=False),
        sa.Column("transaction_count", sa.BigInteger(), nullable=False),
        sa.Column("transfer_count", sa.BigInteger(), nullable=False),
        sa.Column("internal_count", sa.BigInteger(), nullable=False),
        sa.Column("log_count", sa.BigInteger(), nullable=False),
        sa.Column("proposed_count", sa.BigInteger(), nullable=False),
        sa.Column("token_count", sa.BigInteger(), nullable=False),
        sa.Column("active_hour", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("accounts_by_address", "accounts", ["address"], unique=True)
    op.create_index(
        "accounts_by_name",
        "accounts",
        ["name"],
        unique=False,
        sqlite_where=sa.text("name IS NOT NULL"),
        postgresql_where=sa.text("name IS NOT NULL"),
    )
    op.create_table(
        "block_seals",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "validator_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("signature", sa.LargeBinary(length=65), nullable=False),
        sa.Column("is_valid", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", "validator_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "blocks",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("parent_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consensus_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("proposer_id", sa.BigInteger(), nullable=True),
        sa.Column("fee_recipient_id", sa.BigInteger(), nullable=False),
        sa.Column("proposal_round", sa.Integer(), nullable=True),
        sa.Column("round", sa.Integer(), nullable=True),
        sa.Column("validators_count", sa.Integer(), nullable=False),
        sa.Column("seals_count", sa.Integer(), nullable=False),
        sa.Column("seals_invalid", sa.Integer(), nullable=False),
        sa.Column("is_canonical", sa.Boolean(), nullable=False),
        sa.Column("gas_used", sa.BigInteger(), nullable=False),
        sa.Column("gas_limit", sa.BigInteger(), nullable=False),
        sa.Column("base_fee", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fees", sa.LargeBinary(length=32), nullable=False),
        sa.Column("transaction_count", sa.Integer(), nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("log_count", sa.Integer(), nullable=False),
        sa.Column("transfer_count", sa.Integer(), nullable=False),
        sa.Column("internal_count", sa.Integer(), nullable=False),
        sa.Column("withdrawal_count", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("traces", sa.SmallInteger(), nullable=False),
        sa.Column("logs_missing", sa.Integer(), nullable=False),
        sa.Column("extra_data", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state_root", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("blocks_by_consensus_hash", "blocks", ["consensus_hash"], unique=False)
    op.create_index("blocks_by_hash", "blocks", ["hash"], unique=True)
    op.create_index("blocks_by_proposer", "blocks", ["proposer_id", "number"], unique=False)
    op.create_index("blocks_by_round", "blocks", ["round", "number"], unique=False)
    op.create_index("blocks_by_timestamp", "blocks", ["timestamp"], unique=False)
    op.create_table(
        "contracts",
        sa.Column(
            "account_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("code_size", sa.Integer(), nullable=True),
        sa.Column("created_at_number", sa.BigInteger(), nullable=False),
        sa.Column("match", sa.String(length=16), nullable=True),
        sa.Column("verified_at", sa.BigInteger(), nullable=True),
        sa.Column("verified_name", sa.Text(), nullable=True),
        sa.Column("compiler_version", sa.String(length=128), nullable=True),
        sa.Column("language", sa.String(length=32), nullable=True),
        sa.Column("abi", sa.Text(), nullable=True),
        sa.Column("standard_json", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("constructor_arguments", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index("contracts_by_age", "contracts", ["created_at_number", "account_id"], unique=False)
    op.create_index("contracts_by_code", "contracts", ["code_hash", "account_id"], unique=False)
    op.create_index("contracts_by_verification", "contracts", ["verified_at", "account_id"], unique=False)
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "index_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("genesis_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consensus_genesis_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("indexed_at", sa.BigInteger(), nullable=False),
        sa.Column("next_account_id", sa.BigInteger(), nullable=False),
        sa.Column("proposer_order", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "internal_calls",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("tx_idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trace_path", sa.String(length=4096), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.LargeBinary(length=32), nullable=False),
        sa.Column("error", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("number", "tx_idx", "position"),
    )
    op.create_table(
        "logs",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("log_idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tx_idx", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("topic0", sa.LargeBinary(length=32), nullable=True),
        sa.Column("topic1", sa.LargeBinary(length=32), nullable=True),
        sa.Column("topic2", sa.LargeBinary(length=32), nullable=True),
        sa.Column("topic3", sa.LargeBinary(length=32), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", "log_idx"),
    )
    op.create_index("logs_by_account", "logs", ["account_id", "number", "log_idx"], unique=False)
    op.create_table(
        "round_skips",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("validator_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", "round"),
    )
    op.create_index("round_skips_by_validator", "round_skips", ["validator_id", "number"], unique=False)
    op.create_table(
        "signatures",
        sa.Column("selector", sa.LargeBinary(length=32), autoincrement=False, nullable=False),
        sa.Column("text", sa.String(length=512), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("selector", "text"),
    )
    op.create_table(
        "stats_daily",
        sa.Column(
            "start", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("block_count", sa.BigInteger(), nullable=False),
        sa.Column("transaction_count", sa.BigInteger(), nullable=False),
        sa.Column("failed_count", sa.BigInteger(), nullable=False),
        sa.Column("transfer_count", sa.BigInteger(), nullable=False),
        sa.Column("contract_count", sa.BigInteger(), nullable=False),
        sa.Column("new_account_count", sa.BigInteger(), nullable=False),
        sa.Column("active_account_count", sa.BigInteger(), nullable=False),
        sa.Column("gas_used", sa.BigInteger(), nullable=False),
        sa.Column("gas_limit", sa.BigInteger(), nullable=False),
        sa.Column("fees", sa.LargeBinary(length=32), nullable=False),
        sa.Column("base_fee_sum", sa.LargeBinary(length=32), nullable=False),
        sa.Column("block_seconds", sa.BigInteger(), nullable=False),
        sa.Column("late_blocks", sa.BigInteger(), nullable=False),
        sa.Column("round_sum", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("start"),
    )
    op.create_table(
        "stats_hourly",
        sa.Column(
            "start", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("block_count", sa.BigInteger(), nullable=False),
        sa.Column("transaction_count", sa.BigInteger(), nullable=False),
        sa.Column("failed_count", sa.BigInteger(), nullable=False),
        sa.Column("transfer_count", sa.BigInteger(), nullable=False),
        sa.Column("contract_count", sa.BigInteger(), nullable=False),
        sa.Column("new_account_count", sa.BigInteger(), nullable=False),
        sa.Column("active_account_count", sa.BigInteger(), nullable=False),
        sa.Column("gas_used", sa.BigInteger(), nullable=False),
        sa.Column("gas_limit", sa.BigInteger(), nullable=False),
        sa.Column("fees", sa.LargeBinary(length=32), nullable=False),
        sa.Column("base_fee_sum", sa.LargeBinary(length=32), nullable=False),
        sa.Column("block_seconds", sa.BigInteger(), nullable=False),
        sa.Column("late_blocks", sa.BigInteger(), nullable=False),
        sa.Column("round_sum", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("start"),
    )
    op.create_table(
        "token_balances",
        sa.Column(
            "account_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "token_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("ref", sa.LargeBinary(length=32), autoincrement=False, nullable=False),
        sa.Column("raw", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "token_id", "ref"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "token_balances_by_instance", "token_balances", ["token_id", "ref", "account_id"], unique=False
    )
    op.create_index(
        "token_balances_by_token", "token_balances", ["token_id", "raw", "account_id", "ref"], unique=False
    )
    op.create_table(
        "tokens",
        sa.Column(
            "account_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("decimals", sa.SmallInteger(), nullable=True),
        sa.Column("first_block", sa.BigInteger(), nullable=False),
        sa.Column("transfer_count", sa.BigInteger(), nullable=False),
        sa.Column("holder_count", sa.BigInteger(), nullable=False),
        sa.Column("supply", sa.LargeBinary(length=32), nullable=False),
        sa.Column("is_consistent", sa.Boolean(), nullable=False),
        sa.Column("probes_left", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index(
        "tokens_to_probe",
        "tokens",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("probes_left > 0"),
        postgresql_where=sa.text("probes_left > 0"),
    )
    op.create_index("tokens_by_transfers", "tokens", ["kind", "transfer_count", "account_id"], unique=False)
    op.create_table(
        "transaction_inputs",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("input", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", "idx"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "transactions",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=True),
        sa.Column("created_id", sa.BigInteger(), nullable=True),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.LargeBinary(length=32), nullable=False),
        sa.Column("method_id", sa.LargeBinary(length=4), nullable=True),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("gas_limit", sa.BigInteger(), nullable=False),
        sa.Column("gas_used", sa.BigInteger(), nullable=False),
        sa.Column("cumulative_gas_used", sa.BigInteger(), nullable=False),
        sa.Column("gas_price", sa.LargeBinary(length=32), nullable=False),
        sa.Column("log_count", sa.Integer(), nullable=False),
        sa.Column("transfer_count", sa.Integer(), nullable=False),
        sa.Column("internal_count", sa.Integer(), nullable=False),
        sa.Column("revert", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("number", "idx"),
        sqlite_with_rowid=False,
    )
    op.create_index("transactions_by_hash", "transactions", ["hash"], unique=True)
    op.create_index("transactions_by_sender", "transactions", ["from_id", "nonce"], unique=False)
    op.create_table(
        "transfers",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("log_idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sub_idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tx_idx", sa.Integer(), nullable=False),
        sa.Column("token_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("to_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.LargeBinary(length=32), nullable=False),
        sa.Column("token_ref", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("number", "log_idx", "sub_idx"),
    )
    op.create_index(
        "transfers_by_instance",
        "transfers",
        ["token_id", "token_ref", "number", "log_idx", "sub_idx"],
        unique=False,
    )
    op.create_index(
        "transfers_by_token", "transfers", ["token_id", "number", "log_idx", "sub_idx"], unique=False
    )
    op.create_table(
        "validator_set_changes",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "validator_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("added", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", "validator_id"),
    )
    op.create_index(
        "validator_set_changes_by_validator",
        "validator_set_changes",
        ["validator_id", "number"],
        unique=False,
    )
    op.create_table(
        "validators",
        sa.Column(
            "account_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("is_member", sa.Boolean(), nullable=False),
        sa.Column("since_number", sa.BigInteger(), nullable=False),
        sa.Column("last_active", sa.BigInteger(), nullable=False),
        sa.Column("proposed_count", sa.BigInteger(), nullable=False),
        sa.Column("sealed_count", sa.BigInteger(), nullable=False),
        sa.Column("member_blocks", sa.BigInteger(), nullable=False),
        sa.Column("missed_turns", sa.BigInteger(), nullable=False),
        sa.Column("vote_count", sa.BigInteger(), nullable=False),
        sa.Column("last_proposed", sa.BigInteger(), nullable=True),
        sa.Column("last_sealed", sa.BigInteger(), nullable=True),
        sa.Column("last_missed", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "votes",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("voter_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("add", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("votes_by_subject", "votes", ["subject_id", "number"], unique=False)
    op.create_index("votes_by_voter", "votes", ["voter_id", "number"], unique=False)
    op.create_table(
        "withdrawals",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("validator_index", sa.BigInteger(), nullable=False),
        sa.Column("amount_gwei", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", "idx"),
    )
    op.create_index("withdrawals_by_account", "withdrawals", ["account_id", "number"], unique=False)
