"""The metrics of a node: every name, label and bucket. Prefix `metanode_`, base units, `_total` for counters.

Each node process has one registry. Labels are bounded: validators of the set, priorities, reasons of an enumeration; never a
user's address, an IP or a hash. Besu's names stand beside ours where its Grafana dashboards use them.
"""

from __future__ import annotations

import itertools
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

# When a counter began is known from process_start_time_seconds; the series for it would double the page.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library annotates it nowhere

INTERVAL_BUCKETS_S = (0.5, 1, 1.5, 1.9, 2.1, 2.5, 3, 4, 6, 10, 20, 60)
TRANSACTION_BUCKETS = (0, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
SIZE_BUCKETS_BYTES = (1_000, 4_000, 16_000, 64_000, 256_000, 1_000_000, 4_000_000)
ROUND_BUCKETS = (0, 1, 2, 3, 5, 8)
DELAY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4)
RPC_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Those of the compiled server (`DURATION_BOUNDS_US` in rust/rpc)."""
LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class RequestDurations(Collector):
    """`metanode_rpc_request_duration_seconds`: the histograms that the compiled server keeps, by method."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._methods: Sequence[Mapping[str, Any]] = ()
        registry.register(self)

    def set(self, methods: Sequence[Mapping[str, Any]]) -> None:
        """Take the server's statistics of methods: `buckets` (not cumulative) and `total_us`."""
        self._methods = methods

    def collect(self) -> Iterator[Metric]:
        """The family, as the registry asks for it."""
        family = HistogramMetricFamily(
            "metanode_rpc_request_duration_seconds", "From reading a call to answering it.", labels=["method"]
        )
        for entry in self._methods:
            bounds = [*(str(bound) for bound in RPC_BUCKETS_S), "+Inf"]
            counts = itertools.accumulate(entry["buckets"])
            family.add_metric(
                [entry["method"]], list(zip(bounds, counts, strict=True)), sum_value=entry["total_us"] / 1e6
            )
        yield family


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
    phase: Gauge
    pool_transactions: Gauge
    pool_bytes: Gauge
    pool_senders: Gauge
    pool_added: Counter
    pool_rejected: Counter
    pool_removed: Counter
    rpc_requests: Counter
    rpc_durations: RequestDurations
    rpc_in_flight: Gauge
    rpc_connections: Gauge
    rpc_subscriptions: Gauge
    rpc_filters: Gauge
    rpc_refused: Counter
    p2p_bytes: Counter
    p2p_messages: Counter
    p2p_dropped: Counter
    p2p_disconnects: Counter
    p2p_dials_failed: Counter
    p2p_queued_bytes: Gauge
    p2p_known_nodes: Gauge
    database_size: Gauge
    loop_lag: Histogram
    clock_offset: Gauge
    disk_free: Gauge
    peers: Gauge
    peer_limit: Gauge
    validator_rtt: Gauge
    besu: Mapping[str, Gauge]
    """Besu's names: height, best known number, peers, peer limit, head timestamp."""


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
        phase=gauge("consensus_phase", "1 for the phase that the round is in.", "phase"),
        pool_transactions=gauge("txpool_transactions", "Transactions in the pool.", "state"),
        pool_bytes=gauge("txpool_size_bytes", "Encoded length of the transactions in the pool."),
        pool_senders=gauge("txpool_senders", "Accounts with transactions in the pool."),
        pool_added=counter("txpool_added_total", "Transactions taken into the pool."),
        pool_rejected=counter("txpool_rejected_total", "Transactions that the pool refused.", "reason"),
        pool_removed=counter("txpool_removed_total", "Transactions that left the pool.", "reason"),
        rpc_requests=counter("rpc_requests_total", "JSON-RPC calls answered.", "method", "result"),
        rpc_durations=RequestDurations(registry),
        rpc_in_flight=gauge("rpc_in_flight", "JSON-RPC requests being answered."),
        rpc_connections=gauge("rpc_connections", "Open connections of the JSON-RPC server.", "transport"),
        rpc_subscriptions=gauge("rpc_subscriptions", "Open subscriptions."),
        rpc_filters=gauge("rpc_filters", "Filters that have not expired."),
        rpc_refused=counter(
            "rpc_refused_total",
            "What a limit or a rule of access refused: connections, requests before they were read, heavy calls under load, notifications of slow subscribers.",
            "kind",
        ),
        p2p_bytes=counter("p2p_bytes_total", "Bytes on connections to peers.", "direction"),
        p2p_messages=counter("p2p_messages_total", "Messages on connections to peers.", "direction"),
        p2p_dropped=counter(
            "p2p_dropped_messages_total", "Messages not sent because a peer's queue was full."
        ),
        p2p_disconnects=counter("p2p_disconnects_total", "Connections that ended.", "reason", "initiator"),
        p2p_dials_failed=counter("p2p_dials_failed_total", "Connections that could not be made."),
        p2p_queued_bytes=gauge("p2p_send_queue_bytes", "Bytes that wait to be sent."),
        p2p_known_nodes=gauge("p2p_known_nodes", "Nodes in the discovery table."),
        database_size=gauge("db_size_bytes", "Size on disk.", "db"),
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
