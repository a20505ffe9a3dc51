"""The metrics of a node: every name, label and bucket. Prefix `metanode_`, base units, `_total` for counters.

Each node process has one registry. Labels are bounded: validators of the set, priorities, reasons of an enumeration; never a
user's address, an IP or a hash. Besu's names stand beside ours where its Grafana dashboards use them.
"""

from __future__ import annotations

import itertools
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from metanode.telemetry.tally import Tally

# When a counter began is known from process_start_time_seconds; the series for it would double the page.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library annotates it nowhere

INTERVAL_BUCKETS_S = (0.5, 1, 1.5, 1.9, 2.1, 2.5, 3, 4, 6, 10, 20, 60)
TRANSACTION_BUCKETS = (0, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
SIZE_BUCKETS_BYTES = (1_000, 4_000, 16_000, 64_000, 256_000, 1_000_000, 4_000_000)
ROUND_BUCKETS = (0, 1, 2, 3, 5, 8)
DELAY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4)
DATABASE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
RPC_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Those of the compiled server (`DURATION_BOUNDS_US` in rust/rpc)."""
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100)
"""The same (`BATCH_BOUNDS`)."""
LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


FOREIGN = ("process_", "python_")
"""How names begin that the client library gives."""


class TalliedHistogram(Collector):
    """A histogram that another part keeps: it is given as tallies by label values, and shown as it is."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._labels = labels
        self._text = text
        self._tallies: dict[tuple[str, ...], Tally] = {}
        registry.register(self)

    def set(self, tally: Tally, *labels: str) -> None:
        """Show a tally from now on; it may go on counting."""
        assert len(labels) == len(self._labels), (self._name, labels)
        self._tallies[labels] = tally

    def collect(self) -> Iterator[Metric]:
        """The family, as the registry asks for it."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for labels, tally in self._tallies.items():
            bounds = [*map(floatToGoString, tally.bounds), "+Inf"]
            counts = itertools.accumulate(tally.counts)
            family.add_metric(labels, list(zip(bounds, counts, strict=True)), sum_value=tally.total)
        yield family


@dataclass(frozen=True, slots=True)
class NodeMetrics:
    """The node's metrics, each set by the part that knows it."""

    registry: CollectorRegistry
    head_number: Gauge
    head_timestamp: Gauge
    best_known_number: Gauge
    blocks_imported: Counter
    transactions: Counter
    gas_used: Counter
    gas_used_ratio: Gauge
    base_fee: Gauge
    block_interval: Histogram
    block_transactions: Histogram
    block_size: Histogram
    block_processing: TalliedHistogram
    gas_per_second: Gauge
    conflicting_heads: Gauge
    sync_state: Gauge
    height: Gauge
    round: Gauge
    round_started: Gauge
    round_timeout: Gauge
    validators: Gauge
    quorum: Gauge
    validators_online: Gauge
    is_validator: Gauge
    is_proposer: Gauge
    rounds_started: Counter
    round_changes: Counter
    commit_round: Histogram
    messages_received: Counter
    messages_sent: Counter
    messages_rejected: Counter
    seals: Gauge
    proposals: Counter
    proposals_missed: Counter
    last_message: Gauge
    validator_round: Gauge
    validator_seals: Counter
    seal_opportunities: Counter
    late_commits: Counter
    equivocations: Counter
    pending_votes: Gauge
    set_changes: Counter
    decision_delay: TalliedHistogram
    phase_duration: TalliedHistogram
    quorum_prepare_delay: TalliedHistogram
    quorum_commit_delay: TalliedHistogram
    full_commit_delay: TalliedHistogram
    phase: Gauge
    pool_transactions: Gauge
    pool_bytes: Gauge
    pool_senders: Gauge
    pool_added: Counter
    pool_rejected: Counter
    pool_removed: Counter
    pool_inclusion: TalliedHistogram
    pool_oldest: Gauge
    rpc_requests: Counter
    rpc_errors: Counter
    rpc_durations: TalliedHistogram
    rpc_batch_size: TalliedHistogram
    rpc_in_flight: Gauge
    rpc_http_connections: Gauge
    rpc_websocket_connections: Gauge
    rpc_subscriptions: Gauge
    rpc_filters: Gauge
    rpc_refused: Counter
    p2p_bytes: Counter
    p2p_messages: Counter
    p2p_dropped: Counter
    p2p_connections: Counter
    p2p_disconnects: Counter
    p2p_queued_messages: Gauge
    p2p_queued_bytes: Gauge
    p2p_block_propagation: TalliedHistogram
    p2p_known_nodes: Gauge
    database_size: Gauge
    database_operations: TalliedHistogram
    loop_lag: Histogram
    clock_offset: Gauge
    disk_free: Gauge
    peers: Gauge
    peer_limit: Gauge
    validator_rtt: Gauge
    besu: Mapping[str, Gauge]
    """Besu's names: height, best known number, peers, peer limit, head timestamp."""
    labels: Mapping[str, tuple[str, ...]]
    """By name, without `_total`."""

    def catalogue(self) -> dict[str, tuple[str, tuple[str, ...], str]]:
        """Every metric but those of the client library: type, labels and meaning by name, without `_total`."""
        return {
            family.name: (family.type, self.labels.get(family.name, ()), family.documentation)
            for family in self.registry.collect()
            if not family.name.startswith(FOREIGN)
        }


def node_metrics(
    *, version: str, commit: str, node: str, role: str, network: str, chain_id: int, genesis: str
) -> NodeMetrics:
    """Create the metrics of a node in a registry of their own."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)

    named: dict[str, tuple[str, ...]] = {}

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        named[f"metanode_{name}"] = labels
        return Gauge(f"metanode_{name}", text, labels, registry=registry)

    def counter(name: str, text: str, *labels: str) -> Counter:
        named[f"metanode_{name.removesuffix('_total')}"] = labels
        return Counter(f"metanode_{name}", text, labels, registry=registry)

    def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"metanode_{name}", text, registry=registry, buckets=buckets)

    def tallied(name: str, text: str, *labels: str) -> TalliedHistogram:
        named[f"metanode_{name}"] = labels
        return TalliedHistogram(registry, f"metanode_{name}", text, labels)

    gauge("build_info", "This build.", "version", "commit", "python").labels(
        version, commit, platform.python_version()
    ).set(1)
    gauge("node_info", "This node.", "node", "role", "network", "chain_id", "genesis").labels(
        node, role, network, str(chain_id), genesis[:10]
    ).set(1)
    return NodeMetrics(
        registry=registry,
        labels=named,
        head_number=gauge("chain_head_block_number", "Number of the newest finalized block."),
        head_timestamp=gauge("chain_head_timestamp_seconds", "Its timestamp."),
        best_known_number=gauge(
            "chain_best_known_block_number", "Highest number that a connected peer claims, or our own."
        ),
        blocks_imported=counter(
            "chain_blocks_imported_total",
            "Finalized blocks by where they are from: proposed here, gossip, sync.",
            "source",
        ),
        transactions=counter(
            "chain_transactions_total",
            "Transactions of finalized blocks by EIP-2718 type and whether they succeeded (ok) or reverted.",
            "type",
            "status",
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
        block_processing=tallied(
            "block_processing_duration_seconds",
            "Work of the execution engine on a block: build (an own one), validate (another's, but for the next two), execute, state_root, commit.",
            "phase",
        ),
        gas_per_second=gauge(
            "evm_gas_per_second", "Gas of the latest block that had some, over the time that running it took."
        ),
        conflicting_heads=gauge(
            "chain_conflicting_heads",
            "1 when this node has met two decided blocks at one height, and has halted.",
        ),
        sync_state=gauge("sync_state", "1 for the state that the node is in.", "state"),
        height=gauge("consensus_height", "Height that consensus works on."),
        round=gauge("consensus_round", "Round of that height."),
        round_started=gauge("consensus_round_started_timestamp_seconds", "When the round was entered."),
        round_timeout=gauge(
            "consensus_round_timeout_seconds", "From the start of the round to its deadline."
        ),
        validators=gauge("consensus_validators", "Validators of the height."),
        quorum=gauge("consensus_quorum", "Weight of a quorum."),
        validators_online=gauge(
            "consensus_validators_online", "Validators that are connected and have proved it, ourselves too."
        ),
        is_validator=gauge("consensus_is_validator", "1 when this node is a validator of the height."),
        is_proposer=gauge("consensus_is_proposer", "1 when this node proposes in the round."),
        rounds_started=counter("consensus_rounds_started_total", "Rounds entered."),
        round_changes=counter(
            "consensus_round_changes_total",
            "Rounds after the first that were entered: timeout (no decision in time), invalid_proposal (and its block was refused), quorum_rc (others had left), restart.",
            "reason",
        ),
        commit_round=histogram(
            "consensus_commit_round", "Round in which a height was decided.", ROUND_BUCKETS
        ),
        messages_received=counter(
            "consensus_messages_received_total",
            "Consensus messages taken in: by a validator, of a height and round that matters.",
            "type",
        ),
        messages_sent=counter(
            "consensus_messages_sent_total", "Consensus messages sent to all peers.", "type"
        ),
        messages_rejected=counter(
            "consensus_messages_rejected_total",
            "Consensus messages not taken in: bad_signature, not_validator (or not the proposer), old, future, duplicate, malformed, overload.",
            "type",
            "reason",
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
        validator_round=gauge(
            "consensus_validator_round", "Round of a validator's latest message.", "validator"
        ),
        validator_seals=counter(
            "consensus_validator_seals_total", "Seals in certificates by validator.", "validator"
        ),
        seal_opportunities=counter(
            "consensus_validator_seal_opportunities_total",
            "Finalized blocks that a validator could have sealed.",
            "validator",
        ),
        late_commits=counter(
            "consensus_late_commits_total",
            "Commits that came when their height was decided already.",
            "validator",
        ),
        equivocations=counter(
            "consensus_equivocations_total",
            "Proven lies by validator and type of message.",
            "validator",
            "type",
        ),
        pending_votes=gauge("consensus_pending_votes", "This node's open wishes on membership.", "action"),
        set_changes=counter(
            "consensus_validator_set_changes_total", "Changes of the validator set.", "action"
        ),
        decision_delay=tallied(
            "consensus_decision_delay_seconds", "From the time a round starts to its decision."
        ),
        phase_duration=tallied(
            "consensus_phase_duration_seconds", "How long a round stood in a phase.", "phase"
        ),
        quorum_prepare_delay=tallied(
            "consensus_quorum_prepare_delay_seconds",
            "From the proposal to a quorum of prepares, as seen here.",
        ),
        quorum_commit_delay=tallied(
            "consensus_quorum_commit_delay_seconds", "From the proposal to a quorum of commits, as seen here."
        ),
        full_commit_delay=tallied(
            "consensus_full_commit_delay_seconds",
            "From the proposal to the last validator's commit; not of heights where one never came.",
        ),
        phase=gauge(
            "consensus_phase",
            "1 for the phase that the round is in: waiting (for the slot), awaiting (a proposal), preprepared, prepared, committed (on its way to disk and engine), round_change (awaiting a proposal in a later round).",
            "phase",
        ),
        pool_transactions=gauge(
            "txpool_transactions",
            "Transactions in the pool, pending or queued; local ones came through this node's RPC.",
            "state",
            "origin",
        ),
        pool_bytes=gauge("txpool_size_bytes", "Encoded length of the transactions in the pool."),
        pool_senders=gauge("txpool_senders", "Accounts with transactions in the pool."),
        pool_added=counter("txpool_added_total", "Transactions taken into the pool.", "origin"),
        pool_rejected=counter("txpool_rejected_total", "Transactions that the pool refused.", "reason"),
        pool_removed=counter("txpool_removed_total", "Transactions that left the pool.", "reason"),
        pool_inclusion=tallied(
            "txpool_inclusion_delay_seconds",
            "From a transaction's arrival in this pool to the block that holds it.",
        ),
        pool_oldest=gauge(
            "txpool_oldest_pending_age_seconds", "How long the oldest executable transaction has been here."
        ),
        rpc_requests=counter(
            "rpc_requests_total",
            "JSON-RPC calls by how they came and ended: ok, error, denied (not offered on that port), limited (rate or load).",
            "method",
            "transport",
            "result",
        ),
        rpc_errors=counter(
            "rpc_errors_total", "Error objects by code; rare codes are other.", "method", "code"
        ),
        rpc_durations=tallied(
            "rpc_request_duration_seconds", "From reading a call to answering it.", "method"
        ),
        rpc_batch_size=tallied("rpc_batch_size", "Calls in a batch."),
        rpc_in_flight=gauge("rpc_in_flight", "JSON-RPC requests being answered."),
        rpc_http_connections=gauge("rpc_http_connections", "Open HTTP connections of the JSON-RPC server."),
        rpc_websocket_connections=gauge("rpc_websocket_connections", "Open WebSocket connections of it."),
        rpc_subscriptions=gauge("rpc_subscriptions", "Open subscriptions.", "type"),
        rpc_filters=gauge("rpc_filters", "Filters that have not expired."),
        rpc_refused=counter(
            "rpc_refused_total",
            "What a limit or a rule of access refused: connections, requests before they were read, heavy calls under load, notifications of slow subscribers.",
            "kind",
        ),
        p2p_bytes=counter(
            "p2p_bytes_total",
            "Bytes from and to peers: mtn (connections), discv4 (discovery).",
            "direction",
            "protocol",
        ),
        p2p_messages=counter("p2p_messages_total", "Messages from and to peers.", "direction", "protocol"),
        p2p_dropped=counter(
            "p2p_dropped_messages_total", "Messages not sent because a peer's queue was full."
        ),
        p2p_connections=counter(
            "p2p_connections_total",
            "Connections: ok (the peer is of our network), failed, refused (before a word was said).",
            "direction",
            "result",
        ),
        p2p_disconnects=counter("p2p_disconnects_total", "Connections that ended.", "reason", "initiator"),
        p2p_queued_messages=gauge("p2p_send_queue_messages", "Messages that wait to be sent."),
        p2p_queued_bytes=gauge("p2p_send_queue_bytes", "Bytes that wait to be sent."),
        p2p_block_propagation=tallied(
            "p2p_block_propagation_seconds",
            "Between a new block's timestamp and this node's clock when its proposal was here: the way, and the difference of the two clocks.",
            "proposer",
        ),
        p2p_known_nodes=gauge("p2p_known_nodes", "Nodes in the discovery table."),
        database_size=gauge("db_size_bytes", "Size on disk.", "db"),
        database_operations=tallied(
            "db_operation_duration_seconds",
            "Durable writes: engine commit (a block), node save (consensus), signer append (signatures).",
            "db",
            "op",
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
