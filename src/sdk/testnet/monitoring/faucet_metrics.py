"""What a faucet counts and what holds of it now, as Prometheus reads it. Labels are bounded: reasons and channels of enumerations; never an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from sdk.testnet.faucet.counts import Incident

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from sdk.testnet.counting import Durations
    from sdk.testnet.faucet.counts import Measures

GWEI_PER_TOKEN: Final = 10**9

CATALOGUE: Final = {
    "metanode_faucet_claims": ("counter", ("result",), "Requests of the faucet's ledger: paid, rejected, failed."),
    "metanode_faucet_promises": ("counter", ("channel",), "Payouts promised by this process: over the web, with a voucher or key (pass), to a program."),
    "metanode_faucet_rejections": ("counter", ("reason",), "Requests refused by this process: a limit, blocked, paused, empty, the recipient, a wrong proof."),
    "metanode_faucet_paid_ether": ("counter", (), "Tokens paid."),
    "metanode_faucet_queue": ("gauge", ("state",), "Payouts that are promised and not over."),
    "metanode_faucet_oldest_queued_age_seconds": ("gauge", (), "Since the promise that waits the longest; 0 when none does."),
    "metanode_faucet_time_to_funds_seconds": ("histogram", (), "From promise to final block."),
    "metanode_faucet_budget_remaining_ratio": ("gauge", (), "Share of today's payouts that are left."),
    "metanode_faucet_daily_budget_ether": ("gauge", (), "Tokens that a day may pay."),
    "metanode_faucet_balance_ether": ("gauge", (), "Tokens of the account that pays."),
    "metanode_faucet_pow_bits": ("gauge", (), "Difficulty of a puzzle for somebody new; 0 where no work is asked."),
    "metanode_faucet_pow_solve_seconds": ("histogram", (), "From handing out a puzzle to its right proof."),
    "metanode_faucet_challenges": ("counter", ("result",), "Puzzles of this process: issued, refused; and their proofs: solved, wrong, expired."),
    "metanode_faucet_pow_verify_seconds": ("histogram", (), "Checking a proof, from its arrival on; right and wrong ones."),
    "metanode_faucet_rebroadcasts": ("counter", (), "Transactions sent again because no block took them."),
    "metanode_faucet_replacements": ("counter", (), "Transactions replaced by one with a higher fee."),
    "metanode_faucet_nonce_conflicts": ("counter", (), "Nonces used by what this faucet did not sign: something else has its key."),
    "metanode_faucet_signer_leader": ("gauge", (), "1 for the process that pays, of those on one ledger."),
}  # fmt: skip
"""Type, labels, meaning; counters without `_total`."""


def faucet_metrics(stats: Mapping[str, Any], measures: Measures) -> Iterator[Metric]:
    """Give the metrics of `Faucet.get_stats` and `Faucet.measures`; its balance is asked of a node, elsewhere."""
    refusals, promises, incidents = measures.counts.read()
    yield _counted(
        "metanode_faucet_claims",
        {
            "paid": stats["successful_requests"],
            "rejected": stats["rejected_requests"],
            "failed": stats["failed_requests"],
        },
    )
    yield _counted("metanode_faucet_promises", promises)
    yield _counted("metanode_faucet_rejections", refusals)
    yield _counted("metanode_faucet_challenges", measures.counts.challenges())
    yield _counted("metanode_faucet_paid_ether", {"": stats["total_tokens_distributed"] / GWEI_PER_TOKEN})
    for name, incident in (
        ("metanode_faucet_rebroadcasts", Incident.SENT_AGAIN),
        ("metanode_faucet_replacements", Incident.FEE_RAISED),
        ("metanode_faucet_nonce_conflicts", Incident.NONCE_CONFLICT),
    ):
        yield _counted(name, {"": incidents[incident]})
    queue = GaugeMetricFamily(
        "metanode_faucet_queue", CATALOGUE["metanode_faucet_queue"][2], labels=["state"]
    )
    queue.add_metric(["pending"], stats["pending_requests"])
    yield queue
    daily_limit = stats["daily_limit"]
    now: dict[str, float] = {
        "metanode_faucet_budget_remaining_ratio": stats["remaining_today"] / max(1, daily_limit),
        "metanode_faucet_daily_budget_ether": daily_limit * stats["tokens_per_request"] / GWEI_PER_TOKEN,
        "metanode_faucet_oldest_queued_age_seconds": measures.oldest_waiting_s,
        "metanode_faucet_pow_bits": measures.puzzle_bits,
        "metanode_faucet_signer_leader": float(measures.is_signer),
    }
    for name, value in now.items():
        yield GaugeMetricFamily(name, CATALOGUE[name][2], value=value)
    yield histogram("metanode_faucet_time_to_funds_seconds", measures.counts.until_funds)
    yield histogram("metanode_faucet_pow_solve_seconds", measures.counts.solving)
    yield histogram("metanode_faucet_pow_verify_seconds", measures.counts.checking)


def histogram(name: str, durations: Durations) -> Metric:
    """A histogram without labels."""
    buckets, sum_s = durations.read()
    return HistogramMetricFamily(name, CATALOGUE[name][2], buckets=buckets, sum_value=sum_s)


def _counted(name: str, numbers: Mapping[str, float]) -> Metric:
    """A counter by its one label, or without one."""
    _, labels, meaning = CATALOGUE[name]
    family = CounterMetricFamily(name, meaning, labels=labels)
    for label, number in numbers.items():
        family.add_metric([str(label)] if labels else [], number)
    return family
