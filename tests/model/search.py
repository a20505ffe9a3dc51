"""Visit every state of the model once; the path to the first bad one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from tests.model import ibft

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.ibft import Rules, State, Validator


@dataclass(frozen=True)
class Found:
    """The end of a search."""

    states: int
    path: tuple[State, ...]
    """From the start to the bad state; empty when there is none and all were visited."""


def search(rules: Rules, is_bad: Callable[[State, Rules], bool], *, states_max: int) -> Found:
    """Search from the start, deep first. States that differ by the names of the two values count once.

    Raises:
        AssertionError: more than `states_max` states were found and none was bad.
    """
    first = ibft.start(rules)
    parents: dict[State, State | None] = {first: None}
    unvisited = [first]
    while unvisited:
        state = unvisited.pop()
        if is_bad(state, rules):
            return Found(len(parents), _path(state, parents))
        for successor in ibft.successors(state, rules):
            canonical = _canonical(successor)
            if canonical not in parents:
                parents[canonical] = state
                unvisited.append(canonical)
        assert len(parents) <= states_max, f"over {states_max} states: the model has grown"
    return Found(len(parents), ())


def _path(state: State, parents: dict[State, State | None]) -> tuple[State, ...]:
    path = [state]
    while (parent := parents[path[-1]]) is not None:
        path.append(parent)
    return tuple(reversed(path))


def _canonical(state: State) -> State:
    """Of a state and its mirror image with the two values exchanged, the one whose first difference is smaller."""
    for validator in state:
        if validator is not None:
            mirrored = _mirrored(validator)
            if validator != mirrored:
                return state if validator < mirrored else tuple(each and _mirrored(each) for each in state)
    return state


@lru_cache(maxsize=ibft.CACHED)
def _mirrored(validator: Validator) -> Validator:
    return ibft.Validator(
        round=validator.round,
        accepted=_other(validator.accepted),
        certificate=_other(validator.certificate),
        prepares=tuple(_swapped(mask) for mask in validator.prepares),
        commits=tuple(_swapped(mask) for mask in validator.commits),
        # Bit 0 stands for no certificate and stays.
        round_changes=tuple(mask & 1 | _swapped(mask >> 1) << 1 for mask in validator.round_changes),
    )


def _other(number: int) -> int:
    """The same round with the other value."""
    return number if number == ibft.NONE else number ^ 1


def _swapped(mask: int) -> int:
    """Neighbouring bits exchanged."""
    even = sum(1 << bit for bit in range(0, 2 * ibft.ROUNDS, 2))
    return (mask & even) << 1 | (mask >> 1) & even
