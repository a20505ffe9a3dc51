"""Who proposes (docs/spec/chain.md, Proposers): one rotation, with those that have long been silent moved to its end.

With proof of authority the rotation is the set in address order, from the one after the parent's recorded proposer. With proof of stake it
is the order of first appearance in the epoch's schedule, a weighted round-robin in which everyone proposes in proportion to power. Inputs
are decided blocks only, so all honest nodes have one order; every N consecutive rounds visit everybody.

The schedule, in integers: all priorities start at 0 at the epoch's first height; each step adds every validator's power
to its priority, takes the highest (ties: the lower address), and subtracts the total power from it. Priorities always sum to 0 and stay
within twice the total, so neither centring nor scaling is needed. It is a pure function of set and step: there is no state to synchronise.
"""

import functools
from collections.abc import Mapping

from metanode.chain.quorum import QuorumRule
from metanode.chain.validators import ValidatorSet
from metanode.primitives.types import Address

SILENT_TURNS: int = 2
"""A validator is skipped after this many times N heights without a sign of life."""
_LOOK_AHEAD_TURNS = 4
"""Steps of the schedule, times N, in which a first appearance counts; who comes later follows in address order."""


def rotation_after(validators: ValidatorSet, last_proposer: Address) -> tuple[Address, ...]:
    """Return the addresses from the first one greater than the last proposer, who may have left the set; wraps around."""
    addresses = validators.addresses
    start = next((i for i, address in enumerate(addresses) if address > last_proposer), 0)
    return addresses[start:] + addresses[:start]


def find_skipped(
    validators: ValidatorSet, last_active: Mapping[Address, int], height: int
) -> frozenset[Address]:
    """Return the validators without a sign of life in the last 2N heights."""
    limit = SILENT_TURNS * len(validators)
    return frozenset(address for address in validators.addresses if height - last_active[address] > limit)


def proposer_order(
    *,
    validators: ValidatorSet,
    last_active: Mapping[Address, int],
    last_proposer: Address,
    height: int,
    epoch_start: int,
    rule: QuorumRule,
) -> tuple[Address, ...]:
    """Return the proposers of rounds 0, 1, ... N - 1 of a height; round N is round 0's again."""
    if rule is QuorumRule.AUTHORITY:
        rotation = rotation_after(validators, last_proposer)
    else:
        rotation = _first_appearances(validators, height - epoch_start)
    skipped = find_skipped(validators, last_active, height)
    awake = tuple(address for address in rotation if address not in skipped)
    return awake + tuple(address for address in rotation if address in skipped)


def scheduled_proposer(validators: ValidatorSet, step: int) -> Address:
    """Return who stands at a step of the epoch's schedule, from 0; the first call costs steps * N additions, later ones nothing."""
    return validators.validators[_schedule(validators).position(step)].address


class _Schedule:
    """The steps of one set computed so far. Growing it is the memory of a pure function."""

    def __init__(self, validators: ValidatorSet) -> None:
        self._powers = [validator.power for validator in validators]
        self._total = validators.total_power
        self._priorities = [0] * len(self._powers)
        self._positions: list[int] = []

    def position(self, step: int) -> int:
        while len(self._positions) <= step:
            priorities = [
                priority + power for priority, power in zip(self._priorities, self._powers, strict=True)
            ]
            # index() finds the first of the highest: the lower address.
            chosen = priorities.index(max(priorities))
            priorities[chosen] -= self._total
            self._priorities = priorities
            self._positions.append(chosen)
        return self._positions[step]


@functools.lru_cache(maxsize=4)
def _schedule(validators: ValidatorSet) -> _Schedule:
    return _Schedule(validators)


@functools.lru_cache(maxsize=64)
def _first_appearances(validators: ValidatorSet, step: int) -> tuple[Address, ...]:
    found: dict[Address, None] = {}
    for ahead in range(_LOOK_AHEAD_TURNS * len(validators)):
        found.setdefault(scheduled_proposer(validators, step + ahead))
        if len(found) == len(validators):
            break
    for address in validators.addresses:
        found.setdefault(address)
    return tuple(found)
