"""`testnet monitor` and `testnet down --docker` on the folder of a deployment that runs as containers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.deployment.test_deployer import deploy

from metanode.errors import InvalidInput
from sdk.testnet.command import containers, monitor
from sdk.testnet.deployment.configuration import PARVYOM, SERVICES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is asked of Compose."""
    found: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        found.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")

    monkeypatch.setattr(containers.compose, "find_compose", lambda: ["docker", "compose"])
    monkeypatch.setattr(containers.subprocess, "run", run)
    return found


def test_containers_of_the_monitoring_are_stopped_with_the_others(
    tmp_path: Path, ran: list[list[str]]
) -> None:
    """Compose's own `down` leaves what is in a profile running."""
    deploy(tmp_path, services=SERVICES)

    containers.stop_containers(tmp_path)

    assert ran == [
        ["docker", "compose", "-f", "docker-compose.testnet.yml", "--profile", "monitoring", "down"]
    ]


def test_a_profile_that_a_deployment_has_not_is_not_named(tmp_path: Path, ran: list[list[str]]) -> None:
    deploy(tmp_path, services=("faucet",))

    containers.stop_containers(tmp_path)

    assert ran == [["docker", "compose", "-f", "docker-compose.testnet.yml", "down"]]


def test_containers_are_watched_where_they_publish_their_nodes(tmp_path: Path) -> None:
    deploy(tmp_path, port_offset=11, block_time_s=5)

    watched = monitor._monitor(None, tmp_path)

    assert [(one.name, one.role, one.rpc_url, one.metrics_url) for one in watched.endpoints] == [
        ("validator-1", "validator", "http://127.0.0.1:8556", "http://127.0.0.1:9111/metrics"),
        ("validator-2", "validator", "http://127.0.0.1:8557", "http://127.0.0.1:9112/metrics"),
    ]
    assert watched.limits.block_time_s == 5


def test_of_the_public_testnet_it_is_said_who_watches_it(tmp_path: Path) -> None:
    """What answers on 8545 there is a gateway, which has no method of operators."""
    deploy(tmp_path, preset=PARVYOM, num_validators=2)

    with pytest.raises(InvalidInput, match="the dashboard of bpci-server watches all nodes"):
        monitor._monitor(None, tmp_path)


def test_a_folder_without_any_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no network of processes in"):
        monitor._monitor(None, tmp_path)
