"""A payout on its way, and what is said about all of them: the rows of the ledger, as the rest of the faucet has them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from metanode.primitives.types import Address
    from sdk.testnet.faucet.quotas import HiddenOrigin


class PayoutState(StrEnum):
    """How far a payout is."""

    QUEUED = "queued"
    """Promised; nothing is signed."""
    SIGNED = "signed"
    """Its transaction is stored; whether a node has it is not known."""
    BROADCAST = "broadcast"
    """A node took the transaction."""
    SETTLED = "settled"
    """The transaction is in a finalized block."""
    FAILED = "failed"
    """Its nonces were used by others' transactions, or it was reverted, more than once: an operator decides."""
    CANCELLED = "cancelled"
    """Nothing is paid, and it counts in no limit, unless coins were sent for it and refused."""


class PayoutKind(StrEnum):
    """What a row of the queue is for."""

    PAYOUT = "payout"
    CONTRACT = "contract"
    """The deployment of the contract that pays many at once; nobody asked for it, and it pays nobody."""


IN_FLIGHT: Final = (PayoutState.SIGNED, PayoutState.BROADCAST)
PAID: Final = (PayoutState.BROADCAST, PayoutState.SETTLED)
"""What counts as successful: with a node that took the transaction, the rest is the network's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainIdentity:
    """The chain and the account that a ledger belongs to."""

    chain_id: int
    genesis_hash: bytes
    payer: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """A promise, and how far it is."""

    id: int
    address: Address
    amount_gwei: int
    state: PayoutState
    requested_ms: int
    settled_ms: int | None
    nonce: int | None
    signed_at_number: int | None
    """The head's number when it was signed first with this nonce."""
    sent_at_number: int | None
    """The head's number when it was sent last."""
    transaction_hash: bytes | None
    """Of the newest signature."""
    lost: int
    """How often it had to be queued again."""
    error: str | None
    kind: PayoutKind
    batch_id: int | None
    """The first payout of the transaction that pays this one; None when it has one of its own."""
    claim_id: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What makes a request over the web the same request when it comes again."""

    id: bytes
    """16 bytes: of the challenge that is redeemed, or random."""
    idempotency: bytes | None = None
    """Hash of the key that the client gave its request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemed:
    """A challenge, or a request, that was answered before."""

    payout: Payout
    is_same_request: bool
    """Whether the client said that it asks the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransfer:
    """A signature that was made for a payout."""

    hash: bytes
    nonce: int
    raw: bytes
    gas: int
    max_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStanding:
    """A client's network among the others."""

    origin: HiddenOrigin
    grants: int
    """Payouts to its wide network in 24 hours."""
    paid_last_hour: int
    """Payouts to everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStanding:
    """What waits, and how long things took."""

    waiting: int
    """Queued and signed."""
    oldest_ms: int | None
    """When the one that waits the longest was promised."""
    promised_gwei: int
    """Of everything that is not final: the account's balance still has it."""
    times_to_funds_ms: tuple[int, ...]
    """From promise to final block, of the newest payouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressTotals:
    """What one address has asked for and got, over the life of a ledger; without promises that were taken back."""

    requests: int
    received_gwei: int
    last_request_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts over the life of a ledger."""

    requests: int
    successful: int
    rejected: int
    under_way: int
    failed: int
    distributed_gwei: int
    unique_addresses: int
    paid_today: int
