"""What a supervised network of real processes survives: kill -9 of one and of all, of its supervisor, and new validators."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from eth_account import Account
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

from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.supervisor import running_supervisor
from sdk.testnet.deployment.plan import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

RECIPIENT = "0x" + "77" * 20


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
        # One failed round more than the dead one's own is beyond it: beside other tests too, for a block is due at a time, whoever else works.
        is_of_work=False,
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

        def other_proposer(node: Endpoint = node, index: int = index) -> str | None:
            receipt = wait_receipt(node, transfer(node, account))
            miner = str(node.block(int(receipt["blockNumber"], 16))["miner"])
            assert miner in own
            return miner if miner != own[index] else None  # It was the node's own turn; once more.

        wait_until(other_proposer, within_s=30.0, what=f"a proposer other than validator {index + 1}")


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
