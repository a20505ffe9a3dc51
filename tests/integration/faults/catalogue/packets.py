"""Bad weather: loss, delay, repetition, reordering. Of packets in namespaces; a relay of connections delays only, and drops connections."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.acceptance.processes import wait_until
from tests.integration.faults.catalogue.case import Case, Figures, Group, check_within
from tests.integration.faults.catalogue.partitions import stay
from tests.integration.faults.catalogue.pauses import cluster_intervals
from tests.integration.faults.cluster import PERIOD_S, Cluster, timed

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

INTERVAL_MAX = 3 * PERIOD_S
DROPPED_A_SECOND_MAX = 40.0
"""Connections: the end of each is a line of the two nodes that had it."""
AFTERWARDS_S = 30.0
"""Within this the chain grows again, whatever the weather was."""


def weather(
    cluster: Cluster,
    _chance: random.Random,
    *,
    begin: Callable[[Cluster], None],
    seconds: float,
    interval_max: float | None,
) -> Figures:
    """Measure the pace in it and how soon all is well after it; without a bound on the pace only that there is no fork."""
    begin(cluster)
    first = cluster.top()
    stay(seconds)
    last = min(cluster.top(), cluster.nodes[0].height() or 0)
    found: Figures = {"blocks": float(last - first)}
    if last > first:
        found["mean interval_s"] = cluster_intervals(cluster, first, last, 0)
    cluster.links.heal()
    found["block after it_s"] = timed(
        lambda: cluster.wait_height(cluster.top() + 1, within_s=2 * AFTERWARDS_S)
    )
    check_within("a block after it", float(found["block after it_s"]), AFTERWARDS_S)
    if interval_max is not None:
        assert last > first, f"no block in {seconds:g} s"
        check_within("mean interval in it", float(found["mean interval_s"]), interval_max)
    return found


def dropped(cluster: Cluster, chance: random.Random) -> Figures:
    """End a random connection every moment for a while."""
    first = cluster.top()

    def drop_until_five_blocks() -> bool:
        cluster.links.drop(chance.randint(1, 2))
        return cluster.top() >= first + 5

    took_s = timed(
        lambda: wait_until(
            drop_until_five_blocks, within_s=60.0, what="five blocks while connections are dropped"
        )
    )
    check_within("mean interval in it", took_s / 5, INTERVAL_MAX)
    return {"mean interval_s": took_s / 5}


def _case(
    fault: str,
    dose: str,
    begin: Callable[[Cluster], None],
    *,
    interval_max: float | None = INTERVAL_MAX,
    in_ci: bool = False,
    seconds: float = 40.0,
) -> Case:
    must_hold = (
        "no fork; a block within 30 s of its end"
        if interval_max is None
        else f"mean interval at most {interval_max:g} s; no fork; a block within 30 s of its end"
    )
    return Case(
        fault=fault, dose=dose, must_hold=must_hold, in_ci=in_ci, needs_packets=True,
        run=partial(weather, begin=begin, seconds=12.0 if in_ci else seconds, interval_max=interval_max),
    )  # fmt: skip


GROUP = Group(
    name="packets",
    cases=(
        _case("loss", "1 %", lambda c: c.links.lose(0.01)),
        _case("loss", "10 %", lambda c: c.links.lose(0.10), seconds=60.0),
        _case("loss", "10 %, short", lambda c: c.links.lose(0.10), in_ci=True),
        _case("loss", "30 %", lambda c: c.links.lose(0.30), interval_max=None, seconds=60.0),
        _case("delay with jitter", "40-60 ms", lambda c: c.links.distort(delay_ms=(40, 60))),
        _case("delay with jitter", "50-500 ms, short", lambda c: c.links.distort(delay_ms=(50, 500)), in_ci=True),
        _case("delay with jitter", "50-500 ms", lambda c: c.links.distort(delay_ms=(50, 500))),
        _case("delay with jitter", "400-500 ms", lambda c: c.links.distort(delay_ms=(400, 500))),
        _case("reordering", "50-500 ms, frames overtake", lambda c: c.links.distort(delay_ms=(50, 500), in_order=False)),
        _case("duplication", "10 %", lambda c: c.links.distort(duplicate=0.1)),
        _case("duplication", "50 %", lambda c: c.links.distort(duplicate=0.5)),
        _case("loss and duplication", "30 % and 50 %", lambda c: c.links.distort(duplicate=0.5, lose=0.3), interval_max=None, seconds=60.0),
    ),
)  # fmt: skip

RELAYED = Group(
    name="relayed",
    is_relayed=True,
    cases=(
        Case(
            fault="delay with jitter (relay)", dose="50-500 ms", in_ci=True, must_hold="mean interval at most 6 s; no fork; a block within 30 s of its end",
            run=partial(weather, begin=lambda c: c.links.distort(delay_ms=(50, 500)), seconds=12.0, interval_max=INTERVAL_MAX),
        ),
        Case(
            fault="dropped connections (relay)", dose="one or two, twenty times a second", must_hold="mean interval at most 6 s", run=dropped, in_ci=True,
            log_lines_a_second_max=DROPPED_A_SECOND_MAX,
        ),
    ),
)  # fmt: skip
"""What a relay of connections can do beside partitions: run on a network that goes through it, also where namespaces are permitted."""
