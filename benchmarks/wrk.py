"""One load generator for all: wrk with a Lua script."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SEND_TIMEOUT_S = 120


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    duration_s: float
    requests: int
    p50_ms: float
    p99_ms: float
    socket_errors: int
    refusals: str = ""

    @property
    def per_second(self) -> float:
        return self.requests / self.duration_s


def send_lines(url: str, bodies: Path, *, connections: int) -> Load:
    """Post every line of a file once."""
    return _run(
        ["-t1", f"-c{connections}", f"-d{SEND_TIMEOUT_S}s", "-s", str(HERE / "post_lines.lua"), url],
        {"BODIES": str(bodies)},
    )


def repeat(url: str, method: str, params: list[object], *, connections: int = 64, seconds: int = 8) -> Load:
    """Ask the same again and again."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    return _run(
        ["-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "repeat_body.lua"), url], {"BODY": body}
    )


def _run(arguments: list[str], variables: dict[str, str]) -> Load:
    finished = subprocess.run(
        ["wrk", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=SEND_TIMEOUT_S + 30,
    )
    document = next(line for line in finished.stdout.splitlines() if line.startswith("{"))
    return Load(**json.loads(document), refusals=finished.stderr.strip())
