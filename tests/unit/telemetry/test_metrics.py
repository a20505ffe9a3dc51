from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.test_metrics import MOVES
from tests.unit.node.test_measurements import MOVED

from metanode.telemetry.build import checkout_commit
from metanode.telemetry.metrics import NodeMetrics, node_metrics
from metanode.telemetry.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path


def make_metrics() -> NodeMetrics:
    metrics = node_metrics(
        version="0.1.0",
        commit="abcdef012345",
        node="validator-1",
        role="validator",
        network="local",
        chain_id=1337,
        genesis="0x" + "ab" * 32,
    )
    metrics.head_number.set(7)
    return metrics


def exposition() -> str:
    return generate_latest(make_metrics().registry).decode()


def test_the_node_and_its_build_are_named() -> None:
    text = exposition()

    assert (
        'metanode_node_info{chain_id="1337",genesis="0xabababab",network="local",node="validator-1",role="validator"} 1.0'
        in text
    )
    assert 'metanode_build_info{commit="abcdef012345",python="3.' in text


def test_every_name_of_ours_has_the_prefix_and_a_help_text() -> None:
    names = re.findall(r"^# HELP (\S+) (.*)$", exposition(), flags=re.MULTILINE)
    foreign = ("process_", "python_", "ethereum_", "besu_")

    assert [name for name, text in names if not name.startswith(("metanode_", *foreign)) or not text] == []


def test_besu_s_dashboards_find_their_names() -> None:
    text = exposition()

    assert "ethereum_blockchain_height" in text
    assert "besu_blockchain_chain_head_timestamp" in text


def test_two_nodes_in_one_process_do_not_share_metrics() -> None:
    one = node_metrics(
        version="0", commit="", node="a", role="follower", network="local", chain_id=1, genesis="0x"
    )
    two = node_metrics(
        version="0", commit="", node="b", role="follower", network="local", chain_id=1, genesis="0x"
    )

    one.head_number.set(5)

    assert b"metanode_chain_head_block_number 0.0" in generate_latest(two.registry)


PROMISED = {
    "build_info": ("gauge", "version commit python"),
    "node_info": ("gauge", "node role chain_id genesis"),
    "chain_head_block_number": ("gauge", ""),
    "chain_head_timestamp_seconds": ("gauge", ""),
    "chain_best_known_block_number": ("gauge", ""),
    "chain_blocks_imported": ("counter", "source"),
    "chain_transactions": ("counter", "type status"),
    "chain_gas_used": ("counter", ""),
    "chain_head_gas_used_ratio": ("gauge", ""),
    "chain_head_base_fee_wei": ("gauge", ""),
    "chain_block_interval_seconds": ("histogram", ""),
    "chain_block_transactions": ("histogram", ""),
    "chain_block_size_bytes": ("histogram", ""),
    "block_processing_duration_seconds": ("histogram", "phase"),
    "evm_gas_per_second": ("gauge", ""),
    "chain_conflicting_heads": ("gauge", ""),
    "sync_state": ("gauge", "state"),
    "db_size_bytes": ("gauge", "db"),
    "db_operation_duration_seconds": ("histogram", "db op"),
    "disk_free_bytes": ("gauge", "volume"),
    "clock_offset_seconds": ("gauge", "source"),
    "event_loop_lag_seconds": ("histogram", ""),
    "consensus_height": ("gauge", ""),
    "consensus_round": ("gauge", ""),
    "consensus_round_started_timestamp_seconds": ("gauge", ""),
    "consensus_round_timeout_seconds": ("gauge", ""),
    "consensus_phase": ("gauge", "phase"),
    "consensus_validators": ("gauge", ""),
    "consensus_quorum": ("gauge", ""),
    "consensus_validators_online": ("gauge", ""),
    "consensus_is_validator": ("gauge", ""),
    "consensus_is_proposer": ("gauge", ""),
    "consensus_rounds_started": ("counter", ""),
    "consensus_round_changes": ("counter", "reason"),
    "consensus_commit_round": ("histogram", ""),
    "consensus_phase_duration_seconds": ("histogram", "phase"),
    "consensus_messages_received": ("counter", "type"),
    "consensus_messages_sent": ("counter", "type"),
    "consensus_messages_rejected": ("counter", "type reason"),
    "consensus_block_seals": ("gauge", ""),
    "consensus_quorum_prepare_delay_seconds": ("histogram", ""),
    "consensus_quorum_commit_delay_seconds": ("histogram", ""),
    "consensus_full_commit_delay_seconds": ("histogram", ""),
    "consensus_late_commits": ("counter", "validator"),
    "consensus_proposals": ("counter", "validator"),
    "consensus_proposals_missed": ("counter", "validator"),
    "consensus_validator_last_message_timestamp_seconds": ("gauge", "validator"),
    "consensus_validator_seals": ("counter", "validator"),
    "consensus_validator_seal_opportunities": ("counter", "validator"),
    "consensus_validator_round": ("gauge", "validator"),
    "consensus_equivocations": ("counter", "validator type"),
    "consensus_pending_votes": ("gauge", "action"),
    "consensus_validator_set_changes": ("counter", "action"),
    "txpool_transactions": ("gauge", "state origin"),
    "txpool_size_bytes": ("gauge", ""),
    "txpool_senders": ("gauge", ""),
    "txpool_added": ("counter", "origin"),
    "txpool_rejected": ("counter", "reason"),
    "txpool_removed": ("counter", "reason"),
    "txpool_inclusion_delay_seconds": ("histogram", ""),
    "txpool_oldest_pending_age_seconds": ("gauge", ""),
    "p2p_peers": ("gauge", "direction role"),
    "p2p_peer_limit": ("gauge", ""),
    "p2p_connections": ("counter", "direction result"),
    "p2p_disconnects": ("counter", "reason initiator"),
    "p2p_bytes": ("counter", "direction protocol"),
    "p2p_messages": ("counter", "direction protocol"),
    "p2p_validator_rtt_seconds": ("gauge", "validator"),
    "p2p_send_queue_messages": ("gauge", ""),
    "p2p_block_propagation_seconds": ("histogram", "proposer"),
    "rpc_requests": ("counter", "method transport result"),
    "rpc_errors": ("counter", "method code"),
    "rpc_request_duration_seconds": ("histogram", "method"),
    "rpc_batch_size": ("histogram", ""),
    "rpc_in_flight": ("gauge", ""),
    "rpc_websocket_connections": ("gauge", ""),
    "rpc_subscriptions": ("gauge", "type"),
}
"""What dashboards and alerts may rely on: the design's list, but for what a node cannot know (docs/reference/metrics.md says which)."""


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_metric_has_its_type_and_labels(name: str) -> None:
    kind, labels = PROMISED[name]

    found_kind, found_labels, _ = make_metrics().catalogue()[f"metanode_{name}"]

    assert found_kind == kind
    assert set(labels.split()) <= set(found_labels)


def test_every_metric_is_seen_to_move() -> None:
    moved = MOVED | {name for name, _ in MOVES}

    assert set(make_metrics().catalogue()) == moved


def test_a_tally_is_shown_as_a_histogram() -> None:
    metrics, tally = make_metrics(), Tally((0.5, 2.0))
    for value in (0.5, 0.6, 7):
        tally.observe(value)
    metrics.block_processing.set(tally, "execute")

    (family,) = (
        family
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        if family.name == "metanode_block_processing_duration_seconds"
    )

    assert family.type == "histogram"
    assert [(sample.labels.get("le"), sample.value) for sample in family.samples] == [
        ("0.5", 1),
        ("2.0", 2),
        ("+Inf", 3),
        (None, 3),
        (None, 8.1),
    ]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "files",
    [
        {".git/HEAD": COMMIT},
        {".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/main": COMMIT},
        {".git/HEAD": "ref: refs/heads/main", ".git/packed-refs": f"# pack\n{COMMIT} refs/heads/main\n"},
        {
            ".git": "gitdir: elsewhere/worktrees/one",
            "elsewhere/worktrees/one/HEAD": "ref: refs/heads/main",
            "elsewhere/worktrees/one/commondir": "../..",
            "elsewhere/refs/heads/main": COMMIT,
        },
    ],
    ids=["detached", "branch", "packed", "worktree"],
)
def test_the_commit_of_a_checkout_is_read(tmp_path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")

    assert checkout_commit(tmp_path) == COMMIT


def test_what_is_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert checkout_commit(tmp_path) is None
