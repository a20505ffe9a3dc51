"""The scenario in docs/guide/simulate-consensus.md holds as it stands there, and can fail."""

import re
from pathlib import Path
from typing import Any

import pytest

from metanode.chain.quorum import QuorumRule
from metanode.simulation.broken import InvariantBroken
from metanode.simulation.playing import run
from metanode.simulation.scenarios.story import Scenario

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "simulate-consensus.md"
SEEDS = (1, 2, 3)


def written(**changes: Any) -> Scenario:
    """The guide's scenario, with other numbers for some of its names."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102 - ours
    names.update(changes)
    (scenario,) = names["DEAF"].values()
    assert isinstance(scenario, Scenario)
    return scenario


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", QuorumRule)
def test_the_scenario_of_the_guide_holds(rule: QuorumRule, seed: int) -> None:
    scenario = written()
    run(scenario, scenario.draw(seed, None, rule))


def test_the_scenario_of_the_guide_can_fail() -> None:
    """Nobody is back the moment the calm begins."""
    scenario = written(SETTLE_S=0.1)
    with pytest.raises(InvariantBroken, match=r"is not reached in 0\.1 s"):
        run(scenario, scenario.draw(1, None, QuorumRule.AUTHORITY))
