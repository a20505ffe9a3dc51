"""Many runs on several processes, each outcome kept as soon as it is there."""

import asyncio
import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from metanode.simulation.journal import Journal, parse_outcome
from metanode.simulation.run import Outcome, Run

RUN_LIMIT_S: Final = 7_200.0
"""Of real time, after which a run counts as endless; the longest, a day of heights, takes ten minutes of a processor that may have other work."""
RUNS_A_PROCESS: Final = 500
"""Then a fresh process goes on: whatever a run leaves behind in memory is bounded."""
LINE_BYTES_MAX: Final = 1 << 20
PROGRESS_EVERY_S: Final = 15.0


def plan_runs(scenarios: Iterable[str], seeds: range, validators: int | None) -> list[Run]:
    """Return the runs in their order: every scenario of a seed before the next seed, so that half a campaign says something of all."""
    names = list(scenarios)
    return [Run(scenario=name, seed=seed, validators=validators) for seed in seeds for name in names]


def run_campaign(
    runs: Iterable[Run], *, jobs: int, journal: Journal | None, say: Callable[[str], None]
) -> list[Outcome]:
    """Play all runs that the journal does not know; return every outcome in the order of the runs."""
    wanted = list(runs)
    known = {outcome.run: outcome for outcome in (journal.outcomes if journal else ())}
    left = [run for run in wanted if run not in known]
    if len(left) < len(wanted):
        say(f"{len(wanted) - len(left)} of {len(wanted)} runs are in the journal already")
    progress = _Progress(len(left), say)

    def upon_outcome(outcome: Outcome) -> None:
        known[outcome.run] = outcome
        if journal is not None:
            journal.add(outcome)
        progress.count(outcome)

    if left:
        asyncio.run(_run_all(iter(left), min(jobs, len(left)), upon_outcome))
    return [known[run] for run in wanted]


async def _run_all(left: Iterator[Run], jobs: int, upon_outcome: Callable[[Outcome], None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(jobs):
            tasks.create_task(_serve(left, upon_outcome), name=f"worker {number}")


async def _serve(left: Iterator[Run], upon_outcome: Callable[[Outcome], None]) -> None:
    """Have one process after another play runs until none is left."""
    ended = False
    while not ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "metanode.simulation.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
        )
        try:
            for _ in range(RUNS_A_PROCESS):
                run = next(left, None)
                if run is None:
                    ended = True
                    break
                outcome = await _ask(process, run)
                upon_outcome(outcome)
                if not outcome.trace_hash:
                    break
        finally:
            await _end(process)


async def _ask(process: asyncio.subprocess.Process, run: Run) -> Outcome:
    """Have a process play a run; a process that does not answer is a problem of the run, without a trace hash."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(dataclasses.asdict(run)).encode() + b"\n")
        await process.stdin.drain()
        async with asyncio.timeout(RUN_LIMIT_S):
            line = await process.stdout.readline()
    except TimeoutError:
        return _unanswered(run, f"the run did not end in {RUN_LIMIT_S:.0f} s")
    except ConnectionError:
        line = b""
    if not line.endswith(b"\n"):
        return _unanswered(run, "the process that played the run ended")
    return parse_outcome(line)


def _unanswered(run: Run, problem: str) -> Outcome:
    return Outcome(
        run=run, rule="", validators=0, heights=0, events=0, seconds=0.0, trace_hash="", problem=problem
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop a process that waits for its next run, or hangs in one."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    # Its transport is closed when both pipes and the process are at their end.
    process.stdin.close()
    await process.stdout.read()
    await process.wait()
    with contextlib.suppress(ConnectionError):
        await process.stdin.wait_closed()


class _Progress:
    """Says now and then how far it is."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self._total = total
        self._say = say
        self._done = self._failed = 0
        self._began_s = self._said_s = time.monotonic()

    def count(self, outcome: Outcome) -> None:
        """Count an outcome; a failure is said at once."""
        self._done += 1
        if outcome.problem is not None:
            self._failed += 1
            self._say(f"FAILED {outcome.run.arguments}: {outcome.problem}")
        now_s = time.monotonic()
        if now_s - self._said_s >= PROGRESS_EVERY_S:
            self._said_s = now_s
            left_s = (now_s - self._began_s) / self._done * (self._total - self._done)
            self._say(
                f"{self._done} of {self._total} runs, {self._failed} failed, about {left_s / 60:.0f} min left"
            )
