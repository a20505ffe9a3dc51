"""Real validators that know nothing but bootstrap nodes find each other through them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import Endpoint, free_offset, wait_until
from tests.testnet.bootstrap_process import bootstrap_process

from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import NetworkSpec

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)


def test_four_validators_that_know_only_the_bootstrap_node_make_a_network(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path / "network")
    plan = local.create_network(directory, NetworkSpec(validator_count=4, port_offset=free_offset()))
    with (
        bootstrap_process(tmp_path / "ours", chain_id=1337) as ours,
        bootstrap_process(tmp_path / "theirs", chain_id=9999) as theirs,
    ):
        for node in plan.nodes:
            file = directory.node(node.name) / "config.toml"
            known = f'bootstrap_nodes = ["{ours.enode}", "{theirs.enode}"]'
            text, count = re.subn(r"bootstrap_nodes = \[.*?\n\]", known, file.read_text(), flags=re.DOTALL)
            assert count == 1
            file.write_text(text)
        local.start_network(directory)
        try:
            local.wait_network_ready(directory, timeout_s=120)
            for node in plan.nodes:
                rpc = Endpoint(node.rpc_url)
                wait_until(
                    lambda rpc=rpc: int(rpc.call("net_peerCount"), 16) == 3, within_s=60, what=f"{rpc.url} has three peers"
                )  # fmt: skip
            wait_until(
                lambda: sum(peer["verified"] and peer["chain_id"] == 1337 for peer in ours.peers()) == 4,
                within_s=60, what=lambda: f"lists four: {ours.peers()}",
            )  # fmt: skip
            # Nodes may tell a bootstrap node of the other one, which proves its endpoint and never says which chain it is of.
            listed = {peer["port"]: peer for peer in ours.peers() if peer["port"] != theirs.port}
            assert set(listed) == {node.p2p_port for node in plan.nodes}
            assert all(peer["version"].startswith("metanode/") for peer in listed.values())
            wait_until(
                lambda: theirs.get("/api/v1/status")["refused_peers"] == 4
                and {peer["port"] for peer in theirs.peers()} <= {ours.port},
                within_s=60, what=lambda: f"lists none of another chain: {theirs.peers()}",
            )  # fmt: skip
        finally:
            local.stop_network(directory)
        first = ours.enode
        assert ours.stop() == 0
        ours.start()
        assert ours.enode == first
        assert set(listed) <= {peer["port"] for peer in ours.peers()}, "what was known before the restart"
