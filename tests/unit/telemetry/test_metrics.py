from __future__ import annotations

import re

from prometheus_client import generate_latest

from metanode.telemetry.metrics import node_metrics


def exposition() -> str:
    metrics = node_metrics(
        version="0.1.0",
        node="validator-1",
        role="validator",
        network="local",
        chain_id=1337,
        genesis="0x" + "ab" * 32,
    )
    metrics.head_number.set(7)
    return generate_latest(metrics.registry).decode()


def test_the_node_and_its_build_are_named() -> None:
    text = exposition()

    assert (
        'metanode_node_info{chain_id="1337",genesis="0xabababab",network="local",node="validator-1",role="validator"} 1.0'
        in text
    )
    assert 'metanode_build_info{implementation="cpython"' in text


def test_every_name_of_ours_has_the_prefix_and_a_help_text() -> None:
    names = re.findall(r"^# HELP (\S+) (.*)$", exposition(), flags=re.MULTILINE)
    foreign = ("process_", "python_", "ethereum_", "besu_")

    assert [name for name, text in names if not name.startswith(("metanode_", *foreign)) or not text] == []


def test_besu_s_dashboards_find_their_names() -> None:
    text = exposition()

    assert "ethereum_blockchain_height" in text
    assert "besu_blockchain_chain_head_timestamp" in text


def test_two_nodes_in_one_process_do_not_share_metrics() -> None:
    one = node_metrics(version="0", node="a", role="follower", network="local", chain_id=1, genesis="0x")
    two = node_metrics(version="0", node="b", role="follower", network="local", chain_id=1, genesis="0x")

    one.head_number.set(5)

    assert b"metanode_chain_head_block_number 0.0" in generate_latest(two.registry)
