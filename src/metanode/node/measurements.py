"""Sets the node's metrics: what happened when it happens, what is asked for when it is asked for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from metanode import __version__
from metanode.consensus.height import Phase
from metanode.consensus.inputs import Mode
from metanode.crypto.addresses import format_address
from metanode.node.views import clock_offset_s
from metanode.telemetry.metrics import node_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client import CollectorRegistry, Counter

    from metanode.chain.genesis import Genesis
    from metanode.consensus.effects import Decided
    from metanode.consensus.evidence import Equivocation
    from metanode.execution.embedded import EmbeddedExecution
    from metanode.node.driver import Driver
    from metanode.p2p.network import Network
    from metanode.primitives.types import Address
    from metanode.rpc.server import RPCServer

MESSAGE_TYPES = ("proposal", "prepare", "commit", "round_change", "decision")


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
        self._imported = 0
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
        statistics = self._driver.statistics
        if statistics.imported == self._imported:
            metrics.decision_delay.observe(statistics.decision_ms / 1000)
        self._imported = statistics.imported
        metrics.seals.set(len(decided.certificate.seals))
        metrics.proposals.labels(format_address(block.header.proposer)).inc()
        for signer in decided.certificate.addresses(decided.state.last_validators):
            metrics.validator_seals.labels(format_address(signer)).inc()
        if self._last_timestamp is not None:
            metrics.block_interval.observe(header.timestamp - self._last_timestamp)
        self._last_timestamp = header.timestamp
        before, after = set(decided.state.last_validators.addresses), set(decided.state.validators.addresses)
        metrics.set_changes.labels("add").inc(len(after - before))
        metrics.set_changes.labels("drop").inc(len(before - after))

    def upon_evidence(self, evidence: Equivocation) -> None:
        """Count a proven lie."""
        self._metrics.equivocations.labels(format_address(evidence.author)).inc()

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
        statistics = self._driver.statistics
        self._advance(metrics.blocks_imported, statistics.imported, "sync")
        self._advance(metrics.blocks_imported, statistics.decided - statistics.imported, "consensus")

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
        for phase in Phase:
            metrics.phase.labels(phase.name.lower()).set(phase is snapshot.phase)
        for kind in MESSAGE_TYPES:
            self._advance(metrics.messages_received, statistics.received[kind], kind)
            self._advance(metrics.messages_sent, statistics.sent[kind], kind)
        for reason, count in (
            ("malformed", statistics.malformed),
            ("duplicate", statistics.repeated),
            ("unwelcome", statistics.unwelcome),
            ("overload", statistics.shed),
        ):
            self._advance(metrics.messages_rejected, count, reason)
        for proposer, count in statistics.missed.items():
            self._advance(metrics.proposals_missed, count, format_address(proposer))
        self._advance(metrics.rounds_started, statistics.rounds_changed + statistics.decided)
        for address, heard in statistics.last_messages.items():
            if address in validators:
                metrics.last_message.labels(format_address(address)).set(heard.at_ms / 1000)
        wishes = list(self._driver.wishes.values())
        metrics.pending_votes.labels("add").set(wishes.count(True))
        metrics.pending_votes.labels("drop").set(wishes.count(False))

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
        for peer in peers:
            if peer.is_validator and peer.proven is not None:
                metrics.validator_rtt.labels(format_address(peer.proven)).set(peer.round_trip_ms / 1000)
        offset_s = clock_offset_s(peers)
        if offset_s is not None:
            metrics.clock_offset.labels("peers").set(offset_s)

    def _refresh_traffic(self) -> None:
        metrics, statistics = self._metrics, self._network.statistics()
        self._advance(metrics.p2p_bytes, statistics.bytes_in, "in")
        self._advance(metrics.p2p_bytes, statistics.bytes_out, "out")
        self._advance(metrics.p2p_messages, sum(statistics.messages_in.values()), "in")
        self._advance(metrics.p2p_messages, statistics.messages_out, "out")
        self._advance(metrics.p2p_dropped, statistics.dropped_out)
        self._advance(metrics.p2p_dials_failed, statistics.dials_failed)
        for (reason, initiator), count in statistics.disconnects.items():
            self._advance(metrics.p2p_disconnects, count, reason, initiator)
        metrics.p2p_queued_bytes.set(statistics.queued_bytes)
        metrics.p2p_known_nodes.set(statistics.known_nodes)

    def _refresh_engine(self) -> None:
        metrics, statistics = self._metrics, self._execution.engine.statistics()
        metrics.pool_transactions.labels("pending").set(statistics["pool_pending"])
        metrics.pool_transactions.labels("queued").set(statistics["pool_queued"])
        metrics.pool_bytes.set(statistics["pool_bytes"])
        metrics.pool_senders.set(statistics["pool_senders"])
        self._advance(metrics.pool_added, statistics["pool_added"])
        for reason, count in statistics["pool_refused"].items():
            self._advance(metrics.pool_rejected, count, reason)
        for reason, count in statistics["pool_removed"].items():
            self._advance(metrics.pool_removed, count, reason)
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
            self._advance(metrics.rpc_requests, entry["requests"] - entry["errors"], entry["method"], "ok")
            self._advance(metrics.rpc_requests, entry["errors"], entry["method"], "error")
        metrics.rpc_durations.set(statistics["methods"])
        metrics.rpc_in_flight.set(statistics["in_flight"])
        metrics.rpc_connections.labels("http").set(statistics["http_connections"])
        metrics.rpc_connections.labels("websocket").set(statistics["websocket_connections"])
        metrics.rpc_subscriptions.set(statistics["subscriptions"])
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
