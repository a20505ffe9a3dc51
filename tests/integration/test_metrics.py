"""The metrics page of a validator in a network of real processes: what it has is what the catalogue says, and it moves."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account
from prometheus_client.parser import text_string_to_metric_families
from tests.acceptance.processes import wait_until
from websockets.sync.client import connect

from metanode.cli.calls import call
from metanode.errors import InvalidInput
from metanode.telemetry.metrics import node_metrics
from sdk.testnet.deployment.apply.accounts import funded_accounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunningNetwork

pytestmark = pytest.mark.timeout(180)

ABSENT = "0x" + "11" * 20

MOVES: tuple[tuple[str, dict[str, str]], ...] = (
    ("metanode_build_info", {}),
    ("metanode_node_info", {"role": "validator", "chain_id": "1337"}),
    ("metanode_chain_head_block_number", {}),
    ("metanode_chain_head_timestamp_seconds", {}),
    ("metanode_chain_best_known_block_number", {}),
    ("metanode_chain_blocks_imported", {"source": "gossip"}),
    ("metanode_chain_blocks_imported", {"source": "proposed"}),
    ("metanode_chain_transactions", {"type": "2", "status": "ok"}),
    ("metanode_chain_transactions", {"type": "2", "status": "reverted"}),
    ("metanode_chain_gas_used", {}),
    ("metanode_chain_head_gas_used_ratio", {}),
    ("metanode_chain_head_base_fee_wei", {}),
    ("metanode_chain_block_interval_seconds", {}),
    ("metanode_chain_block_transactions", {}),
    ("metanode_chain_block_size_bytes", {}),
    ("metanode_block_processing_duration_seconds", {"phase": "build"}),
    ("metanode_block_processing_duration_seconds", {"phase": "validate"}),
    ("metanode_block_processing_duration_seconds", {"phase": "execute"}),
    ("metanode_block_processing_duration_seconds", {"phase": "state_root"}),
    ("metanode_block_processing_duration_seconds", {"phase": "commit"}),
    ("metanode_evm_gas_per_second", {}),
    ("metanode_sync_state", {"state": "live"}),
    ("metanode_db_size_bytes", {"db": "node"}),
    ("metanode_db_size_bytes", {"db": "block_log"}),
    ("metanode_db_operation_duration_seconds", {"db": "engine", "op": "commit"}),
    ("metanode_db_operation_duration_seconds", {"db": "node", "op": "save"}),
    ("metanode_db_operation_duration_seconds", {"db": "signer", "op": "append"}),
    ("metanode_disk_free_bytes", {"volume": "data"}),
    ("metanode_clock_offset_seconds", {"source": "peers"}),
    ("metanode_event_loop_lag_seconds", {}),
    ("metanode_consensus_height", {}),
    ("metanode_consensus_round_started_timestamp_seconds", {}),
    ("metanode_consensus_round_timeout_seconds", {}),
    ("metanode_consensus_phase", {}),
    ("metanode_consensus_validators", {}),
    ("metanode_consensus_quorum", {}),
    ("metanode_consensus_validators_online", {}),
    ("metanode_consensus_is_validator", {}),
    ("metanode_consensus_is_proposer", {}),
    ("metanode_consensus_rounds_started", {}),
    ("metanode_consensus_commit_round", {}),
    ("metanode_consensus_phase_duration_seconds", {"phase": "waiting"}),
    ("metanode_consensus_phase_duration_seconds", {"phase": "preprepared"}),
    ("metanode_consensus_phase_duration_seconds", {"phase": "prepared"}),
    ("metanode_consensus_phase_duration_seconds", {"phase": "committed"}),
    ("metanode_consensus_messages_received", {"type": "prepare"}),
    ("metanode_consensus_messages_sent", {"type": "commit"}),
    ("metanode_consensus_block_seals", {}),
    ("metanode_consensus_quorum_prepare_delay_seconds", {}),
    ("metanode_consensus_quorum_commit_delay_seconds", {}),
    ("metanode_consensus_full_commit_delay_seconds", {}),
    ("metanode_consensus_late_commits", {}),
    ("metanode_consensus_decision_delay_seconds", {}),
    ("metanode_consensus_proposals", {}),
    ("metanode_consensus_validator_last_message_timestamp_seconds", {}),
    ("metanode_consensus_validator_seals", {}),
    ("metanode_consensus_validator_seal_opportunities", {}),
    ("metanode_txpool_transactions", {"state": "queued", "origin": "local"}),
    ("metanode_txpool_size_bytes", {}),
    ("metanode_txpool_senders", {}),
    ("metanode_txpool_added", {"origin": "local"}),
    ("metanode_txpool_added", {"origin": "remote"}),
    ("metanode_txpool_rejected", {"reason": "already_known"}),
    ("metanode_txpool_rejected", {"reason": "nonce_low"}),
    ("metanode_txpool_removed", {"reason": "mined"}),
    ("metanode_txpool_inclusion_delay_seconds", {}),
    ("metanode_p2p_peers", {"role": "validator"}),
    ("metanode_p2p_peer_limit", {}),
    ("metanode_p2p_connections", {"result": "ok"}),
    ("metanode_p2p_bytes", {"direction": "in", "protocol": "mtn"}),
    ("metanode_p2p_messages", {"direction": "out", "protocol": "mtn"}),
    ("metanode_p2p_validator_rtt_seconds", {}),
    ("metanode_p2p_block_propagation_seconds", {}),
    ("metanode_rpc_requests", {"method": "eth_chainId", "transport": "http", "result": "ok"}),
    ("metanode_rpc_requests", {"method": "eth_chainId", "transport": "websocket", "result": "ok"}),
    ("metanode_rpc_requests", {"method": "admin_peers", "transport": "http", "result": "denied"}),
    ("metanode_rpc_requests", {"method": "other", "transport": "http", "result": "error"}),
    ("metanode_rpc_errors", {"method": "eth_call", "code": "-32602"}),
    ("metanode_rpc_request_duration_seconds", {"method": "eth_chainId"}),
    ("metanode_rpc_batch_size", {}),
    ("metanode_rpc_http_connections", {}),
    ("metanode_rpc_websocket_connections", {}),
    ("metanode_rpc_subscriptions", {"type": "newHeads"}),
    ("metanode_rpc_filters", {}),
    ("metanode_rpc_refused", {"kind": "requests"}),
    ("ethereum_blockchain_height", {}),
    ("ethereum_best_known_block_number", {}),
    ("ethereum_peer_count", {}),
    ("ethereum_peer_limit", {}),
    ("besu_blockchain_chain_head_timestamp", {}),
)
"""Series that are more than zero within seconds, when what `use` does is done on a healthy network."""


def families(network: RunningNetwork) -> dict[str, Any]:
    """The page of the first validator, as Prometheus reads it."""
    text = httpx.get(f"http://127.0.0.1:{network.plan.nodes[0].metrics_port}/metrics").text
    return {family.name: family for family in text_string_to_metric_families(text)}


def greatest(page: dict[str, Any], name: str, labels: dict[str, str]) -> float:
    """The greatest value of a family's series with these labels; of a histogram, how many values it has."""
    family = page[name]
    wanted = {"counter": f"{name}_total", "histogram": f"{name}_count"}.get(family.type, name)
    values = [
        abs(sample.value)
        for sample in family.samples
        if sample.name == wanted and labels.items() <= sample.labels.items()
    ]
    return max(values, default=0.0)


@pytest.fixture(scope="module")
def seen(network: RunningNetwork) -> Iterator[dict[tuple[str, str], float]]:
    """The greatest value of each series of the table while the network is used."""
    url, sender = network.http_url, Account.from_key(funded_accounts()[7].private_key)
    found: dict[tuple[str, str], float] = {}

    def look() -> bool:
        page = families(network)
        for name, labels in MOVES:
            key = (name, json.dumps(labels))
            found[key] = max(found.get(key, 0.0), greatest(page, name, labels))
        return all(found.values())

    with connect(network.ws_url) as socket, httpx.Client() as kept:
        use(network, sender, socket, kept)
        deadline = time.monotonic() + 60
        nonce = int(call(url, "eth_getTransactionCount", sender.address, "pending"), 16)
        while not look() and time.monotonic() < deadline:
            # Some more, at another node too: whose turn it is and which block is the newest is chance.
            send(network.url(nonce % 2), sender, nonce)
            wait_until(
                lambda: int(call(url, "eth_getTransactionCount", sender.address, "latest"), 16) > nonce,  # noqa: B023 - called before the next turn
                within_s=30,
                what="the transfer is included",
            )
            nonce += 1
        yield found


def use(network: RunningNetwork, sender: Any, socket: Any, kept: httpx.Client) -> None:
    """Do once what does not happen by itself."""
    url = network.http_url
    nonce = int(call(url, "eth_getTransactionCount", sender.address, "latest"), 16)
    raw = send(url, sender, nonce)
    for again in (raw, signed(sender, 0) if nonce else raw):
        with pytest.raises(InvalidInput):
            call(url, "eth_sendRawTransaction", again)
    wait_until(
        lambda: int(call(url, "eth_getTransactionCount", sender.address, "latest"), 16) > nonce,
        within_s=30,
        what="the transfer is included",
    )
    with pytest.raises(InvalidInput, match="nonce too low"):
        call(url, "eth_sendRawTransaction", signed(sender, nonce, value=2))
    # A creation whose code reverts at once, and a transfer that waits for one that never comes.
    call(url, "eth_sendRawTransaction", signed(sender, nonce + 1, to=None, data="0x60006000fd", gas=100_000))
    other = Account.from_key(funded_accounts()[8].private_key)
    gap = int(call(url, "eth_getTransactionCount", other.address, "latest"), 16) + 5
    call(url, "eth_sendRawTransaction", signed(other, gap))
    with pytest.raises(InvalidInput):
        call(url, "eth_call", 7)
    for method in ("admin_peers", "eth_invented"):
        with pytest.raises(InvalidInput):
            call(url, method)
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    kept.post(url, json=[request] * 3)
    kept.post(url, content=b"{}", headers={"content-type": "text/plain"})
    kept.post(url, json=request)
    call(url, "eth_newBlockFilter")
    for asked in (request, request | {"method": "eth_subscribe", "params": ["newHeads"]}):
        socket.send(json.dumps(asked))
        socket.recv(10)


def send(url: str, sender: Any, nonce: int) -> str:
    raw = signed(sender, nonce)
    call(url, "eth_sendRawTransaction", raw)
    return raw


def signed(sender: Any, nonce: int, **changes: Any) -> str:
    fields = {
        "chainId": 1337, "nonce": nonce, "to": ABSENT, "value": 1, "gas": 21_000,
        "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
    } | changes  # fmt: skip
    if fields["to"] is None:
        del fields["to"]
    return "0x" + sender.sign_transaction(fields).raw_transaction.hex().removeprefix("0x")


def test_a_network_in_use_moves_every_metric_of_the_table(seen: dict[tuple[str, str], float]) -> None:
    assert [series for series, value in seen.items() if value == 0] == []


def test_the_page_has_the_names_types_and_labels_of_the_catalogue(
    network: RunningNetwork, seen: dict[tuple[str, str], float]
) -> None:
    assert seen
    catalogue = node_metrics(
        version="", commit="", node="", role="", network="", chain_id=0, genesis=""
    ).catalogue()
    page = {
        name: family
        for name, family in families(network).items()
        if not name.startswith(("process_", "python_"))
    }

    assert {name: family.type for name, family in page.items()} == {
        name: kind for name, (kind, _, _) in catalogue.items()
    }
    strange = {
        (name, label)
        for name, family in page.items()
        for sample in family.samples
        for label in sample.labels
        if label not in (*catalogue[name][1], "le")
    }
    assert strange == set()


def test_what_happens_is_counted_once(network: RunningNetwork) -> None:
    before = families(network)
    for _ in range(5):
        call(network.http_url, "eth_gasPrice")
    labels = {"method": "eth_gasPrice", "transport": "http", "result": "ok"}
    after = families(network)

    assert (
        greatest(after, "metanode_rpc_requests", labels) - greatest(before, "metanode_rpc_requests", labels)
        == 5
    )
    phases = [sample.value for sample in after["metanode_consensus_phase"].samples]
    assert sum(phases) == 1


def test_no_label_holds_an_account_a_host_or_a_hash(network: RunningNetwork) -> None:
    validators = {
        address.lower() for address in call(network.http_url, "ibft_getValidatorsByBlockNumber", "latest")
    }
    values = {
        (label, value.lower())
        for family in families(network).values()
        for sample in family.samples
        for label, value in sample.labels.items()
    }

    of_validators = {"validator", "proposer"}
    assert {value for label, value in values if label in of_validators} <= validators
    assert [
        (label, value)
        for label, value in values
        if label not in of_validators
        and ((value.startswith("0x") and len(value) > 10) or "127.0.0.1" in value)
    ] == []
