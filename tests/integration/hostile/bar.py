"""The bar that every hostile input has to stay below, whatever it is (docs/evidence/bad-inputs.md).

Process alive, memory at most 50 MB more, the next good request in less than a second, block production unbroken, at most one line of the log
a second, no secret shown. It is watched while the attack runs, from beside it, and once more when it is over.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.acceptance.processes import slowness, wait_until
from tests.integration.hostile import wire
from tests.integration.hostile.target import PERIOD_S, Target, python_path

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator, Mapping

MEMORY_BYTES_MAX: Final = 50 * 10**6
"""What an attack may add."""
GOOD_REQUEST_S_MAX: Final = 1.0
LOG_LINES_A_SECOND_MAX: Final = 1.0
BETWEEN_QUESTIONS_S: Final = 0.02
ORDINARY: Final = re.compile(r"block_finalized|round_started|height_started")
"""What the log says of every block, attacked or not."""
NOT_FOR_CALLERS: Final = ("Traceback", "panicked", "src/metanode", ".rs:", "site-packages")
"""Parts of a program's inside; with them go the paths of this machine."""


@dataclass
class Bar:
    """What was seen from beside an attack."""

    target: Target
    good_s: list[float] = field(default_factory=list)
    """How long good requests took."""
    refused: list[str] = field(default_factory=list)
    """Good requests without a good answer."""
    memory_before_bytes: int = 0
    answers: list[str] = field(default_factory=list)

    def saw(self, reply: wire.Reply | Any) -> Any:
        """Remember what the attacker was told, to look for secrets; gives it back."""
        text = (
            reply.body[:20_000].decode(errors="replace")
            if isinstance(reply, wire.Reply)
            else json.dumps(reply)[:20_000]
        )
        self.answers.append(text)
        return reply

    def p99_s(self) -> float:
        """Of the good requests."""
        ordered = sorted(self.good_s)
        return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] if ordered else 0.0


@contextlib.contextmanager
def holding(
    target: Target,
    *,
    record: Callable[[str, object], None],
    opens_connections: bool = True,
    heavy_too: bool = False,
) -> Iterator[Bar]:
    """Attack inside the block; afterwards all of the bar is asserted.

    Args:
        target: Who is attacked.
        record: Keeps the figures: pytest's `record_property`.
        opens_connections: Whether some of the good requests come on connections of their own; not where the attack takes them all.
        heavy_too: Whether the good requests also run code.
    """
    bar = Bar(target)
    _warm_up(target)
    log_before, height_before, began = len(target.process.log), target.height(), time.monotonic()
    target.forget_memory_peak()
    bar.memory_before_bytes = target.memory_bytes()
    ended = threading.Event()
    beside = threading.Thread(
        target=_ask_beside, args=(bar, ended, opens_connections, heavy_too), name="good requests", daemon=True
    )
    beside.start()
    try:
        yield bar
    finally:
        ended.set()
        beside.join(timeout=30.0)
    slow = slowness()
    assert not beside.is_alive(), "a good request beside the attack got no answer for half a minute"
    assert target.is_alive, f"the node ended:\n{target.process.log[-3000:]}"
    elapsed_s = time.monotonic() - began
    grown = target.memory_peak_bytes() - bar.memory_before_bytes
    worst_s = max(bar.good_s, default=0.0)
    figures: Mapping[str, object] = {
        "memory grown, MB": round(grown / 1e6, 1), "slowest good request, ms": round(worst_s * 1e3, 1),
        "good requests": len(bar.good_s), "slowness": round(slow, 1),
    }  # fmt: skip
    for name, value in figures.items():
        record(name, value)
    print(figures)  # noqa: T201 - shown with -s and in failures
    assert not bar.refused, f"{len(bar.refused)} good requests failed beside the attack: {bar.refused[:3]}"
    assert bar.good_s, "no good request was answered beside the attack"
    assert worst_s < GOOD_REQUEST_S_MAX * slow, f"a good request beside the attack took {worst_s:.2f} s"
    assert grown <= MEMORY_BYTES_MAX, f"the attack took {grown / 1e6:.0f} MB"
    _check_recovered(target)
    _check_blocks(target, height_before, slow)
    _check_words(bar, log_before, elapsed_s)


def _warm_up(target: Target) -> None:
    """What a first request costs, such as a thread's memory, is not the attack's."""
    for _ in range(20):
        assert wire.ask(target.port, "eth_getBalance", ["0x" + "42" * 20, "latest"]).code is None
        reply = wire.ask(target.port, "eth_call", [{"to": "0x" + "42" * 20}])
        assert reply.code is None, reply.body


def _ask_beside(bar: Bar, ended: threading.Event, opens_connections: bool, heavy_too: bool) -> None:
    kept: socket.socket | None = None
    number = 0
    while not ended.is_set():
        number += 1
        method, params = ("eth_call", [{"to": "0x" + "42" * 20}]) if heavy_too and number % 2 else ("eth_getBalance", ["0x" + "42" * 20, "latest"])  # fmt: skip
        body = wire.request(method, params).encode()
        begun = time.monotonic()
        try:
            if opens_connections and number % 5 == 0:
                reply = wire.post(bar.target.port, body)
            else:
                kept = kept or wire.connect(bar.target.port)
                kept.sendall(wire.head(len(body)) + body)
                reply = wire.read_reply(kept)
            is_shed = method == "eth_call" and wire.BUSY in reply.body and slowness() > 1.0
            if not is_shed and (reply.status != 200 or reply.code is not None):
                bar.refused.append(f"{method}: {reply.status} {reply.body[:200]!r}")
        except OSError as error:
            bar.refused.append(f"{method}: {error!r}")
            if kept is not None:
                kept.close()
                kept = None
        bar.good_s.append(time.monotonic() - begun)
        ended.wait(BETWEEN_QUESTIONS_S)
    if kept is not None:
        kept.close()


def _check_recovered(target: Target) -> None:
    """The next good requests, each on a connection of its own, are answered at once; and a block comes."""
    for method, params in (
        ("eth_blockNumber", []),
        ("eth_call", [{"to": "0x" + "42" * 20}]),
        ("ibft_getEpochInfo", []),
    ):
        begun = time.monotonic()
        reply = wire.ask(target.port, method, params)
        took_s = time.monotonic() - begun
        assert reply.code is None, f"{method} after the attack: {reply.body[:200]!r}"
        assert took_s < GOOD_REQUEST_S_MAX * slowness(), f"{method} after the attack took {took_s:.2f} s"
    height = target.height()
    wait_until(
        lambda: target.height() > height, within_s=2 * PERIOD_S + 1, what="a block comes after the attack"
    )


def _check_blocks(target: Target, first: int, slow: float) -> None:
    """Between the blocks from before the attack until now no slot is empty."""
    last = target.height()
    times = [int(target.process.rpc.block(number)["timestamp"], 16) for number in range(first, last + 1)]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    missed = sum(gap // PERIOD_S - 1 for gap in gaps)
    allowed = empty_slots_max(len(gaps), slow)
    assert missed <= allowed, f"{missed} of {len(gaps)} slots stayed empty: seconds between blocks {gaps}"


def empty_slots_max(slots: int, slow: float) -> int:
    """None on a machine of our own; as many as the work of others takes of the processors, where there is such work."""
    return math.ceil(slots * (slow - 1.0))


def _check_words(bar: Bar, log_before: int, elapsed_s: float) -> None:
    """Of the log and of the answers."""
    new = bar.target.process.log[log_before:]
    check_log(new, bar.target.secrets, lines_max=LOG_LINES_A_SECOND_MAX * elapsed_s)
    home, packages = str(bar.target.process.home), python_path()
    for text in bar.answers:
        for inside in (*NOT_FOR_CALLERS, home, packages):
            assert inside not in text, f"an answer shows {inside!r}: {text[:500]}"
    for secret in bar.target.secrets:
        assert not any(secret in text for text in bar.answers), "an answer shows a secret"


def check_log(new: str, secrets: Iterable[str], *, lines_max: float) -> None:
    """What a node has printed meanwhile shows no secret, and beside what it says of every block at most so many lines."""
    assert not any(secret in new for secret in secrets), "the log shows a secret"
    lines = [line for line in new.splitlines() if line.strip() and not ORDINARY.search(line)]
    assert len(lines) <= lines_max, f"{len(lines)} lines where {int(lines_max)} are allowed:\n" + "\n".join(
        lines[:20]
    )
