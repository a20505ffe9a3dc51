"""SIGSTOP: a process that stands still, and wakes up with the world gone on."""

from __future__ import annotations

import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.acceptance.processes import wait_until
from tests.integration.faults.catalogue.case import Case, Figures, Group, check_within
from tests.integration.faults.cluster import PERIOD_S, Cluster, timed

if TYPE_CHECKING:
    import random

BACK_WITHIN_S = 20.0
INTERVAL_MAX = 1.5 * PERIOD_S
"""Mean; a dead proposer's turn costs a second until it is skipped."""


def pause(cluster: Cluster, chance: random.Random, *, seconds: float) -> Figures:
    """Stop one for so long; the others go on, and it follows again when it wakes."""
    victim = chance.choice(cluster.nodes)
    others = [node for node in cluster.nodes if node is not victim]
    victim.signal(signal.SIGSTOP)
    try:
        before = cluster.top(others)
        begun = time.monotonic()
        # A pause that is shorter than two rounds lasts until they are over: they take longer on a busy machine.
        wait_until(
            lambda: time.monotonic() - begun >= seconds and cluster.top(others) > before,
            within_s=seconds + 5,
            what="the pause is over, and a block has come in it",
        )
        after = cluster.top(others)
        interval_s = cluster_intervals(cluster, before, after, others[0].index)
    finally:
        victim.signal(signal.SIGCONT)
    back_s = timed(
        lambda: wait_until(
            lambda: (victim.height() or 0) >= cluster.top(others),
            within_s=2 * BACK_WITHIN_S,
            what=f"{victim.name} is at the head again",
        )
    )
    check_within("mean interval with one stopped", interval_s, INTERVAL_MAX)
    check_within("back at the head", back_s, BACK_WITHIN_S)
    return {"mean interval_s": interval_s, "back at the head_s": back_s}


def cluster_intervals(cluster: Cluster, first: int, last: int, index: int) -> float:
    """Mean seconds between blocks, as one node has them."""
    begin, end = (int(cluster.nodes[index].rpc.block(height)["timestamp"], 16) for height in (first, last))
    return (end - begin) / (last - first)


GROUP = Group(
    name="pauses",
    cases=tuple(
        Case(
            fault="SIGSTOP one", dose=f"{seconds} s", run=partial(pause, seconds=float(seconds)), in_ci=seconds == 10,
            must_hold="the chain goes on; the node is at the head 20 s after it wakes; nothing stale is signed",
        )
        for seconds in (10, 60, 300)
    ),
)  # fmt: skip
