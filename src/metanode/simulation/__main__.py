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
from typing import Final

import structlog

from metanode.chain.quorum import QuorumRule
from metanode.simulation.campaign import plan_runs, run_campaign
from metanode.simulation.cluster import Cluster
from metanode.simulation.journal import Journal
from metanode.simulation.playing import describe, draw, judge, play, run
from metanode.simulation.run import Outcome, Run
from metanode.simulation.scenarios import SCENARIOS
from metanode.simulation.scenarios.rules import UNDER_ONE_RULE
from metanode.simulation.scenarios.story import Scenario, is_long
from metanode.simulation.shrink import shrink
from metanode.simulation.table import format_page, format_table, hash_of_all

__all__ = ["Scenario", "main", "play", "run"]

TRACES_MAX: Final = 10
"""Of a campaign: failures that are played once more for their traces. Whoever has ten knows where to begin."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    options = _parse(arguments)
    level = logging.DEBUG if options.verbose else logging.CRITICAL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    names = list(SCENARIOS) if options.scenario == "all" else [options.scenario]
    seeds = range(options.seed, options.seed + options.runs)
    print(f"seed={options.seed} runs={options.runs} scenarios={','.join(names)}", flush=True)
    runs = [
        dataclasses.replace(
            planned,
            rule=None if planned.scenario in UNDER_ONE_RULE else options.rule,
            calm=options.calm,
            without=options.without,
        )
        for planned in plan_runs(names, seeds, options.validators)
    ]
    if options.jobs:
        return _campaign(runs, options)
    held = [_run_one(wanted, options) for wanted in runs]
    return 0 if all(held) else 1


def _count(text: str) -> int:
    """A number of things that there has to be one of."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}; expected 1 or more")
    return number


def _numbers(text: str) -> tuple[int, ...]:
    """Numbers of faults, with commas between them."""
    try:
        return tuple(int(number) for number in text.split(",") if number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected numbers with commas between") from None


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m metanode.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "1")), help="the first seed")
    parser.add_argument("--runs", type=_count, default=1, help="how many seeds, from the first on")
    parser.add_argument("--scenario", choices=["all", *SCENARIOS], default="all")
    parser.add_argument(
        "--validators", type=_count, default=None, help="in place of the scenario's own number"
    )
    parser.add_argument(
        "--rule",
        choices=[rule.value for rule in QuorumRule],
        help="in place of the seed's own: every second one is under stakes",
    )
    parser.add_argument("--calm", action="store_true", help="links without loss, repetition or much delay")
    parser.add_argument(
        "--without",
        type=_numbers,
        default=(),
        metavar="N,N",
        help="leave these faults of the drawn schedule out",
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
    parser.add_argument("--jobs", type=_count, default=0, help="play on so many processes and print a table")
    parser.add_argument(
        "--journal", type=Path, help="a directory that keeps what is done, so that the next call goes on"
    )
    parser.add_argument("--report", type=Path, help="also write the table into this Markdown file")
    parser.add_argument(
        "--within",
        type=float,
        metavar="SECONDS",
        help="fail when seeds that are not long take more, each: processor time of all scenarios, divided by --jobs",
    )
    parser.add_argument("--commit", default="unknown", help="what the report says of the code")
    options = parser.parse_args(arguments)
    if (options.journal or options.report or options.within) and not options.jobs:
        parser.error("--journal, --report and --within need --jobs")
    if options.shrink and options.jobs:
        parser.error("--shrink looks at one run after another: leave --jobs out")
    only, why = UNDER_ONE_RULE.get(options.scenario, (None, ""))
    if only and options.rule not in (None, only.value):
        parser.error(f"--rule: {options.scenario} is played under {only.value} alone: {why}")
    return options


def _run_one(wanted: Run, options: argparse.Namespace) -> bool:
    cluster = draw(wanted)
    planned = len(draw(dataclasses.replace(wanted, without=())).schedule) if wanted.without else 0
    if unknown := sorted(set(wanted.without) - set(range(planned))):
        sys.exit(f"--without: found {unknown}; this run has {planned} faults, from 0 on")
    print(f"scenario={wanted.scenario} seed={wanted.seed} {describe(cluster)}", flush=True)
    for number, fault in enumerate(cluster.schedule):
        print(f"  fault {number}: {fault}")
    outcome = judge(wanted, cluster)
    claim = SCENARIOS[wanted.scenario].claim
    if outcome.problem is None:
        print(f"held: {claim} ({outcome.heights} heights in {outcome.seconds:.2f} s)")
    else:
        trace = _save_trace(wanted, cluster, options.traces)
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


def _save_trace(wanted: Run, cluster: Cluster, folder: Path) -> Path:
    trace = folder / f"{wanted.scenario}-{wanted.seed}.trace"
    cluster.checker.trace.save(trace)
    return trace


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
    # The processes of a campaign keep no traces. A run without a hash did not end, and would not here either.
    for outcome in [outcome for outcome in failed if outcome.trace_hash][:TRACES_MAX]:
        cluster = draw(outcome.run)
        judge(outcome.run, cluster)
        print(f"trace: {_save_trace(outcome.run, cluster, options.traces)}", flush=True)
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
    print(
        f"{len(runs)} runs in {time.monotonic() - began_s:.0f} s, {sum(outcome.seconds for outcome in outcomes):.0f} s of a processor"
    )
    is_late = options.within is not None and not _is_within(outcomes, options)
    print(f"trace hash {hash_of_all(outcomes)}", flush=True)
    return 1 if failed or is_late else 0


def _is_within(outcomes: list[Outcome], options: argparse.Namespace) -> bool:
    """Tell, and say, whether a seed takes no longer than is allowed. Processor time: what else the machine does is no fault of the code."""
    usual = [outcome for outcome in outcomes if not is_long(outcome.run.seed)]
    seeds = len({outcome.run.seed for outcome in usual})
    if not seeds:
        print("only long seeds: nothing is allowed or forbidden")
        return True
    took_s: float = sum(outcome.seconds for outcome in usual) / options.jobs / seeds
    allowed_s: float = options.within
    print(f"a seed takes {took_s:.1f} s on {options.jobs} processors, {allowed_s:.0f} s are allowed")
    if took_s > allowed_s:
        print("FAILED the scenarios take too long")
    return took_s <= allowed_s


if __name__ == "__main__":
    sys.exit(main())
