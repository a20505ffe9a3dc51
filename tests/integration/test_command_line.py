"""The commands on a network of real processes: what a person and a program see."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import Endpoint, free_offset, wait_height, wait_until

from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.supervisor import running_supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.timeout(300)

CHAIN_ID, PERIOD_S, NAME = 4_243, 1, "command-line"
SECRETS = {"validator.json", "validator.password", "nodekey"}
MADE_WITH = ("--network", NAME, "--chain-id", str(CHAIN_ID), "--block-time", str(PERIOD_S))
VOTED_WITHIN_S = 60.0
"""Each voter has to propose a block: three turns of a second, and a round of 4 s or more for each turn that is missed."""


def metanode(
    directory: Path, *arguments: str, expect: int | None = 0, answer: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "METANODE_DIRECTORY": str(directory), "COLUMNS": "60"}
    finished = subprocess.run(
        [sys.executable, "-m", "metanode", *arguments],
        env=environment, input=answer, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert expect is None or finished.returncode == expect, finished.stderr
    return finished


def document(directory: Path, *arguments: str) -> Any:
    return json.loads(metanode(directory, *arguments, "--json").stdout)


@pytest.fixture(scope="module")
def made_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A network of two validators that the command line has made and started, with a name, an id and a pace of its own."""
    path = tmp_path_factory.mktemp("network")
    offset = free_offset()
    made = metanode(path, "up", "--validators", "2", "--port-offset", str(offset), *MADE_WITH)
    assert "2 of 2 validators answer" in made.stderr
    assert "2 validators: tolerates 0 crashes, 0 liars" in made.stdout
    assert "warning: blocks stop as soon as one validator stops" in made.stderr
    assert made.stdout.count("0x") >= 20
    assert f"stop: metanode down --directory {path}" in made.stdout
    yield path
    metanode(path, "down")


@pytest.fixture
def directory(made_network: Path) -> Path:
    """The network, running: tests come in any order, and some stop it."""
    if running_supervisor(NetworkDirectory(made_network)) is None:
        metanode(made_network, "up")
    return made_network


def test_up_again_says_that_the_network_runs(directory: Path) -> None:
    again = metanode(directory, "up")

    assert "the network runs already" in again.stderr
    assert "validator-2" in again.stdout


def test_a_network_has_the_name_the_id_and_the_pace_that_up_was_told(directory: Path) -> None:
    url = document(directory, "status")["nodes"][0]["rpc_url"]
    state = Endpoint(url).call("ibft_getConsensusState")

    assert (state["network"], int(state["chainId"], 16), int(state["period"], 16)) == (
        NAME,
        CHAIN_ID,
        PERIOD_S,
    )
    wait_height([Endpoint(url)], 3, within_s=30.0)
    first, second = (int(Endpoint(url).block(number)["timestamp"], 16) for number in (2, 3))
    assert second - first >= PERIOD_S


def test_logs_are_one_stream_of_all_nodes_in_the_order_of_time_or_one_nodes_own_lines(
    directory: Path,
) -> None:
    together = metanode(directory, "logs", "--lines", "5").stdout.splitlines()
    alone = metanode(directory, "logs", "validator-2", "--lines", "3").stdout.splitlines()
    refused = metanode(directory, "logs", "validator-9", expect=1)

    of_nodes = [line.split(" | ", 1) for line in together if line.startswith("validator-")]
    assert {name.strip() for name, _ in of_nodes} == {"validator-1", "validator-2"}
    times = [text[:27] for _, text in of_nodes]
    assert times == sorted(times)
    assert len(alone) == 3
    assert set(alone) <= set((directory / "logs" / "validator-2.log").read_text().splitlines())
    assert "no node 'validator-9'; known are validator-1, validator-2" in refused.stderr


def test_followed_logs_go_on_with_what_is_written(directory: Path) -> None:
    following = subprocess.Popen(
        [sys.executable, "-m", "metanode", "logs", "--follow", "--lines", "0", "--directory", str(directory)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert following.stdout is not None
        line = following.stdout.readline()
        assert "validator-" in line
        assert " | " in line
    finally:
        following.kill()
        following.communicate()


def test_bench_sends_and_prints_how_many_were_taken_and_included(directory: Path) -> None:
    figures = document(directory, "bench", "--transactions", "50")
    shown = metanode(directory, "bench", "--transactions", "50").stdout

    assert figures.keys() == {"transfers", "intake_per_second", "included_per_second", "blocks"}
    assert figures["transfers"] == 50
    assert figures["blocks"] >= 1
    assert figures["intake_per_second"] >= figures["included_per_second"] > 0
    assert [line.partition(":")[0] for line in shown.splitlines()] == [
        name.replace("_", " ") for name in figures
    ]


def test_reset_asks_first_and_deletes_the_chain_but_no_key(tmp_path: Path) -> None:
    up = ("up", "--validators", "1", "--port-offset", str(free_offset()))
    try:
        made = document(tmp_path, *up)
        genesis = (tmp_path / "genesis.json").read_bytes()
        keys = {
            path: path.read_bytes()
            for path in (tmp_path / "nodes" / "validator-1").iterdir()
            if path.name in SECRETS
        }
        assert len(keys) == len(SECRETS)

        kept = metanode(tmp_path, "reset", expect=1, answer="n\n")
        assert f"delete all chain data in {tmp_path}" in kept.stderr.replace("\n", "")
        assert document(tmp_path, "status")["nodes"][0]["pid"] == made["nodes"][0]["pid"]

        assert document(tmp_path, "reset", "--yes") == {"deleted": str(tmp_path)}
        assert not list((tmp_path / "nodes").glob("*/data"))
        assert {path: path.read_bytes() for path in keys} == keys

        again = document(tmp_path, *up)
        assert again["nodes"][0]["height"] >= 1
        assert (tmp_path / "genesis.json").read_bytes() != genesis, "another chain"
        assert {path: path.read_bytes() for path in keys} == keys
    finally:
        metanode(tmp_path, "down", expect=None)


def test_up_refuses_to_be_another_network_in_the_options_words(directory: Path) -> None:
    refused = metanode(directory, "up", "--validators", "5", "--chain-id", "9", expect=1)

    assert f"--validators is 2, asked for 5; --chain-id is {CHAIN_ID}, asked for 9" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [("up",), ("status",), ("account", "list"), ("validators", "list"), ("validators", "votes")],
    ids=" ".join,
)
def test_json_is_one_document_and_nothing_else(directory: Path, arguments: tuple[str, ...]) -> None:
    assert document(directory, *arguments)


def test_the_ten_accounts_are_shown_with_keys_and_balances(directory: Path) -> None:
    accounts = document(directory, "account", "list")

    assert len(accounts) == 10
    assert {frozenset(account) for account in accounts} == {
        frozenset({"address", "private_key", "balance_wei"})
    }
    assert accounts[9]["balance_wei"] == 10_000 * 10**18


def test_validators_have_names_and_no_address_is_cut_on_a_narrow_terminal(directory: Path) -> None:
    found = document(directory, "validators", "list")
    words = [entry[key] for entry in found for key in ("address", "name")]

    shown = metanode(directory, "validators", "list").stdout

    assert {entry["name"] for entry in found} >= {"validator-1", "validator-2"}
    assert [word for word in words if word is not None and word not in shown] == []


def test_a_vote_for_somebody_who_is_not_there_says_how_to_force_it(directory: Path) -> None:
    refused = metanode(directory, "validators", "add", "0x" + "11" * 20, expect=1)
    forced = document(directory, "validators", "add", "0x" + "11" * 20, "--force")

    assert "--force" in refused.stderr
    assert forced == {"address": "0x" + "11" * 20, "add": True, "voters": ["validator-1", "validator-2"]}
    leave_no_member(directory, "0x" + "11" * 20)


def test_a_vote_can_be_taken_back_before_it_was_counted(directory: Path) -> None:
    address = "0x" + "22" * 20
    document(directory, "validators", "add", address, "--force")

    discarded = document(directory, "validators", "discard", address)

    assert discarded["address"] == address
    assert {"validator-1", "validator-2"} <= set(discarded["discarded_by"]), "and a candidate of another test"
    assert all(address not in wishes for wishes in document(directory, "validators", "votes").values())
    leave_no_member(directory, address)


def leave_no_member(directory: Path, address: str) -> None:
    """Take the votes back, and whom they have made a member already: others' tests would pay for its turns."""
    document(directory, "validators", "discard", address)

    def is_gone() -> bool:
        # Both votes may be in blocks already, the second one in the block that is decided right now.
        if address not in {entry["address"] for entry in document(directory, "validators", "list")}:
            return True
        metanode(directory, "validators", "remove", address, expect=None)
        return False

    first = document(directory, "status")["height"]
    wait_until(
        lambda: document(directory, "status")["height"] > first,
        within_s=VOTED_WITHIN_S, what="another block",
    )  # fmt: skip
    wait_until(is_gone, within_s=VOTED_WITHIN_S, what="the votes to remove are in blocks")


def test_a_node_with_a_validator_key_is_added_voted_in_and_votes_from_then_on(directory: Path) -> None:
    added = document(directory, "node", "add", "--validator")
    address = added["address"]

    def vote_is_taken() -> bool:
        # Refused until the candidate is connected and at the head.
        return metanode(directory, "validators", "add", address, expect=None).returncode == 0

    def is_member() -> bool:
        return address in {entry["address"] for entry in document(directory, "validators", "list")}

    wait_until(vote_is_taken, within_s=60, what="the candidate is at the head")
    wait_until(is_member, within_s=VOTED_WITHIN_S, what="the votes to add are in blocks")
    removed = document(directory, "validators", "remove", address)

    assert added["name"] == "candidate-1"
    assert removed["voters"] == ["validator-1", "validator-2", "candidate-1"]
    wait_until(lambda: not is_member(), within_s=VOTED_WITHIN_S, what="the votes to remove are in blocks")


def test_a_running_node_is_not_recovered(directory: Path) -> None:
    refused = metanode(directory, "node", "recover", str(directory / "nodes" / "validator-1"), expect=1)

    assert "is in use: stop the node first" in refused.stderr


def test_a_taken_port_is_named_with_its_process(tmp_path: Path) -> None:
    offset = free_offset()
    with socket.create_server(("127.0.0.1", 8545 + offset)):
        refused = metanode(tmp_path, "up", "--validators", "1", "--port-offset", str(offset), expect=1)

    assert (
        f"port {8545 + offset} (rpc_port of validator-1) is in use by process {os.getpid()}" in refused.stderr
    )


def test_up_after_the_supervisor_was_killed_replaces_what_it_left_behind(directory: Path) -> None:
    before = {node["pid"] for node in document(directory, "status")["nodes"]}
    os.kill(int((directory / "run" / "supervisor.pid").read_text()), signal.SIGKILL)

    after = document(directory, "up")

    assert after["running"]
    assert before.isdisjoint(node["pid"] for node in after["nodes"])


def test_a_stopped_network_says_how_to_start_it(directory: Path) -> None:
    assert document(directory, "down") == {"stopped": True}
    assert document(directory, "down") == {"stopped": False}

    stopped = metanode(directory, "status", expect=1)
    refused = metanode(directory, "account", "list", expect=1)

    assert "the network is stopped; start it with" in stopped.stderr
    assert "does not answer" in refused.stderr
