"""The two forks that a forgotten certificate and a forgotten round make happen when a disk forgets, so the scenarios that see none would see one."""

import pytest

from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.playing import draw, run
from metanode.simulation.run import Run
from metanode.simulation.scenarios import SCENARIOS


@pytest.mark.parametrize("seed", range(1, 6), ids=lambda seed: f"seed={seed}")
@pytest.mark.parametrize("name", ["forgotten-block", "forgotten-round"])
def test_a_disk_that_forgets_a_certificate_or_a_round_forks_the_network(name: str, seed: int) -> None:
    cluster = draw(Run(scenario=name, seed=seed))
    cluster.checker.checks_keys = False
    for node in cluster.nodes:
        node.disk.forgets = True
    with pytest.raises(InvariantBroken, match=r"fork at height 1|two blocks are decided at height 1"):
        run(SCENARIOS[name], cluster)
