"""Each of the forty rows of consensus.md 5.3 is asserted by a scenario."""

from metanode.simulation.scenarios import SCENARIOS


def test_every_row_of_the_table_has_a_scenario() -> None:
    assert {row for scenario in SCENARIOS.values() for row in scenario.rows} == set(range(1, 41))


def test_every_claim_is_a_sentence_without_its_stop() -> None:
    for name, scenario in SCENARIOS.items():
        assert len(scenario.claim.split()) >= 5, name
        assert not scenario.claim.endswith("."), name
