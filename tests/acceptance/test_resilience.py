"""What a network of real processes survives: kill -9 of one, two and all, late joiners, new validators, stops and starts."""

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
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from eth_account import Account
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
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.supervisor import running_supervisor
from sdk.testnet.deployment.plan import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

PERIOD_S = 2.0
RECIPIENT = "0x" + "77" * 20


# --- a supervised network, as `metanode up` leaves it ----------------------------------------------------------------------------------


class Supervised:
    """Four validators under the supervisor; what is killed comes back by itself."""

    def __init__(self, path: Path) -> None:
        self.directory = NetworkDirectory(path)
        spec = replace(PRESETS["metanode-local"], port_offset=free_offset())
        self.plan = local.create_network(self.directory, spec)
        self.nodes = [Endpoint(f"http://127.0.0.1:{node.rpc_port}") for node in self.plan.nodes]

    def start(self) -> None:
        local.start_network(self.directory)
        local.wait_network_ready(self.directory)

    def pid(self, index: int) -> int | None:
        try:
            return int(json.loads(self.directory.state_file(self.plan.nodes[index].name).read_text())["pid"])
        except (OSError, ValueError):
            return None

    def kill(self, *indices: int) -> None:
        """kill -9, all at the same moment."""
        pids = [self.pid(index) for index in indices]
        for pid in pids:
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

    def heads(self) -> list[int]:
        return [node.height() or 0 for node in self.nodes]

    def wait_all_follow(self) -> None:
        """All four are up and take part in the next block."""
        wait_height(self.nodes, max(self.heads()) + 1, within_s=40.0)

    def enodes(self) -> list[str]:
        return [
            str(Endpoint(f"http://127.0.0.1:{node.private_port}").call("admin_nodeInfo")["enode"])
            for node in self.plan.nodes
        ]


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    network = Supervised(tmp_path_factory.mktemp("supervised"))
    network.start()
    yield network
    local.stop_network(network.directory)


def test_blocks_go_on_at_their_pace_when_one_of_four_is_killed_and_it_comes_back(
    supervised: Supervised, record_property: Callable[[str, object], None]
) -> None:
    supervised.wait_all_follow()
    victim, others = supervised.nodes[1], [node for i, node in enumerate(supervised.nodes) if i != 1]
    back_after_s: list[float] = []

    def average_interval_after_kill() -> float:
        first = max(node.height() or 0 for node in others)
        killed, pid = time.monotonic(), supervised.pid(1)
        supervised.kill(1)
        wait_until(
            lambda: (
                supervised.pid(1) not in (pid, None)
                and (victim.height() or 0) >= max(node.height() or 0 for node in others)
            ),
            within_s=40.0,
            what="the killed node is back at the head",
        )
        back_after_s.append(time.monotonic() - killed)
        begin = int(others[0].block(first)["timestamp"], 16)

        def last_of_a_minute() -> dict[str, Any] | None:
            block: dict[str, Any] = others[0].call("eth_getBlockByNumber", "latest", False)
            return block if int(block["timestamp"], 16) >= begin + 60 else None

        last = wait_until(last_of_a_minute, within_s=90.0, what="a minute of blocks")
        return (int(last["timestamp"], 16) - begin) / (int(last["number"], 16) - first)

    measured(
        "average block interval over 60 s with one of four killed, s",
        average_interval_after_kill,
        limit=2.1,
        record=record_property,
    )
    measured(
        "the killed node at the head again, s", lambda: back_after_s[-1], limit=20.0, record=record_property
    )
    check_same_chain(supervised.nodes)


def test_nothing_final_is_lost_when_all_are_killed_at_once(supervised: Supervised) -> None:
    supervised.wait_all_follow()
    known = [
        {number: node.block_hash(number) for number in range(max(0, head - 5), head + 1)}
        for node, head in zip(supervised.nodes, supervised.heads(), strict=True)
    ]
    pids = [supervised.pid(index) for index in range(4)]

    supervised.kill(0, 1, 2, 3)
    wait_until(
        lambda: all(supervised.pid(index) not in (None, pids[index]) for index in range(4)),
        within_s=30.0,
        what="the supervisor has started all four again",
    )

    wait_height(supervised.nodes, max(max(blocks) for blocks in known) + 2, within_s=40.0)
    for node in supervised.nodes:
        for blocks in known:
            assert {number: node.block_hash(number) for number in blocks} == blocks
    check_same_chain(supervised.nodes)


def test_a_killed_supervisor_leaves_the_chain_running_and_the_next_up_takes_it_over(
    supervised: Supervised,
) -> None:
    supervised.wait_all_follow()
    supervisor = running_supervisor(supervised.directory)
    assert supervisor is not None
    pids = [supervised.pid(index) for index in range(4)]

    os.kill(supervisor, signal.SIGKILL)
    supervised.wait_all_follow()
    before = max(supervised.heads())
    assert local.start_network(supervised.directory)
    wait_until(
        lambda: all(supervised.pid(index) not in (None, pids[index]) for index in range(4)),
        within_s=60.0,
        what="the new supervisor has its own four nodes",
    )

    wait_height(supervised.nodes, before + 1, within_s=40.0)
    assert not any(pid is not None and psutil.pid_exists(pid) for pid in pids)
    check_same_chain(supervised.nodes)


def transfer(node: Endpoint, account: Any, *, nonce: int | None = None) -> str:
    """Sign and send a transfer; its hash."""
    taken = (
        int(node.call("eth_getTransactionCount", account.address, "pending"), 16) if nonce is None else nonce
    )
    signed = account.sign_transaction(
        {
            "chainId": 1337, "nonce": taken, "to": RECIPIENT, "value": 1, "gas": 21_000,
            "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
        }
    )  # fmt: skip
    return str(node.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex().removeprefix("0x")))


def wait_receipt(node: Endpoint, transaction: str) -> dict[str, Any]:
    found: dict[str, Any] = wait_until(
        lambda: node.call("eth_getTransactionReceipt", transaction),
        within_s=30.0,
        what=f"{transaction} is included",
    )
    return found


def wait_next_block(node: Endpoint) -> int:
    """The moment right after a block, when the next one is furthest away."""
    before = node.height() or 0
    return wait_until(
        lambda: height if (height := node.height() or 0) > before else None,
        within_s=20.0,
        what=f"a block after {before}",
    )


def coinbases(network: Supervised) -> list[str]:
    """Each validator's fee recipient, which is its own address."""
    return [
        str(json.loads((network.directory.node(node.name) / "validator.json").read_text())["address"])
        .lower()
        .removeprefix("0x")
        for node in network.plan.nodes
    ]


def test_a_transaction_sent_to_one_node_is_included_by_another_proposer(supervised: Supervised) -> None:
    supervised.wait_all_follow()
    account = Account.from_key(funded_accounts()[4].private_key)
    own = ["0x" + address for address in coinbases(supervised)]

    for index, node in enumerate(supervised.nodes):
        # Right after the node's own block it is the others' turn.
        wait_until(
            lambda node=node, index=index: (
                node.call("eth_getBlockByNumber", "latest", False)["miner"] == own[index]
            ),
            within_s=30.0,
            what=f"a block proposed by validator {index + 1}",
        )
        receipt = wait_receipt(node, transfer(node, account))
        miner = node.block(int(receipt["blockNumber"], 16))["miner"]
        assert miner != own[index]
        assert miner in own


def test_a_pending_transaction_survives_the_kill_of_the_node_that_took_it(supervised: Supervised) -> None:
    supervised.wait_all_follow()
    account = Account.from_key(funded_accounts()[5].private_key)
    taker, other = supervised.nodes[2], supervised.nodes[0]

    def killed_while_pending() -> str | None:
        wait_next_block(other)
        transaction = transfer(taker, account)
        seen = wait_until(
            lambda: other.call("eth_getTransactionByHash", transaction),
            within_s=5.0,
            what="another node has heard of it",
        )
        if seen["blockNumber"] is not None:
            wait_receipt(taker, transaction)
            return None  # A block came between; once more.
        supervised.kill(2)
        return transaction

    transaction = wait_until(killed_while_pending, within_s=30.0, what="a kill while it is pending")

    assert wait_receipt(other, transaction)["status"] == "0x1"
    wait_receipt(supervised.nodes[3], transaction)


def validators_at(node: Endpoint, height: int) -> list[str]:
    found: list[str] = node.call("ibft_getValidatorsByBlockNumber", hex(height))
    return sorted(found)


def change_height(node: Endpoint, candidate: str, first: int, last: int, *, member: bool) -> int:
    """The first height in the range whose validators do, or do not, hold the candidate."""
    return next(
        height for height in range(first, last + 1) if (candidate in validators_at(node, height)) is member
    )


def test_a_candidate_is_voted_in_and_out_and_the_set_changes_at_one_height_everywhere(
    supervised: Supervised, tmp_path: Path
) -> None:
    supervised.wait_all_follow()
    metanode("keys", "new", "validator.json", "--dev", "--json", cwd=tmp_path)
    address = json.loads(metanode("keys", "show", "validator.json", "--json", cwd=tmp_path).stdout)["address"]
    candidate = address.lower()
    rpc_port, p2p_port = free_ports(2)
    (tmp_path / "genesis.json").write_bytes(supervised.directory.genesis_file.read_bytes())
    enodes = ", ".join(f'"{enode}"' for enode in supervised.enodes())
    (tmp_path / "config.toml").write_text(
        f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
        f"bootstrap_nodes = [{enodes}]\n"
        '[validator]\nenabled = true\nvalidator_key = "keystore:validator.json"\n'
    )
    where = ("--directory", str(supervised.directory.path))

    refused = metanode("validators", "add", address, *where, cwd=tmp_path, expect=1)
    assert "is not connected to this node and has not proved its key; start its node first" in refused.stderr

    fifth = NodeProcess(tmp_path, rpc_port)
    with running([fifth]):
        everyone = [*supervised.nodes, fifth.rpc]
        wait_height([fifth.rpc], max(supervised.heads()), within_s=40.0)
        for adding in (True, False):
            first = max(supervised.heads())
            # Proof and height reach each of the four in their own time.
            wait_until(
                lambda adding=adding: (
                    metanode(
                        "validators",
                        "add" if adding else "remove",
                        address,
                        *where,
                        cwd=tmp_path,
                        expect=None,
                    ).returncode
                    == 0
                    or (candidate in validators_at(supervised.nodes[0], max(supervised.heads()))) is adding
                ),
                within_s=40.0,
                what="all four take the vote",
            )
            for node in everyone:
                wait_until(
                    lambda node=node, adding=adding: (
                        (candidate in node.call("ibft_getValidatorsByBlockNumber", "latest")) is adding
                    ),
                    within_s=60.0,
                    what=f"the set has changed at {node.url}",
                )
            last = max(node.height() or 0 for node in everyone)
            wait_height(everyone, last, within_s=20.0)
            changed = {change_height(node, candidate, first, last, member=adding) for node in everyone}
            assert len(changed) == 1, changed
            if adding:
                wait_until(
                    lambda last=last: any(
                        fifth.rpc.block(height)["miner"] == candidate
                        for height in range(last, (fifth.rpc.height() or 0) + 1)
                    ),
                    within_s=60.0,
                    what="the new validator has proposed a block",
                )
        assert len(validators_at(supervised.nodes[0], max(supervised.heads()))) == 4
        check_same_chain(everyone)
    supervised.wait_all_follow()


# --- nodes without a supervisor --------------------------------------------------------------------------------------------------------


@pytest.fixture
def four_nodes(tmp_path: Path) -> Iterator[list[NodeProcess]]:
    directory = NetworkDirectory(tmp_path)
    spec = replace(PRESETS["metanode-local"], port_offset=free_offset())
    plan = local.create_network(directory, spec)
    nodes = [NodeProcess(directory.node(node.name), node.rpc_port) for node in plan.nodes]
    with running(nodes):
        wait_height([node.rpc for node in nodes], 2, within_s=30.0)
        yield nodes


def test_blocks_stop_without_a_fork_when_two_of_four_are_killed_and_resume_when_they_are_back(
    four_nodes: list[NodeProcess], record_property: Callable[[str, object], None]
) -> None:
    endpoints = [node.rpc for node in four_nodes]
    survivors, dead = four_nodes[:2], four_nodes[2:]

    def resume_s() -> float:
        at_kill = max(node.height() or 0 for node in endpoints)
        for node in dead:
            node.kill()
        # What was sealed by three before the kill may still be decided; nothing after it.
        highest, until = at_kill, time.monotonic() + 5 * PERIOD_S
        while time.monotonic() < until:
            highest = max(highest, *(node.rpc.height() or 0 for node in survivors))
            assert highest <= at_kill + 1, "two of four decided a block"
            check_same_chain(node.rpc for node in survivors)
            time.sleep(0.2)
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
        assert "Stop it, or start this network with --port-offset 100 in another --directory" in other.stderr

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
