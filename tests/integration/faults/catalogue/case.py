"""What a fault of the table is: what is done, how much of it, and what must hold."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.acceptance.processes import slowness
from tests.integration.faults.audit import audit
from tests.integration.faults.bar import holding
from tests.integration.faults.cluster import Cluster
from tests.integration.hostile.bar import LOG_LINES_A_SECOND_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.integration.faults.audit import Audit
    from tests.integration.faults.cluster import Kind

Figures = dict[str, float | str]
"""What was measured, by what it is: seconds end in `_s`; text is counted."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table, done once."""

    fault: str
    dose: str
    must_hold: str
    run: Callable[[Cluster, random.Random], Figures]
    """Does the fault, undoes it, and checks what is its own to check; raises AssertionError."""
    repetition: int = 1
    in_ci: bool = False
    needs_packets: bool = False
    """Whether it can't be done by a relay of connections."""
    log_lines_a_second_max: float = LOG_LINES_A_SECOND_MAX
    """More than the bar's only where each line is a deed of the fault's own."""

    @property
    def name(self) -> str:
        """Unique among all."""
        return f"{self.fault}, {self.dose}, {self.repetition}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cases that share one network."""

    name: str
    cases: tuple[Case, ...]
    disk_mib: Mapping[int, int] = field(default_factory=dict)
    """Nodes whose data directory is a file system of their own, of this size."""
    prepared_blocks: int = 0
    """With so many blocks the chain begins: more than a network makes in a test's time."""
    liars: Mapping[int, Path] = field(default_factory=dict)
    """Nodes that run this file in place of the `metanode` command: proofs against them are no fault of the network's."""
    environments: Callable[[Path], Mapping[int, dict[str, str]]] = lambda _: {}
    """More variables of nodes, told the network's directory."""
    why_not: Callable[[], str | None] = lambda: None
    """Why the group can't be done on this machine."""
    is_relayed: bool = False
    """Whether it runs behind the relay of connections also where namespaces are permitted."""

    def open(self, path: Path, kind: Kind) -> Cluster:
        """Make its network in an empty directory."""
        return Cluster(
            path, kind, disk_mib=self.disk_mib, environments=self.environments(path), prepared_blocks=self.prepared_blocks, liars=self.liars
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Done:
    """A case that held."""

    figures: Figures
    audited: Audit


def perform(case: Case, cluster: Cluster) -> Done:
    """Do the case; then everything is whole again, all follow, the common bar held beside it, and the audit finds one chain and no contradiction."""
    with holding(cluster, log_lines_a_second_max=case.log_lines_a_second_max) as seen_beside:
        # The same moments and victims in every run: what is random is drawn from the case's own name.
        figures = case.run(cluster, random.Random(case.name))
        cluster.links.heal()
        cluster.wait_settled()
    return Done(figures=figures | seen_beside, audited=audit(cluster))


def repeat(
    times: int,
    run: Callable[[Cluster, random.Random], Figures],
    *,
    fault: str,
    dose: str,
    must_hold: str,
    in_ci: int = 0,
    needs_packets: bool = False,
) -> tuple[Case, ...]:
    """The same case several times; the first `in_ci` of them in CI."""
    return tuple(
        Case(
            fault=fault, dose=dose, must_hold=must_hold, run=run, repetition=number, in_ci=number <= in_ci, needs_packets=needs_packets,
        )
        for number in range(1, times + 1)
    )  # fmt: skip


def check_within(what: str, seconds: float, limit_s: float) -> None:
    """Hold a measured time against its limit, which is that of a machine of our own."""
    slow = slowness()
    assert seconds <= limit_s * slow, f"{what}: {seconds:.1f} s, at most {limit_s:g} s times {slow:.1f}"
