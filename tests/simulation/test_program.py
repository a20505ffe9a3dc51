"""`python -m metanode.simulation`: what it prints, that one seed is one trace, and that a failure can be replayed."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metanode.chain.quorum import QuorumRule
from metanode.simulation import __main__ as program
from metanode.simulation import trace
from metanode.simulation.scenarios import SCENARIOS

SOURCE = Path(__file__).parents[2] / "src"


def run_program(*arguments: str, hash_seed: str = "0") -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-m", "metanode.simulation", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("scenario", ["storm", "crash-at-boundaries", "equivocating-voters"])
def test_one_seed_gives_one_trace_whatever_the_hash_seed(scenario: str) -> None:
    traces = {
        run_program("--seed", "3", "--scenario", scenario, hash_seed=hash_seed)[-1]
        for hash_seed in ("0", "1", "4242")
    }
    assert len(traces) == 1


def test_parameters_come_first_and_the_trace_hash_last() -> None:
    lines = run_program("--seed", "5", "--scenario", "no-faults", "--validators", "3")
    assert lines[0].startswith("seed=5 runs=1")
    assert lines[1].startswith("scenario=no-faults seed=5 validators=3")
    assert lines[-1].startswith("trace hash 0x")


def test_two_seeds_give_two_traces() -> None:
    lines = run_program("--seed", "1", "--runs", "2", "--scenario", "no-faults")
    hashes = [line for line in lines if line.startswith("trace hash")]
    assert len(set(hashes)) == 2


def test_a_failure_prints_the_command_that_replays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def fail(cluster: object) -> None:
        async with cluster.running():
            await cluster.wait_height(5, within_s=1)

    scenario = SCENARIOS["no-faults"]
    monkeypatch.setitem(
        SCENARIOS, "no-faults", program.Scenario(claim=scenario.claim, draw=scenario.draw, play=fail)
    )
    assert program.main(["--seed", "9", "--scenario", "no-faults", "--traces", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "height 5 is not reached in 1 s" in printed
    assert "-m metanode.simulation --seed 9 --scenario no-faults --verbose" in printed
    lines = (tmp_path / "no-faults-9.trace").read_text().splitlines()
    assert any(" start " in line for line in lines)
    assert lines[-1] in printed, "the trace ends with the hash of the run"


def test_a_trace_is_bounded_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trace, "EVENTS_KEPT", 10)

    async def note() -> None:
        kept = trace.Trace()
        for number in range(25):
            kept.note("event", number, b"\1" * 50)
        kept.save(tmp_path / "a" / "b.trace")

    asyncio.run(note())
    lines = (tmp_path / "a" / "b.trace").read_text().splitlines()
    assert lines[0] == "... 15 events before these"
    assert len(lines) == 12
    assert lines[1].endswith("event 15 " + "01" * 40 + "... 50 bytes")


def test_a_planted_bug_shrinks_to_the_faults_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With half of the weight as a quorum, of sixteen drawn faults those stay that cut the network in two."""
    monkeypatch.setattr(QuorumRule, "is_quorum", lambda _self, weight, total: 2 * weight >= total)
    arguments = ["--scenario", "storm", "--validators", "4", "--traces", str(tmp_path)]
    failing = next(seed for seed in range(1, 40) if program.main([*arguments, "--seed", str(seed)]))
    capsys.readouterr()
    assert program.main([*arguments, "--seed", str(failing), "--shrink"]) == 1
    printed = capsys.readouterr().out
    smaller = printed.split("smaller: ")[1]
    command = smaller.split("-m metanode.simulation ")[1].splitlines()[0].split()
    assert len(command[command.index("--without") + 1].split(",")) >= 12, "few faults are needed"
    again = [word for word in command if word != "--verbose"]
    assert program.main([*again, "--traces", str(tmp_path)]) == 1
    assert smaller.splitlines()[0] in capsys.readouterr().out, "the smaller run fails as was said"
