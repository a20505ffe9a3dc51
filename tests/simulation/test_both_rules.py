"""What holds where each validator has one vote holds where powers count, too: every second seed of a scenario is under the rule of stakes."""

import pytest

from metanode.chain.quorum import QuorumRule
from metanode.simulation.playing import draw
from metanode.simulation.powers import draw_alike
from metanode.simulation.run import Run
from metanode.simulation.scenarios import SCENARIOS
from metanode.simulation.scenarios.rules import UNDER_ONE_RULE, rule_of
from metanode.simulation.scenarios.story import is_long


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_is_under_the_rule_of_its_seed_or_the_one_it_is_told(name: str) -> None:
    for seed in (1, 2):
        assert draw(Run(scenario=name, seed=seed, validators=4)).rules.quorum_rule is rule_of(name, seed)
    if name not in UNDER_ONE_RULE:
        told = Run(scenario=name, seed=1, validators=4, rule="stake")
        assert draw(told).rules.quorum_rule is QuorumRule.STAKE
        assert told.arguments == f"--seed 1 --scenario {name} --validators 4 --rule stake"


def test_half_of_the_seeds_and_half_of_the_long_ones_are_under_stakes() -> None:
    rules = {seed: rule_of("storm", seed) for seed in range(1, 1001)}
    assert sum(rule is QuorumRule.STAKE for rule in rules.values()) == 500
    assert sum(rule is QuorumRule.STAKE for seed, rule in rules.items() if is_long(seed)) == 10


def test_a_scenario_under_one_rule_is_one_that_there_is_and_has_a_reason() -> None:
    assert set(UNDER_ONE_RULE) <= set(SCENARIOS)
    assert all(why for _, why in UNDER_ONE_RULE.values())


@pytest.mark.parametrize("validators", [1, 2, 4, 5, 7, 8, 10, 22, 100])
def test_powers_of_a_drawing_differ_and_count_like_votes(validators: int) -> None:
    """F of the heaviest are no third, F + 1 of the lightest are more."""
    faulty, rule = (validators - 1) // 3, QuorumRule.STAKE
    for seed in range(200):
        powers = sorted(draw_alike(seed, validators))
        total = sum(powers)
        heaviest, lightest = sum(powers[validators - faulty :]), sum(powers[: faulty + 1])
        assert not rule.has_honest(heaviest, total)
        assert rule.is_quorum(total - heaviest, total)
        assert rule.has_honest(lightest, total)
        assert validators == 1 or not rule.is_quorum(total - lightest, total)
    assert validators == 1 or len(set(powers)) > 1


@pytest.mark.parametrize("validators", [3, 6, 9])
def test_where_f_validators_are_a_third_to_the_coin_powers_are_equal(validators: int) -> None:
    assert len(set(draw_alike(1, validators))) == 1
