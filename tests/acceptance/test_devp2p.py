"""go-ethereum's devp2p, unmodified, against a real validator: its suite of discovery, and a handshake.

Its suites of the protocols eth and snap do not apply: a node speaks neither. See docs/guide/tools.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import Endpoint
from tools.setup import DEVP2P

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunningNetwork

pytestmark = [
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: apt-get install golang-go"),
    pytest.mark.timeout(300),
]
DISCOVERY_TESTS = 15


def devp2p(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not DEVP2P.exists():
        pytest.fail("devp2p is not built: make setup-dev")
    return subprocess.run([DEVP2P, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def node(network: RunningNetwork) -> dict[str, str]:
    """What a validator says of itself, on the listener that is the operator's."""
    told: dict[str, str] = Endpoint(network.plan.nodes[0].private_url).call("admin_nodeInfo")
    return told


def test_the_discovery_suite_passes(node: dict[str, str]) -> None:
    finished = devp2p("discv4", "test", "--remote", node["enode"])

    told = finished.stdout + finished.stderr
    passed = re.findall(r"^-- OK ([^\n]+?) \(", told, flags=re.MULTILINE)
    assert len(set(passed)) == DISCOVERY_TESTS, told
    assert f"{DISCOVERY_TESTS}/{DISCOVERY_TESTS} tests passed" in told
    assert finished.returncode == 0


def test_a_node_is_pinged_and_its_record_is_read(node: dict[str, str]) -> None:
    assert "node responded to ping" in devp2p("discv4", "ping", node["enode"]).stdout

    record = devp2p("discv4", "requestenr", node["enode"]).stdout

    assert record.startswith("enr:-")


def test_an_rlpx_handshake_is_made(node: dict[str, str]) -> None:
    finished = devp2p("rlpx", "ping", node["enode"])

    assert finished.returncode == 0, finished.stderr
    assert "metanode/" in finished.stdout
    assert re.search(r"mtn/1|\{mtn 1\}|Name:mtn Version:1", finished.stdout), finished.stdout


def test_what_a_node_does_not_speak_is_said(
    node: dict[str, str], network: RunningNetwork, tmp_path: Path
) -> None:
    """The suite of eth wants files of a chain; our genesis and no blocks bring it as far as the handshake."""
    shutil.copy(network.directory.genesis_file, tmp_path / "genesis.json")
    for name, content in {
        "chain.rlp": "", "accounts.json": "{}", "txinfo.json": "{}", "headstate.json": '{"accounts": {}}',
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content)
    suite = ("rlpx", "eth-test", "--run", "Status", "--chain", str(tmp_path), "--node", node["enode"])
    engine = ("--engineapi", "http://127.0.0.1:1", "--jwtsecret", "0x" + "00" * 32)

    assert "could not negotiate eth protocol (remote caps: [mtn/1]" in devp2p(*suite, *engine).stdout
    assert "RPC timeout" in devp2p("discv5", "ping", node["enode"]).stdout
