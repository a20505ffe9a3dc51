"""In networks of any size a dead proposer costs nothing, and F liars silence nobody."""

import os

import pytest

from metanode.simulation.playing import play

FIRST = int(os.environ.get("SEED", "1"))
SEEDS = range(FIRST, FIRST + 3)


def seed_id(seed: int) -> str:
    return f"seed={seed}"


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("validators", [3, 4, 6, 7, 10])
@pytest.mark.parametrize("scenario", ["dead-proposers", "all-but-a-quorum-dead", "returning-validator"])
def test_from_three_rotations_on_the_dead_cost_nothing(scenario: str, validators: int, seed: int) -> None:
    play(scenario, seed, validators)


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("validators", [4, 7, 10])
@pytest.mark.parametrize("scenario", ["silencing", "silencing-a-returning-validator"])
def test_f_liars_take_no_turn_from_an_honest_validator(scenario: str, validators: int, seed: int) -> None:
    play(scenario, seed, validators)
