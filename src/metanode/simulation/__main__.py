"""`python -m metanode.simulation --seed N --runs M --scenario NAME`: draw, play, check; the trace hash comes last.

With `--jobs` the runs go to several processes and a table comes of them; with `--journal` such a campaign goes on after a kill.
"""

import argparse
import contextlib
import dataclasses
import logging
import os
import platform
import sys
import time
from pathlib import Path

import structlog

from metanode.simulation.campaign import plan_runs, run_campaign
from metanode.simulation.journal import Journal
from metanode.simulation.playing import describe, draw, judge, play, run
from metanode.simulation.run import Run
from metanode.simulation.scenarios import SCENARIOS
from metanode.simulation.scenarios.story import Scenario
from metanode.simulation.shrink import shrink
from metanode.simulation.table import format_page, format_table, hash_of_all

__all__ = ["Scenario", "main", "play", "run"]


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    options = _parse(arguments)
    level = logging.DEBUG if options.verbose else logging.CRITICAL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    names = list(SCENARIOS) if options.scenario == "all" else [options.scenario]
    seeds = range(options.seed, options.seed + options.runs)
    print(f"seed={options.seed} runs={options.runs} scenarios={','.join(names)}", flush=True)
    without = tuple(int(number) for number in options.without.split(",") if number)
    runs = [
        dataclasses.replace(planned, calm=options.calm, without=without)
        for planned in plan_runs(names, seeds, options.validators)
    ]
    if options.jobs:
        return _campaign(runs, options)
    return 0 if all(_run_one(wanted, options) for wanted in runs) else 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m metanode.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "1")), help="the first seed")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds, from the first on")
    parser.add_argument("--scenario", choices=["all", *SCENARIOS], default="all")
    parser.add_argument("--validators", type=int, default=None, help="in place of the scenario's own number")
    parser.add_argument("--calm", action="store_true", help="links without loss, repetition or much delay")
    parser.add_argument(
        "--without", default="", metavar="N,N", help="leave these faults of the drawn schedule out"
    )
    parser.add_argument(
        "--shrink", action="store_true", help="when a run fails, look for a smaller one that fails alike"
    )
    parser.add_argument(
        "--traces",
        type=Path,
        default=Path("build/simulation"),
        help="where the trace of a failure is written",
    )
    parser.add_argument("--verbose", action="store_true", help="show the nodes' log")
    parser.add_argument("--jobs", type=int, default=0, help="play on so many processes and print a table")
    parser.add_argument(
        "--journal", type=Path, help="a directory that keeps what is done, so that the next call goes on"
    )
    parser.add_argument("--report", type=Path, help="also write the table into this Markdown file")
    parser.add_argument("--commit", default="unknown", help="what the report says of the code")
    options = parser.parse_args(arguments)
    if (options.journal or options.report) and not options.jobs:
        parser.error("--journal and --report need --jobs")
    return options


def _run_one(wanted: Run, options: argparse.Namespace) -> bool:
    cluster = draw(wanted)
    print(f"scenario={wanted.scenario} seed={wanted.seed} {describe(cluster)}", flush=True)
    for number, fault in enumerate(cluster.schedule):
        print(f"  fault {number}: {fault}")
    outcome = judge(wanted, cluster)
    claim = SCENARIOS[wanted.scenario].claim
    if outcome.problem is None:
        print(f"held: {claim} ({outcome.heights} heights in {outcome.seconds:.2f} s)")
    else:
        trace = options.traces / f"{wanted.scenario}-{wanted.seed}.trace"
        cluster.checker.trace.save(trace)
        print(f"FAILED: {claim}\n{outcome.problem}\ntrace: {trace}\nreplay: {wanted.command}", flush=True)
        if options.shrink:
            smaller = shrink(
                outcome,
                faults=lambda run: len(draw(dataclasses.replace(run, without=())).schedule),
                play=lambda run: judge(run, draw(run)),
            )
            print(f"smaller: {smaller.problem}\nreplay: {smaller.run.command}")
    print(f"trace hash {outcome.trace_hash}", flush=True)
    return outcome.held


def _campaign(runs: list[Run], options: argparse.Namespace) -> int:
    began_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        journal = None
        if options.journal:
            journal = stack.enter_context(contextlib.closing(Journal(options.journal)))
            print(f"journal={journal.path}", flush=True)
        outcomes = run_campaign(
            runs, jobs=options.jobs, journal=journal, say=lambda line: print(line, flush=True)
        )
    print(format_table(outcomes))
    failed = [outcome for outcome in outcomes if not outcome.held]
    for outcome in failed:
        print(f"FAILED {outcome.problem}\nreplay: {outcome.run.command}")
    if options.report:
        page = format_page(
            outcomes,
            command=f"python -m metanode.simulation --seed {options.seed} --runs {options.runs} --scenario {options.scenario}",
            commit=options.commit,
            date=time.strftime("%Y-%m-%d", time.gmtime()),
            machine=f"Python {platform.python_version()}, {os.cpu_count()} cores, {options.jobs} processes",
        )
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(page)
    print(f"{len(runs)} runs in {time.monotonic() - began_s:.0f} s")
    print(f"trace hash {hash_of_all(outcomes)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
