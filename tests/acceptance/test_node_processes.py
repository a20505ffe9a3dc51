"""What single node processes survive: two of four killed, a late joiner, signals, taken ports and keys; and what `up` resumes."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from tests.acceptance.long_chain import write_chain
from tests.acceptance.processes import (
    Endpoint,
    NodeProcess,
    check_same_chain,
    free_offset,
    free_ports,
    measured,
    metanode,
    running,
    wait_height,
    wait_until,
)

from metanode.crypto.keystore import write_secret_file
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def four_nodes(tmp_path: Path) -> Iterator[list[NodeProcess]]:
    directory = NetworkDirectory(tmp_path)
    spec = replace(PRESETS["metanode-local"], port_offset=free_offset())
    plan = local.create_network(directory, spec)
    nodes = [NodeProcess(directory.node(node.name), node.rpc_port) for node in plan.nodes]
    with running(nodes):
        wait_height([node.rpc for node in nodes], 1, within_s=30.0)
        yield nodes


def is_stuck(node: Endpoint) -> bool:
    """Whether its height has failed in one round at least; what was sent in a round has come seconds before that ends."""
    return int(node.call("ibft_getConsensusState")["round"], 16) >= 1


def test_blocks_stop_without_a_fork_when_two_of_four_are_killed_and_resume_when_they_are_back(
    four_nodes: list[NodeProcess], record_property: Callable[[str, object], None]
) -> None:
    endpoints = [node.rpc for node in four_nodes]
    survivors, dead = four_nodes[:2], four_nodes[2:]
    # A new key that came after block 1 listens for two heights, and goes through no rounds before it signs.
    for node in survivors:
        wait_until(
            lambda node=node: node.rpc.call("ibft_getConsensusState")["signs"],
            within_s=30.0,
            what=f"{node.rpc.url} signs",
        )

    def resume_s() -> float:
        at_kill = max(node.height() or 0 for node in endpoints)
        for node in dead:
            node.kill()
        for node in survivors:
            wait_until(
                lambda node=node: is_stuck(node.rpc),
                within_s=30.0,
                what=f"{node.rpc.url} has gone through a round without a decision",
            )
        # What was sealed by three before the kill may still be decided; nothing after it.
        highest = max(node.rpc.height() or 0 for node in survivors)
        assert highest <= at_kill + 1, "two of four decided a block"
        check_same_chain(node.rpc for node in survivors)
        for node in dead:
            node.start()
        for node in dead:
            node.wait_ready()
        up = time.monotonic()
        wait_height(endpoints, highest + 1, within_s=60.0)
        return time.monotonic() - up

    measured("blocks again after two of four are back, s", resume_s, limit=5.0, record=record_property)
    common = min(node.height() or 0 for node in endpoints)
    for number in range(1, common + 1):
        assert len({node.block_hash(number) for node in endpoints}) == 1, f"fork at {number}"


def test_a_late_joiner_with_genesis_and_one_enode_syncs_a_thousand_blocks_and_follows(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    key, secret = PrivateKey(secrets.token_bytes(32)), secrets.token_bytes(32)
    rpc_port, p2p_port, late_rpc_port, late_p2p_port = free_ports(4)
    first, late = tmp_path / "first", tmp_path / "late"
    first.mkdir()
    late.mkdir()
    blocks = 1_000
    genesis = write_chain(first, key, blocks=blocks, genesis_time=int(time.time()) - 2 * blocks - 2)
    write_secret_file(first / "nodekey", secret.hex().encode())
    (first / "config.toml").write_text(
        f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
        '[validator]\nenabled = true\nvalidator_key = "${KEY}"\n'
    )
    (late / "genesis.json").write_bytes(genesis)
    enode = f"enode://{PrivateKey(secret).public_key.hex()}@127.0.0.1:{p2p_port}"
    (late / "config.toml").write_text(
        f'[server]\nrpc_port = {late_rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{late_p2p_port}"\n'
        f'bootstrap_nodes = ["{enode}"]\n'
    )
    validator = NodeProcess(first, rpc_port, environment={"KEY": key.secret.hex()})
    follower = NodeProcess(late, late_rpc_port)

    with running([validator]):
        assert (validator.rpc.height() or 0) >= blocks
        with running([follower]):
            started = time.monotonic()
            before = follower.rpc.height() or 0
            wait_height([follower.rpc], blocks, within_s=120.0)
            rate = (blocks - before) / (time.monotonic() - started)
            record_property("blocks synced per second", round(rate))
            print(f"synced {blocks - before} blocks at {rate:.0f} a second")  # noqa: T201 - a measurement
            wait_height([validator.rpc, follower.rpc], blocks + 3, within_s=30.0)
            check_same_chain([validator.rpc, follower.rpc])
            assert follower.rpc.block_hash(500) == validator.rpc.block_hash(500)


# --- the command line ------------------------------------------------------------------------------------------------------------------


def test_a_second_up_resumes_the_chain_and_node_add_follows_it(tmp_path: Path) -> None:
    offset = free_offset()
    up = ("up", "--json", "--directory", "net", "--port-offset", str(offset))
    try:
        first = json.loads(metanode(*up, cwd=tmp_path).stdout)
        node = Endpoint(first["nodes"][0]["rpc_url"])
        genesis, one = node.block_hash(0), node.block_hash(1)

        again = json.loads(metanode(*up, cwd=tmp_path).stdout)
        assert [entry["pid"] for entry in again["nodes"]] == [entry["pid"] for entry in first["nodes"]]

        added = json.loads(metanode("node", "add", "--json", "--directory", "net", cwd=tmp_path).stdout)
        follower = Endpoint(f"http://127.0.0.1:{added['rpc_port']}")
        wait_height([follower], (node.height() or 0) + 1, within_s=40.0)
        check_same_chain([node, follower])

        other = metanode("up", "--directory", "other", "--port-offset", str(offset), cwd=tmp_path, expect=1)
        pid = first["nodes"][0]["pid"]
        rpc_port = 8545 + offset
        assert f"port {rpc_port} (rpc_port of validator-1) is in use by process {pid} (" in other.stderr
        assert "Stop it, or start this network with --port-offset 200 in another --directory" in other.stderr

        assert metanode("down", "--directory", "net", cwd=tmp_path).stdout.startswith("stopped")
        assert not any(psutil.pid_exists(entry["pid"]) for entry in again["nodes"])
        resumed = json.loads(metanode(*up, cwd=tmp_path).stdout)
        assert resumed["height"] >= again["height"]
        assert (node.block_hash(0), node.block_hash(1)) == (genesis, one)
        wait_height([node, follower], resumed["height"] + 1, within_s=40.0)
    finally:
        metanode("down", "--directory", "net", cwd=tmp_path, expect=None)


@pytest.fixture
def lone_node(tmp_path: Path) -> Iterator[NodeProcess]:
    """A network of one validator, which the configuration alone describes."""
    rpc_port, p2p_port = free_ports(2)
    (tmp_path / "config.toml").write_text(
        f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
        '[validator]\nenabled = true\nvalidator_key = "${KEY}"\n'
    )
    with running([node := NodeProcess(tmp_path, rpc_port, environment={"KEY": "11" * 32})]):
        yield node


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_within_five_seconds_and_it_resumes(
    lone_node: NodeProcess, number: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    wait_height([lone_node.rpc], 2, within_s=20.0)

    def stop_s() -> float:
        head = lone_node.rpc.height() or 0
        block_hash = lone_node.rpc.block_hash(head)
        with ExitStack() as stack:
            # Clients that stay connected do not keep it alive.
            for _ in range(3):
                idle = stack.enter_context(httpx.Client())
                idle.post(
                    lone_node.rpc.url, json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
                )
            asked = time.monotonic()
            lone_node.signal(number)
            assert lone_node.wait_end(within_s=30.0) == 0, lone_node.log[-2000:]
            took = time.monotonic() - asked
        assert lone_node.readiness is not None
        assert "STOPPING=1" in lone_node.readiness.messages()
        assert "Traceback" not in lone_node.log
        lone_node.start()
        lone_node.wait_ready()
        assert lone_node.rpc.block_hash(head) == block_hash
        return took

    measured(f"end after {number.name}, s", stop_s, limit=5.0, record=record_property)


def test_readiness_is_told_once_the_node_serves(lone_node: NodeProcess) -> None:
    assert lone_node.readiness is not None
    ready = [message for message in lone_node.readiness.messages() if "READY=1" in message]

    assert len(ready) == 1
    assert "STATUS=height" in ready[0]
    assert lone_node.rpc.height() is not None


def test_a_socket_path_works_for_readiness_too(tmp_path: Path, lone_node: NodeProcess) -> None:
    lone_node.kill()
    # The path of a unix socket holds 107 bytes at most; a relative one is short.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            listener.bind(f"/proc/self/fd/{here}/notify")
        finally:
            os.close(here)
        listener.settimeout(30.0)
        process = subprocess.Popen(
            [sys.executable, "-m", "metanode", "node", str(tmp_path)],
            cwd=tmp_path,
            env={**os.environ, **lone_node.environment, "NOTIFY_SOCKET": "notify"},
        )
        try:
            assert listener.recv(4096).startswith(b"READY=1")
        finally:
            process.terminate()
            process.wait(timeout=10.0)


def test_a_port_that_is_taken_is_named_with_who_has_it(tmp_path: Path, lone_node: NodeProcess) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.toml").write_text((tmp_path / "config.toml").read_text())

    finished = metanode("node", str(other), cwd=other, expect=1, KEY="22" * 32)

    assert lone_node.process is not None
    assert (
        f"server.rpc_port: port {lone_node.rpc_port} is in use by process {lone_node.process.pid} ("
        in finished.stderr
    )
    assert "p2p.listen_address: port" in finished.stderr


def test_one_key_is_used_by_one_process_at_a_time(tmp_path: Path, lone_node: NodeProcess) -> None:
    assert lone_node.is_ready()
    other = tmp_path / "other"
    other.mkdir()
    rpc_port, p2p_port = free_ports(2)
    (other / "config.toml").write_text(
        f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
        '[validator]\nenabled = true\nvalidator_key = "${KEY}"\n'
    )

    finished = metanode("node", str(other), cwd=other, expect=1, **lone_node.environment)

    assert "is in use by" in finished.stderr
