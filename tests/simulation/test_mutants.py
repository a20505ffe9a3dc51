"""With a rule taken out a scenario fails, and with it in place the same scenario holds for the same seed."""

import pytest
from tests.simulation.mutants import EVIDENCE, MUTANTS, Mutant, kill

from metanode.simulation.playing import play
from metanode.simulation.scenarios import SCENARIOS


def mutant_id(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=mutant_id)
def test_a_rule_taken_out_is_noticed(mutant: Mutant) -> None:
    found = kill(mutant)
    assert found is not None, f"{mutant.scenario} holds when {mutant.without}"
    play(mutant.scenario, found.seed, mutant.validators)


@pytest.mark.parametrize(
    "numeral", ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"]
)
def test_each_of_the_twelve_is_in_the_table(numeral: str) -> None:
    assert any(mutant.source == f"5.3 ({numeral})" for mutant in MUTANTS)


def test_the_four_of_slots_and_skipping_are_in_the_table() -> None:
    assert sum(mutant.source == "slots" for mutant in MUTANTS) == 4


def test_the_page_has_a_row_for_each_mutant_and_none_survives() -> None:
    """`make mutants` writes it."""
    page = EVIDENCE.read_text()
    for mutant in MUTANTS:
        assert f"| {mutant.name} | {mutant.source} |" in page
        assert mutant.scenario in SCENARIOS
    assert "survives" not in page
