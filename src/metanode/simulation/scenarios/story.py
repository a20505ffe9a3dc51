"""What a scenario is, and the words that scenarios are told in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from metanode.consensus.messages import Message
from metanode.simulation.cluster import Cluster
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.network import LinkFaults

SETTLE_S: Final = 40
"""A network that has healed decides again within the longest deadline and a few rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One story."""

    claim: str
    """What must come of it, as a sentence."""
    draw: Callable[[int, int | None], Cluster]
    """(seed, validators or None for the scenario's own number) -> cluster."""
    play: Callable[[Cluster], Awaitable[None]]


def require(holds: bool, sentence: str) -> None:  # noqa: FBT001 - an assertion
    """Raise InvariantBroken with the sentence unless it holds."""
    if not holds:
        raise InvariantBroken(sentence)


def drawing(
    validators: int, *, does_relay: bool = False, faults: LinkFaults | None = None, candidates: int = 0
) -> Callable[[int, int | None], Cluster]:
    """Return the drawing of a cluster with so many validators, and a delay of its links that the seed decides."""

    def draw(seed: int, wanted: int | None) -> Cluster:
        delay_ms_max = Random(seed).choice([5, 20, 50, 100])
        links = faults or LinkFaults(delay_ms_max=delay_ms_max)
        return Cluster(
            seed=seed,
            validators=wanted or validators,
            candidates=candidates,
            faults=links,
            does_relay=does_relay,
        )

    return draw


def nothing_from(*indices: int) -> Callable[[int, int, Message], bool]:
    """Return a filter that lets nothing of these nodes pass."""
    return lambda sender, _receiver, _message: sender not in indices
