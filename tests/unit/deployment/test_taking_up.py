"""Nodes that are added to a local network, in what its services are told; nothing is started here."""

from __future__ import annotations

import json
import signal
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from metanode.cli.program import app
from sdk.testnet.deployment.apply import local, services
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.taking_up import take_up_nodes
from sdk.testnet.deployment.plan import NetworkSpec

if TYPE_CHECKING:
    from pathlib import Path

OFFSET = 22_000


@pytest.fixture(autouse=True)
def _ports_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens there belongs to a test beside these."""
    monkeypatch.setattr(local, "check_ports", lambda *_arguments, **_options: None)


@pytest.fixture
def directory(tmp_path: Path) -> NetworkDirectory:
    found = NetworkDirectory(tmp_path)
    local.create_network(found, NetworkSpec(validator_count=2, port_offset=OFFSET), with_services=True)
    return found


def told(directory: NetworkDirectory) -> dict[str, Any]:
    """What the services are told."""
    return tomllib.loads(services.config_file(directory).read_text())


def edit(directory: NetworkDirectory, old: str, new: str) -> str:
    """Change the services' configuration as a person does, and give its text."""
    file = services.config_file(directory)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    return file.read_text()


def test_services_are_told_of_nodes_that_are_added_and_of_their_names(directory: NetworkDirectory) -> None:
    for role in ("candidate", "follower", "candidate"):
        assert local.add_node(directory, role).is_served

    found = told(directory)
    assert found["network"]["node_names"] == [
        "validator-1", "validator-2", "candidate-1", "follower-1", "candidate-2",
    ]  # fmt: skip
    assert found["network"]["rpc_urls"][2:] == [f"http://127.0.0.1:{8544 + OFFSET + n}" for n in (3, 4, 5)]
    assert len(found["network"]["metrics_urls"]) == 5
    assert set(found["names"].values()) == {
        "validator-1",
        "validator-2",
        "candidate-1",
        "candidate-2",
        "faucet",
    }
    # No other file than that of a network which had them from the beginning.
    plan = directory.load_plan()
    assert services.config_file(directory).read_text() == services.render_config(directory, plan)


def test_a_network_whose_services_were_never_told_of_a_node_tells_them_when_it_starts(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a version before left it."""
    before = services.config_file(directory).read_text()
    local.add_node(directory, "candidate")
    services.config_file(directory).write_text(before)
    monkeypatch.setattr(local.subprocess, "run", lambda *_arguments, **_options: None)

    assert local.start_network(directory)

    assert told(directory)["network"]["node_names"][2:] == ["candidate-1"]
    assert "candidate-1" in told(directory)["names"].values()


def test_what_a_person_has_changed_stays_beside_the_new_node(directory: NetworkDirectory) -> None:
    edit(directory, "[faucet]\n", "[faucet] # mine\ncooldown_period = 5\n")
    edit(directory, '= "validator-2"', '= "Berta"')
    text = edit(directory, "[names]\n", '[names]\n0x00000000000000000000000000000000000000ff = "treasury"\n')
    services.config_file(directory).chmod(0o600)

    assert local.add_node(directory, "candidate").is_served

    now = services.config_file(directory).read_text()
    added = told(directory)
    assert added["network"]["node_names"][2:] == ["candidate-1"]
    assert added["names"].keys() - tomllib.loads(text)["names"].keys() == {
        address for address, name in added["names"].items() if name == "candidate-1"
    }
    lists = ("rpc_urls", "node_names", "metrics_urls")
    rest = [line for line in now.splitlines() if not line.startswith(lists) and '"candidate-1"' not in line]
    assert rest == [line for line in text.splitlines() if not line.startswith(lists)]
    assert services.config_file(directory).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("changed", ["rpc_urls", "node_names", "metrics_urls"])
def test_a_list_of_nodes_that_a_person_has_changed_is_left_alone(
    directory: NetworkDirectory, changed: str
) -> None:
    text = edit(directory, f"{changed} = [", f"{changed} = [ ")

    assert not local.add_node(directory, "candidate").is_served
    assert services.config_file(directory).read_text() == text


@pytest.mark.parametrize("is_served", [True, False])
def test_a_program_is_told_whether_the_services_know_the_node(
    directory: NetworkDirectory, is_served: bool
) -> None:
    if not is_served:
        edit(directory, "rpc_urls = [", "rpc_urls = [ ")

    shown = CliRunner().invoke(app, ["node", "add", "--json", "--directory", str(directory.path)])

    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["is_served"] is is_served


def test_a_list_that_was_made_shorter_is_a_persons_own(directory: NetworkDirectory) -> None:
    file = services.config_file(directory)
    shorter = {name: told(directory)["network"][name] for name in ("rpc_urls", "node_names", "metrics_urls")}
    for name, values in shorter.items():
        edit(directory, f'{name} = ["{values[0]}", "{values[1]}"]', f'{name} = ["{values[0]}"]')
    text = file.read_text()

    assert not take_up_nodes(directory, directory.load_plan())
    assert file.read_text() == text


def test_a_list_of_nodes_that_ends_the_file_is_added_to(directory: NetworkDirectory) -> None:
    """As an editor leaves it that ends no file with a new line."""
    text = services.config_file(directory).read_text()
    (network,) = (part for part in text.split("\n\n") if "\nmetrics_urls" in part)
    services.config_file(directory).write_text(network)

    assert local.add_node(directory, "candidate").is_served
    assert told(directory)["network"]["node_names"][2:] == ["candidate-1"]
    assert len(told(directory)["network"]["metrics_urls"]) == 3


def test_services_come_back_when_somebody_does_not_wait_for_their_end(
    directory: NetworkDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        assert directory.held_file(services.NAME).exists()
        raise KeyboardInterrupt

    directory.held_file(services.NAME).parent.mkdir(exist_ok=True)
    signals: list[int] = []
    monkeypatch.setattr(local, "running_supervisor", lambda _: 1)
    monkeypatch.setattr(local, "running_node", lambda *_: object())
    monkeypatch.setattr(local, "_end", interrupt)
    monkeypatch.setattr(local.os, "kill", lambda _, number: signals.append(number))

    with pytest.raises(KeyboardInterrupt):
        local.add_node(directory, "follower")

    assert not directory.held_file(services.NAME).exists()
    # Of the node, and of them.
    assert signals == [signal.SIGHUP] * 2


def test_a_configuration_that_was_deleted_is_written_anew(directory: NetworkDirectory) -> None:
    services.config_file(directory).unlink()

    assert local.add_node(directory, "follower").is_served
    assert told(directory)["network"]["node_names"][2:] == ["follower-1"]


def test_a_network_without_services_has_nobody_to_tell(tmp_path: Path) -> None:
    directory = NetworkDirectory(tmp_path)
    local.create_network(directory, NetworkSpec(validator_count=1, port_offset=OFFSET))

    assert local.add_node(directory, "follower").is_served
    assert not services.config_file(directory).exists()
