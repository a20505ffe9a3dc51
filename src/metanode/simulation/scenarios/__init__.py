"""What happens to simulated networks, and what must come of it. The numbers are rows of docs/evidence/catalogue.md.

A scenario draws its cluster from a seed, then plays. Whatever it does, the checker looks after every event; what a scenario asserts is
the rest: how soon, in which round, with how many messages.
"""

from typing import Final

from metanode.simulation.scenarios.accountability import ACCOUNTABILITY
from metanode.simulation.scenarios.behind import BEHIND
from metanode.simulation.scenarios.boundaries import CRASHES
from metanode.simulation.scenarios.clocks import CLOCKS
from metanode.simulation.scenarios.dead_proposers import DEAD_PROPOSERS
from metanode.simulation.scenarios.disks import DISKS
from metanode.simulation.scenarios.engines import ENGINES
from metanode.simulation.scenarios.epochs import EPOCHS
from metanode.simulation.scenarios.failures import FAILURES
from metanode.simulation.scenarios.floods import FLOODS
from metanode.simulation.scenarios.forgeries import FORGERIES
from metanode.simulation.scenarios.justified import JUSTIFIED
from metanode.simulation.scenarios.liars import LIARS
from metanode.simulation.scenarios.losses import LOSSES
from metanode.simulation.scenarios.partitions import PARTITIONS
from metanode.simulation.scenarios.recovery import RECOVERY
from metanode.simulation.scenarios.sentries import SENTRIES
from metanode.simulation.scenarios.silence import SILENCE
from metanode.simulation.scenarios.silencing import SILENCING
from metanode.simulation.scenarios.steady import STEADY
from metanode.simulation.scenarios.storms import STORMS
from metanode.simulation.scenarios.story import Scenario
from metanode.simulation.scenarios.twins import TWINS
from metanode.simulation.scenarios.voting import VOTING
from metanode.simulation.scenarios.weights import WEIGHTS
from metanode.simulation.scenarios.wide import WIDE
from metanode.simulation.scenarios.withheld import WITHHELD

SCENARIOS: Final[dict[str, Scenario]] = {
    **STEADY,
    **SILENCE,
    **PARTITIONS,
    **LOSSES,
    **LIARS,
    **BEHIND,
    **ENGINES,
    **EPOCHS,
    **FAILURES,
    **CRASHES,
    **DISKS,
    **CLOCKS,
    **STORMS,
    **FLOODS,
    **FORGERIES,
    **TWINS,
    **VOTING,
    **WEIGHTS,
    **WIDE,
    **WITHHELD,
    **JUSTIFIED,
    **RECOVERY,
    **SENTRIES,
    **DEAD_PROPOSERS,
    **ACCOUNTABILITY,
    **SILENCING,
}
