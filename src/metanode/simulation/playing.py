"""Plays a scenario of a seed on a loop of virtual time."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator
from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.simulation.broken import InvariantBroken, find_broken
from metanode.simulation.cluster import Cluster
from metanode.simulation.network import LinkFaults
from metanode.simulation.run import Outcome, Run
from metanode.simulation.scenarios import SCENARIOS
from metanode.simulation.scenarios.rules import rule_of
from metanode.simulation.scenarios.story import Scenario
from metanode.simulation.virtual_time import VirtualTimeLoop

COLLECT_AFTER_OBJECTS: Final = 50_000
"""Some 20 MB; Python's own 700 cost a tenth of a run of a hundred validators."""
PROBLEM_CHARACTERS_MAX: Final = 2_000
"""Of one problem in a journal."""


def play(name: str, seed: int, validators: int | None = None) -> Cluster:
    """Play a scenario of a seed to its end; raises InvariantBroken."""
    cluster = draw(Run(scenario=name, seed=seed, validators=validators))
    run(SCENARIOS[name], cluster)
    return cluster


def run(scenario: Scenario, cluster: Cluster) -> None:
    """Play a scenario on a cluster; an exception group with a broken invariant in it is that."""

    async def whole() -> None:
        await scenario.play(cluster)

    with _few_collections(), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        try:
            runner.run(whole())
        except BaseExceptionGroup as group:
            found = find_broken(group)
            if found is None:
                raise
            raise found from group


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Look for cycles less often: a run is short, and most of what it makes lives as long as it does."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def draw(wanted: Run) -> Cluster:
    """Return the cluster of a run, before anything happens to it."""
    rule = QuorumRule(wanted.rule) if wanted.rule else rule_of(wanted.scenario, wanted.seed)
    cluster = SCENARIOS[wanted.scenario].draw(wanted.seed, wanted.validators, rule)
    if wanted.calm:
        cluster.network.faults = LinkFaults(delay_ms_max=1)
    cluster.schedule = [
        fault for number, fault in enumerate(cluster.schedule) if number not in wanted.without
    ]
    return cluster


def judge(wanted: Run, cluster: Cluster) -> Outcome:
    """Play a run on its cluster and say what came of it; whatever goes wrong is a problem of the run."""
    began_s = time.process_time()
    problem: str | None = None
    try:
        run(SCENARIOS[wanted.scenario], cluster)
    except InvariantBroken as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - an assertion of the core, or a mistake of the scenario: reported like a broken invariant
        problem = _sentence(error)
    return Outcome(
        run=wanted,
        rule=cluster.rules.quorum_rule.value,
        validators=len(cluster.rules.parameters.validators),
        heights=cluster.height,
        events=cluster.checker.trace.events,
        seconds=time.process_time() - began_s,
        trace_hash=cluster.checker.trace.hash,
        problem=problem[:PROBLEM_CHARACTERS_MAX] if problem is not None else None,
    )


def describe(cluster: Cluster) -> str:
    """Return the drawn parameters in a line."""
    faults = cluster.network.faults
    return (
        f"validators={len(cluster.rules.parameters.validators)} nodes={len(cluster.nodes)} period_s={cluster.period_s} "
        f"rule={cluster.rules.quorum_rule.value} delay_ms={faults.delay_ms_min}-{faults.delay_ms_max} "
        f"loss_percent={faults.loss_percent} duplicate_percent={faults.duplicate_percent} faults={len(cluster.schedule)}"
    )


def _sentence(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
