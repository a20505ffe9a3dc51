"""Makes a failing run smaller while it fails in the same way: fewer validators, calm links, a shorter schedule of faults."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Final

from metanode.simulation.run import Outcome, Run

TRIES_MAX: Final = 300


def shrink(failing: Outcome, *, faults: Callable[[Run], int], play: Callable[[Run], Outcome]) -> Outcome:
    """Return the smallest failing outcome that is found in `TRIES_MAX` runs; `faults` counts what a run's schedule holds."""
    kind, best, tries = _kind(failing), failing, 0

    def fails(candidate: Run) -> bool:
        nonlocal best, tries
        if tries >= TRIES_MAX:
            return False
        tries += 1
        outcome = play(candidate)
        if outcome.held or _kind(outcome) != kind:
            return False
        best = outcome
        return True

    for validators in range(1, _validators(failing)):
        if fails(dataclasses.replace(best.run, validators=validators)):
            break
    fails(dataclasses.replace(best.run, calm=True))
    size = count = faults(best.run)
    while size:
        size = (size + 1) // 2 if size > 1 else 0
        for part in _parts(count, size):
            without = tuple(sorted({*best.run.without, *part}))
            if without != best.run.without:
                fails(dataclasses.replace(best.run, without=without))
    return best


def _parts(count: int, size: int) -> Iterator[range]:
    step = max(size, 1)
    for first in range(0, count, step):
        yield range(first, min(first + step, count))


def _validators(outcome: Outcome) -> int:
    return outcome.run.validators or outcome.validators


def _kind(outcome: Outcome) -> str:
    """Return what went wrong without names and numbers."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", outcome.problem or "")[:80]
