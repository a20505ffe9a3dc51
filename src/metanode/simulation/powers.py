"""Powers that differ, and yet count like votes: for scenarios that say how many may fail."""

from random import Random
from typing import Final

MIDDLE: Final = 1_000


def draw_alike(seed: int, validators: int) -> list[int]:
    """Return powers around 1,000, so alike that any F validators have less than a third, and any F + 1 more; F is what equal ones bear.

    Three, six, nine equal validators have exactly a third in F of them, so that any difference would tip it: those stay equal.
    """
    if validators % 3 == 0:
        return [MIDDLE] * validators
    faulty = (validators - 1) // 3
    # With powers in MIDDLE * (1 - x .. 1 + x): F of the heaviest are less than a third below the first bound, F + 1 of the lightest
    # more than a third below the second.
    below = MIDDLE * (validators - 3 * faulty) // (validators + faulty)
    above = MIDDLE * (3 * faulty + 3 - validators) // (validators + faulty + 1)
    apart = min(below, above, MIDDLE) - 1
    draw = Random(f"alike {seed}")
    return [MIDDLE + draw.randint(-apart, apart) for _ in range(validators)]
