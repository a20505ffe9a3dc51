"""`Testnet`: a real network inside a test."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.acceptance.processes import wait_until

from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import MethodNotFound
from sdk.testnet import Testnet
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.supervisor import running_node, running_supervisor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)


def call(url: str, method: str, *params: object) -> object:
    answer = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
    return answer["result"]


def test_a_network_lives_as_long_as_its_block_and_a_killed_node_stays_dead_until_it_is_started() -> None:
    with Testnet(validators=4, block_time_s=1, chain_id=4711) as net:
        path = net.directory.path
        assert call(net.rpc_url, "eth_chainId") == hex(4711)
        keystores = [
            json.loads((net.directory.node(node.name) / "validator.json").read_text()) for node in net.nodes
        ]
        assert [keystore["crypto"]["kdfparams"]["n"] for keystore in keystores] == [16_384] * 4
        assert call(net.rpc_url, "eth_getBalance", net.accounts[0].address, "0x0") == hex(10_000 * 10**18)
        net.wait_for_block(2)
        assert (
            len({call(node.rpc_url, "eth_getBlockByNumber", "0x1", False)["hash"] for node in net.nodes}) == 1
        )  # type: ignore[index]

        dead = net.node(2)
        dead.kill()
        assert not dead.is_running
        alive = net.node(0).height or 0
        net.wait_for_block(alive + 3)
        assert not dead.is_running
        assert dead.height is None

        dead.start()
        assert dead.is_running
        net.wait_for_block((net.node(0).height or 0) + 1)
        dead.stop()
        assert not dead.is_running
        dead.restart()
        assert dead.is_running
        log = dead.log_file.read_text()
        assert log.count("node_starting") == 3
        with pytest.raises(InvalidInput, match="node: found 4; expected 0 to 3"):
            net.node(4)
        with pytest.raises(InvalidInput, match="runs already"):
            net.start()

    assert not path.exists()
    with pytest.raises(InvalidInput, match="does not run"):
        _ = net.rpc_url
    net.stop()


def top(net: Testnet) -> int:
    return max(node.height or 0 for node in net.nodes)


def blocks(net: Testnet, height: int) -> set[str]:
    """The hashes that the nodes have for a height."""
    return {node.call("eth_getBlockByNumber", hex(height), False)["hash"] for node in net.nodes}


def test_a_partition_stops_halves_lets_three_of_four_go_on_and_heals() -> None:
    with Testnet(validators=4, block_time_s=1, in_memory=True) as net:
        net.partition([0, 1], [2, 3])
        wait_until(
            lambda: [node.peers for node in net.nodes] == [1, 1, 1, 1],
            within_s=10.0,
            what=lambda: f"each has one peer left: {[node.peers for node in net.nodes]}",
        )
        before = top(net)
        with pytest.raises(Unavailable, match=f"block {before + 2} was not finalized in 5 s: validator-1 at"):
            net.wait_for_block(before + 2, timeout_s=5)
        assert top(net) <= before + 1

        net.heal()
        net.wait_for_block(before + 3)
        assert len(blocks(net, before + 2)) == 1

        net.partition([0, 1, 2], [3])
        alone = net.node(3).height or 0
        net.wait_for_block(alone + 4, nodes=[0, 1, 2])
        assert (net.node(3).height or 0) <= alone + 1
        assert net.node(3).is_running

        net.heal()
        net.wait_for_block(top(net) + 1)
        assert len(blocks(net, alone + 3)) == 1


def test_a_slow_network_still_makes_blocks_and_a_wrong_partition_is_a_sentence() -> None:
    with Testnet(validators=2, block_time_s=1, in_memory=True) as net:
        net.slow((50, 100))
        net.wait_for_block(top(net) + 2)
        net.heal()

        for groups, sentence in [
            ([], "found 0 groups, []; expected two or more"),
            ([[0, 1]], "found 1 group, [[0, 1]]; expected two or more"),
            ([[0], []], "none of them empty"),
            ([[0], [2]], "found node 2; expected 0 to 1"),
            ([[0], [-1]], "found node -1; expected 0 to 1"),
            ([[0], ["1"]], "found node '1'"),
            ([[0], [True]], "found node True"),
            ([[0, 1], [1]], "node 1 is in two groups"),
        ]:
            with pytest.raises(InvalidInput, match=re.escape(sentence)):
                net.partition(*groups)
        for delay_ms in (-1, (2, 1), 60_001, float("nan")):
            with pytest.raises(InvalidInput, match="slow: found"):
                net.slow(delay_ms)
        wait_until(
            lambda: [node.peers for node in net.nodes] == [1, 1], within_s=10.0, what="the two are connected"
        )
        with pytest.raises(MethodNotFound):
            net.call("eth_noSuchMethod")

        other = Testnet.attach(net.directory.path)
        assert (other.rpc_url, other.chain_id, len(other.nodes)) == (net.rpc_url, net.chain_id, 2)
        for hurt in (other.node(0).kill, other.node(0).stop, other.node(0).restart, other.heal):
            with pytest.raises(InvalidInput, match="this Testnet is shared: nobody may"):
                hurt()
        other.stop()
        assert all(node.is_running for node in net.nodes)


def test_two_networks_beside_each_other_inside_an_event_loop_keep_their_directories(tmp_path: Path) -> None:
    async def both() -> None:
        with Testnet(1, block_time_s=1, directory=tmp_path / "one") as one, Testnet(1, block_time_s=1) as two:
            assert one.rpc_url != two.rpc_url
            one.wait_for_block(1)
            with pytest.raises(InvalidInput, match="partition: found node 1; expected 0 to 0"):
                two.partition([0], [1])
            two.node(0).kill()
            with pytest.raises(Unavailable, match="does not answer"):
                two.call("eth_blockNumber")
            with pytest.raises(Unavailable, match=r"block 1 was not finalized in 0.1 s: no node runs"):
                two.wait_for_block(1, timeout_s=0.1)

    asyncio.run(both())

    assert (tmp_path / "one" / "genesis.json").exists()
    assert (tmp_path / "one" / "logs" / "validator-1.log").exists()


def test_a_network_ends_with_its_process_also_when_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import time
from sdk.testnet import Testnet
net = Testnet(1, directory={str(tmp_path / "net")!r})
net.start()
print("up", flush=True)
time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    directory = NetworkDirectory(tmp_path / "net")
    try:
        assert owner.stdout is not None
        with owner.stdout as output:
            assert output.readline() == "up\n"
        assert running_supervisor(directory) is not None
        assert running_node(directory, "validator-1") is not None
    finally:
        owner.kill()
        owner.wait()

    wait_until(
        lambda: running_supervisor(directory) is None and running_node(directory, "validator-1") is None,
        within_s=30.0,
        what="the supervisor and the node have ended",
    )
    assert not directory.owner_file.exists()
    assert (
        f"the owner of this network, process {owner.pid}, has ended" in directory.supervisor_log.read_text()
    )


@pytest.mark.parametrize("validators", [0, 101])
def test_an_impossible_network_is_refused_before_anything_is_made(validators: int) -> None:
    with pytest.raises(InvalidInput, match="expected 1 to 100"):
        Testnet(validators=validators)
