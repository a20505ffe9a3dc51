"""The tables of the faucet. Amounts in gwei, times in milliseconds since 1970, hashes and addresses as bytes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION: Final = 2

_metadata = MetaData()
_ID: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is INTEGER."""

facts = Table(
    "faucet_facts",
    _metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""One row each: the schema's version, the chain that this faucet pays on, its next nonce, the keys that hide IP addresses, counters."""

payouts = Table(
    "faucet_payouts",
    _metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("address", LargeBinary(20), nullable=False),
    Column("amount_gwei", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("requested_ms", BigInteger, nullable=False),
    Column("settled_ms", BigInteger),
    Column("nonce", BigInteger),
    Column("signed_at_number", BigInteger),
    Column("sent_at_number", BigInteger),
    Column("transaction_hash", LargeBinary(32)),
    Column("lost", Integer, nullable=False, default=0),
    Column("error", Text),
    Column("kind", String(8), nullable=False),
    Column("batch_id", _ID),
    Column("claim_id", LargeBinary(16), unique=True),
    Column("idempotency", LargeBinary(32)),
    Index("faucet_payouts_by_batch", "batch_id"),
    Index("faucet_payouts_by_idempotency", "idempotency"),
    Index("faucet_payouts_by_address", "address", "requested_ms"),
    Index("faucet_payouts_by_state", "state"),
)
"""What was promised to whom, and how far it is. `nonce` and the hash are those of the newest signature.

Payouts of one transaction have the id of the first of them in `batch_id`, and only that one has signatures. `claim_id` names a claim over the
web, once: it is the id of the challenge that it redeemed. `kind` tells payouts from the deployment of the contract that pays many.
"""

transactions = Table(
    "faucet_transactions",
    _metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("payout_id", _ID, ForeignKey("faucet_payouts.id"), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("max_fee_wei", Text, nullable=False),
    Column("tip_wei", Text, nullable=False),
    Index("faucet_transactions_by_payout", "payout_id"),
)
"""Every signature that was ever made: each may still be on its way, so each is asked for. Fees in wei as text: they may pass 64 bits."""

requests = Table(
    "faucet_requests",
    _metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("payout_id", _ID, ForeignKey("faucet_payouts.id"), nullable=False),
    Column("address", LargeBinary(20)),
    Column("narrow", LargeBinary(16)),
    Column("wide", LargeBinary(16)),
    Column("pass_id", String(8)),
    Column("requested_ms", BigInteger, nullable=False),
    Column("counts", Boolean, nullable=False),
    Index("faucet_requests_by_address", "address", "requested_ms"),
    Index("faucet_requests_by_narrow", "narrow", "requested_ms"),
    Index("faucet_requests_by_wide", "wide", "requested_ms"),
    Index("faucet_requests_by_pass", "pass_id", "requested_ms"),
    Index("faucet_requests_by_payout", "payout_id"),
    Index("faucet_requests_by_time", "requested_ms"),
)
"""What the limits count, a row for each network that a payout is charged to, the address in the first only; rows that are too old to count are deleted. A row with neither an address nor a network counts in the day alone. Networks stand as keyed hashes: no IP address is kept."""

blocked = Table(
    "faucet_blocked",
    _metadata,
    Column("kind", String(8), nullable=False),
    Column("value", String(64), nullable=False),
    UniqueConstraint("kind", "value"),
)
"""Addresses (`address`, 40 digits) and IP networks (`ip`) that an operator has shut out."""

allowed = Table(
    "faucet_allowed",
    _metadata,
    Column("kind", String(8), nullable=False),
    Column("value", String(64), nullable=False),
    UniqueConstraint("kind", "value"),
)
"""Addresses and IP networks, as above, that an operator has freed of limits. A ledger that has no such table yet gets it when it is opened."""

passes = Table(
    "faucet_passes",
    _metadata,
    Column("id", String(8), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("label", String(64), nullable=False),
    Column("uses_max", Integer),
    Column("daily_max", Integer),
    Column("used", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked", Boolean, nullable=False),
)
"""Vouchers (`uses_max`) and keys (`daily_max`): who has one computes nothing. Only a hash of the secret is kept."""

audit = Table(
    "faucet_audit",
    _metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("time_ms", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("detail", Text, nullable=False),
)
"""What operators did, in the transaction that did it."""


def metadata() -> MetaData:
    """All tables."""
    return _metadata
