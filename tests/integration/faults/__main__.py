"""The whole table: `make faults`, or `python -m tests.integration.faults [GROUP…] [--again] [--lanes N]`.

Each group runs in a process of its own on a network of its own, `--lanes` of them beside each other. A case that held is not done again
by the next call on the same commit, so that an interrupted run goes on; `--again` forgets. When all groups are through, the table is
written to docs/evidence/faults.md. The exit code is 1 when a case did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.acceptance.processes import slowness
from tests.integration.faults import evidence, leftovers
from tests.integration.faults.catalogue import GROUPS
from tests.integration.faults.catalogue.case import Case, Group, perform
from tests.integration.faults.cluster import Cluster, Kind, best_kind

RESULTS = Path("build/faults")
EVIDENCE = Path("docs/evidence/faults.md")


def say(text: str) -> None:
    """One line of progress."""
    print(text, flush=True)  # noqa: T201 - it is a program


def results_file(group: str) -> Path:
    """One JSON object a line, each a case that was done."""
    return RESULTS / f"{group}.jsonl"


def load_results(group: str, commit: str) -> dict[str, evidence.Result]:
    """What this commit has done already, the latest of each case."""
    path = results_file(group)
    lines = path.read_text().splitlines() if path.exists() else []
    found = [evidence.Result(**json.loads(line)) for line in lines]
    return {result.name: result for result in found if result.commit == commit}


def run_group(group: Group, kind: Kind, commit: str) -> bool:
    """Do what is not done yet; True when all cases hold."""
    if reason := group.why_not():
        say(f"[{group.name}] not here: {reason}")
        return False
    done = load_results(group.name, commit)
    cases = [case for case in group.cases if not (kind == "relay" and case.needs_packets)]
    open_cases = [case for case in cases if case.name not in done or not done[case.name].held]
    while open_cases:
        with tempfile.TemporaryDirectory(prefix=f"faults-{group.name}-") as path:
            home = Path(path)
            with group.open(home, kind) as cluster:
                # A case that did not hold may leave the network in any state: the rest gets a new one.
                while open_cases and run_case(group, open_cases.pop(0), cluster, commit, total=len(cases)):
                    pass
    done = load_results(group.name, commit)
    return all(case.name in done and done[case.name].held for case in cases)


def run_case(group: Group, case: Case, cluster: Cluster, commit: str, *, total: int) -> bool:
    """Do one case, write down what came of it, and say so."""
    begun, failure, figures, audited = time.monotonic(), "", {}, {}
    try:
        done = perform(case, cluster)
        figures, audited = done.figures, asdict(done.audited)
    except Exception:  # noqa: BLE001 - whatever it is, it stands in the table and the next case goes on
        failure = traceback.format_exc()
        keep_logs(group, case, cluster)
    took_s = time.monotonic() - begun
    result = evidence.Result(
        group=group.name, fault=case.fault, dose=case.dose, must_hold=case.must_hold, name=case.name, held=not failure,
        figures=figures, audited=audited, took_s=round(took_s, 1), slowness=round(slowness(), 2), failure=failure,
        commit=commit, kind=cluster.kind, at=time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        in_ci=case.in_ci,
    )  # fmt: skip
    with results_file(group.name).open("a") as file:
        file.write(json.dumps(asdict(result)) + "\n")
    shown = ", ".join(f"{what} {evidence.shown(value)}" for what, value in figures.items())
    place = next(number for number, each in enumerate(group.cases, 1) if each is case)
    say(
        f"[{group.name} {place}/{total}] {case.name}: {'held' if not failure else 'DID NOT HOLD'} in {took_s:.0f} s. {shown}"
    )
    if failure:
        say(failure)
    return not failure


def keep_logs(group: Group, case: Case, cluster: Cluster) -> None:
    """What the nodes printed, for whoever looks for the reason."""
    folder = (
        RESULTS
        / "failed"
        / f"{group.name}-{case.fault}-{case.repetition}".replace(" ", "-").replace("/", "-")
    )
    folder.mkdir(parents=True, exist_ok=True)
    for node in cluster.nodes:
        (folder / f"{node.name}.log").write_bytes((node.home / "test.log").read_bytes())
    say(f"logs are in {folder}")


def current_commit() -> str:
    """What is measured: the commit, and whether there is more than it in the tree."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run_lane(group: str) -> int:
    """One group in a process of its own."""
    return subprocess.run(
        [*leftovers.DIES_WITH_US, sys.executable, "-m", "tests.integration.faults", "--here", group],
        check=False,
    ).returncode


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.faults")
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="all by default")
    parser.add_argument("--again", action="store_true", help="do also what has held already")
    parser.add_argument(
        "--lanes",
        type=int,
        default=max(1, len(os.sched_getaffinity(0))),
        help="groups beside each other; default one a processor",
    )
    parser.add_argument(
        "--kind",
        choices=["namespaces", "relay"],
        default=None,
        help="by default namespaces where they are permitted",
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    groups = asked.groups or list(GROUPS)
    commit = current_commit()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if asked.here:
        group = GROUPS[groups[0]]
        kind: Kind = "relay" if group.is_relayed else asked.kind or best_kind()
        return 0 if run_group(group, kind, commit) else 1
    leftovers.clean()
    if asked.again:
        for name in groups:
            results_file(name).unlink(missing_ok=True)
    begun = time.monotonic()
    say(
        f"{sum(len(GROUPS[name].cases) for name in groups)} cases of {len(groups)} groups, {asked.lanes} beside each other; results in {RESULTS}"
    )
    with ThreadPoolExecutor(asked.lanes) as lanes:
        codes = list(lanes.map(run_lane, groups))
    results = [result for name in GROUPS for result in load_results(name, commit).values()]
    evidence.write(EVIDENCE, results, commit=commit, took_s=time.monotonic() - begun, lanes=asked.lanes)
    say(f"{EVIDENCE} written; {sum(result.held for result in results)} of {len(results)} cases held")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
