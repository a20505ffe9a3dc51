"""Real node processes for tests: made, started, killed, asked, waited for. Every wait has a deadline and says what it waited for."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from sdk.testnet.deployment.plan import (
    METRICS_PORT_BASE,
    P2P_PORT_BASE,
    PRIVATE_PORT_BASE,
    RPC_PORT_BASE,
    SERVICE_PORTS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Found = TypeVar("Found")

POLL_S = 0.05
READY_WITHIN_S = 90.0
"""systemd's patience with a service that starts; under a second on a quiet machine."""
PROCESSORS = len(os.sched_getaffinity(0))


class RPCError(Exception):
    """The node answered with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.code: int = error["code"]
        self.message: str = error["message"]
        super().__init__(f"{self.code}: {self.message}")


@dataclass(frozen=True)
class Endpoint:
    """A node's JSON-RPC."""

    url: str

    def call(self, method: str, *params: Any) -> Any:
        answer = httpx.post(
            self.url,
            json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)},
            timeout=10.0,
        ).json()
        if "error" in answer:
            raise RPCError(answer["error"])
        return answer["result"]

    def height(self) -> int | None:
        """The newest finalized height; None while the node does not answer."""
        try:
            return int(self.call("eth_blockNumber"), 16)
        except (httpx.HTTPError, ValueError):
            return None

    def block(self, number: int) -> dict[str, Any]:
        found = self.call("eth_getBlockByNumber", hex(number), False)
        assert found is not None, f"{self.url} has no block {number}"
        return found

    def block_hash(self, number: int) -> str:
        return str(self.block(number)["hash"])


def slowness() -> float:
    """How many times longer something takes because others are at work too: tasks that want a processor, by processors; 1 at least.

    Bounds in seconds are those of a machine of our own, and are multiplied with this.
    """
    return max(1.0, os.getloadavg()[0] / PROCESSORS)


def wait_until(
    condition: Callable[[], Found | None], *, within_s: float, what: str | Callable[[], str]
) -> Found:
    """Poll until `condition` gives something true, and return that; `what` is asked when that did not come."""
    started = time.monotonic()
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() - started >= within_s * slowness():
            waited_s, reason = time.monotonic() - started, what if isinstance(what, str) else what()
            raise AssertionError(f"not within {waited_s:.0f} s (bound {within_s:g} s): {reason}")
        time.sleep(POLL_S)


def wait_height(nodes: Iterable[Endpoint], height: int, *, within_s: float) -> None:
    """Wait until every node has finalized `height`."""
    for node in nodes:
        wait_until(
            lambda node=node: (node.height() or 0) >= height,
            within_s=within_s,
            what=lambda node=node: f"{node.url} has block {height}; it is at {node.height()}",
        )


def check_same_chain(nodes: Iterable[Endpoint]) -> int:
    """No two nodes disagree about any of the heights that all have, looked at from the top down; returns the common height."""
    endpoints = list(nodes)
    common = min(node.height() or 0 for node in endpoints)
    hashes = {node.block_hash(common) for node in endpoints}
    assert len(hashes) == 1, f"fork at or below height {common}: {hashes}"
    return common


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
"""Test processes that run beside each other take different ports, also while those of a stopped network look free."""
OFFSET_STEP = 30
"""No multiple of it is the distance of two kinds of ports of a network, so that no two networks have one in common."""
_given: set[int] = set()
"""Ports and offsets that this process has used: none is used twice, as who had it may come back."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now, for TCP and UDP, below those that the system gives to outgoing connections."""
    candidates = [port for port in range(21_000, 30_000) if port % WORKERS == WORKER and port not in _given]
    random.SystemRandom().shuffle(candidates)
    found = list(itertools.islice(filter(is_free, candidates), count))
    assert len(found) == count, f"fewer than {count} of {len(candidates)} ports are free"
    _given.update(found)
    return found


def free_offset(nodes: int = 6) -> int:
    """A port offset with which a local network of so many nodes and its services have all their ports free."""
    bases = (RPC_PORT_BASE, P2P_PORT_BASE, METRICS_PORT_BASE, PRIVATE_PORT_BASE)
    candidates = [
        step * OFFSET_STEP
        for step in range(4, 80)
        if step % WORKERS == WORKER and step * OFFSET_STEP not in _given
    ]
    random.SystemRandom().shuffle(candidates)
    for offset in candidates:
        ports = [*(base + n for base in bases for n in range(1, nodes + 1)), *SERVICE_PORTS.values()]
        if all(is_free(port + offset) for port in ports):
            _given.add(offset)
            return offset
    raise AssertionError(f"none of {len(candidates)} port offsets is free")


def is_free(port: int) -> bool:
    """Whether both kinds of socket can have the port."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


class ReadinessSocket:
    """What systemd is to a service: the datagram socket that NOTIFY_SOCKET names, in the abstract namespace."""

    def __init__(self) -> None:
        self.address = f"@metanode-test-{os.getpid()}-{random.SystemRandom().randrange(1 << 62):x}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.address[1:])
        self._socket.setblocking(False)
        self._messages: list[str] = []

    def messages(self) -> list[str]:
        """All that was received."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._messages.append(self._socket.recv(4096).decode())
        return self._messages

    def close(self) -> None:
        self._socket.close()


@dataclass
class NodeProcess:
    """One `metanode node` without a supervisor: what a test kills stays dead."""

    home: Path
    rpc_port: int
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    readiness: ReadinessSocket | None = None
    program: tuple[str, ...] = ("-m", "metanode")
    """What Python runs: the command, or a test's own program around it."""

    @property
    def rpc(self) -> Endpoint:
        return Endpoint(f"http://127.0.0.1:{self.rpc_port}")

    @property
    def log(self) -> str:
        return (self.home / "test.log").read_text(errors="replace")

    def start(self) -> None:
        self.close()
        self.readiness = ReadinessSocket()
        environment = {**os.environ, **self.environment, "NOTIFY_SOCKET": self.readiness.address}
        with (self.home / "test.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "node", *(self.arguments or (str(self.home),))],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=self.home,
            )  # fmt: skip

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.readiness is not None
        assert self.process.poll() is None, f"{self.home.name} ended:\n{self.log[-3000:]}"
        return any(message.startswith("READY=1") for message in self.readiness.messages())

    def wait_ready(self, *, within_s: float = READY_WITHIN_S) -> None:
        wait_until(
            self.is_ready,
            within_s=within_s,
            what=lambda: f"{self.home.name} is ready:\n{self.log[-3000:]}",
        )

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait_end(self, *, within_s: float) -> int:
        assert self.process is not None
        return self.process.wait(timeout=within_s)

    def kill(self) -> None:
        """kill -9, and the body removed."""
        self.signal(signal.SIGKILL)
        self.wait_end(within_s=10.0)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if self.readiness is not None:
            self.readiness.close()
            self.readiness = None


@contextlib.contextmanager
def running(nodes: Iterable[NodeProcess]) -> Iterator[None]:
    """Start the nodes, wait until they are ready, and leave none behind."""
    started = list(nodes)
    try:
        for node in started:
            node.start()
        for node in started:
            node.wait_ready()
        yield
    finally:
        for node in started:
            node.close()


def metanode(
    *arguments: str, cwd: Path, expect: int | None = 0, within_s: float = 90.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does; `expect` is its exit code, None for any."""
    finished = subprocess.run(
        [sys.executable, "-m", "metanode", *arguments],
        cwd=cwd, env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True, text=True, timeout=within_s, check=False,
    )  # fmt: skip
    assert "Traceback" not in finished.stderr, finished.stderr
    if expect is not None:
        assert finished.returncode == expect, finished.stdout + finished.stderr
    return finished


def measured(
    what: str,
    measure: Callable[[], float],
    *,
    limit: float,
    record: Callable[[str, object], None],
    is_of_work: bool = True,
) -> float:
    """Measure seconds and hold them against the limit; record both and the slowness of this machine.

    The limit of what is work is that of a machine of our own. What the chain's clock gives has the same limit on any (`is_of_work=False`).
    """
    before = slowness()
    value = measure()
    slow = max(before, slowness())
    record(what, {"value": round(value, 3), "limit": limit, "slowness": round(slow, 1)})
    print(f"{what}: {value:.3f} (limit {limit:g}, slowness {slow:.1f})")  # noqa: T201 - shown with -s and in failures
    allowed = slow if is_of_work else 1.0
    assert value <= limit * allowed, f"{what}: {value:.3f}, at most {limit:g} times {allowed:.1f}"
    return value
