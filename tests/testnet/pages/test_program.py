"""The services' program: it says what is wrong before it runs, is ready when it says so, tells its numbers, and ends within five seconds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.acceptance.processes import free_ports, wait_until
from tests.testnet.pages.served import free_port, serve

from sdk.testnet import Testnet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


@dataclass(frozen=True)
class Running:
    """The services of a network of one validator, in one process."""

    url: str
    process: subprocess.Popen[bytes]
    metrics_url: str

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20)

    def metrics(self) -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(httpx.get(self.metrics_url, timeout=20).text)
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    (port,) = free_ports(1)
    with (
        Testnet(validators=1, block_time_s=1, in_memory=True) as net,
        serve(tmp_path_factory.mktemp("program"), net, more=f"[metrics]\nport = {port}\n") as (url, process),
    ):
        yield Running(url, process, f"http://127.0.0.1:{port}/metrics")


def program(config: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sdk.testnet.services.program", str(config), *names],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_wrong_configuration_is_told_and_nothing_runs(tmp_path: Path) -> None:
    config = tmp_path / "services.toml"
    config.write_text("[network]\nchain_id = 1\nrpc_urls = []\n")
    refused = program(config)

    assert refused.returncode == 1
    assert refused.stderr == f"{config}: network.network_id: missing\n"


def test_a_port_that_somebody_has_is_told_with_who_it_is(tmp_path: Path, running: Running) -> None:
    config = tmp_path / "services.toml"
    port = httpx.URL(running.url).port
    config.write_text(
        f'[network]\nnetwork_id = "n"\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:1"]\n[explorer]\nport = {port}\n'
    )
    refused = program(config, "explorer")

    assert refused.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use by process {running.process.pid}" in refused.stderr


def test_it_is_alive_and_says_when_it_is_ready(running: Running) -> None:
    assert running.get("/healthz").json() == {"status": "ok"}
    ready = running.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ok", "checks": {"index": "ok", "node": "ok"}},
    )


def test_its_metrics_tell_of_the_monitor_the_index_and_requests(running: Running) -> None:
    running.get("/blocks")
    running.get(f"/address/0x{'12' * 20}")
    wait_until(
        lambda: running.metrics().get(("metanode_explorer_indexed_block_number",), 0) > 0,
        within_s=60,
        what="the index has blocks",
    )
    wait_until(
        lambda: running.metrics().get(("metanode_monitor_verdict", "UNKNOWN")) == 0,
        within_s=30,
        what="the monitor has seen the node",
    )
    found = running.metrics()

    assert ("metanode_explorer_lag_blocks",) in found
    assert found["metanode_services_part_up", "monitor"] == found["metanode_services_part_up", "index"] == 1
    assert found["metanode_sse_clients", "explorer"] == 0
    routes = {key[2] for key in found if key[0] == "metanode_http_requests_total"}
    assert any(route.startswith("/blocks") for route in routes), routes
    assert not any("1212" in route for route in routes)


def test_without_nodes_it_starts_and_says_what_is_missing(tmp_path: Path) -> None:
    config = tmp_path / "services.toml"
    port = free_port()
    config.write_text(
        f'[network]\nnetwork_id = "n"\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:1"]\n[explorer]\nport = {port}\n'
    )
    process = subprocess.Popen([sys.executable, "-m", "sdk.testnet.services.program", str(config)])
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{url}/healthz"), within_s=30, what="it answers")
        ready = httpx.get(f"{url}/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {"index": "the index is empty", "node": "no node answers"}
        home = httpx.get(url)
        assert home.status_code == 200
        assert "No node answers now. The index is empty: there is nothing to show yet." in home.text
        with httpx.stream("GET", f"{url}/live?topics=home", timeout=10) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry")
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            # An open stream is ended, not waited for.
            list(lines)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
