"""The tables of the index. What a name says: `..._id` is an account's number in `accounts`, `number` a block's, `idx` a place in it.

Hashes, addresses and 256-bit numbers are bytes; the latter 32 of them, big-endian, so that they sort as numbers in every database. Amounts
are in wei or a token's smallest unit, times in whole seconds since 1970.

A feed (`account_...`) has one row for each account that a thing concerns, so that a page of an account's history is one range of one
index however long the history is. Counters are kept beside what they count; no page ever counts rows.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

metadata: Final = MetaData()


def _clustered(name: str, *columns: Any) -> Table:
    """A table that SQLite keeps in the order of its primary key."""
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


def _required(name: str, kind: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, nullable=False, **options)


_ROW: Final = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite keeps a table in the order of its key by itself only where the type is INTEGER."""


def _key(name: str, kind: Any = _ROW) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


_U256: Final = LargeBinary(32)
_HASH: Final = LargeBinary(32)
_SEARCHED: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Ordered by bytes in every database, so that a beginning is a range."""

index_state = Table(
    "index_state",
    metadata,
    _key("id", Integer),
    _required("chain_id", BigInteger),
    _required("genesis_hash", _HASH),
    _required("consensus_genesis_hash", LargeBinary(32)),
    _required("number", BigInteger),
    _required("hash", _HASH),
    _required("indexed_at", BigInteger),
    _required("next_account_id", BigInteger),
    _required("proposer_order", LargeBinary),
)
"""One row: the chain that this is an index of, its newest indexed block and when that was indexed. It changes with every block, in the same
transaction. `consensus_genesis_hash` is empty where the node does not tell it, `proposer_order` (the addresses of those who could propose that
block, in turn) where it can't be derived."""

counters = Table(
    "counters", metadata, Column("name", String(64), primary_key=True), _required("value", BigInteger)
)
"""Totals of the whole chain, by `Counter`."""

accounts = Table(
    "accounts",
    metadata,
    _key("id"),
    _required("address", LargeBinary(20)),
    _required("is_contract", Boolean),
    Column("creator_id", BigInteger),
    Column("creation_number", BigInteger),
    Column("creation_idx", Integer),
    _required("first_block", BigInteger),
    _required("last_block", BigInteger),
    _required("transaction_count", BigInteger),
    _required("transfer_count", BigInteger),
    _required("internal_count", BigInteger),
    _required("log_count", BigInteger),
    _required("proposed_count", BigInteger),
    _required("token_count", BigInteger),
    _required("active_hour", Integer),
    Column("name", String(64)),
    Index("accounts_by_address", "address", unique=True),
)
"""Every address that a finalized block has named. `active_hour` is the last hour since 1970 in which it sent a transaction, -1 for never;
`name` comes from the operator's configuration."""
Index(
    "accounts_by_name",
    accounts.c.name,
    sqlite_where=accounts.c.name.is_not(None),
    postgresql_where=accounts.c.name.is_not(None),
)

blocks = Table(
    "blocks",
    metadata,
    _key("number"),
    _required("hash", _HASH),
    _required("parent_hash", _HASH),
    Column("consensus_hash", _HASH),
    _required("timestamp", BigInteger),
    Column("proposer_id", BigInteger),
    _required("fee_recipient_id", BigInteger),
    Column("proposal_round", Integer),
    Column("round", Integer),
    _required("validators_count", Integer),
    _required("seals_count", Integer),
    _required("seals_invalid", Integer),
    _required("is_canonical", Boolean),
    _required("gas_used", BigInteger),
    _required("gas_limit", BigInteger),
    _required("base_fee", _U256),
    _required("fees", _U256),
    _required("transaction_count", Integer),
    _required("failed_count", Integer),
    _required("log_count", Integer),
    _required("transfer_count", Integer),
    _required("internal_count", Integer),
    _required("withdrawal_count", Integer),
    _required("size", Integer),
    _required("traces", SmallInteger),
    _required("logs_missing", Integer),
    _required("extra_data", LargeBinary(32)),
    _required("state_root", _HASH),
    Index("blocks_by_hash", "hash", unique=True),
    Index("blocks_by_consensus_hash", "consensus_hash"),
    Index("blocks_by_timestamp", "timestamp"),
    Index("blocks_by_proposer", "proposer_id", "number"),
    Index("blocks_by_round", "round", "number"),
)
"""`proposal_round` is the one in which the block was made, `round` the one in which it was decided. While `is_canonical` is false, seals
and `round` are what one node recorded; the next block fixes them. `fees` is what senders paid. `traces` is a `Traces`;
`logs_missing` counts transactions with more logs than the node can tell."""

block_seals = _clustered(
    "block_seals",
    _key("number"),
    _key("validator_id"),
    _required("signature", LargeBinary(65)),
    _required("is_valid", Boolean),
)
"""Commit seals, each verified here: the signer recovered from it is that validator."""

round_skips = Table(
    "round_skips", metadata, _key("number"), _key("round", Integer), _required("validator_id", BigInteger),
    Index("round_skips_by_validator", "validator_id", "number"),
)  # fmt: skip
"""Whose turn it was in each round before the one that decided."""

validators = Table(
    "validators",
    metadata,
    _key("account_id"),
    _required("is_member", Boolean),
    _required("since_number", BigInteger),
    _required("last_active", BigInteger),
    _required("proposed_count", BigInteger),
    _required("sealed_count", BigInteger),
    _required("member_blocks", BigInteger),
    _required("missed_turns", BigInteger),
    _required("vote_count", BigInteger),
    Column("last_proposed", BigInteger),
    Column("last_sealed", BigInteger),
    Column("last_missed", BigInteger),
)
"""Everybody who ever was in the set. `last_active` is the chain's own measure (docs/spec/chain.md, Proposers); `member_blocks` are the
blocks with canonical seals that it was a member for, what `sealed_count` is a share of."""

validator_set_changes = Table(
    "validator_set_changes", metadata, _key("number"), _key("validator_id"), _required("added", Boolean),
    Index("validator_set_changes_by_validator", "validator_id", "number"),
)  # fmt: skip
"""`number` is the first block that the changed set decides; block 1 has the first set."""

votes = Table(
    "votes", metadata, _key("number"), _required("voter_id", BigInteger), _required("subject_id", BigInteger),
    _required("add", Boolean),
    Index("votes_by_voter", "voter_id", "number"),
    Index("votes_by_subject", "subject_id", "number"),
)  # fmt: skip
"""The votes that proposers cast in their blocks."""

transactions = Table(
    "transactions",
    metadata,
    _key("number"),
    _key("idx", Integer),
    _required("hash", _HASH),
    _required("from_id", BigInteger),
    Column("to_id", BigInteger),
    Column("created_id", BigInteger),
    _required("nonce", BigInteger),
    _required("value", _U256),
    Column("method_id", LargeBinary(4)),
    _required("type", SmallInteger),
    _required("status", SmallInteger),
    _required("gas_limit", BigInteger),
    _required("gas_used", BigInteger),
    _required("cumulative_gas_used", BigInteger),
    _required("gas_price", _U256),
    _required("log_count", Integer),
    _required("transfer_count", Integer),
    _required("internal_count", Integer),
    Column("revert", LargeBinary),
    Index("transactions_by_hash", "hash", unique=True),
    Index("transactions_by_sender", "from_id", "nonce"),
    sqlite_with_rowid=False,
)
"""`gas_price` is the effective one; `status` is 1 or 0; `method_id` the first four bytes of a call's input; `revert` what a failed
transaction returned, cut at `REVERT_BYTES_MAX`, and null where traces are not to be had."""

transaction_inputs = _clustered(
    "transaction_inputs", _key("number"), _key("idx", Integer), _required("input", LargeBinary)
)
"""Bulky, so apart: inputs that are not empty."""

account_transactions = _clustered(
    "account_transactions",
    _key("account_id"),
    _key("number"),
    _key("idx", Integer),
    _required("direction", SmallInteger),
)
"""Feed. `direction` is a `Direction`."""

logs = Table(
    "logs",
    metadata,
    _key("number"),
    _key("log_idx", Integer),
    _required("tx_idx", Integer),
    _required("account_id", BigInteger),
    Column("topic0", _HASH),
    Column("topic1", _HASH),
    Column("topic2", _HASH),
    Column("topic3", _HASH),
    _required("data", LargeBinary),
    Index("logs_by_account", "account_id", "number", "log_idx"),
    Index("logs_by_topic", "account_id", "topic0", "number", "log_idx"),
)
transfers = Table(
    "transfers",
    metadata,
    _key("number"),
    _key("log_idx", Integer),
    _key("sub_idx", Integer),
    _required("tx_idx", Integer),
    _required("token_id", BigInteger),
    _required("kind", SmallInteger),
    _required("from_id", BigInteger),
    _required("to_id", BigInteger),
    _required("amount", _U256),
    Column("token_ref", _U256),
    Index("transfers_by_token", "token_id", "number", "log_idx", "sub_idx"),
    Index("transfers_by_instance", "token_id", "token_ref", "number", "log_idx", "sub_idx"),
)
"""What ERC-20, ERC-721 and ERC-1155 events say. `kind` is a `TokenKind`; `token_ref` the number of a token of the latter two; the zero
address is an account like any other."""

account_transfers = _clustered(
    "account_transfers",
    _key("account_id"),
    _key("kind", SmallInteger),
    _key("number"),
    _key("log_idx", Integer),
    _key("sub_idx", Integer),
    _required("direction", SmallInteger),
)
"""Feed, one for each kind of token: who asks for all merges three ranges."""

internal_calls = Table(
    "internal_calls",
    metadata,
    _key("number"),
    _key("tx_idx", Integer),
    _key("position", Integer),
    _required("trace_path", String(4096)),
    _required("kind", SmallInteger),
    _required("from_id", BigInteger),
    Column("to_id", BigInteger),
    _required("value", _U256),
    Column("error", String(128)),
)
"""Value that moved, contracts that were created and that destroyed themselves inside transactions; `kind` is a `CallKind`, `trace_path` the place in
the call tree, "0.1" for the second call of the first."""

account_internal_calls = _clustered(
    "account_internal_calls",
    _key("account_id"),
    _key("number"),
    _key("tx_idx", Integer),
    _key("position", Integer),
    _required("direction", SmallInteger),
)
"""Feed."""

withdrawals = Table(
    "withdrawals",
    metadata,
    _key("number"),
    _key("idx", Integer),
    _required("account_id", BigInteger),
    _required("validator_index", BigInteger),
    _required("amount_gwei", BigInteger),
    Index("withdrawals_by_account", "account_id", "number"),
)
"""Block rewards, as EIP-4895 pays them."""

tokens = Table(
    "tokens",
    metadata,
    _key("account_id"),
    _required("kind", SmallInteger),
    Column("name", Text),
    Column("symbol", Text),
    Column("decimals", SmallInteger),
    _required("first_block", BigInteger),
    _required("transfer_count", BigInteger),
    _required("holder_count", BigInteger),
    _required("supply", _U256),
    _required("is_consistent", Boolean),
    _required("probes_left", SmallInteger),
    Column("name_key", _SEARCHED),
    Column("symbol_key", _SEARCHED),
    Index("tokens_by_transfers", "kind", "transfer_count", "account_id"),
    Index("tokens_by_popularity", "transfer_count", "account_id"),
    Index("tokens_by_name", "name_key", "account_id"),
    Index("tokens_by_symbol", "symbol_key", "account_id"),
)
"""Contracts that sent token events. Names are what the contract says, cleaned and cut; `supply` is minted less burnt by the events. A token
is inconsistent when its events move what nobody had: its balances are then not to be trusted. `probes_left` is how often its contract will still
be asked for its names; `..._key` are what they are found by, made by `search_key`."""
Index(
    "tokens_to_probe",
    tokens.c.account_id,
    sqlite_where=tokens.c.probes_left > 0,
    postgresql_where=tokens.c.probes_left > 0,
)

token_balances = _clustered(
    "token_balances",
    _key("account_id"),
    _key("token_id"),
    _key("ref", LargeBinary(32)),
    _required("raw", _U256),
)
"""Balances above zero by the events; `ref` is empty for ERC-20."""
Index(
    "token_balances_by_token",
    token_balances.c.token_id,
    token_balances.c.raw,
    token_balances.c.account_id,
    token_balances.c.ref,
)
Index(
    "token_balances_by_instance", token_balances.c.token_id, token_balances.c.ref, token_balances.c.account_id
)

contracts = Table(
    "contracts",
    metadata,
    _key("account_id"),
    Column("code_hash", _HASH),
    Column("code_size", Integer),
    _required("created_at_number", BigInteger),
    Column("match", String(16)),
    Column("verified_at", BigInteger),
    Column("verified_name", Text),
    Column("compiler_version", String(128)),
    Column("language", String(32)),
    Column("abi", Text),
    Column("standard_json", Text),
    Column("metadata", Text),
    Column("constructor_arguments", LargeBinary),
    Column("runtime_match", String(16)),
    Column("creation_match", String(16)),
    Column("source_path", Text),
    Column("details", Text),
    Index("contracts_by_code", "code_hash", "account_id"),
    Index("contracts_by_age", "created_at_number", "account_id"),
    Index("contracts_by_verification", "verified_at", "account_id"),
)
"""Contracts that transactions created, and what is known of their sources: `match` is null, "match" or "exact_match", the better of
`runtime_match` and `creation_match`. `source_path` is the file that has the contract, `details` JSON: what differed between the chain's code
and the compiler's and was allowed to, such as immutables."""

verifications = Table(
    "verifications",
    metadata,
    Column("id", String(36), primary_key=True),
    _required("address", LargeBinary(20)),
    _required("requester", String(64)),
    _required("state", String(16)),
    _required("submitted_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("lease_until", BigInteger),
    _required("attempts", SmallInteger),
    _required("language", String(32)),
    _required("compiler_version", String(128)),
    _required("contract_name", Text),
    Column("standard_json", Text),
    Column("creation_transaction", _HASH),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("result", Text),
    Index("verifications_by_state", "state", "submitted_at"),
    Index("verifications_by_address", "address", "submitted_at"),
)
"""Sources that were sent in: a queue, and what came of it. `state` is a `VerificationState`; a running one belongs to a process until
`lease_until` (seconds since 1970), which renews it, so that another takes over what a killed one left. `standard_json` is forgotten when it is
finished; `result` is JSON."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(8), primary_key=True),
    _required("sha256", LargeBinary(32)),
    _required("name", String(64)),
    _required("scopes", String(64)),
    _required("created_at", BigInteger),
    _required("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    _required("narrow", String(64)),
    _required("wide", String(64)),
    Index("api_keys_by_age", "created_at"),
)
"""Keys of the community API that visitors made: the hash of each, never the key. `scopes` has spaces between them; `last_used_at` is to the day, null
of one that was never used; `narrow` and `wide` are the networks it was made from, empty a day later."""

looks = Table("looks", metadata, _key("at_ms"), _required("content", LargeBinary))
"""What the dashboard's monitor saw in the last day, some looks a row, by the Unix time of the newest in milliseconds; `look_archive` reads it."""

signatures = Table(
    "signatures", metadata, _key("selector", LargeBinary(32)), _key("text", String(512)), _required("kind", SmallInteger),
    _required("source", String(32)),
)  # fmt: skip
"""What a selector (4 bytes) or an event's topic (32) may mean."""


def _statistics(name: str) -> Table:
    return Table(
        name,
        metadata,
        _key("start"),
        _required("block_count", BigInteger),
        _required("transaction_count", BigInteger),
        _required("failed_count", BigInteger),
        _required("transfer_count", BigInteger),
        _required("contract_count", BigInteger),
        _required("new_account_count", BigInteger),
        _required("active_account_count", BigInteger),
        _required("gas_used", BigInteger),
        _required("gas_limit", BigInteger),
        _required("fees", _U256),
        _required("base_fee_sum", _U256),
        _required("block_seconds", BigInteger),
        _required("late_blocks", BigInteger),
        _required("round_sum", BigInteger),
    )


stats_hourly = _statistics("stats_hourly")
stats_daily = _statistics("stats_daily")
"""Sums over the blocks of an hour or a day (UTC) that begins at `start`. `active_account_count` counts each sender once; `late_blocks` were
decided after round 0."""
