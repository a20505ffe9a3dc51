"""Nodes that somebody runs with `metanode node` are seen, by their port and their directory; others on that port are not theirs."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from metanode.cli import network
from sdk.testnet.deployment.apply import by_hand, local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import NetworkSpec, NodePlan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""
NODE = NodePlan(name="validator-1", role="validator", rpc_port=1, p2p_port=1, metrics_port=1, private_port=1)


@contextmanager
def listening(*words: str, cwd: Path) -> Iterator[tuple[int, int]]:
    """A process started with these words; its id and the port that it listens on."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, *words],
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())


@pytest.mark.parametrize(
    ("words", "started_in", "is_ours"),
    [
        (("node", "{root}/net/nodes/validator-1"), ".", True),
        (("node", "nodes/validator-1/"), "net", True),
        (("node", "--config=validator-1/config.toml"), "net/nodes", True),
        (("node",), "net/nodes/validator-1", True),
        (("node", "validator-2"), "net/nodes", False),
        (("node", "{root}/net/nodes/validator-10"), ".", False),
        (("node", "{root}/other/nodes/validator-1"), ".", False),
    ],
)
def test_a_node_is_known_by_its_port_and_its_directory(
    tmp_path: Path, words: tuple[str, ...], started_in: str, is_ours: bool
) -> None:
    directory = NetworkDirectory(tmp_path / "net")
    directory.node(NODE.name).mkdir(parents=True)
    typed = [word.format(root=tmp_path) for word in words]
    with listening(*typed, cwd=tmp_path / started_in) as (pid, port):
        found = by_hand.find_by_hand(directory, [replace(NODE, rpc_port=port)])

    assert {name: process.pid for name, process in found.items()} == ({NODE.name: pid} if is_ours else {})


def test_the_status_shows_a_node_that_was_started_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "STATUS_TIMEOUT_S", 0.05)  # it takes connections and answers nothing
    directory = NetworkDirectory(tmp_path / "net")
    plan = local.create_network(directory, NetworkSpec(network_name="alone", validator_count=2))
    with listening("node", str(directory.node("validator-2")), cwd=tmp_path) as (pid, port):
        first, second = plan.nodes
        directory.save_plan(
            replace(plan, nodes=(replace(first, rpc_port=port), replace(second, rpc_port=port)))
        )
        found = local.network_status(directory)

    assert [(node.pid, node.by_hand) for node in found.nodes] == [(None, False), (pid, True)]
    network._print_network(found, directory)
    shown = capsys.readouterr()
    assert f"{pid}, started by hand" in shown.out
    assert "nothing but nodes that were started by hand runs" in shown.err
