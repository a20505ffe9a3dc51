"""What Prometheus reads of a faucet; served beside the operator's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

if TYPE_CHECKING:
    from sdk.testnet.faucet.desk import ClaimDesk, DeskView


class FaucetMetrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.challenges = Counter("faucet_challenges", "Puzzles handed out", registry=self.registry)
        self.claims = Counter("faucet_claims", "Claims accepted over the web", registry=self.registry)
        self.refusals = Counter(
            "faucet_refusals", "Claims and challenges refused", ["code"], registry=self.registry
        )
        self.faults = Counter(
            "faucet_faults", "Errors of ours that stopped payments for a moment", registry=self.registry
        )
        self.bits = Gauge("faucet_difficulty_bits", "Difficulty of the newest puzzle", registry=self.registry)
        self._balance = Gauge("faucet_balance_gwei", "What the account has", registry=self.registry)
        self._claims_left = Gauge(
            "faucet_claims_left", "Payouts that the balance is enough for", registry=self.registry
        )
        self._today = Gauge("faucet_payouts_today", "Payouts of this day of UTC", registry=self.registry)
        self._limit = Gauge("faucet_daily_limit", "Payouts that a day has", registry=self.registry)
        self._waiting = Gauge("faucet_queue_length", "Payouts that are not sent", registry=self.registry)
        self._oldest = Gauge(
            "faucet_queue_oldest_seconds", "Age of the payout that waits the longest", registry=self.registry
        )
        self._distributed = Gauge(
            "faucet_distributed_gwei", "Paid over the life of the ledger", registry=self.registry
        )
        self._median = Gauge(
            "faucet_time_to_funds_seconds",
            "From claim to final block, median of the newest 50",
            registry=self.registry,
        )
        self._is_paused = Gauge(
            "faucet_is_paused", "1 while an operator has paused it", registry=self.registry
        )

    async def collect(self, desk: ClaimDesk) -> bytes:
        """Return the text that Prometheus reads. Raises Unavailable while the chain was never seen."""
        self._set(await desk.view())
        return generate_latest(self.registry)

    def _set(self, view: DeskView) -> None:
        self._balance.set(float("nan") if view.balance_gwei is None else view.balance_gwei)
        self._claims_left.set(float("nan") if view.claims_left is None else view.claims_left)
        self._today.set(view.paid_today)
        self._limit.set(view.daily_limit)
        self._waiting.set(view.queue.waiting)
        oldest_ms = view.queue.oldest_ms
        self._oldest.set(0 if oldest_ms is None else max(0, view.now_ms - oldest_ms) / 1000)
        self._distributed.set(view.distributed_gwei)
        median_ms = view.median_time_to_funds_ms
        self._median.set(float("nan") if median_ms is None else median_ms / 1000)
        self._is_paused.set(view.paused is not None)
