"""Foundry's cast, unmodified, against four real validators: what its manual's chapters do, one test each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from tests.acceptance.processes import wait_until
from tests.acceptance.programs import Project, installed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunningNetwork

pytestmark = pytest.mark.timeout(300)
RECIPIENT = "0x" + "e4" * 20


class Cast:
    """The command with the network's address, and a sender."""

    def __init__(self, project: Project, url: str, key: str) -> None:
        self.project, self.url, self.key = project, url, key
        self.sender: str = Account.from_key(key).address

    def __call__(self, *arguments: str) -> str:
        return self.project.run("cast", *arguments, ETH_RPC_URL=self.url)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def send(self, *arguments: str) -> dict[str, Any]:
        """The receipt of a transaction that succeeded."""
        receipt: dict[str, Any] = self.json("send", "--private-key", self.key, *arguments)
        assert receipt["status"] == "0x1", receipt
        return receipt

    def refused(self, *arguments: str) -> str:
        return self.project.refused("cast", *arguments, ETH_RPC_URL=self.url)


@pytest.fixture(scope="module")
def cast(network: RunningNetwork, accounts, tmp_path_factory: pytest.TempPathFactory) -> Cast:
    path: Path = tmp_path_factory.mktemp("cast")
    (path / "node_modules").symlink_to(installed("foundry"))
    return Cast(Project(path), network.http_url, accounts[4].private_key)


@pytest.fixture(scope="module")
def deployed(cast: Cast, counter) -> dict[str, Any]:
    """The receipt of a Counter, which holds 21."""
    receipt = cast.send("--create", counter["bytecode"])
    cast.send(receipt["contractAddress"], "add(uint256)", "21")
    return receipt


def test_the_chain_introduces_itself(cast: Cast) -> None:
    assert cast("chain-id") == "1337"
    assert cast("client").startswith("metanode/")
    assert int(cast("block-number")) >= 1
    assert int(cast("base-fee")) > 0
    assert int(cast("gas-price")) > 0
    assert cast("rpc", "net_version") == '"1337"'


def test_blocks_are_read(cast: Cast) -> None:
    number = int(cast("block-number"))

    block = cast.json("block", str(number))

    assert int(block["number"], 16) == number
    assert cast("block", block["hash"], "--field", "number") == str(number)
    assert int(cast("block", "finalized", "--field", "number")) >= number
    assert cast("block", "0", "--field", "parentHash") == "0x" + "0" * 64
    assert cast("find-block", str(int(block["timestamp"], 16))) == str(number)
    assert "transactions" in cast.json("block", str(number), "--full")
    assert cast("age", str(number))


def test_accounts_are_read(cast: Cast, deployed: dict[str, Any]) -> None:
    address = deployed["contractAddress"]

    assert 0 < float(cast("balance", cast.sender, "--ether")) < 10_000
    assert int(cast("balance", cast.sender, "--block", "0")) == 10_000 * 10**18
    assert int(cast("nonce", cast.sender)) >= 2
    assert cast("nonce", address) == "1"
    assert len(cast("code", address)) // 2 - 1 == int(cast("codesize", address)) > 100
    assert len(cast("codehash", address)) == 66
    assert int(cast("storage", address, "0"), 16) == 21
    assert int(cast("storage", address, "0", "--block", str(int(deployed["blockNumber"], 16))), 16) == 0


def test_a_proof_is_given(cast: Cast, deployed: dict[str, Any]) -> None:
    proof = json.loads(cast("proof", deployed["contractAddress"], "0"))

    assert proof["codeHash"] == cast("codehash", deployed["contractAddress"])
    assert proof["storageHash"] == cast("storage-root", deployed["contractAddress"])
    assert int(proof["storageProof"][0]["value"], 16) == 21
    assert len(proof["accountProof"]) >= 1


def test_a_transfer_is_sent_and_found(cast: Cast) -> None:
    before = int(cast("balance", RECIPIENT))

    receipt = cast.send(RECIPIENT, "--value", "1.5ether")

    assert int(receipt["gasUsed"], 16) == 21_000
    assert int(cast("balance", RECIPIENT)) == before + 15 * 10**17
    found = cast.json("tx", receipt["transactionHash"])
    assert (found["type"], int(found["value"], 16), found["chainId"]) == ("0x2", 15 * 10**17, "0x539")
    assert cast("receipt", receipt["transactionHash"], "blockHash") == receipt["blockHash"]
    assert cast("tx", receipt["transactionHash"], "--raw").startswith("0x02")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--legacy",), "0x0"),
        (("--access-list",), "0x1"),
        ((), "0x2"),
        (("--gas-price", "9gwei", "--priority-gas-price", "2gwei", "--gas-limit", "90000"), "0x2"),
    ],
)
def test_each_kind_of_transaction_is_taken(
    cast: Cast, deployed: dict[str, Any], options: tuple[str, ...], kind: str
) -> None:
    receipt = cast.send(deployed["contractAddress"], "add(uint256)", "0", *options)

    # cast puts an access list into a transaction of type 2 when fees are those of EIP-1559.
    assert receipt["type"] in ({"0x1", "0x2"} if kind == "0x1" else {kind})


def test_an_account_is_delegated(cast: Cast, deployed: dict[str, Any]) -> None:
    """EIP-7702: cast signs the authorization of another account and pays for it."""
    authority = Account.create()
    signed = cast(
        "wallet", "sign-auth", deployed["contractAddress"], "--private-key", authority.key.to_0x_hex()
    )

    receipt = cast.send(authority.address, "add(uint256)", "7", "--auth", signed)

    assert receipt["type"] == "0x4"
    assert cast("code", authority.address) == "0xef0100" + deployed["contractAddress"][2:].lower()
    assert cast("call", authority.address, "doubled()(uint256)") == "14"


def test_a_transaction_is_signed_offline_and_published(cast: Cast) -> None:
    raw = cast("mktx", "--private-key", cast.key, RECIPIENT, "--value", "1")

    receipt = cast.json("publish", raw)

    assert receipt["status"] == "0x1"
    assert "already known" in cast.refused("publish", raw) or "nonce too low" in cast.refused("publish", raw)


def test_a_contract_is_called_and_its_gas_estimated(cast: Cast, deployed: dict[str, Any]) -> None:
    address = deployed["contractAddress"]

    assert cast("call", address, "doubled()(uint256)") == "42"
    assert 21_000 < int(cast("estimate", address, "add(uint256)", "3", "--from", cast.sender)) < 100_000
    created = cast.json("access-list", address, "add(uint256)", "3", "--from", cast.sender)
    assert created["accessList"][0]["address"].lower() == address.lower()
    override = f"{address}:0:0x{5:064x}"
    assert cast("call", address, "doubled()(uint256)", "--override-state-diff", override) == "10"


def test_a_revert_is_told_with_its_reason(cast: Cast, deployed: dict[str, Any]) -> None:
    address = deployed["contractAddress"]

    assert "amount too large" in cast.refused("call", address, "add(uint256)", "100")
    assert "amount too large" in cast.refused("estimate", address, "add(uint256)", "100")
    refused = cast.refused("send", "--private-key", cast.key, address, "add(uint256)", "100")
    assert "amount too large" in refused


def test_logs_are_found(cast: Cast, deployed: dict[str, Any]) -> None:
    first = str(int(deployed["blockNumber"], 16))

    logs = cast.json(
        "logs", "--from-block", first, "--address", deployed["contractAddress"],
        "Changed(address indexed by, uint256 value)", cast.sender,
    )  # fmt: skip

    assert int(logs[0]["data"], 16) == 21
    assert logs[0]["topics"][1][-40:] == cast.sender[2:].lower()


def test_logs_are_followed_over_a_websocket(
    cast: Cast, deployed: dict[str, Any], network: RunningNetwork
) -> None:
    address = deployed["contractAddress"]
    told = cast.project.path / "followed.txt"
    with told.open("wb") as output:
        following = cast.project.start(
            "cast", "logs", "--subscribe", "--address", address, "--rpc-url", network.ws_url, output=output
        )
    try:
        # The subscription begins some time after the program: until it has, logs pass it by.
        wait_until(
            lambda: cast.send(address, "add(uint256)", "0") and address.lower() in told.read_text().lower(),
            within_s=60.0,
            what=lambda: f"a log arrives: {told.read_text()}",
        )
    finally:
        following.kill()
        following.wait(timeout=10)


def test_a_call_is_traced(cast: Cast, deployed: dict[str, Any]) -> None:
    trace = cast("call", "--trace", deployed["contractAddress"], "doubled()(uint256)")

    assert f"{0x2A:064x}" in trace
    assert "[Return] " in trace


def test_a_mined_transaction_is_run_again(cast: Cast, deployed: dict[str, Any]) -> None:
    receipt = cast.send(deployed["contractAddress"], "add(uint256)", "0")

    trace = cast("run", receipt["transactionHash"])

    assert "emit" in trace
    assert "Transaction successfully executed." in trace


def test_the_node_traces_a_mined_transaction(cast: Cast, deployed: dict[str, Any]) -> None:
    address = deployed["contractAddress"].lower()
    mined = cast.send(address, "add(uint256)", "0")["transactionHash"]

    tracer = json.dumps({"tracer": "callTracer", "tracerConfig": {"withLog": True}})
    called = json.loads(cast("rpc", "debug_traceTransaction", mined, tracer))
    assert (called["type"], called["to"], len(called["logs"])) == ("CALL", address, 1)
    steps = json.loads(cast("rpc", "debug_traceTransaction", mined))["structLogs"]
    assert {"SLOAD", "LOG2"} <= {step["op"] for step in steps}
    assert address in cast("trace", mined)


def test_the_pool_is_read(cast: Cast) -> None:
    """A transaction whose nonce leaves a gap waits there."""
    nonce = int(cast("nonce", cast.sender)) + 50

    sent = cast(
        "send", "--async", "--private-key", cast.key, RECIPIENT, "--nonce", str(nonce), "--gas-limit", "21000"
    )

    queued = wait_until(
        lambda: json.loads(cast("tx-pool", "content"))["queued"].get(cast.sender.lower()),
        within_s=10.0,
        what="the transaction waits in the pool",
    )
    assert queued[str(nonce)]["hash"] == sent
    assert json.loads(cast("tx-pool", "status"))["queued"] != "0x0"


def test_the_same_is_answered_over_a_websocket(cast: Cast, network: RunningNetwork) -> None:
    assert cast("chain-id", "--rpc-url", network.ws_url) == "1337"
    assert int(cast("block-number", "--rpc-url", network.ws_url)) >= 1


def test_blobs_are_refused_for_what_they_are(cast: Cast) -> None:
    (cast.project.path / "blob.txt").write_text("hello")

    refused = cast.refused("send", "--private-key", cast.key, RECIPIENT, "--blob", "--path", "blob.txt")

    assert "transaction type not supported" in refused


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (
            ("send", "--unlocked", "--from", "SENDER", RECIPIENT),
            "the method eth_sendTransaction does not exist",
        ),
        (("rpc", "anvil_mine", "1"), "the method anvil_mine does not exist"),
        (("rpc", "evm_snapshot"), "the method evm_snapshot does not exist"),
        (("rpc", "hardhat_reset"), "the method hardhat_reset does not exist"),
        (("resolve-name", "vitalik.eth"), "Failed to resolve ENS name"),
        (
            ("send", "--private-key", "KEY", RECIPIENT, "--value", "20000ether"),
            "insufficient funds for transfer",
        ),
        (
            ("send", "--private-key", "KEY", RECIPIENT, "--nonce", "0", "--gas-limit", "21000"),
            "nonce too low",
        ),
        (
            ("send", "--private-key", "KEY", RECIPIENT, "--gas-price", "1", "--priority-gas-price", "1"),
            "max fee per gas less than block base fee",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_the_network_does_not_do_is_said(
    cast: Cast, deployed: dict[str, Any], command: tuple[str, ...], answer: str
) -> None:
    del deployed  # The sender has sent something before.
    words = {"SENDER": cast.sender, "KEY": cast.key}

    assert answer in cast.refused(*(words.get(word, word) for word in command))
