"""The metrics of a node: every name, label and bucket. Prefix `metanode_`, base units, `_total` for counters.

Each node process has one registry. Labels are bounded: validators of the set, priorities, reasons of an enumeration; never a
user's address, an IP or a hash. Besu's names stand beside ours where its Grafana dashboards use them.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERVAL_BUCKETS_S = (0.5, 1, 1.5, 1.9, 2.1, 2.5, 3, 4, 6, 10, 20, 60)
TRANSACTION_BUCKETS = (0, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
SIZE_BUCKETS_BYTES = (1_000, 4_000, 16_000, 64_000, 256_000, 1_000_000, 4_000_000)
ROUND_BUCKETS = (0, 1, 2, 3, 5, 8)
DELAY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4)
LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


@dataclass(frozen=True, slots=True)
class NodeMetrics:
    """The node's metrics, each set by the part that knows it."""

    registry: CollectorRegistry
    head_number: Gauge
    head_timestamp: Gauge
    best_known_number: Gauge
    blocks_imported: Counter
    gas_used: Counter
    gas_used_ratio: Gauge
    base_fee: Gauge
    block_interval: Histogram
    block_transactions: Histogram
    block_size: Histogram
    sync_state: Gauge
    height: Gauge
    round: Gauge
    round_started: Gauge
    validators: Gauge
    quorum: Gauge
    validators_online: Gauge
    is_validator: Gauge
    is_proposer: Gauge
    rounds_started: Counter
    commit_round: Histogram
    messages_received: Counter
    messages_sent: Counter
    messages_rejected: Counter
    seals: Gauge
    proposals: Counter
    proposals_missed: Counter
    last_message: Gauge
    validator_seals: Counter
    equivocations: Counter
    pending_votes: Gauge
    set_changes: Counter
    decision_delay: Histogram
    loop_lag: Histogram
    clock_offset: Gauge
    disk_free: Gauge
    peers: Gauge
    peer_limit: Gauge
    validator_rtt: Gauge
    besu: Mapping[str, Gauge]
    """Besu's names: height, best known number, peers, peer limit, head timestamp."""

    def on_scrape(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)


def node_metrics(
    *, version: str, node: str, role: str, network: str, chain_id: int, genesis: str
) -> NodeMetrics:
    """Create the metrics of a node in a registry of their own."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"metanode_{name}", text, labels, registry=registry)

    def counter(name: str, text: str, *labels: str) -> Counter:
        return Counter(f"metanode_{name}", text, labels, registry=registry)

    def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"metanode_{name}", text, registry=registry, buckets=buckets)

    gauge("build_info", "This build.", "version", "python", "implementation").labels(
        version, platform.python_version(), sys.implementation.name
    ).set(1)
    gauge("node_info", "This node.", "node", "role", "network", "chain_id", "genesis").labels(
        node, role, network, str(chain_id), genesis[:10]
    ).set(1)
    return NodeMetrics(
        registry=registry,
        head_number=gauge("chain_head_block_number", "Number of the newest finalized block."),
        head_timestamp=gauge("chain_head_timestamp_seconds", "Its timestamp."),
        best_known_number=gauge(
            "chain_best_known_block_number", "Highest number that a connected peer claims, or our own."
        ),
        blocks_imported=counter(
            "chain_blocks_imported_total", "Finalized blocks by how they came.", "source"
        ),
        gas_used=counter("chain_gas_used_total", "Gas used by finalized blocks."),
        gas_used_ratio=gauge("chain_head_gas_used_ratio", "Gas used of the gas limit in the newest block."),
        base_fee=gauge("chain_head_base_fee_wei", "Base fee of the newest block."),
        block_interval=histogram(
            "chain_block_interval_seconds", "Time between timestamps of blocks.", INTERVAL_BUCKETS_S
        ),
        block_transactions=histogram(
            "chain_block_transactions", "Transactions in a block.", TRANSACTION_BUCKETS
        ),
        block_size=histogram("chain_block_size_bytes", "Length of a block's RLP.", SIZE_BUCKETS_BYTES),
        sync_state=gauge("sync_state", "1 for the state that the node is in.", "state"),
        height=gauge("consensus_height", "Height that consensus works on."),
        round=gauge("consensus_round", "Round of that height."),
        round_started=gauge("consensus_round_started_timestamp_seconds", "When the round was entered."),
        validators=gauge("consensus_validators", "Validators of the height."),
        quorum=gauge("consensus_quorum", "Weight of a quorum."),
        validators_online=gauge(
            "consensus_validators_online", "Validators that are connected and have proved it, ourselves too."
        ),
        is_validator=gauge("consensus_is_validator", "1 when this node is a validator of the height."),
        is_proposer=gauge("consensus_is_proposer", "1 when this node proposes in the round."),
        rounds_started=counter("consensus_rounds_started_total", "Rounds entered."),
        commit_round=histogram(
            "consensus_commit_round", "Round in which a height was decided.", ROUND_BUCKETS
        ),
        messages_received=counter(
            "consensus_messages_received_total", "Consensus messages taken in.", "type"
        ),
        messages_sent=counter(
            "consensus_messages_sent_total", "Consensus messages sent to all peers.", "type"
        ),
        messages_rejected=counter(
            "consensus_messages_rejected_total", "Consensus messages refused.", "reason"
        ),
        seals=gauge("consensus_block_seals", "Seals in the newest certificate."),
        proposals=counter("consensus_proposals_total", "Finalized blocks by their proposer.", "validator"),
        proposals_missed=counter(
            "consensus_proposals_missed_total",
            "Rounds that ended without this proposer's block.",
            "validator",
        ),
        last_message=gauge(
            "consensus_validator_last_message_timestamp_seconds",
            "When a validator was last heard.",
            "validator",
        ),
        validator_seals=counter(
            "consensus_validator_seals_total", "Seals in certificates by validator.", "validator"
        ),
        equivocations=counter("consensus_equivocations_total", "Proven lies by validator.", "validator"),
        pending_votes=gauge("consensus_pending_votes", "This node's open wishes on membership.", "action"),
        set_changes=counter(
            "consensus_validator_set_changes_total", "Changes of the validator set.", "action"
        ),
        decision_delay=histogram(
            "consensus_decision_delay_seconds",
            "From the time a round starts to its decision.",
            DELAY_BUCKETS_S,
        ),
        loop_lag=histogram("event_loop_lag_seconds", "How late the event loop runs.", LAG_BUCKETS_S),
        clock_offset=gauge(
            "clock_offset_seconds", "This clock less the median of the validators' clocks.", "source"
        ),
        disk_free=gauge("disk_free_bytes", "Free space of the data directory's volume.", "volume"),
        peers=gauge("p2p_peers", "Connected peers.", "direction", "role"),
        peer_limit=gauge("p2p_peer_limit", "Most connections but for validators."),
        validator_rtt=gauge("p2p_validator_rtt_seconds", "Round trip to a validator.", "validator"),
        besu={
            name: Gauge(name, "Besu's name for one of ours.", registry=registry)
            for name in (
                "ethereum_blockchain_height",
                "ethereum_best_known_block_number",
                "ethereum_peer_count",
                "ethereum_peer_limit",
                "besu_blockchain_chain_head_timestamp",
            )
        },
    )
