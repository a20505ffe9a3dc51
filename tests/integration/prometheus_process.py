"""A real Prometheus for tests: started on files of its own, asked, stopped."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from tests.acceptance.processes import free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY_WITHIN_S = 30.0


@dataclass(frozen=True)
class RunningPrometheus:
    """One that has read its configuration."""

    url: str
    http: httpx.Client

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; raises AssertionError with Prometheus' own words."""
        answer = self.http.post(f"{self.url}/api/v1/query", data={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return answer["data"]["result"]

    def values(self, expression: str) -> list[float]:
        """The values of the samples that are numbers."""
        found = [float(sample["value"][1]) for sample in self.query(expression)]
        return [value for value in found if value == value]  # noqa: PLR0124 - NaN is not itself

    def firing(self) -> set[tuple[str, str]]:
        """Name and severity of the alerts that fire."""
        return {
            (alert["labels"]["alertname"], alert["labels"]["severity"])
            for alert in self.http.get(f"{self.url}/api/v1/alerts").json()["data"]["alerts"]
            if alert["state"] == "firing"
        }

    def targets_up(self) -> int:
        return len(self.values("up == 1"))


@contextlib.contextmanager
def prometheus(folder: Path, *, config: str, rules: str) -> Iterator[RunningPrometheus]:
    """Run Prometheus on these texts."""
    (folder / "prometheus.yml").write_text(config)
    (folder / "alerts.yml").write_text(rules)
    (port,) = free_ports(1)
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        with httpx.Client(trust_env=False, timeout=10) as http:
            running = RunningPrometheus(f"http://127.0.0.1:{port}", http)

            def is_ready() -> bool:
                assert process.poll() is None, log.read_text()
                with contextlib.suppress(httpx.HTTPError):
                    return http.get(f"{running.url}/-/ready").status_code == 200
                return False

            wait_until(is_ready, within_s=READY_WITHIN_S, what="Prometheus is ready")
            yield running
    finally:
        process.terminate()
        process.wait(20)
