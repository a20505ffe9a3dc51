"""What `make test` runs beside each other: nothing is left out, and each part's end counts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.everything import COMPUTING, LONGEST, ROOT, WAITING, Beside, look_again_at

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = (sys.executable, "-c")


def pipe(path: Path) -> Path:
    """Who opens one end waits for the other to be opened."""
    os.mkfifo(path)
    return path


def test_every_directory_of_tests_is_run_once() -> None:
    directories = {
        path.parent.relative_to(ROOT / "tests").parts[0] for path in ROOT.glob("tests/*/**/test_*.py")
    }

    assert directories == set(COMPUTING) | set(WAITING)
    assert len(directories) == len(COMPUTING) + len(WAITING)


@pytest.mark.parametrize("file", LONGEST)
def test_a_file_that_begins_first_is_there(file: str) -> None:
    assert (ROOT / file).is_file()


def test_commands_follow_each_other_into_one_file_and_a_failure_ends_none_of_the_others(
    tmp_path: Path,
) -> None:
    log = tmp_path / "new" / "log"
    commands = [(*PYTHON, "print('one')"), (*PYTHON, "raise SystemExit(3)"), (*PYTHON, "print('three')")]

    with Beside(commands, log) as beside:
        codes = beside.wait()

    assert codes == [0, 3, 0]
    assert [line for line in log.read_text().splitlines() if not line.startswith(sys.executable)] == [
        "one",
        "three",
    ]


def test_who_leaves_early_waits_for_the_command_that_runs_and_begins_no_other(tmp_path: Path) -> None:
    begun, may_end, never = pipe(tmp_path / "begun"), pipe(tmp_path / "may end"), tmp_path / "never"
    waits = f"open({str(begun)!r}, 'w').close(); open({str(may_end)!r}).read()"

    with Beside([(*PYTHON, waits), (*PYTHON, f"open({str(never)!r}, 'w')")], tmp_path / "log") as beside:
        begun.read_text()
        beside._ended_early.set()
        may_end.write_text("")

    assert beside.wait() == [0]
    assert not never.exists()


def test_an_error_ends_the_command_that_runs(tmp_path: Path) -> None:
    begun, never = pipe(tmp_path / "begun"), pipe(tmp_path / "never")
    waits = f"open({str(begun)!r}, 'w').close(); open({str(never)!r}).read()"

    with (
        contextlib.suppress(InterruptedError),
        Beside([(*PYTHON, waits), (*PYTHON, "")], tmp_path / "log") as beside,
    ):
        begun.read_text()
        raise InterruptedError

    assert beside.wait() == [-signal.SIGTERM]


def test_an_error_ends_also_a_command_that_begins_at_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, never = pipe(tmp_path / "begun"), pipe(tmp_path / "never")
    waits = f"open({str(begun)!r}, 'w').close(); open({str(never)!r}).read()"
    beside = Beside([(*PYTHON, waits), (*PYTHON, "")], tmp_path / "log")

    class BegunWhenTheCallerHasFailed(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            beside._ended_early.wait()

    monkeypatch.setattr("tests.everything.subprocess.Popen", BegunWhenTheCallerHasFailed)
    with contextlib.suppress(InterruptedError), beside:
        begun.read_text()
        raise InterruptedError

    assert beside.wait() == [-signal.SIGTERM]


def test_they_run_at_the_lowest_priority(tmp_path: Path) -> None:
    with Beside([(*PYTHON, "import os; print('priority', os.nice(0))")], tmp_path / "log") as beside:
        beside.wait()

    assert "priority 19" in (tmp_path / "log").read_text().splitlines()


@pytest.mark.parametrize(("code", "is_told"), [(0, True), (3, False)], ids=["passes", "fails"])
def test_tests_of_rust_that_fail_beside_others_are_run_alone_and_that_counts(
    code: int, is_told: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert look_again_at("tests of Rust", [*PYTHON, f"raise SystemExit({code})"]) == code
    assert ("UNSTEADY: tests of Rust" in capfd.readouterr().out) is is_told
