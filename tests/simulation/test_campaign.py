"""Many runs on several processes: the same outcomes as one by one, a table, and nothing lost in a kill."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from metanode.simulation import __main__ as program
from metanode.simulation import campaign
from metanode.simulation.journal import Journal
from metanode.simulation.playing import draw, judge
from metanode.simulation.run import Outcome, Run
from metanode.simulation.scenarios import SCENARIOS
from metanode.simulation.scenarios.rules import rule_of
from metanode.simulation.table import format_page, format_table, summarize

SOURCE = Path(__file__).parents[2] / "src"
FIRST_LINE_WITHIN_S = 60.0


@pytest.fixture(autouse=True)
def workers_find_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))


def outcome_of(run: Run, *, problem: str | None = None) -> Outcome:
    return Outcome(
        run=run,
        rule=rule_of(run.scenario, run.seed).value,
        validators=4,
        heights=2,
        events=30,
        seconds=0.5,
        trace_hash="0xab",
        problem=problem,
    )


def test_processes_find_the_traces_that_one_process_finds() -> None:
    runs = campaign.plan_runs(["cold-start", "lost-commit"], range(1, 3), None)
    said: list[str] = []
    found = campaign.run_campaign(runs, jobs=2, journal=None, say=said.append)
    assert [outcome.run for outcome in found] == runs
    assert all(outcome.held for outcome in found), said
    assert [o.trace_hash for o in found] == [judge(run, draw(run)).trace_hash for run in runs]


def test_a_campaign_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "metanode.simulation", "--scenario", "no-faults", "--runs", "12"]
    command += ["--jobs", "1", "--journal", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ}) as process:
        end_s = time.monotonic() + FIRST_LINE_WITHIN_S
        while not any(path.read_bytes().count(b"\n") >= 2 for path in tmp_path.iterdir()):
            assert time.monotonic() < end_s, "the campaign does nothing"
            assert process.poll() is None, "the campaign was over before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    (path,) = tmp_path.iterdir()
    kept = path.read_bytes()
    done = kept.count(b"\n")
    assert done < 12
    path.write_bytes(kept + b'{"run": {"scenario": "no-f')

    again = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    assert f"{done} of 12 runs are in the journal already" in again.stdout
    lines = path.read_bytes().splitlines()
    assert len(lines) == len(set(lines)) == 12
    assert path.read_bytes().startswith(kept)
    assert again.stdout.splitlines()[-1].startswith("trace hash 0x")


def test_other_code_has_a_journal_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(scenario="no-faults", seed=1)
    with closing(Journal(tmp_path)) as journal:
        journal.add(outcome_of(run))
    with closing(Journal(tmp_path)) as journal:
        assert [outcome.run for outcome in journal.outcomes] == [run]
    monkeypatch.setattr("metanode.simulation.journal.code_digest", lambda: "another")
    with closing(Journal(tmp_path)) as journal:
        assert journal.outcomes == []


def test_a_process_that_ends_is_a_problem_of_its_run_and_of_no_other() -> None:
    async def ask() -> Outcome:
        process = await asyncio.create_subprocess_exec(
            "true", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            return await campaign._ask(process, Run(scenario="no-faults", seed=1))
        finally:
            await campaign._end(process)

    assert asyncio.run(ask()).problem == "the process that played the run ended"


def test_a_run_that_does_not_end_is_a_problem_of_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "RUN_LIMIT_S", 0.05)

    async def ask() -> Outcome:
        process = await asyncio.create_subprocess_exec(
            "sleep", "60", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            return await campaign._ask(process, Run(scenario="no-faults", seed=1))
        finally:
            await campaign._end(process)

    found = asyncio.run(ask())
    assert found.problem is not None
    assert "did not end" in found.problem


def test_a_failure_is_in_the_table_the_page_and_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one_fails(runs: list[Run], **_: object) -> list[Outcome]:
        return [outcome_of(run, problem="it broke" if run.seed == 2 else None) for run in runs]

    monkeypatch.setattr(program, "run_campaign", one_fails)
    page = tmp_path / "evidence" / "page.md"
    arguments = ["--runs", "2", "--scenario", "cold-start", "--jobs", "2", "--report", str(page)]
    assert program.main([*arguments, "--commit", "abc"]) == 1
    printed = capsys.readouterr().out
    assert "1 FAILED" in printed
    assert "FAILED it broke\nreplay: " in printed
    assert "--seed 2 --scenario cold-start" in printed
    assert "- `--seed 2 --scenario cold-start`: it broke" in page.read_text()
    assert "at commit abc" in page.read_text()


def test_the_table_sums_the_seeds_of_each_scenario() -> None:
    outcomes = [outcome_of(Run(scenario=name, seed=seed)) for seed in (1, 2) for name in SCENARIOS]
    rows = summarize(outcomes)
    assert [row.name for row in rows] == list(SCENARIOS)
    assert all((row.seeds, row.heights, row.events, row.failed) == (2, 4, 60, 0) for row in rows)
    printed = format_table(outcomes).splitlines()
    assert len(printed) == len(SCENARIOS) + 2
    assert printed[1].split()[:7] == ["1", "no-faults", "2", "1", "4", "60", "0.50"]
    page = format_page(outcomes, command="c", commit="d", date="e", machine="f")
    assert "| 1 | no-faults | 2 | 1 | 4 | 60 | 0.50 | held |" in page
    assert "| 35 | vote-in-and-out | 2 | 0 |" in page
    assert "- `vote-in-and-out`: authority, for its members come and go by votes" in page
    assert "What failed" not in page


def test_every_scenario_gets_every_seed_and_all_advance_alike() -> None:
    runs = campaign.plan_runs(SCENARIOS, range(7, 17), None)
    assert len(set(runs)) == len(runs) == 10 * len(SCENARIOS)
    first = runs[: len(SCENARIOS)]
    assert [(run.scenario, run.seed) for run in first] == [(name, 7) for name in SCENARIOS]


@pytest.mark.parametrize(
    ("allowed_s", "code", "says"),
    [(1, 0, "a seed takes 0.5 s on 2 processors, 1 s are allowed"), (0.4, 1, "the scenarios take too long")],
    ids=["in time", "too long"],
)
def test_a_campaign_says_how_long_a_seed_takes_and_fails_beyond_what_is_allowed(
    allowed_s: float,
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Seed 50 is a long one, and does not count."""

    def play(runs: list[Run], **_: object) -> list[Outcome]:
        return [
            dataclasses.replace(outcome_of(run), seconds=100.0 if run.seed == 50 else 1.0) for run in runs
        ]

    monkeypatch.setattr(program, "run_campaign", play)
    arguments = ["--scenario", "cold-start", "--seed", "48", "--runs", "4", "--jobs", "2"]
    assert program.main([*arguments, "--within", str(allowed_s)]) == code
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--runs", "0"], "expected 1 or more"),
        (["--validators", "-3"], "expected 1 or more"),
        (["--without", "a"], "expected numbers with commas between"),
        (["--scenario", "weights", "--rule", "authority"], "it draws stakes of its own"),
        (["--report", "page.md"], "need --jobs"),
        (["--scenario", "storm", "--without", "99"], "found [99]; this run has"),
        (["--shrink", "--jobs", "2"], "leave --jobs out"),
    ],
    ids=" ".join,
)
def test_an_option_that_would_be_ignored_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(arguments)
    assert says in capsys.readouterr().err + str(ended.value)


def test_one_failure_does_not_hide_the_runs_after_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        program, "judge", lambda run, _: outcome_of(run, problem="it broke" if run.seed == 1 else None)
    )
    arguments = ["--scenario", "cold-start", "--runs", "3", "--traces", str(tmp_path)]
    assert program.main(arguments) == 1
    assert capsys.readouterr().out.count("trace hash ") == 3


def test_failures_of_a_campaign_leave_their_traces(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(runs: list[Run], **_: object) -> list[Outcome]:
        played = [judge(run, draw(run)) for run in runs]
        endless = dataclasses.replace(played[1], problem="the run did not end", trace_hash="")
        return [dataclasses.replace(played[0], problem="made up"), endless, *played[2:]]

    monkeypatch.setattr(program, "run_campaign", fail)
    arguments = ["--scenario", "cold-start", "--runs", "3", "--jobs", "2", "--traces", str(tmp_path)]
    assert program.main(arguments) == 1
    again = Run(scenario="cold-start", seed=1, validators=None)
    trace = tmp_path / "cold-start-1.trace"
    assert f"trace: {trace}" in capsys.readouterr().out
    assert judge(again, draw(again)).trace_hash in trace.read_text().splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == [trace.name], "one that did not end has none"
