"""`metanode up` with services: they come after the first block, are shown, follow the network's fate, and forget what is reset."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.acceptance.processes import free_offset, wait_until

from sdk.testnet.deployment.apply import services
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.apply.supervisor import running_node, running_supervisor
from sdk.testnet.monitoring.alerts.catalogue import ALERTS
from sdk.testnet.services.docs import ALERTS_GUIDE, AUTO, find_docs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)


def metanode(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "METANODE_DIRECTORY": str(directory), "METANODE_SERVICES": "1"}
    finished = subprocess.run(
        [sys.executable, "-m", "metanode", *arguments],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return finished


def status(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(metanode(directory, "status", "--json").stdout)
    return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    metanode(tmp_path, "up", "--port-offset", str(free_offset()))
    yield tmp_path
    metanode(tmp_path, "down")


def test_services_come_with_the_network_and_go_with_it(running: Path) -> None:
    shown = {each["name"]: each["url"] for each in status(running)["services"]}
    assert set(shown) == set(services.PORTS)
    wait_until(
        lambda: all(each["state"] == "running" for each in status(running)["services"]),
        within_s=60,
        what=lambda: (running / "logs" / "services.log").read_text()[-3000:],
    )
    explorer = shown["explorer"]
    wait_until(
        lambda: httpx.get(f"{explorer}/readyz").status_code == 200, within_s=60, what="the explorer is ready"
    )
    home = httpx.get(explorer).text
    assert "metanode-local" in home
    assert "validator-1" in httpx.get(f"{explorer}/validators").text
    _look_at_documents(explorer)
    _look_at_operation(running, shown["faucet operator"])
    table = metanode(running, "status").stdout
    assert {f"{explorer}/dashboard", f"{explorer}/docs"} <= {*table.split()}

    directory = NetworkDirectory(running.resolve())
    first = running_node(directory, services.NAME)
    assert first is not None
    first.kill()

    def again() -> bool:
        found = running_node(directory, services.NAME)
        return found is not None and found.pid != first.pid

    wait_until(again, within_s=30, what="killed services are started again")

    metanode(running, "down")
    assert running_node(directory, services.NAME) is None
    keystore = (running / "nodes" / "services" / "faucet.json").read_bytes()
    metanode(running, "reset", "--yes")
    assert not (running / "nodes" / "services" / "data").exists()
    # The network is made anew with the same key, on whose account there are coins again.
    metanode(running, "up", "--port-offset", str(free_offset()))
    assert (running / "nodes" / "services" / "faucet.json").read_bytes() == keystore


def test_a_node_that_is_added_while_the_network_runs_is_on_the_dashboard(running: Path) -> None:
    explorer = next(each["url"] for each in status(running)["services"] if each["name"] == "explorer")
    wait_until(
        lambda: _nodes_shown(explorer) == {f"validator-{n}" for n in range(1, 5)},
        within_s=60,
        what="the dashboard has the nodes of the network's beginning",
    )
    supervisor = running_supervisor(NetworkDirectory(running.resolve()))

    metanode(running, "node", "add", "--validator")

    wait_until(
        lambda: "candidate-1" in _nodes_shown(explorer),
        within_s=60,
        what=lambda: (running / "logs" / "services.log").read_text()[-3000:],
    )
    assert running_supervisor(NetworkDirectory(running.resolve())) == supervisor


def _nodes_shown(explorer: str) -> set[str]:
    """The nodes of the dashboard; none while it does not answer."""
    try:
        told = httpx.get(f"{explorer}/dashboard.json").json()["data"]
    except (httpx.TransportError, ValueError, KeyError):
        return set()
    return {str(node["node_id"]) for node in told["nodes"]}


def _look_at_documents(explorer: str) -> None:
    """What `make up` built is at /docs, and every alert's runbook is a heading of it."""
    if find_docs(AUTO, Path.cwd()) is None:
        pytest.fail("the documentation's pages are not built: make setup")
    home = httpx.get(f"{explorer}/docs/")
    assert (home.status_code, "A BFT EVM testnet in one command" in home.text) == (200, True)
    assert 'href="/docs/"' in httpx.get(f"{explorer}/dashboard").text
    guide = httpx.get(f"{explorer}{ALERTS_GUIDE}")
    assert guide.status_code == 200
    assert {kind.anchor for kind in ALERTS} <= set(re.findall(r'<h2 id="(\w+)"', guide.text))
    told = httpx.get(f"{explorer}/dashboard.json").json()["data"]
    for each in (*told["alerts"], *told["events"]):
        assert httpx.get(each["runbook_url"]).status_code == 200, each["name"]


def _look_at_operation(running: Path, url: str) -> None:
    """The faucet's operator page stands behind its password, and pauses the faucet."""
    password = (running / "nodes" / "services" / "data" / "operator.password").read_text().strip()
    with httpx.Client(base_url=url, follow_redirects=True) as browser:
        asked = browser.get("/")
        assert (asked.url.path, "Paying" in asked.text) == ("/login", False)
        panel = browser.post("/login", data={"password": password})
        assert all(word in panel.text for word in ("Paying", "Budget", "Vouchers and keys", "Blocked"))
        token = re.search(r'name="token" value="([^"]+)"', panel.text)
        assert token is not None
        paused = browser.post("/do/pause", data={"token": token[1], "reason": "a look"})
        assert "The faucet is paused." in paused.text
        browser.post("/do/resume", data={"token": token[1]})
        assert "/api/v1/faucet" not in panel.text, "it is on the other port"
