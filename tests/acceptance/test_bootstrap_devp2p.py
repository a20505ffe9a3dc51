"""go-ethereum's devp2p, unmodified, against a bootstrap node: it is pinged, passes the suite of discovery, and a crawler finds the network through it."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import Endpoint, wait_until
from tests.acceptance.test_devp2p import DISCOVERY_TESTS, devp2p
from tests.testnet.bootstrap_process import BootstrapProcess, bootstrap_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunningNetwork

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: apt-get install golang-go"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def bootstrap(
    network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BootstrapProcess]:
    """One that knows a single validator, and finds the others."""
    known = Endpoint(network.plan.nodes[0].private_url).call("admin_nodeInfo")["enode"]
    chain_id = network.plan.spec.chain_id
    with bootstrap_process(
        tmp_path_factory.mktemp("bootstrap"), chain_id=chain_id, bootstrap_nodes=[known]
    ) as node:
        yield node


def test_it_is_pinged_over_both_protocols(bootstrap: BootstrapProcess) -> None:
    assert "node responded to ping" in devp2p("discv4", "ping", bootstrap.enode).stdout
    assert devp2p("discv4", "requestenr", bootstrap.enode).stdout.startswith("enr:-")
    greeted = devp2p("rlpx", "ping", bootstrap.enode)
    assert greeted.returncode == 0, greeted.stderr
    assert "metanode-bootstrap/" in greeted.stdout


def test_the_discovery_suite_passes(bootstrap: BootstrapProcess) -> None:
    finished = devp2p("discv4", "test", "--remote", bootstrap.enode)
    told = finished.stdout + finished.stderr
    passed = re.findall(r"^-- OK ([^\n]+?) \(", told, flags=re.MULTILINE)
    assert len(set(passed)) == DISCOVERY_TESTS, told
    assert finished.returncode == 0


def test_a_crawler_finds_the_network_through_it(
    bootstrap: BootstrapProcess, network: RunningNetwork, tmp_path: Path
) -> None:
    wait_until(
        lambda: sum(peer["chain_id"] is not None for peer in bootstrap.peers()) >= len(network.plan.nodes),
        within_s=90, what=lambda: f"the bootstrap node has found the validators: {bootstrap.peers()}",
    )  # fmt: skip
    file = tmp_path / "nodes.json"
    crawl = (
        "discv4",
        "crawl",
        "--addr",
        "127.0.0.1:0",
        "--bootnodes",
        bootstrap.enode,
        "--timeout",
        "20s",
        str(file),
    )
    finished = devp2p(*crawl)
    assert file.exists(), finished.stderr
    found = json.loads(file.read_text())
    assert len(found) >= 1 + len(network.plan.nodes), finished.stderr
