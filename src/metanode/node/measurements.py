"""Sets the node's metrics: what happened when it happens, what is asked for when it is asked for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from metanode import __version__
from metanode.consensus.inputs import Mode
from metanode.crypto.addresses import format_address
from metanode.node.views import clock_offset_s
from metanode.telemetry.metrics import node_metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prometheus_client import CollectorRegistry

    from metanode.chain.genesis import Genesis
    from metanode.consensus.effects import Decided
    from metanode.consensus.evidence import Equivocation
    from metanode.execution.embedded import EmbeddedExecution
    from metanode.node.driver import Driver
    from metanode.p2p.network import Network
    from metanode.primitives.types import Address
    from metanode.rpc.server import RPCServer


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
        self._counted = {"imported": 0, "decided": 0, "received": 0, "sent": 0, "rounds": 0}
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
        self._advance(
            "imported", statistics.imported, lambda by: metrics.blocks_imported.labels("sync").inc(by)
        )
        live = statistics.decided - statistics.imported
        self._advance("decided", live, lambda by: metrics.blocks_imported.labels("consensus").inc(by))

    def _refresh_consensus(self) -> None:
        metrics, snapshot, statistics = self._metrics, self._driver.snapshot, self._driver.statistics
        validators = self._driver.tip.state.validators
        metrics.height.set(snapshot.height)
        metrics.round.set(snapshot.round)
        metrics.validators.set(len(validators))
        metrics.quorum.set(snapshot.quorum_weight)
        metrics.is_validator.set(self._own is not None and self._own in validators)
        metrics.is_proposer.set(self._own is not None and snapshot.proposer == self._own)
        self._advance("received", statistics.received, metrics.messages_received.labels("any").inc)
        self._advance("sent", statistics.sent, metrics.messages_sent.labels("any").inc)
        self._advance("rounds", statistics.rounds_changed + statistics.decided, metrics.rounds_started.inc)
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

    def _advance(self, name: str, total: int, increase: Callable[[float], None]) -> None:
        """Bring a counter of ours to a total that another part counts."""
        by = total - self._counted[name]
        if by > 0:
            increase(by)
            self._counted[name] = total
