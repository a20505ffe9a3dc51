"""Every scenario of the catalogue holds, for several seeds. SEED moves them; a failure names the seed and the scenario."""

import os

import pytest

from metanode.simulation.__main__ import play
from metanode.simulation.scenarios import SCENARIOS

FIRST = int(os.environ.get("SEED", "1"))
SEEDS = range(FIRST, FIRST + 5)


def seed_id(seed: int) -> str:
    return f"seed={seed}"


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"no-faults", "cold-start"}))
def test_the_claim_of_a_scenario_holds(name: str, seed: int) -> None:
    play(name, seed)


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("validators", [1, 2, 3, 4, 5, 7, 10])
def test_without_faults_every_height_is_decided_in_round_0_at_its_slot(validators: int, seed: int) -> None:
    play("no-faults", seed, validators)


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("validators", [1, 2, 4, 7])
def test_a_cold_start_with_nobody_ahead_is_live_within_6_s(validators: int, seed: int) -> None:
    play("cold-start", seed, validators)


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("validators", [5, 10])
def test_networks_of_other_sizes_survive_crashes_at_any_write(validators: int, seed: int) -> None:
    play("crash-at-boundaries", seed, validators)


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("validators", [1, 2, 3])
@pytest.mark.parametrize("scenario", ["lost-execution-client", "restart-of-all", "crash-at-boundaries"])
def test_the_smallest_networks_survive_crashes(scenario: str, validators: int, seed: int) -> None:
    play(scenario, seed, validators)
