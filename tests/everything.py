"""What `make test` runs: tests that compute, at the lowest priority, beside tests that wait for real time: `python -m tests.everything OPTIONS OF PYTEST`.

Networks of real processes leave more than half of two processors' time unused, which is what the others need. The output of what
computes goes to a file and is shown at the end. What fails gets a second look when all is done (`second_look`). The last lines are the
groups that were skipped in any of it, each with the command that enables it (`skips`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.second_look import Look, look_again, pytest_command
from tests.skips import FILE, Skips

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
COMPUTING = ("unit", "model", "simulation", "arch", "conformance", "fuzz")
COMPUTING_OPTIONS = ("-n", "2", "--dist", "loadfile")
WAITING = ("integration", "interop", "testnet", "acceptance")
WAITING_OPTIONS = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
"""Three networks at once still meet their times on two processors; files are taken whole, since their tests share networks."""
LONGEST = (
    "tests/acceptance/test_bad_input.py",
    "tests/acceptance/test_resilience.py",
    "tests/acceptance/test_verification.py",
    "tests/integration/faults/test_kills.py",
    "tests/integration/faults/test_relay.py",
    "tests/integration/test_command_line.py",
    "tests/integration/test_monitoring_nodes.py",
    "tests/integration/test_sync_processes.py",
    "tests/testnet/pages/test_choice.py",
    "tests/testnet/pages/test_explorer.py",
    "tests/testnet/pages/test_faults.py",
    "tests/testnet/test_command_network.py",
    "tests/testnet/test_faucet_service.py",
    "tests/testnet/test_indexer_faults.py",
)
"""Files of a minute and more. They begin first (`conftest.py`), so that none is left to run alone when the others have ended."""
LAST_AND_LEAST = ("nice", "-n", "19")
MAKE = ("make", "--no-print-directory")
LOG = ROOT / "build" / "tests-that-compute.log"


class Beside:
    """Commands that run one after the other, beside what the caller does, into a file."""

    def __init__(self, commands: Sequence[Sequence[str]], log: Path) -> None:
        self._commands = commands
        self._log = log
        self._ended_early = threading.Event()
        self._failed = False
        self._running: subprocess.Popen[bytes] | None = None
        self._begins_or_fails = threading.Lock()
        """A command that begins while the caller fails is ended, by the one or by the other."""
        self._codes: list[int] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, error: object, *_: object) -> None:
        """An error ends the command that runs; after it, or when the caller does not wait, no other begins."""
        self._ended_early.set()
        with self._begins_or_fails:
            self._failed = error is not None
            if self._failed and self._running is not None:
                self._running.terminate()
        self._thread.join()

    def wait(self) -> list[int]:
        """Return the exit codes when all have ended."""
        self._thread.join()
        return self._codes

    def _run(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            for command in self._commands:
                if self._ended_early.is_set():
                    return
                log.write(f"{' '.join(command)}\n".encode())
                log.flush()
                with subprocess.Popen(
                    [*LAST_AND_LEAST, *command], stdout=log, stderr=subprocess.STDOUT, cwd=ROOT
                ) as running:
                    with self._begins_or_fails:
                        self._running = running
                        if self._failed:
                            running.terminate()
                    self._codes.append(running.wait())


def run(options: Sequence[str]) -> int:
    """Run everything; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="metanode-tests-") as name:
        skipped = Path(name, "skipped")
        os.environ[FILE] = str(skipped)
        caches = [Path(name, part) for part in ("computing", "waiting", "again")]
        computing = pytest_command(caches[0], [*COMPUTING_OPTIONS, *options, *_paths(COMPUTING)])
        waiting = pytest_command(caches[1], [*WAITING_OPTIONS, *options, *_paths(WAITING)])
        print(
            f"tests of Rust, {', '.join(COMPUTING)} and fuzzing go to {LOG.relative_to(ROOT)} meanwhile",
            flush=True,
        )
        with Beside([(*MAKE, "rust-test"), computing, (*MAKE, "fuzz-decode")], LOG) as beside:
            code = subprocess.run(waiting, check=False, cwd=ROOT).returncode
            rust, computed, fuzzed = beside.wait()
        print(LOG.read_text(errors="replace"), flush=True)
        groups = Skips.read(skipped)
        tests = look_again([Look(computed, caches[0]), Look(code, caches[1])], options, caches[2])
        if rust:
            rust = look_again_at("tests of Rust", [*MAKE, "rust-test"])
        for what, failed in (("tests of Rust", rust), ("fuzzing of decoders", fuzzed)):
            if failed:
                print(f"FAILED: {what} (exit {failed})", flush=True)
        # Last, where it is read: a second look counts nothing again.
        if groups:
            print("\nskipped groups", *groups.lines(), sep="\n", flush=True)
        return tests or rust or fuzzed


def look_again_at(what: str, command: Sequence[str]) -> int:
    """Run a command again that failed beside others, alone; return its exit code."""
    print(f"\na second look, alone, at {what}", flush=True)
    code = subprocess.run(command, check=False, cwd=ROOT).returncode
    if code == 0:
        print(f"\nUNSTEADY: {what} failed beside others and passed alone", flush=True)
    return code


def _paths(parts: Sequence[str]) -> list[str]:
    return [f"tests/{part}" for part in parts]


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
