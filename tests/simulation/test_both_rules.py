"""What holds where each validator has one vote holds where powers count, too: the same scenarios under the rule of stakes, with equal ones.

Scenarios that draw stakes of their own are played by `test_scenarios.py` as they are.
"""

import pytest
from tests.simulation.test_scenarios import SEEDS, seed_id

from metanode.chain.quorum import QuorumRule
from metanode.simulation.cluster import Cluster
from metanode.simulation.playing import run
from metanode.simulation.scenarios import SCENARIOS

BY_VOTES = frozenset({"changing-minds", "dead-at-set-changes", "silencing-at-set-changes", "vote-in-and-out"})
"""Their members come and go by votes of validators, which have no meaning where stakes name the set."""
BY_TURNS = frozenset({"dead-proposers", "returning-validator"})
"""They claim that equal turns follow each other, and let one of three die, which a third of the stake may not; `dead-stakes` has what holds instead."""
COSTLY = frozenset({"five-continents"})
"""Seconds each; the campaign plays it under its own rule."""


@pytest.mark.parametrize("seed", SEEDS[:2], ids=seed_id)
@pytest.mark.parametrize("name", sorted(SCENARIOS.keys() - BY_VOTES - BY_TURNS - COSTLY))
def test_the_claim_of_a_scenario_holds_under_the_rule_of_stakes_too(
    name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Cluster.__init__

    def with_stakes(self: Cluster, **options: object) -> None:
        options["powers"] = options.get("powers") or [1] * int(str(options.get("validators", 4)))
        original(self, **options)  # type: ignore[arg-type] - as they came

    monkeypatch.setattr(Cluster, "__init__", with_stakes)
    scenario = SCENARIOS[name]
    cluster = scenario.draw(seed, None)
    assert cluster.rules.quorum_rule is QuorumRule.STAKE
    run(scenario, cluster)
