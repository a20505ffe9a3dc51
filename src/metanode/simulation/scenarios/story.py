"""What a scenario is, and the words that scenarios are told in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.messages import Message
from metanode.primitives.types import Height, Round
from metanode.simulation.cluster import Cluster
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.network import LinkFaults

SETTLE_S: Final = 40
"""A network that has healed decides again within the longest deadline and a few rounds."""

LONG_EVERY: Final = 50
"""Of so many seeds one draws the long variants."""


Drawing = Callable[[int, int | None, QuorumRule], Cluster]
"""(seed, validators or None for the scenario's own number, rule) -> cluster. Who draws powers of its own is under the rule of stakes whatever it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One story."""

    claim: str
    """What must come of it, as a sentence."""
    draw: Drawing
    play: Callable[[Cluster], Awaitable[None]]
    rows: tuple[int, ...] = ()
    """Rows of docs/evidence/catalogue.md whose pass criterion this asserts."""


def is_long(seed: int) -> bool:
    """Tell whether a seed draws the long variant of a scenario that has one (hours, thousands of blocks): every fiftieth does."""
    return seed % LONG_EVERY == 0


def highest_round(cluster: Cluster, nodes: Sequence[int] | None = None) -> int:
    """Return the highest round of the height that is being decided, among honest nodes that run: "soon" counts from it (docs/evidence/catalogue.md)."""
    chosen = range(len(cluster.nodes)) if nodes is None else nodes
    rounds = [
        cluster.nodes[i].driver.snapshot.round
        for i in chosen
        if cluster.nodes[i].is_running
        and not cluster.nodes[i].is_byzantine
        and cluster.nodes[i].driver.tip.header.height == cluster.height
    ]
    return max(rounds, default=0)


def rounds_s(cluster: Cluster, first: int, count: int) -> float:
    """Return how long so many rounds last at most, from the wait for the slot on."""
    timeouts = cluster.rules.parameters.forks[0].timeouts
    return cluster.period_s + sum(timeouts.round_ms(Round(first + i)) for i in range(count)) / 1000


async def wait_resumed(
    cluster: Cluster, *, rounds: int | None = None, nodes: Sequence[int] | None = None
) -> None:
    """Wait for the next decision, and require that it comes soon (docs/evidence/catalogue.md): in at most so many rounds from the highest one of now on.

    F + 2 unless told: the round that runs, F rounds of faulty proposers, and one more.
    """
    allowed = cluster.max_faulty + 2 if rounds is None else rounds
    height, now = cluster.height + 1, highest_round(cluster, nodes)
    await cluster.wait_height(height, nodes=nodes, within_s=rounds_s(cluster, now, allowed + 1))
    took = cluster.checker.rounds[Height(height)] - now
    require(took <= allowed, f"height {height} took {took} rounds from round {now} on, {allowed} are allowed")


def require(holds: bool, sentence: str) -> None:  # noqa: FBT001 - an assertion
    """Raise InvariantBroken with the sentence unless it holds."""
    if not holds:
        raise InvariantBroken(sentence)


def drawing(
    validators: int, *, does_relay: bool = False, faults: LinkFaults | None = None, candidates: int = 0
) -> Drawing:
    """Return the drawing of a cluster with so many validators, and a delay of its links that the seed decides."""

    def draw(seed: int, wanted: int | None, rule: QuorumRule) -> Cluster:
        delay_ms_max = Random(seed).choice([5, 20, 50, 100])
        links = faults or LinkFaults(delay_ms_max=delay_ms_max)
        return Cluster(
            seed=seed,
            rule=rule,
            validators=wanted or validators,
            candidates=candidates,
            faults=links,
            does_relay=does_relay,
        )

    return draw


def nothing_from(*indices: int) -> Callable[[int, int, Message], bool]:
    """Return a filter that lets nothing of these nodes pass."""
    return lambda sender, _receiver, _message: sender not in indices
