"""`python -m metanode.simulation --seed N --runs M --scenario NAME`: draw, play, check; the trace hash comes last."""

import argparse
import asyncio
import logging
import os
import sys
import time

import structlog

from metanode.simulation.cluster import Cluster
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.scenarios import SCENARIOS
from metanode.simulation.scenarios.story import Scenario
from metanode.simulation.virtual_time import VirtualTimeLoop


def play(name: str, seed: int, validators: int | None = None) -> Cluster:
    """Play a scenario of a seed to its end; raises InvariantBroken."""
    scenario = SCENARIOS[name]
    cluster = scenario.draw(seed, validators)
    run(scenario, cluster)
    return cluster


def run(scenario: Scenario, cluster: Cluster) -> None:
    """Play a scenario on a cluster; an exception group of one is that one."""

    async def whole() -> None:
        await scenario.play(cluster)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        try:
            runner.run(whole())
        except BaseExceptionGroup as group:
            found = _first_broken(group)
            if found is None:
                raise
            raise found from group


def describe(cluster: Cluster) -> str:
    """Return the drawn parameters in a line."""
    faults = cluster.network.faults
    return (
        f"validators={len(cluster.rules.parameters.validators)} nodes={len(cluster.nodes)} period_s={cluster.period_s} "
        f"rule={cluster.rules.quorum_rule.value} delay_ms={faults.delay_ms_min}-{faults.delay_ms_max} "
        f"loss_percent={faults.loss_percent} duplicate_percent={faults.duplicate_percent}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m metanode.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "1")), help="the first seed")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds, from the first on")
    parser.add_argument("--scenario", choices=["all", *SCENARIOS], default="all")
    parser.add_argument("--validators", type=int, default=None, help="in place of the scenario's own number")
    parser.add_argument("--verbose", action="store_true", help="show the nodes' log")
    options = parser.parse_args(arguments)
    level = logging.DEBUG if options.verbose else logging.CRITICAL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    names = list(SCENARIOS) if options.scenario == "all" else [options.scenario]
    print(f"seed={options.seed} runs={options.runs} scenarios={','.join(names)}", flush=True)
    for seed in range(options.seed, options.seed + options.runs):
        for name in names:
            if not _run_one(name, seed, options.validators):
                return 1
    return 0


def _run_one(name: str, seed: int, validators: int | None) -> bool:
    scenario = SCENARIOS[name]
    cluster = scenario.draw(seed, validators)
    print(f"scenario={name} seed={seed} {describe(cluster)}", flush=True)
    began_s = time.perf_counter()
    try:
        run(scenario, cluster)
    except InvariantBroken as error:
        print(f"FAILED: {scenario.claim}\n{error}")
        sized = f" --validators {validators}" if validators else ""
        print(
            f"replay: {sys.executable} -m metanode.simulation --seed {seed} --scenario {name}{sized} --verbose"
        )
        print(f"trace hash {cluster.checker.trace_hash}")
        return False
    took_s = time.perf_counter() - began_s
    print(f"held: {scenario.claim} ({cluster.height} heights in {took_s:.2f} s)")
    print(f"trace hash {cluster.checker.trace_hash}", flush=True)
    return True


def _first_broken(group: BaseExceptionGroup) -> InvariantBroken | None:
    for error in group.exceptions:
        if isinstance(error, InvariantBroken):
            return error
        if isinstance(error, BaseExceptionGroup) and (found := _first_broken(error)) is not None:
            return found
    return None


if __name__ == "__main__":
    sys.exit(main())
