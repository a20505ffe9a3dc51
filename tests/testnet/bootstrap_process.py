"""A bootstrap node in a process of its own, started as a container starts it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
from tests.acceptance.processes import free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class BootstrapProcess:
    """`python -m sdk.testnet.bootstrap`, and what it shows over HTTP."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.home = home
        self.port, http_port = free_ports(2)
        self.url = f"http://127.0.0.1:{http_port}"
        home.mkdir(parents=True, exist_ok=True)
        lines = {"listen_port": self.port, "http_port": http_port, "data_dir": "state"} | settings
        self.config = home / "bootstrap.toml"
        # A JSON list or text is TOML too.
        self.config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items()))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home / "log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sdk.testnet.bootstrap", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        wait_until(self._is_healthy, within_s=20.0, what=lambda: f"healthy:\n{self.log[-2000:]}")

    def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log[-2000:]
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(self.url + path, timeout=5).json()
        return found

    @property
    def enode(self) -> str:
        return str(self.get("/api/v1/status")["enode"])

    def peers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/peers")["peers"]
        return found

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=20)


@contextlib.contextmanager
def bootstrap_process(home: Path, **settings: Any) -> Iterator[BootstrapProcess]:
    """Start one, and leave none behind."""
    node = BootstrapProcess(home, **settings)
    try:
        node.start()
        yield node
    finally:
        if node.process is not None and node.process.poll() is None:
            node.process.kill()
            node.process.wait(timeout=10)
