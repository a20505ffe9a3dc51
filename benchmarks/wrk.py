"""One load generator for all: wrk with a Lua script."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SEND_TIMEOUT_S = 120


@dataclass(frozen=True)
class Intake:
    """Transactions that were posted once each."""

    duration_s: float
    accepted: int
    refusals: tuple[str, ...]
    """The answers with an error, one line each."""

    @property
    def per_second(self) -> float:
        return self.accepted / self.duration_s


@dataclass(frozen=True)
class Load:
    """One request asked again and again."""

    duration_s: float
    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int

    @property
    def per_second(self) -> float:
        return self.requests / self.duration_s


def send_lines(url: str, bodies: Path, *, connections: int) -> Intake:
    """Post every line of a file once."""
    arguments = ["-t1", f"-c{connections}", f"-d{SEND_TIMEOUT_S}s", "-s", str(HERE / "post_lines.lua"), url]
    output, refusals = _run(arguments, {"BODIES": str(bodies)})
    return Intake(**output, refusals=tuple(refusals))


def repeat(url: str, method: str, params: list[object], *, connections: int = 64, seconds: int = 8) -> Load:
    """Ask the same again and again; every answer has to have status 200."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    arguments = ["-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "repeat_body.lua"), url]
    load = Load(**_run(arguments, {"BODY": body})[0])
    if load.errors:
        raise RuntimeError(f"{method} at {url}: {load.errors} of {load.requests} requests failed")
    return load


def _run(arguments: list[str], variables: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    finished = subprocess.run(
        ["wrk", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=SEND_TIMEOUT_S + 30,
    )
    document = next((line for line in finished.stdout.splitlines() if line.startswith("{")), None)
    if document is None:
        raise RuntimeError(f"wrk did not get every answer in {SEND_TIMEOUT_S} s: {finished.stdout}")
    return json.loads(document), finished.stderr.splitlines()
