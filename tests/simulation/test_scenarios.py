"""Every scenario of the catalogue holds, for several seeds. SEED moves them; a failure names the seed and the scenario."""

import dataclasses
import os

import pytest

from metanode.chain.quorum import QuorumRule
from metanode.simulation.__main__ import play, run
from metanode.simulation.cluster import Cluster
from metanode.simulation.playing import draw
from metanode.simulation.run import Run
from metanode.simulation.scenarios import SCENARIOS

FIRST = int(os.environ.get("SEED", "1"))
SEEDS = range(FIRST, FIRST + 5)


def seed_id(seed: int) -> str:
    return f"seed={seed}"


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"no-faults", "cold-start"}))
def test_the_claim_of_a_scenario_holds(name: str, seed: int) -> None:
    play(name, seed)


def test_two_machines_with_one_key_are_watched_until_it_has_proposed_two_blocks() -> None:
    """By this seed one of the two hears the other's proposal in time in each of the first turns, and there is nothing to prove."""
    play("key-in-two-hands", 292)


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("validators", [1, 2, 3, 4, 5, 6, 7, 10, 22])
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


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("validators", [2, 3])
@pytest.mark.parametrize("scenario", ["lost-database", "lost-database-and-execution-client"])
def test_two_and_three_validators_survive_the_loss_of_a_database(
    scenario: str, validators: int, seed: int
) -> None:
    play(scenario, seed, validators)


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize("scenario", ["lost-watermark", "lost-whole-disk"])
def test_of_three_validators_one_may_forget_what_it_has_signed(scenario: str, seed: int) -> None:
    """Where each has one vote: two of three equal stakes are exactly two thirds, and no quorum."""
    wanted = Run(scenario=scenario, seed=seed, validators=3, rule=QuorumRule.AUTHORITY.value)
    run(SCENARIOS[scenario], draw(wanted))


@pytest.mark.parametrize("seed", SEEDS, ids=seed_id)
@pytest.mark.parametrize(
    ("validators", "loses_everything"), [(1, False), (2, False), (2, True)], ids=["1", "2", "2, all"]
)
def test_a_validator_without_which_nothing_is_decided_observes_until_the_operator_speaks(
    validators: int, loses_everything: bool, seed: int
) -> None:
    async def forget(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(3)
            await cluster.wait_s(cluster.random.randint(0, 3000) / 1000)
            node = cluster.nodes[0]
            cluster.crash(0)
            await cluster.wait_s(1)
            # What it signed at the open height is lost with the file; the network may not hear it contradicted.
            if loses_everything:
                node.disk.forget_database(keep=0)
                node.disk.payloads, node.disk.watermark = [], None
            else:
                node.disk.watermark, node.disk.has_watermark_file = None, False
            height = cluster.height
            cluster.start(0)
            await cluster.wait_s(60)
            assert cluster.height <= height + 1
            assert node.disk.watermark is None, "it has signed nothing"
            node.may_sign_without_watermark = True
            cluster.checker.checks_keys = False
            await cluster.restart(0)
            await cluster.wait_height(height + 3)

    scenario = SCENARIOS["lost-watermark"]
    cluster = scenario.draw(seed, validators, QuorumRule.AUTHORITY)
    run(dataclasses.replace(scenario, play=forget), cluster)
