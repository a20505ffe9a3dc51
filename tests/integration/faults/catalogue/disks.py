"""Disks that take no more: one node's data directory is a small tmpfs."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.faults import leftovers
from tests.integration.faults.catalogue.case import Case, Figures, Group
from tests.integration.faults.cluster import Cluster, timed

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.integration.faults.cluster import Node

VICTIM = 3
DISK_MIB = 48
ENDS_WITHIN_S = 60.0
BACK_WITHIN_S = 30.0


def fill(place: Path, *, leave_bytes: int = 0) -> Path:
    """Fill the disk to the last byte, then give so much back."""
    ballast = place / "ballast"
    with ballast.open("ab", buffering=0) as file:
        piece = 1 << 20
        while piece:
            try:
                file.write(bytes(piece))
            except OSError:
                piece //= 2
    os.truncate(ballast, max(0, ballast.stat().st_size - leave_bytes))
    return ballast


def check_told(node: Node, *words: str) -> str:
    """The last life ended by itself, with a sentence that names the disk and the cause, and nothing else of a program's inside."""
    assert node.exit_code() not in (0, None), f"{node.name} ended with {node.exit_code()}"
    last = node.log.strip().splitlines()[-1]
    assert last.startswith("error: "), node.log[-3000:]
    for word in (str(node.data), *words):
        assert word in last, f"{word!r} is not in {last!r}"
    for inside in ("Traceback", "panicked", "Os {", "FjallError"):
        assert inside not in node.log, node.log[-3000:]
    return last


def full(cluster: Cluster, chance: random.Random, *, leave_bytes: int) -> Figures:
    """The disk gets full while the node runs, and is full when it is started again; with room it is back."""
    victim = cluster.nodes[VICTIM]
    others = [node for node in cluster.nodes if node is not victim]
    cluster.pay(chance.randint(50, 100))
    before = cluster.top(others)
    ballast = fill(victim.data, leave_bytes=leave_bytes)
    ends_s = timed(lambda: victim.wait_end(within_s=ENDS_WITHIN_S))
    check_told(victim, "is full", "free", "Make room")
    cluster.wait_height(before + 2, nodes=others, within_s=30.0)
    victim.start()
    victim.wait_end(within_s=ENDS_WITHIN_S)
    check_told(victim, "is full", "Make room")
    ballast.unlink()
    return {"ends after_s": ends_s, "back at the head_s": start_again(cluster, victim)}


def full_with_log(cluster: Cluster, _chance: random.Random) -> Figures:
    """The log is on the full disk too: nothing can be said, and the node ends all the same."""
    victim = cluster.nodes[VICTIM]
    victim.kill()
    victim.log_file = victim.data / "node.log"
    try:
        back_s = start_again(cluster, victim)
        ballast = fill(victim.data)
        ends_s = timed(lambda: victim.wait_end(within_s=ENDS_WITHIN_S))
        assert (victim.exit_code() or 0) > 0, f"{victim.name} ended with {victim.exit_code()}"
        ballast.unlink()
    finally:
        victim.log_file = None
    return {"ends after_s": ends_s, "back at the head_s": max(back_s, start_again(cluster, victim))}


def read_only(cluster: Cluster, _chance: random.Random) -> Figures:
    """The disk is mounted read-only when the node starts; writable again it is back."""
    victim = cluster.nodes[VICTIM]
    victim.kill()
    leftovers.run("mount", "-o", "remount,ro", str(victim.data))
    try:
        victim.start()
        victim.wait_end(within_s=ENDS_WITHIN_S)
        check_told(victim, "read-only")
    finally:
        leftovers.run("mount", "-o", "remount,rw", str(victim.data))
    return {"back at the head_s": start_again(cluster, victim)}


def start_again(cluster: Cluster, victim: Node) -> float:
    """Start the node on a disk that is whole, and wait until it is at the head; how long that took."""
    begun = time.monotonic()
    victim.start()
    victim.wait_answers()
    cluster.wait_height(
        cluster.top([node for node in cluster.nodes if node is not victim]),
        nodes=[victim],
        within_s=BACK_WITHIN_S,
    )
    return time.monotonic() - begun


def why_not() -> str | None:
    """Mounting is the superuser's."""
    return (
        None
        if os.geteuid() == 0
        else "a small tmpfs is mounted for a node, which needs root: sudo .venv/bin/python -m pytest tests/integration/faults"
    )


MUST_HOLD = "ends with an exit code and a sentence that names disk, cause and action; the others go on; back at the head when there is room; nothing is lost"

GROUP = Group(
    name="disks",
    disk_mib={VICTIM: DISK_MIB},
    why_not=why_not,
    cases=(
        Case(fault="disk full", dose="to the last byte", must_hold=MUST_HOLD, run=partial(full, leave_bytes=0), in_ci=True),
        *(
            Case(fault="disk full", dose=f"all but {kib} KiB, with transfers", must_hold=MUST_HOLD, run=partial(full, leave_bytes=kib * 1024))
            for kib in (4, 64, 256)
        ),
        Case(
            fault="disk full", dose="to the last byte, the log on it too", run=full_with_log,
            must_hold="ends with an exit code; the others go on; back at the head when there is room; nothing is lost",
        ),
        Case(
            fault="disk read-only", dose="at the start", run=read_only, in_ci=True,
            must_hold="ends with an exit code and a sentence that names disk, cause and action; back at the head when it is writable",
        ),
    ),
)  # fmt: skip
