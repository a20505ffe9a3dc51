"""Clocks that are wrong, set while the node runs: `clock_offset.c` shifts the wall clock of one. Monotonic time goes on as it is."""

from __future__ import annotations

import os
import shutil
import struct
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.acceptance.processes import wait_until
from tests.integration.faults.catalogue.case import Case, Figures, Group, check_within
from tests.integration.faults.catalogue.partitions import stay
from tests.integration.faults.catalogue.pauses import cluster_intervals
from tests.integration.faults.cluster import PERIOD_S, Cluster, timed
from tests.integration.faults.leftovers import run

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

SOURCE = Path(__file__).parents[1] / "clock_offset.c"
VICTIM = 2
INTERVAL_MAX = 1.5 * PERIOD_S
"""Its own turns may be lost, each a second; nothing else."""
AHEAD_MAX_S = 1.0
"""How far ahead of the others' clocks a block's time may be."""
REFUSED_FROM_S = 2 * PERIOD_S
"""Who is so far ahead takes its slot for one that passed a period ago, and gives its block the time now, which is of the future."""
PROPOSES_WITHIN_S = 40.0
REPORTED_FROM_S = 30
"""An offset that the node has to say in its log."""
DAY_S = 86_400


def why_not() -> str | None:
    """What is missing."""
    return (
        None
        if shutil.which("cc")
        else "a clock is shifted by a small library, which needs a C compiler: apt-get install gcc libc6-dev"
    )


def environments(path: Path) -> Mapping[int, dict[str, str]]:
    """The node whose wall clock is shifted, right at first."""
    library = path / "clock_offset.so"
    run("cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl")
    set_clock(path, 0.0)
    return {VICTIM: {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(path / "clock")}}


def set_clock(path: Path, offset_s: float) -> None:
    """Set the node's clock so far from the true time, at once."""
    descriptor = os.open(path / "clock", os.O_WRONLY | os.O_CREAT, 0o644)
    os.pwrite(descriptor, struct.pack("q", round(offset_s * 1e9)), 0)
    os.close(descriptor)


def wrong(
    cluster: Cluster, _chance: random.Random, *, offsets_s: tuple[float, ...], seconds: float
) -> Figures:
    """Set the clock to each offset in turn, watch the chain, set it right, and wait until the node proposes again."""
    victim = cluster.nodes[VICTIM]
    others = [node for node in cluster.nodes if node is not victim]
    own = cluster.validators[VICTIM]
    first = top = cluster.top(others)
    proposed = 0
    refused: list[int] = []
    try:
        for offset_s in offsets_s:
            before = top
            set_clock(cluster.path, offset_s)
            stay(seconds / len(offsets_s))
            victim_height, top = victim.height() or 0, cluster.top(others)
            assert top - victim_height <= 2, (
                f"with its clock {offset_s:+g} s off {victim.name} is {top - victim_height} blocks behind"
            )
            if offset_s >= REFUSED_FROM_S:
                # The first may have been proposed before the clock was set.
                assert top >= before + 2, f"{top - before} blocks with the clock {offset_s:+g} s off"
                refused.extend(range(before + 2, top + 1))
        last = top
        assert last > first + 1, f"{last - first} blocks in {seconds:g} s with one clock off"
        now = time.time()
        for number in range(first + 1, last + 1):
            block = others[0].rpc.block(number)
            is_own = str(block["miner"]).lower() == own
            assert not (is_own and number in refused), f"{victim.name}'s block {number} is of the future"
            proposed += is_own
            ahead_s = int(block["timestamp"], 16) - now
            assert ahead_s <= AHEAD_MAX_S, f"block {number} is of {ahead_s:.0f} s from now"
        interval_s = cluster_intervals(cluster, first, last, others[0].index)
        check_within("mean interval", interval_s, INTERVAL_MAX)
        reported = "clock_offset" in victim.log
        assert reported or max(map(abs, offsets_s)) < REPORTED_FROM_S, (
            f"{victim.name} does not say that its clock is wrong"
        )
    finally:
        set_clock(cluster.path, 0.0)
    proposes_s = timed(lambda: _wait_proposal(cluster, own))
    return {
        "mean interval_s": interval_s, "own blocks meanwhile": float(proposed), "proposes again_s": proposes_s,
        "its log": "says so" if reported else "does not say so",
    }  # fmt: skip


def _wait_proposal(cluster: Cluster, own: str) -> None:
    rpc, looked = cluster.nodes[0].rpc, [cluster.top()]

    def has_proposed() -> bool:
        top = cluster.nodes[0].height() or 0
        numbers = range(looked[0] + 1, top + 1)
        looked[0] = max(top, looked[0])
        return any(str(rpc.block(number)["miner"]).lower() == own for number in numbers)

    wait_until(has_proposed, within_s=PROPOSES_WITHIN_S, what="the node with the wrong clock proposes again")


MUST_HOLD = (
    "no halt, the mean interval below 3 s; no block of the future, and none of its own while its clock is two periods ahead and more; "
    "the node follows, and proposes again when its clock is right"
)


def _case(dose: str, *offsets_s: float, in_ci: bool = False, seconds: float = 24.0) -> Case:
    act = partial(wrong, offsets_s=offsets_s, seconds=seconds)
    return Case(fault="wrong clock of one", dose=dose, must_hold=MUST_HOLD, run=act, in_ci=in_ci)


GROUP = Group(
    name="clocks",
    environments=environments,
    why_not=why_not,
    cases=(
        _case("+1 s", 1.0),
        _case("-1 s", -1.0),
        _case("+30 s", 30.0),
        _case("-30 s", -30.0),
        _case("+30 s, then -30 s, short", 30.0, -30.0, seconds=20.0),
        _case("+1 day, then -1 h, while running", DAY_S, -3600.0, in_ci=True, seconds=20.0),
        _case("+1 day", DAY_S),
        _case("-1 h", -3600.0),
        _case("backwards while running: +30, 0, -30, -1 h", 30.0, 0.0, -30.0, -3600.0, seconds=32.0),
    ),
)  # fmt: skip
