"""Reads the metrics page of a node or a service: the few series that the monitor asks for, of a page that may be anybody's. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WANTED: Final = frozenset({
    "metanode_block_processing_duration_seconds_bucket",
    "metanode_build_info",
    "metanode_certificate_expiry_timestamp_seconds",
    "metanode_chain_transactions_total",
    "metanode_clock_offset_seconds",
    "metanode_consensus_late_commits_total",
    "metanode_consensus_messages_rejected_total",
    "metanode_consensus_pending_votes",
    "metanode_consensus_proposals_missed_total",
    "metanode_consensus_proposals_total",
    "metanode_disk_free_bytes",
    "metanode_event_loop_lag_seconds_bucket",
    "metanode_explorer_errors_total",
    "metanode_explorer_invalid_seals_total",
    "metanode_explorer_lag_blocks",
    "metanode_faucet_balance_ether",
    "metanode_faucet_daily_budget_ether",
    "metanode_faucet_nonce_conflicts_total",
    "metanode_faucet_oldest_queued_age_seconds",
    "metanode_faucet_paid_ether_total",
    "metanode_faucet_rejections_total",
    "metanode_gateway_connections",
    "metanode_gateway_requests_total",
    "metanode_node_info",
    "metanode_p2p_peer_limit",
    "metanode_p2p_peers",
    "metanode_p2p_validator_rtt_seconds",
    "metanode_rpc_errors_total",
    "metanode_rpc_request_duration_seconds_bucket",
    "metanode_rpc_requests_total",
    "metanode_rpc_websocket_connections",
    "metanode_txpool_oldest_pending_age_seconds",
    "metanode_txpool_rejected_total",
    "metanode_txpool_transactions",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
})  # fmt: skip
PAGE_BYTES_MAX: Final = 8 * 1024 * 1024
"""A page of 500 validators that all know each other has about one."""
SERIES_MAX: Final = 5_000
"""Of one page."""

_SAMPLE = re.compile(r"([a-z_][a-z0-9_]*)(?:\{([^}]*)\})? (\S+)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Samples by name and labels."""

    samples: dict[str, dict[Labels, float]] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples with these labels; None when there is none."""
        wanted = set(labels.items())
        found = [value for key, value in self.samples.get(name, {}).items() if wanted <= set(key)]
        return sum(found) if found else None

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sum of the samples for each value of a label."""
        found: dict[str, float] = {}
        for key, value in self.samples.get(name, {}).items():
            for label_name, text in key:
                if label_name == label:
                    found[text] = found.get(text, 0.0) + value
        return found

    def histograms(
        self,
        name: str,
        label: str | None = None,
        *,
        counts_in: Callable[[Mapping[str, str]], bool] | None = None,
    ) -> dict[str, dict[float, float]]:
        """Counts up to each bound (`le`) of a histogram `name`, for each value of a label; without one all together, under "".

        `counts_in` says of a series' labels whether it is counted.
        """
        found: dict[str, dict[float, float]] = {}
        for key, value in self.samples.get(f"{name}_bucket", {}).items():
            texts = dict(key)
            if counts_in is not None and not counts_in(texts):
                continue
            of = "" if label is None else texts.get(label)
            try:
                bound = float(texts.get("le", ""))
            except ValueError:
                continue
            if of is not None and not math.isnan(bound):
                counts = found.setdefault(of, {})
                counts[bound] = counts.get(bound, 0.0) + value
        return found

    def label(self, name: str, label: str) -> str | None:
        """A label of the first sample."""
        for key in self.samples.get(name, {}):
            return dict(key).get(label)
        return None


def read_page(text: str) -> MetricsPage:
    """The wanted series; lines that are none are passed over."""
    samples: dict[str, dict[Labels, float]] = {}
    count = 0
    for line in text.splitlines():
        if line.startswith("#") or line.partition("{")[0].partition(" ")[0] not in WANTED:
            continue
        match = _SAMPLE.fullmatch(line)
        if match is None or count >= SERIES_MAX:
            continue
        name, labels, written = match.groups()
        try:
            value = float(written)
        except ValueError:
            continue
        if math.isfinite(value):
            samples.setdefault(name, {})[tuple(_LABEL.findall(labels or ""))] = value
            count += 1
    return MetricsPage(samples)
