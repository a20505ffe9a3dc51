"""Foundry's forge and anvil, unmodified, against four real validators; compilers are npm's solc and Vyper."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from tests.acceptance.processes import Endpoint, free_ports, wait_until
from tests.acceptance.programs import Project, project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunningNetwork

pytestmark = pytest.mark.timeout(600)
ANVIL_STARTS_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def forge(network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that is built."""
    made = project("foundry", tmp_path_factory.mktemp("forge") / "project", ETH_RPC_URL=network.http_url)
    made.run("forge", "build", "--use", "./solc")
    return made


@pytest.fixture(scope="module")
def key(accounts) -> str:
    return str(accounts[5].private_key)


def created(forge: Project, key: str, *arguments: str) -> dict[str, Any]:
    """What `forge create` says of a contract."""
    command = ("forge", "create", "--use", "./solc", "--private-key", key, "--broadcast", "--json")
    told = forge.run(*command, *arguments)
    return json.loads(told[told.index("{") :])


@pytest.fixture(scope="module")
def deployed(forge: Project, key: str, network: RunningNetwork) -> dict[str, Any]:
    """A Counter that holds 21: its address, the number of its block, and what added 21."""
    made = created(forge, key, "src/Counter.sol:Counter")
    sent = ("cast", "send", "--private-key", key, made["deployedTo"], "add(uint256)", "21", "--json")
    added = json.loads(forge.run(*sent))
    receipt = Endpoint(network.http_url).call("eth_getTransactionReceipt", made["transactionHash"])
    return {
        "address": made["deployedTo"],
        "number": int(receipt["blockNumber"], 16),
        "added": added["transactionHash"],
    }


def test_solidity_and_vyper_are_built(forge: Project) -> None:
    out = forge.path / "out"

    for artifact in ("Counter.sol/Counter", "Token.sol/Token", "Counter.vy/Counter"):
        bytecode = json.loads((out / f"{artifact}.json").read_text())["bytecode"]["object"]
        assert len(bytecode) > 200, artifact


def test_a_contract_is_created(forge: Project, key: str) -> None:
    made = created(forge, key, "src/Token.sol:Token", "--constructor-args", "1000")

    assert made["deployer"] == Account.from_key(key).address
    assert forge.run("cast", "call", made["deployedTo"], "totalSupply()(uint256)") == "1000"


def test_a_vyper_contract_is_created(forge: Project, key: str) -> None:
    made = created(forge, key, "src/Counter.vy:Counter")

    assert forge.run("cast", "call", made["deployedTo"], "doubled()(uint256)") == "0"


def test_a_script_is_broadcast(forge: Project, key: str, network: RunningNetwork) -> None:
    forge.run(
        "forge", "script", "script/Deploy.s.sol:Deploy", "--use", "./solc", "--rpc-url", network.http_url,
        "--private-key", key, "--broadcast", "--slow",
    )  # fmt: skip

    told = json.loads((forge.path / "broadcast/Deploy.s.sol/1337/run-latest.json").read_text())
    assert [receipt["status"] for receipt in told["receipts"]] == ["0x1"] * 4
    counter, token = (told["returns"][name]["value"] for name in ("counter", "token"))
    assert forge.run("cast", "call", counter, "doubled()(uint256)") == "42"
    assert forge.run("cast", "call", token, "balanceOf(address)(uint256)", counter).split()[0] == str(
        5 * 10**18
    )


def test_tests_pass_on_a_fork_of_the_network(
    forge: Project, deployed: dict[str, Any], network: RunningNetwork
) -> None:
    told = json.loads(
        forge.run(
            "forge", "test", "--use", "./solc", "--fork-url", network.http_url, "--json",
            COUNTER=deployed["address"], DEPLOYED=str(deployed["number"]), ADDED=deployed["added"], CHAIN_ID="1337",
        )
    )  # fmt: skip

    results = {
        name: result["status"] for suite in told.values() for name, result in suite["test_results"].items()
    }
    assert len(results) == 12, results
    assert set(results.values()) == {"Success"}, results


@pytest.fixture(scope="module")
def anvil(forge: Project, deployed: dict[str, Any], network: RunningNetwork) -> Iterator[Endpoint]:
    """A fork of the network."""
    del deployed  # It must be there when the fork is made.
    [port] = free_ports(1)
    log = forge.path / "anvil.log"
    with log.open("wb") as output:
        process = forge.start("anvil", "--fork-url", network.http_url, "--port", str(port), output=output)
    try:
        endpoint = Endpoint(f"http://127.0.0.1:{port}")
        wait_until(
            lambda: endpoint.height() is not None,
            within_s=ANVIL_STARTS_WITHIN_S,
            what=lambda: f"anvil answers:\n{log.read_text()}",
        )
        yield endpoint
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_anvil_forks_the_network(
    forge: Project, anvil: Endpoint, deployed: dict[str, Any], key: str, network: RunningNetwork
) -> None:
    cast = {"ETH_RPC_URL": anvil.url}
    assert forge.run("cast", "chain-id", **cast) == "1337"
    assert forge.run("cast", "call", deployed["address"], "doubled()(uint256)", **cast) == "42"
    stranger = "0x" + "e5" * 20

    # The fork moves on by itself, and with accounts that only the fork lets anybody use.
    forge.run("cast", "send", "--private-key", key, deployed["address"], "add(uint256)", "9", **cast)
    forge.run("cast", "rpc", "anvil_setBalance", stranger, "0xde0b6b3a7640000", **cast)
    forge.run("cast", "rpc", "anvil_impersonateAccount", stranger, **cast)
    forge.run(
        "cast", "send", "--unlocked", "--from", stranger, deployed["address"], "add(uint256)", "1", **cast
    )

    assert forge.run("cast", "call", deployed["address"], "doubled()(uint256)", **cast) == "62"
    assert forge.run("cast", "call", deployed["address"], "doubled()(uint256)") == "42"
    assert Endpoint(network.http_url).call("eth_getBalance", stranger, "latest") == "0x0"


def test_anvil_serves_the_history_of_the_network(
    anvil: Endpoint, network: RunningNetwork, deployed: dict[str, Any]
) -> None:
    node, number = Endpoint(network.http_url), deployed["number"]

    assert anvil.block_hash(number) == node.block_hash(number)
    [ours, theirs] = [end.call("eth_getBlockByNumber", hex(number), True) for end in (node, anvil)]
    assert [t["hash"] for t in theirs["transactions"]] == [t["hash"] for t in ours["transactions"]]
    # Not the latest: either chain has blocks of its own after the fork.
    added = node.call("eth_getTransactionReceipt", deployed["added"])["blockNumber"]
    at = {"fromBlock": hex(number), "toBlock": added, "address": deployed["address"]}
    assert [log["data"] for log in anvil.call("eth_getLogs", at)] == [
        log["data"] for log in node.call("eth_getLogs", at)
    ]
    before = hex(number - 1)
    assert anvil.call("eth_getCode", deployed["address"], before) == "0x"


def test_a_compiler_is_not_fetched(forge: Project) -> None:
    elsewhere = ("--out", "elsewhere", "--cache-path", "elsewhere")

    refused = forge.refused("forge", "build", "--force", *elsewhere)

    assert "no compiler versions are available for it" in refused
