"""The services' program: it says what is wrong before it runs, is ready when it says so, and ends within five seconds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.acceptance.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testnet.pages.served import Served

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


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


def test_a_port_that_somebody_has_is_told_with_who_it_is(tmp_path: Path, served: Served) -> None:
    config = tmp_path / "services.toml"
    port = httpx.URL(served.url).port
    config.write_text(
        f'[network]\nnetwork_id = "n"\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:1"]\n[explorer]\nport = {port}\n'
    )
    refused = program(config, "explorer")

    assert refused.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use by process {served.process.pid}" in refused.stderr


def test_it_is_alive_and_says_when_it_is_ready(served: Served) -> None:
    assert served.get("/healthz").json() == {"status": "ok"}
    ready = served.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ok", "checks": {"index": "ok", "node": "ok"}},
    )


def test_without_nodes_it_starts_and_says_what_is_missing(tmp_path: Path) -> None:
    config = tmp_path / "services.toml"
    from tests.testnet.pages.served import free_port  # noqa: PLC0415

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
        assert "No node answers now" in home.text
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
