"""What the check has seen, and how it asks: claims in their order, HTTP, JSON-RPC, waiting with a bound."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import websockets.sync.client
from hardening import CLAIMS, loose_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from engine import Engine

OTHERS = (
    "PostgreSQL 15, Redis and Prometheus are Debian's programs behind the variables of the official images. Grafana's container was not started: no archive that this "
    "machine reaches has a Grafana that runs (Debian from bullseye to experimental, PyPI and npm have libraries and plugins only). Compose has read its part of the file, "
    "and every expression of its dashboards is asked of the deployment's Prometheus"
)
START_TIMEOUT_S = 180.0
"""A machine that does much else beside this is slow."""


class CheckFailedError(Exception):
    """A claim is not true; the text says which."""


@dataclass
class Report:
    """What was seen, in the order in which it was."""

    facts: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    """Case, claim, what was seen."""
    done: list[str] = field(default_factory=list)
    """Cases of which every claim held."""
    trees: dict[str, str] = field(default_factory=dict)
    """By case the commit of the tree that was deployed."""

    @classmethod
    def load(cls, file: Path) -> Report:
        """What earlier runs in the same folder have seen of cases that were done."""
        if not file.exists():
            return cls()
        found = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            rows=[(case, claim, seen) for case, claim, seen in found["rows"]],
            done=found["done"],
            trees=found["trees"],
        )

    def finish(self, name: str, file: Path, *, tree: str) -> None:
        """Keep a case that is done."""
        self.done.append(name)
        self.trees[name] = tree
        kept = {"rows": self.rows, "done": self.done, "trees": self.trees}
        file.write_text(json.dumps(kept), encoding="utf-8")

    def claim(self, case: str, claim: str, seen: str, *, holds: bool) -> None:
        """Keep a claim; ends the run when it is not true."""
        say(f"{'ok' if holds else 'FAILED'}: {case}: {claim} ({seen})")
        if not holds:
            raise CheckFailedError(f"{case}: {claim}: {seen}")
        self.rows.append((case, claim, seen))


def steps_of(output: Path, heading: str) -> str:
    """The shell commands of a section of a deployment's guide."""
    guide = (output / "TESTNET_DEPLOYMENT.md").read_text(encoding="utf-8")
    return guide.partition(f"\n## {heading}\n")[2].partition("```bash\n")[2].partition("```")[0]


def container(
    run: Callable[..., subprocess.CompletedProcess[str]], service: str, *, stopped: bool = False
) -> str:
    """The id of a service's container."""
    return run("ps", "--quiet", *(["--all"] if stopped else []), service).stdout.strip()


def check_confined(
    engine: Engine,
    report: Report,
    case: str,
    run: Callable[..., subprocess.CompletedProcess[str]],
    names: Sequence[str],
    owner: int,
) -> None:
    """What the engine says of the confinement of every container, not what the file says."""
    loose = [
        claim
        for name in names
        for claim in loose_ends(name, engine.inspect(container(run, name)), owner=owner)
    ]
    report.claim(case, CLAIMS, f"{len(names)} containers" if not loose else ", ".join(loose), holds=not loose)


def check_agreement(report: Report, case: str, urls: list[str], claim: str) -> int:
    """Wait for a block that is new, and compare its hash; the height."""
    target = max(height_of(url) for url in urls) + 2
    wait_until(lambda: is_above(urls, target - 1), f"block {target}")
    hashes = {call(url, "eth_getBlockByNumber", hex(target), False)["hash"] for url in urls}
    report.claim(case, claim, f"block {target}, {min(hashes)[:12]}…", holds=len(hashes) == 1)
    return target


def check_gateway(
    report: Report, case: str, run: Callable[..., subprocess.CompletedProcess[str]], url: str, *, stopped: str
) -> None:
    """One address for strangers before all nodes: it answers while one of them is away, and not for operators."""
    refused = json.loads(fetch(url, _body("admin_peers")))["error"]["code"]
    before = height_of(url)
    run("stop", stopped)
    try:
        wait_until(lambda: is_above([url], before + 1), "blocks of the gateway without a node")
        told = new_heads(url.replace("http://", "ws://"), 2)
    finally:
        run("start", stopped)
    report.claim(
        case,
        "the RPC gateway answers and tells a subscriber of new blocks while a node behind it is stopped, and has no method of operators",
        f"without {stopped}: blocks {told[0]} and {told[1]} after {before}; admin_peers: {refused}",
        holds=told[1] == told[0] + 1 and told[0] > before and refused == -32601,
    )


def is_above(urls: list[str], height: int) -> bool:
    """Whether all nodes have finalized more than this."""
    return all(height_of(url) > height for url in urls)


def height_of(url: str) -> int:
    """The newest finalized block of a node; -1 when it does not answer."""
    try:
        return int(call(url, "eth_getBlockByNumber", "finalized", False)["number"], 16)
    except (OSError, TypeError, KeyError, ValueError):
        return -1


def call(url: str, method: str, *params: object) -> Any:
    """One JSON-RPC call."""
    return json.loads(fetch(url, _body(method, *params))).get("result")


def _body(method: str, *params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def new_heads(url: str, count: int) -> list[int]:
    """The numbers of the next blocks that a subscriber is told of, over WebSocket."""
    with websockets.sync.client.connect(url, open_timeout=START_TIMEOUT_S) as socket:
        socket.send(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        )
        found: list[int] = []
        while len(found) < count:
            message = json.loads(socket.recv(timeout=START_TIMEOUT_S))
            if message.get("method") == "eth_subscription":
                found.append(int(message["params"]["result"]["number"], 16))
    return found


def fetch(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """One HTTP answer."""
    told = {"content-type": "application/json"} | dict(headers or {})
    request = urllib.request.Request(url, body, told)  # noqa: S310 - http only
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - the same
        content: bytes = response.read()
        return content


def wait_until(holds: Callable[[], bool], what: str, *, timeout_s: float = START_TIMEOUT_S) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + timeout_s
    while True:
        reason = ""
        try:
            if holds():
                return
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Who is starting does not answer yet.
            reason = f": {error}"
        if time.monotonic() > deadline:
            raise CheckFailedError(f"{what}: not within {timeout_s:.0f} s{reason}")
        time.sleep(0.5)


def page(report: Report, cases: Sequence[str]) -> str:
    """The page of evidence, which also says what of `cases` was not seen."""
    left = [name for name in cases if name not in report.done]
    missing = f"\nNot seen: the cases {', '.join(left)}.\n" if left else ""
    facts = "\n".join(f"- {name}: {value}." for name, value in report.facts.items())
    trees = "; ".join(f"{name} {report.trees[name]}" for name in cases if name in report.trees)
    rows = "\n".join(f"| {case} | {claim} | {seen} |" for case, claim, seen in report.rows)
    return f"""# Containers on a real Docker engine

Written by `make check-compose` ([deploy/check_compose.py](../../deploy/check_compose.py)) on {datetime.now(UTC):%Y-%m-%d}. A claim that does not hold ends the run, so
every line here was seen.

{facts}
- Images of others: {OTHERS}.
- Commits: {trees or "none"}.

| deployed by | claim | seen |
|---|---|---|
{rows}
{missing}"""


def tree_of(folder: Path) -> str:
    """The commit of a checkout, and whether what stands there differs from it."""

    def git(*command: str) -> str:
        done = subprocess.run(["git", *command], cwd=folder, check=False, capture_output=True, text=True)
        return done.stdout.strip()

    return (git("rev-parse", "--short=12", "HEAD") or "no checkout") + (
        " with changes" if git("status", "--porcelain") else ""
    )


def say_why(engine: Engine, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """What containers that are not healthy say last, for whoever reads why a case ended."""
    for identifier in run("ps", "--all", "--quiet", check=False).stdout.split():
        found = engine.inspect(identifier)
        health = found["State"].get("Health") or {}
        if health.get("Status") != "healthy":
            answers = [entry["Output"].strip() for entry in health.get("Log") or ()]
            logs = engine.run("docker", "logs", "--tail", "40", identifier, check=False)
            say(f"{found['Name']}: {found['State']['Status']}, {health.get('Status')}: {answers}")
            say((logs.stdout + logs.stderr)[-6000:])


def say(text: str) -> None:
    """One line of progress."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)
