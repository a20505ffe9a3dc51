"""Networks that fall apart: halves, one alone, a ring, and ways that lead in one direction only."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from tests.acceptance.processes import wait_until
from tests.integration.faults.catalogue.case import Figures, Group, check_within, repeat
from tests.integration.faults.catalogue.pauses import cluster_intervals
from tests.integration.faults.cluster import PERIOD_S, VALIDATORS, Cluster, timed
from tests.integration.faults.links import between

if TYPE_CHECKING:
    import random

    from tests.integration.faults.cluster import Node

ROUND_DEADLINE_S = 4.0
ROUND_DEADLINE_MAX_S = 32.0
INTERVAL_MAX = 1.5 * PERIOD_S


def stay(seconds: float) -> None:
    """The dose: let the fault last."""
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun >= seconds, within_s=seconds + 5, what="the time is over")


def heal_within_s(nodes: list[Node]) -> float:
    """Two round timeouts and 10 s, of the highest round that anybody is in."""
    round_ = max(int(node.consensus()["round"], 16) for node in nodes)
    return 2 * min(ROUND_DEADLINE_S * 2**round_, ROUND_DEADLINE_MAX_S) + 10.0


def halves(cluster: Cluster, chance: random.Random, *, seconds: float) -> Figures:
    """Two and two: nobody decides."""
    shuffled = chance.sample(range(VALIDATORS), VALIDATORS)
    cluster.links.cut(between((shuffled[:2], shuffled[2:])))
    before = cluster.top()
    stay(seconds)
    highest = cluster.top()
    assert highest <= before + 1, f"half of the validators decided: {before} at the cut, now {highest}"
    limit_s = heal_within_s(cluster.nodes)
    cluster.links.heal()
    healed_s = timed(lambda: cluster.wait_height(highest + 1, within_s=2 * limit_s))
    check_within("a block after healing", healed_s, limit_s)
    return {"block after healing_s": healed_s, "allowed_s": limit_s}


def one_alone(cluster: Cluster, chance: random.Random, *, seconds: float) -> Figures:
    """Three and one: three go on, one does not."""
    alone = chance.choice(cluster.nodes)
    others = [node for node in cluster.nodes if node is not alone]
    cluster.links.cut(between(([alone.index], [node.index for node in others])))
    at_cut, first = alone.height() or 0, cluster.top(others)
    stay(seconds)
    highest, last = alone.height() or 0, cluster.top(others)
    assert highest <= at_cut + 1, f"one of four decided alone: {at_cut} at the cut, now {highest}"
    assert last > first, f"three of four did not go on in {seconds:g} s"
    interval_s = cluster_intervals(cluster, first, last, others[0].index)
    limit_s = heal_within_s([alone])
    cluster.links.heal()
    healed_s = timed(lambda: cluster.wait_height(cluster.top(others), nodes=[alone], within_s=2 * limit_s))
    check_within("mean interval of the three", interval_s, INTERVAL_MAX)
    check_within("the one is at the head after healing", healed_s, limit_s)
    return {"mean interval_s": interval_s, "at the head after healing_s": healed_s}


def ring(cluster: Cluster, chance: random.Random, *, seconds: float) -> Figures:
    """Each reaches its two neighbours only: messages are handed on, so the chain goes on."""
    order = chance.sample(range(VALIDATORS), VALIDATORS)
    cluster.links.cut([(order[0], order[2]), (order[1], order[3])])
    return _goes_on(cluster, seconds)


def one_way(cluster: Cluster, chance: random.Random, *, seconds: float) -> Figures:
    """One does not hear another, who hears it: what it misses reaches it through the others."""
    deaf, speaker = chance.sample(range(VALIDATORS), 2)
    cluster.links.mute([(speaker, deaf)])
    return _goes_on(cluster, seconds)


def deaf(cluster: Cluster, chance: random.Random, *, seconds: float) -> Figures:
    """One hears nobody, and is heard: three go on."""
    victim = chance.choice(cluster.nodes)
    others = [node for node in cluster.nodes if node is not victim]
    cluster.links.mute([(node.index, victim.index) for node in others])
    first = cluster.top(others)
    stay(seconds)
    last = cluster.top(others)
    assert last > first, f"three of four did not go on in {seconds:g} s"
    interval_s = cluster_intervals(cluster, first, last, others[0].index)
    limit_s = heal_within_s([victim])
    cluster.links.heal()
    healed_s = timed(lambda: cluster.wait_height(cluster.top(others), nodes=[victim], within_s=2 * limit_s))
    check_within("mean interval of the three", interval_s, INTERVAL_MAX)
    check_within("the deaf one is at the head after healing", healed_s, limit_s)
    return {"mean interval_s": interval_s, "at the head after healing_s": healed_s}


def again_and_again(cluster: Cluster, chance: random.Random, *, rounds: int) -> Figures:
    """One partition after the other, each another one, for some seconds each: nothing of one is left for the next."""
    worst_s = 0.0
    for number in range(rounds):
        order = chance.sample(range(VALIDATORS), VALIDATORS)
        kind = KINDS[number % len(KINDS)]
        match kind:
            case "2/2":
                cluster.links.cut(between((order[:2], order[2:])))
            case "3/1":
                cluster.links.cut(between((order[:1], order[1:])))
            case "ring":
                cluster.links.cut([(order[0], order[2]), (order[1], order[3])])
            case _:
                cluster.links.mute([(order[0], order[1])])
        minority = {"2/2": cluster.nodes, "3/1": [cluster.nodes[order[0]]]}.get(kind, [])
        before = [node.height() or 0 for node in minority]
        stay(chance.uniform(*SHORT_ON_S))
        after = [node.height() or 0 for node in minority]
        assert max(after, default=0) <= max(before, default=0) + 1, (
            f"{kind}, round {number + 1}: too few decided, {before} at the cut, now {after}"
        )
        limit_s = heal_within_s(cluster.nodes)
        cluster.links.heal()
        top = cluster.top()
        healed_s = timed(lambda top=top, limit_s=limit_s: cluster.wait_height(top + 1, within_s=2 * limit_s))
        check_within(f"all have a block after healing {kind}", healed_s, limit_s)
        worst_s = max(worst_s, healed_s)
        stay(chance.uniform(*SHORT_OFF_S))
    return {"partitions": float(rounds), "all have a block after healing, the slowest_s": worst_s}


def _goes_on(cluster: Cluster, seconds: float) -> Figures:
    first = cluster.top()
    stay(seconds)
    last = cluster.top()
    assert last > first, f"no block in {seconds:g} s"
    behind = last - min(node.height() or 0 for node in cluster.nodes)
    assert behind <= 2, f"a node that is reached over others is {behind} blocks behind"
    interval_s = cluster_intervals(cluster, first, min(last, cluster.nodes[0].height() or 0), 0)
    cluster.links.heal()
    check_within("mean interval", interval_s, INTERVAL_MAX)
    return {"mean interval_s": interval_s}


ON_S = 30
ROUNDS = 3
SHORT_ROUNDS = 20
SHORT_ON_S = (3.0, 8.0)
SHORT_OFF_S = (0.0, 3.0)
KINDS = ("2/2", "3/1", "ring", "one way")
HALTS = "nobody decides; a block within two round timeouts and 10 s of healing"
THREE_GO_ON = "three go on, one decides nothing; it is at the head two round timeouts and 10 s after healing"
GOES_ON = "the chain goes on (mean interval below 3 s), nobody stays behind"

GROUP = Group(
    name="partitions",
    cases=(
        *repeat(1, partial(halves, seconds=12), fault="partition 2/2", dose="12 s", must_hold=HALTS, in_ci=1),
        *repeat(ROUNDS, partial(halves, seconds=ON_S), fault="partition 2/2", dose=f"{ON_S} s", must_hold=HALTS),
        *repeat(1, partial(halves, seconds=300), fault="partition 2/2", dose="300 s", must_hold=HALTS),
        *repeat(1, partial(one_alone, seconds=12), fault="partition 3/1", dose="12 s", must_hold=THREE_GO_ON, in_ci=1),
        *repeat(ROUNDS, partial(one_alone, seconds=ON_S), fault="partition 3/1", dose=f"{ON_S} s", must_hold=THREE_GO_ON),
        *repeat(ROUNDS, partial(ring, seconds=ON_S), fault="ring", dose=f"{ON_S} s", must_hold=GOES_ON),
        *repeat(1, partial(one_way, seconds=12), fault="one-way loss of one link", dose="12 s", must_hold=GOES_ON, in_ci=1),
        *repeat(ROUNDS, partial(one_way, seconds=ON_S), fault="one-way loss of one link", dose=f"{ON_S} s", must_hold=GOES_ON),
        *repeat(
            1, partial(again_and_again, rounds=SHORT_ROUNDS), fault="partitions one after the other", dose=f"{SHORT_ROUNDS} of 3-8 s, of four kinds",
            must_hold="too few decide nothing; after each all have a block within two round timeouts and 10 s",
        ),
        *repeat(ROUNDS, partial(deaf, seconds=ON_S), fault="one hears nobody", dose=f"{ON_S} s", must_hold=THREE_GO_ON),
    ),
)  # fmt: skip
