"""The targets of the Makefile that start, show and end a network, as a person types them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import Endpoint, free_offset
from tests.everything import ROOT

from sdk.testnet.deployment.apply.layout import NetworkDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BIN = Path(sys.executable).parent
OTHER_PYTHON = () if BIN == ROOT / ".venv" / "bin" else (f"BIN={BIN}", "PYTHON=true")
"""Where another Python than that of .venv runs the tests, its programs are used, and set-up is left out."""
OF_AN_OUTER_MAKE = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARGS"}
STARTED_BY_A_PERSON = (
    "up",
    "down",
    "reset",
    "status",
    "doctor",
    "logs",
    "test",
    "lint",
    "types",
    "sim",
    "bench",
    "help",
)
CODE_OF_A_FAILED_RECIPE = 2


class Make:
    """`make` in this repository, on a network in a directory of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if name not in OF_AN_OUTER_MAKE}
        self.environment = {**kept, "METANODE_DIRECTORY": str(directory), "COLUMNS": "200"}
        self.up_arguments = f"ARGS=--port-offset {free_offset()}"

    def command(self, *arguments: str) -> list[str]:
        return ["make", "--no-print-directory", *arguments, *OTHER_PYTHON]

    def __call__(self, *arguments: str, expect: int = 0, answer: str = "") -> str:
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.environment, input=answer,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=180,
        )  # fmt: skip
        assert done.returncode == expect, done.stdout
        return done.stdout

    def pids(self) -> dict[str, int]:
        """Of the running nodes, by name."""
        files = (self.directory / "run").glob("validator-*.json")
        return {file.stem: int(json.loads(file.read_text())["pid"]) for file in files}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    found = Make(tmp_path / "net")
    yield found
    if NetworkDirectory(found.directory).exists():
        found("down")


def test_a_network_is_started_shown_stopped_resumed_and_deleted(make: Make) -> None:
    said = make("up", make.up_arguments)
    assert "all validators agree on block" in said
    assert "chain id 1337" in said
    # The command as it is typed in this checkout, whose .venv nobody has to have on the PATH.
    assert re.search(
        rf"^stop: \S*metanode down --directory {re.escape(str(make.directory))}$", said, re.MULTILINE
    )
    assert len(set(re.findall(r"0x[0-9a-fA-F]{40}\b", said))) >= 10, "funded accounts"
    node = Endpoint(re.findall(r"http://127\.0\.0\.1:\d+", said)[0])
    genesis, first, pids = node.block_hash(0), node.block_hash(1), make.pids()
    assert len(pids) == 4

    again = make("up", make.up_arguments)
    assert "the network runs already" in again
    assert make.pids() == pids

    assert node.url in make("status")
    make("doctor")
    assert follows_logs(make)

    height = node.height() or 0
    assert "stopped" in make("down")
    assert node.height() is None
    assert "start it with" in make("status", expect=CODE_OF_A_FAILED_RECIPE)

    assert "all validators agree on block" in make("up", make.up_arguments)
    assert (node.height() or 0) >= height
    assert (node.block_hash(0), node.block_hash(1)) == (genesis, first), "the same chain goes on"

    make("reset", answer="n\n", expect=CODE_OF_A_FAILED_RECIPE)
    assert node.height() is not None
    assert "keys kept" in make("reset", answer="y\n")
    assert node.height() is None
    assert not list(make.directory.glob("nodes/*/data"))
    assert len(list(make.directory.glob("nodes/*/validator.json"))) == 4


def follows_logs(make: Make) -> bool:
    """Whether `make logs` shows lines of nodes and goes on until it is interrupted."""
    following = subprocess.Popen(
        # Who starts the tests in the background has them, and all their children, ignore this signal.
        ["env", "--default-signal=INT", *make.command("logs")], cwd=ROOT, env=make.environment,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert following.stdout is not None
        line = following.stdout.readline()
        return " | " in line and following.poll() is None
    finally:
        os.killpg(following.pid, signal.SIGINT)
        following.communicate(timeout=30)


def test_help_has_a_line_for_each_target_that_a_person_types(make: Make) -> None:
    lines = dict(line.split(maxsplit=2)[1:] for line in make("help").splitlines())

    assert [target for target in STARTED_BY_A_PERSON if not lines.get(target)] == []
    # And for each that there is: one without a comment is shown to nobody.
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(lines) == set(phony[1].split())
