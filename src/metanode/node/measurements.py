"""Sets the node's metrics: what happened when it happens, what is asked for when it is asked for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from metanode import __version__
from metanode.consensus.inputs import Mode
from metanode.crypto.addresses import format_address
from metanode.node.clock_offset import clock_offset_s
from metanode.node.round_watch import PHASES
from metanode.telemetry.build import build_commit
from metanode.telemetry.metrics import BATCH_BUCKETS, RPC_BUCKETS_S, node_metrics
from metanode.telemetry.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client import CollectorRegistry, Counter

    from metanode.chain.genesis import Genesis
    from metanode.consensus.effects import Decided
    from metanode.consensus.evidence import Evidence
    from metanode.execution.embedded import EmbeddedExecution
    from metanode.node.driver import Driver
    from metanode.p2p.network import Network
    from metanode.primitives.types import Address
    from metanode.rpc.server import RPCServer

MESSAGE_TYPES = ("proposal", "prepare", "commit", "round_change", "decision")
BLOCK_SOURCES = ("proposed", "gossip", "sync")
ROUND_CHANGE_REASONS = ("timeout", "quorum_rc", "invalid_proposal", "restart")
TRANSACTION_TYPES = (0, 1, 2, 4)
"""Those that the pool takes."""
RPC_RESULTS = ("ok", "error", "denied", "limited")


class Measurements:
    """The metrics of one node. Everything runs in the event loop and reads memory only."""

    def __init__(
        self,
        *,
        name: str,
        role: str,
        network_kind: str,
        genesis: Genesis,
        driver: Driver,
        network: Network,
        execution: EmbeddedExecution,
        data: Path,
        own: Address | None,
        peer_limit: int,
    ) -> None:
        self._driver = driver
        self._network = network
        self._execution = execution
        self._data = data
        self._own = own
        self._genesis = genesis
        self._metrics = node_metrics(
            version=__version__,
            commit=build_commit(),
            node=name,
            role=role,
            network=network_kind,
            chain_id=genesis.chain_id,
            genesis="0x" + genesis.hash.hex(),
        )
        self._metrics.peer_limit.set(peer_limit)
        self._metrics.besu["ethereum_peer_limit"].set(peer_limit)
        self._last_timestamp: int | None = None
        self._counted: dict[tuple[Counter, tuple[str, ...]], float] = {}
        self._round_trips_shown: set[str] = set()
        self.rpc: RPCServer | None = None
        """Set once the server runs."""

    @property
    def registry(self) -> CollectorRegistry:
        """The registry to expose; call `refresh` before."""
        return self._metrics.registry

    def upon_decided(self, decided: Decided) -> None:
        """Count a block that has become visible."""
        metrics, block, header = self._metrics, decided.block, decided.block.execution.header
        metrics.gas_used.inc(header.gas_used)
        metrics.gas_used_ratio.set(header.gas_used / header.gas_limit)
        metrics.base_fee.set(header.base_fee_per_gas)
        metrics.block_transactions.observe(block.execution.transaction_count)
        metrics.block_size.observe(len(block.execution_rlp))
        metrics.commit_round.observe(decided.certificate.round)
        metrics.seals.set(len(decided.certificate.seals))
        metrics.proposals.labels(format_address(block.header.proposer)).inc()
        for signer in decided.certificate.addresses(decided.state.last_validators):
            metrics.validator_seals.labels(format_address(signer)).inc()
        for validator in decided.state.last_validators.addresses:
            metrics.seal_opportunities.labels(format_address(validator)).inc()
        if self._last_timestamp is not None:
            metrics.block_interval.observe(header.timestamp - self._last_timestamp)
        self._last_timestamp = header.timestamp
        before, after = set(decided.state.last_validators.addresses), set(decided.state.validators.addresses)
        metrics.set_changes.labels("add").inc(len(after - before))
        metrics.set_changes.labels("drop").inc(len(before - after))

    def upon_evidence(self, evidence: Evidence) -> None:
        """Count a proven lie."""
        self._metrics.equivocations.labels(
            format_address(evidence.author), evidence.first.step.name.lower()
        ).inc()

    def observe_lag(self, lag_s: float) -> None:
        """Note how late the event loop ran."""
        self._metrics.loop_lag.observe(lag_s)

    def refresh(self) -> None:
        """Bring up to date what is read on demand."""
        if not self._driver.is_running:
            return
        self._refresh_chain()
        self._refresh_consensus()
        self._refresh_peers()
        self._refresh_traffic()
        self._refresh_engine()
        self._refresh_rpc()
        self._metrics.disk_free.labels("data").set(shutil.disk_usage(self._data).free)

    def _refresh_chain(self) -> None:
        metrics, height = self._metrics, self._driver.final_height
        metrics.head_number.set(height)
        metrics.head_timestamp.set(self._driver.tip.header.timestamp)
        best = max(height, self._network.highest_claim())
        metrics.best_known_number.set(best)
        metrics.besu["ethereum_blockchain_height"].set(height)
        metrics.besu["ethereum_best_known_block_number"].set(best)
        metrics.besu["besu_blockchain_chain_head_timestamp"].set(self._driver.tip.header.timestamp)
        for mode in Mode:
            metrics.sync_state.labels(mode.value.replace(" ", "_")).set(mode is self._driver.mode)
        halted = self._driver.halted
        metrics.conflicting_heads.set(halted is not None and halted.fork is not None)
        for source in BLOCK_SOURCES:
            self._advance(metrics.blocks_imported, self._driver.statistics.decided[source], source)

    def _refresh_consensus(self) -> None:
        metrics, snapshot, statistics = self._metrics, self._driver.snapshot, self._driver.statistics
        validators = self._driver.tip.state.validators
        metrics.height.set(snapshot.height)
        metrics.round.set(snapshot.round)
        metrics.validators.set(len(validators))
        metrics.quorum.set(snapshot.quorum_weight)
        metrics.is_validator.set(self._own is not None and self._own in validators)
        metrics.is_proposer.set(self._own is not None and snapshot.proposer == self._own)
        metrics.round_started.set(statistics.round_started_ms / 1000)
        metrics.round_timeout.set(statistics.round_timeout_ms / 1000)
        for phase in PHASES:
            metrics.phase.labels(phase).set(phase == statistics.watch.phase)
        for kind in MESSAGE_TYPES:
            self._advance(metrics.messages_received, statistics.received[kind], kind)
            self._advance(metrics.messages_sent, statistics.sent[kind], kind)
        for (kind, reason), count in statistics.rejected.items():
            self._advance(metrics.messages_rejected, count, kind, reason)
        for reason in ROUND_CHANGE_REASONS:
            self._advance(metrics.round_changes, statistics.round_changes[reason], reason)
        self._refresh_delays()
        for proposer, count in statistics.missed.items():
            self._advance(metrics.proposals_missed, count, format_address(proposer))
        self._advance(metrics.rounds_started, statistics.rounds_entered)
        for address, heard in statistics.last_messages.items():
            if address in validators:
                metrics.last_message.labels(format_address(address)).set(heard.at_ms / 1000)
                metrics.validator_round.labels(format_address(address)).set(heard.round)
        # What the set meets already is no wish any more, though it stands there until it is discarded.
        wishes = [
            is_add for address, is_add in self._driver.wishes.items() if (address in validators) is not is_add
        ]
        metrics.pending_votes.labels("add").set(wishes.count(True))
        metrics.pending_votes.labels("drop").set(wishes.count(False))

    def _refresh_delays(self) -> None:
        metrics, statistics, watch = self._metrics, self._driver.statistics, self._driver.statistics.watch
        metrics.decision_delay.set(statistics.decision_delay)
        for proposer, tally in statistics.propagation.items():
            metrics.p2p_block_propagation.set(tally, format_address(proposer))
        for phase, tally in watch.phases.items():
            metrics.phase_duration.set(tally, phase)
        metrics.quorum_prepare_delay.set(watch.quorum_prepare_delay)
        metrics.quorum_commit_delay.set(watch.quorum_commit_delay)
        metrics.full_commit_delay.set(watch.full_commit_delay)
        for address, count in watch.late_commits.items():
            self._advance(metrics.late_commits, count, format_address(address))
        metrics.database_operations.set(statistics.node_save, "node", "save")
        metrics.database_operations.set(statistics.signer_append, "signer", "append")

    def _refresh_peers(self) -> None:
        metrics, peers = self._metrics, self._network.peers()
        online = {peer.proven for peer in peers if peer.is_validator}
        metrics.validators_online.set(
            len(online) + (self._own in self._driver.tip.state.validators.addresses)
        )
        for inbound in (True, False):
            for is_validator in (True, False):
                count = sum(
                    peer.is_inbound is inbound and peer.is_validator is is_validator for peer in peers
                )
                role = "validator" if is_validator else "follower"
                metrics.peers.labels("inbound" if inbound else "outbound", role).set(count)
        metrics.besu["ethereum_peer_count"].set(len(peers))
        round_trips_s = {
            format_address(peer.proven): peer.round_trip_ms / 1000
            for peer in peers
            if peer.is_validator and peer.proven is not None
        }
        # Of a peer that is gone nobody knows a round trip: its last one would look like one of now.
        for gone in self._round_trips_shown - round_trips_s.keys():
            metrics.validator_rtt.remove(gone)
        for validator, seconds in round_trips_s.items():
            metrics.validator_rtt.labels(validator).set(seconds)
        self._round_trips_shown = set(round_trips_s)
        offset_s = clock_offset_s(peers)
        if offset_s is not None:
            metrics.clock_offset.labels("peers").set(offset_s)

    def _refresh_traffic(self) -> None:
        metrics, statistics = self._metrics, self._network.statistics()
        messages_in = sum(count for kind, count in statistics.messages_in.items() if kind != "throttled")
        for direction, protocol, size, count in (
            ("in", "mtn", statistics.bytes_in, messages_in),
            ("out", "mtn", statistics.bytes_out, statistics.messages_out),
            ("in", "discv4", statistics.datagram_bytes_in, statistics.datagrams_in),
            ("out", "discv4", statistics.datagram_bytes_out, statistics.datagrams_out),
        ):
            self._advance(metrics.p2p_bytes, size, direction, protocol)
            self._advance(metrics.p2p_messages, count, direction, protocol)
        self._advance(metrics.p2p_dropped, statistics.dropped_out)
        for (direction, result), count in statistics.connections.items():
            self._advance(metrics.p2p_connections, count, direction, result)
        for (reason, initiator), count in statistics.disconnects.items():
            self._advance(metrics.p2p_disconnects, count, reason, initiator)
        metrics.p2p_queued_messages.set(statistics.queued_messages)
        metrics.p2p_queued_bytes.set(statistics.queued_bytes)
        metrics.p2p_known_nodes.set(statistics.known_nodes)

    def _refresh_engine(self) -> None:
        metrics, statistics = self._metrics, self._execution.engine.statistics()
        for state in ("pending", "queued"):
            local = statistics[f"pool_{state}_local"]
            metrics.pool_transactions.labels(state, "local").set(local)
            metrics.pool_transactions.labels(state, "remote").set(statistics[f"pool_{state}"] - local)
        metrics.pool_oldest.set(statistics["pool_oldest_pending_s"] or 0)
        metrics.pool_inclusion.set(_tally(statistics["pool_inclusion"]))
        metrics.pool_bytes.set(statistics["pool_bytes"])
        metrics.pool_senders.set(statistics["pool_senders"])
        for origin in ("local", "remote"):
            self._advance(metrics.pool_added, statistics[f"pool_added_{origin}"], origin)
        for reason, count in statistics["pool_refused"].items():
            self._advance(metrics.pool_rejected, count, reason)
        for reason, count in statistics["pool_removed"].items():
            self._advance(metrics.pool_removed, count, reason)
        for phase, durations in statistics["phases"].items():
            metrics.block_processing.set(_tally(durations), phase)
        metrics.database_operations.set(_tally(statistics["store_commit"]), "engine", "commit")
        metrics.gas_per_second.set(statistics["gas_per_second"])
        for kind, has_succeeded, count in statistics["transactions"]:
            if count or kind in TRANSACTION_TYPES:
                status = "ok" if has_succeeded else "reverted"
                self._advance(metrics.transactions, count, str(kind), status)
        metrics.database_size.labels("engine").set(statistics["disk_bytes"])
        metrics.database_size.labels("block_log").set(statistics["log_bytes"])
        metrics.database_size.labels("node").set(
            sum(file.stat().st_size for file in self._data.glob("node.db*"))
        )

    def _refresh_rpc(self) -> None:
        if self.rpc is None:
            return
        metrics, statistics = self._metrics, self.rpc.statistics()
        for entry in statistics["methods"]:
            method = entry["method"]
            for by in entry["transports"]:
                for result in RPC_RESULTS:
                    if by[result]:
                        self._advance(metrics.rpc_requests, by[result], method, by["transport"], result)
            for code, count in entry["codes"]:
                self._advance(metrics.rpc_errors, count, method, code)
            metrics.rpc_durations.set(
                Tally.of(RPC_BUCKETS_S, entry["buckets"], entry["total_us"] / 1e6), method
            )
        batches = statistics["batches"]
        metrics.rpc_batch_size.set(Tally.of(BATCH_BUCKETS, batches["buckets"], batches["calls"]))
        metrics.rpc_in_flight.set(statistics["in_flight"])
        metrics.rpc_http_connections.set(statistics["http_connections"])
        metrics.rpc_websocket_connections.set(statistics["websocket_connections"])
        for kind, count in statistics["subscriptions_by_type"]:
            metrics.rpc_subscriptions.labels(kind).set(count)
        metrics.rpc_filters.set(statistics["filters"])
        for kind, name in (
            ("connections", "refused_connections"),
            ("requests", "refused_requests"),
            ("load", "shed"),
            ("events", "events_dropped"),
            ("slow_subscribers", "slow_subscribers"),
        ):
            self._advance(metrics.rpc_refused, statistics[name], kind)

    def _advance(self, counter: Counter, total: float, *labels: str) -> None:
        """Bring a counter of ours to a total that another part counts."""
        key = (counter, labels)
        by = total - self._counted.get(key, 0)
        child = counter.labels(*labels) if labels else counter
        if by >= 0:
            child.inc(by)
            self._counted[key] = total


def _tally(durations: tuple[list[float], list[int], float]) -> Tally:
    """A histogram of the engine: bounds, counts, sum."""
    bounds, counts, total_s = durations
    return Tally.of(tuple(bounds), counts, total_s)
