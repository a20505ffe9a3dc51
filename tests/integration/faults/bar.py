"""The common bar of docs/evidence/bad-inputs.md, beside a fault of one node or several.

Each node that lives is asked a good question four times a second and answers within a second; a process that lives through the case takes at most 50 MB
more; no log has more than a line a second beside what it says of every block, or shows a secret. Blocks are what each case looks at itself.

Who the fault has to end or stop is exempt for as long: from the last good answer of a process that ended to the first one of the next, and while it
stands still. A process that began meanwhile has nothing to compare its memory with, and says a few lines of itself when it begins.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.acceptance.processes import slowness
from tests.integration.hostile import memory, wire
from tests.integration.hostile.bar import (
    GOOD_REQUEST_S_MAX,
    LOG_LINES_A_SECOND_MAX,
    MEMORY_BYTES_MAX,
    check_log,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.integration.faults.cluster import Cluster, Node

BETWEEN_QUESTIONS_S: Final = 0.25
WARMING: Final = 20
"""Questions before the case: what the first ones cost, such as a thread's memory, is not the fault's."""
LINES_OF_A_LIFE: Final = 20
"""A start says its settings, its addresses, what it has found and how it comes to the head; an end says its cause."""
LINES_OF_A_CUT: Final = 10
"""All peers are lost at once: a line for each session that ends, and one for each that cannot be had again. A short case is too short for a mean."""
LAST_ANSWER_S: Final = 2 * wire.TIMEOUT_S
GOOD_REQUEST: Final = wire.request("eth_getBalance", ["0x" + "42" * 20, "latest"])
"""Reads the newest state."""


@dataclass(frozen=True)
class Asked:
    """A good request."""

    took_s: float
    limit_s: float = GOOD_REQUEST_S_MAX
    refused: str = ""
    """What came in place of the answer."""

    @property
    def is_good(self) -> bool:
        """Whether it was answered, in time."""
        return not self.refused and self.took_s < self.limit_s


@dataclass
class Life:
    """What was seen of one process of a node."""

    name: str
    is_new: bool = False
    """Whether it began during the case."""
    has_ended: bool = False
    asked: list[Asked] = field(default_factory=list)
    grown_bytes: int | None = None
    """What it took more than before; None where there is nothing to compare."""

    def counted(self) -> Sequence[Asked]:
        """The answers that had to be good: a new process comes up first, and one that ended may have been ending."""
        good = [number for number, asked in enumerate(self.asked) if asked.is_good]
        if (self.is_new or self.has_ended) and not good:
            return ()
        first = good[0] if self.is_new else 0
        last = good[-1] if self.has_ended else len(self.asked)
        return self.asked[first : last + 1]

    def check(self) -> None:
        """Hold it against the bar."""
        assert self.has_ended or any(asked.is_good for asked in self.asked), (
            f"{self.name} has answered nothing"
        )
        for asked in self.counted():
            assert not asked.refused, f"{self.name} did not answer a good request: {asked.refused}"
            assert asked.is_good, (
                f"{self.name} took {asked.took_s:.2f} s for a good request, at most {asked.limit_s:.1f} s"
            )
        grown = self.grown_bytes or 0
        assert grown <= MEMORY_BYTES_MAX, f"{self.name} took {grown / 1e6:.0f} MB more"


class Watch:
    """Asks the nodes of a cluster from beside, a thread for each, and remembers what their processes answered."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lives: dict[tuple[int, int], Life] = {}
        """By node and process id."""
        self._before: dict[tuple[int, int], int] = {}
        """Memory of the processes that were there before the case."""
        for node in cluster.running():
            for _ in range(WARMING):
                assert node.height() is not None, f"{node.name} does not answer before the case"
            process = node.process
            assert process is not None
            self._lives[node.index, process.pid] = Life(node.name, is_new=False)
            memory.forget_peak(process.pid)
            self._before[node.index, process.pid] = memory.resident_bytes(process.pid)
        self._logs = {node.index: node.log_sizes() for node in cluster.nodes}
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(node,), name=f"asks {node.name}", daemon=True)
            for node in cluster.nodes
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ask each node once more, and then no more."""
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=LAST_ANSWER_S)

    def check(self, log_lines_a_second_max: float) -> dict[str, float | str]:
        """Hold all that was seen against the bar; the figures."""
        assert not any(thread.is_alive() for thread in self._threads), "a node lives and answers nothing"
        elapsed_s = time.monotonic() - self._began
        for node in self._cluster.nodes:
            new = node.printed_since(self._logs[node.index])
            changes = len([index for index, _ in self._lives if index == node.index]) - 1
            lines_max = log_lines_a_second_max * elapsed_s + LINES_OF_A_CUT + LINES_OF_A_LIFE * changes
            check_log(new, self._cluster.secrets, lines_max=lines_max)
            for (index, pid), life in self._lives.items():
                if index == node.index:
                    self._look_again(node, pid, life)
        lives = self._lives.values()
        for life in lives:
            life.check()
        figures: dict[str, float | str] = {
            "slowest good request_s": max(asked.took_s for life in lives for asked in life.counted())
        }
        grown = [life.grown_bytes for life in lives if life.grown_bytes is not None]
        if grown:
            figures["memory grown, MB"] = max(0, *grown) / 1e6
        return figures

    def _look_again(self, node: Node, pid: int, life: Life) -> None:
        """What can be said of a process when the case is over."""
        life.has_ended = not node.is_running or node.process is None or node.process.pid != pid
        if not life.has_ended and not life.is_new:
            life.grown_bytes = memory.peak_bytes(pid) - self._before[node.index, pid]

    def _ask(self, node: Node) -> None:
        """Ask one node until the end, whichever process it is."""
        if node.rpc.space is not None:
            node.rpc.space.enter()
        is_last = False
        while not is_last:
            is_last = self._ended.wait(BETWEEN_QUESTIONS_S)
            process, halts = node.process, node.halts
            if process is None or process.poll() is not None or node.is_halted:
                continue
            asked = ask(node.port)
            if node.process is process and node.halts == halts:
                life = self._lives.setdefault((node.index, process.pid), Life(node.name, is_new=True))
                life.asked.append(asked)


def ask(port: int) -> Asked:
    """A good request to the node behind the port."""
    begun, refused = time.monotonic(), ""
    try:
        reply = wire.post(port, GOOD_REQUEST)
        if reply.status != 200 or reply.code is not None:
            refused = f"{reply.status} {reply.body[:200]!r}"
    except OSError as error:
        refused = repr(error)
    return Asked(time.monotonic() - begun, GOOD_REQUEST_S_MAX * slowness(), refused)


@contextlib.contextmanager
def holding(
    cluster: Cluster, *, log_lines_a_second_max: float = LOG_LINES_A_SECOND_MAX
) -> Iterator[dict[str, float | str]]:
    """Do the case inside the block; afterwards the bar is asserted, and what was yielded holds the figures."""
    figures: dict[str, float | str] = {}
    watch = Watch(cluster)
    try:
        yield figures
    finally:
        watch.end()
    figures.update(watch.check(log_lines_a_second_max))
