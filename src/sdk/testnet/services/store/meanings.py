"""What the small numbers in the tables stand for."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

REVERT_BYTES_MAX: Final = 1_024
"""Of what a failed transaction returned: a reason of any use is shorter."""


def search_key(name: str | None) -> str | None:
    """Return what a name is found by, whichever case it is typed in; None for no name, and for one that holds nothing."""
    return (name or "").strip().casefold() or None


class TokenKind(IntEnum):
    """Which standard a token's events follow."""

    ERC20 = 20
    ERC721 = 721
    ERC1155 = 1155


class Direction(IntEnum):
    """How a thing concerns the account of a feed."""

    OUT = 1
    IN = 2
    SELF = 3
    """Both at once."""
    CREATED = 4
    """The account is the contract that the transaction created."""


class CallKind(IntEnum):
    """What happened inside a transaction."""

    TRANSFER = 0
    SELF_DESTRUCT = 1
    CREATE = 2
    CREATE2 = 3


class Traces(IntEnum):
    """Whether a block's internal calls are known."""

    NOT_NEEDED = 0
    """No transaction ran code."""
    INDEXED = 1
    UNAVAILABLE = 2
    """The node keeps no state for it any more, or has no tracer: internal calls may be missing."""


class SignatureKind(IntEnum):
    """What a selector belongs to."""

    FUNCTION = 0
    EVENT = 1
    ERROR = 2


class VerificationState(StrEnum):
    """How far the verification of a contract is."""

    QUEUED = "queued"
    RUNNING = "running"
    VERIFIED = "verified"
    FAILED = "failed"


class Counter(StrEnum):
    """Totals of the chain, rows of `counters`."""

    TRANSACTIONS = "transactions"
    FAILED_TRANSACTIONS = "failed_transactions"
    ACCOUNTS = "accounts"
    CONTRACTS = "contracts"
    TOKENS = "tokens"
    TRANSFERS = "transfers"
    INTERNAL_CALLS = "internal_calls"
    LOGS = "logs"
    LATE_BLOCKS = "late_blocks"
    INVALID_SEALS = "invalid_seals"
    UNTRACED_BLOCKS = "untraced_blocks"
    VERIFIED_CONTRACTS = "verified_contracts"
