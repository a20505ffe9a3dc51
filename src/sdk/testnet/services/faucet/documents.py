"""What the API says: JSON of claims, challenges and the faucet itself. Amounts are wei as decimal strings, times RFC 3339 beside seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.addresses import format_address
from sdk.testnet.faucet.paying import GWEI
from sdk.testnet.faucet.payout import PayoutState
from sdk.testnet.faucet.proof_of_work import (
    ALGORITHM,
    HASH_BYTES,
    PUZZLES,
    SCRYPT_N,
    SCRYPT_P,
    SCRYPT_R,
    expected_hashes,
)
from sdk.testnet.services.web.formatting import iso

if TYPE_CHECKING:
    from sdk.testnet.faucet.configuration import FaucetConfig
    from sdk.testnet.faucet.desk import DeskView, IssuedChallenge
    from sdk.testnet.faucet.payout import Payout

STATES: Final = {
    PayoutState.QUEUED: ("pending", "Queued"),
    PayoutState.SIGNED: ("pending", "Signed"),
    PayoutState.BROADCAST: ("pending", "Sent"),
    PayoutState.SETTLED: ("final", "Final"),
    PayoutState.CANCELLED: ("reverted", "Cancelled"),
    PayoutState.FAILED: ("reverted", "Failed"),
}
"""A badge and a word for each state."""
PUBLIC_STATES: Final = {
    PayoutState.QUEUED: "queued",
    PayoutState.SIGNED: "signed",
    PayoutState.BROADCAST: "sent",
    PayoutState.SETTLED: "final",
    PayoutState.CANCELLED: "cancelled",
    PayoutState.FAILED: "failed",
}
OVER: Final = frozenset({PayoutState.SETTLED, PayoutState.CANCELLED, PayoutState.FAILED})


def payout_document(payout: Payout) -> dict[str, Any]:
    """Return a claim, or a payout in a list. Nothing of who asked is in it."""
    return {
        "id": None if payout.claim_id is None else payout.claim_id.hex(),
        "address": format_address(payout.address),
        "asset": "native",
        "amount": str(payout.amount_gwei * GWEI),
        "state": PUBLIC_STATES[payout.state],
        "is_over": payout.state in OVER,
        "transaction_hash": None if payout.transaction_hash is None else "0x" + payout.transaction_hash.hex(),
        "error": payout.error if payout.state in {PayoutState.CANCELLED, PayoutState.FAILED} else None,
        "requested_ms": payout.requested_ms,
        "settled_ms": payout.settled_ms,
        **_times("requested", payout.requested_ms),
        **_times("settled", payout.settled_ms),
    }


def challenge_document(issued: IssuedChallenge) -> dict[str, Any]:
    """Return a challenge with all that solves it."""
    challenge = issued.challenge
    return {
        "id": challenge.id.hex(),
        "challenge": issued.token,
        "address": format_address(challenge.address),
        "asset": "native",
        "amount": str(challenge.amount_gwei * GWEI),
        "params": work_document(challenge.bits),
        **_times("expires", challenge.expires_ms),
    }


def work_document(bits: int) -> dict[str, Any]:
    """Return the puzzle's parameters."""
    return {
        "alg": ALGORITHM,
        "N": SCRYPT_N,
        "r": SCRYPT_R,
        "p": SCRYPT_P,
        "dkLen": HASH_BYTES,
        "k": PUZZLES,
        "bits": bits,
        "expected_hashes": expected_hashes(bits),
    }


def faucet_document(view: DeskView, config: FaucetConfig, bits: int | None) -> dict[str, Any]:
    """Return what is public of the faucet: state, rules, difficulty for who asks."""
    return {
        "address": format_address(view.payer),
        "chain_id": view.chain_id,
        "genesis_hash": "0x" + view.genesis_hash.hex(),
        "is_open": view.paused is None and view.remaining_today > 0,
        "paused": view.paused,
        "balance": None if view.balance_gwei is None else str(view.balance_gwei * GWEI),
        "claims_left": view.claims_left,
        "claims_today": view.paid_today,
        "claims_left_today": view.remaining_today,
        "queue_length": view.queue.waiting,
        "median_time_to_funds_ms": view.median_time_to_funds_ms,
        "proof_of_work": None if bits is None else work_document(bits),
        "rules": {
            "amount": str(view.tokens_per_request * GWEI),
            "window_s": config.cooldown_period,
            "per_address": config.max_requests_per_address,
            "per_address_weekly": config.max_requests_per_address_weekly,
            "per_ip": config.max_requests_per_ip,
            "per_network": config.max_requests_per_network,
            "per_day": view.daily_limit,
            "is_spread_over_the_day": config.spread_over_the_day,
            "max_recipient_balance": None
            if config.max_recipient_balance is None
            else str(config.max_recipient_balance * GWEI),
            "refuses_contracts": config.refuse_contracts,
        },
        **_times("as_of", view.now_ms),
    }


def _times(name: str, time_ms: int | None) -> dict[str, Any]:
    return {
        f"{name}_at": None if time_ms is None else iso(time_ms / 1000),
        f"{name}_timestamp": None if time_ms is None else time_ms // 1000,
    }
