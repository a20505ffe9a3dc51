"""Programs of others, as a developer runs them: where they are, what surrounds them, what they printed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

HERE = Path(__file__).parent
RUN_WITHIN_S = 180.0


@dataclass(frozen=True)
class Project:
    """A folder with a project of Foundry or Hardhat in it, and the commands that npm has installed for it."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str, typed: str = "", within_s: float = RUN_WITHIN_S, **environment: str) -> str:
        """What a command prints, that gets these words on its standard input; it succeeds."""
        finished = self.finish(*command, typed=typed, within_s=within_s, **environment)
        assert finished.returncode == 0, f"{' '.join(command)}\n{finished.stdout}\n{finished.stderr}"
        return finished.stdout.strip()

    def refused(self, *command: str, within_s: float = RUN_WITHIN_S, **environment: str) -> str:
        """Everything that a command says when it fails; it fails."""
        finished = self.finish(*command, within_s=within_s, **environment)
        assert finished.returncode != 0, f"{' '.join(command)}\n{finished.stdout}\n{finished.stderr}"
        return finished.stdout + finished.stderr

    def finish(
        self, *command: str, typed: str = "", within_s: float = RUN_WITHIN_S, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project to its end."""
        surroundings = self.surroundings(**environment)
        return subprocess.run(
            [self.program(command[0], surroundings), *command[1:]],
            cwd=self.path, env=surroundings,
            input=typed, capture_output=True, text=True, timeout=within_s, check=False,
        )  # fmt: skip

    def start(self, *command: str, output: IO[bytes], **environment: str) -> subprocess.Popen[bytes]:
        """A command that runs on; the caller ends it."""
        surroundings = self.surroundings(**environment)
        return subprocess.Popen(
            [self.program(command[0], surroundings), *command[1:]],
            cwd=self.path, env=surroundings, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip

    @staticmethod
    def program(name: str, surroundings: dict[str, str]) -> str:
        """Where a command is."""
        found = shutil.which(name, path=surroundings["PATH"])
        assert found is not None, f"there is no {name}; make setup-dev installs it on Linux for x64"
        return found

    def surroundings(self, **environment: str) -> dict[str, str]:
        """The environment of a command: npm's commands first, a home of its own, no colours, and no word to anybody outside."""
        folders = (
            self.path / "node_modules" / ".bin",
            HERE / "node" / "node_modules" / ".bin",
            Path(sys.executable).parent,
        )
        search = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
        return {
            **os.environ, "PATH": search, "HOME": str(self.path), "NO_COLOR": "1", "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
            "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true", "HARDHAT_IGNITION_CONFIRM_DEPLOYMENT": "true",
            "NPM_CONFIG_OFFLINE": "true", "NPM_CONFIG_UPDATE_NOTIFIER": "false", **self.environment, **environment,
        }  # fmt: skip


def project(name: str, path: Path, **environment: str) -> Project:
    """A copy of one of the projects beside this file, with the contracts, to build in."""
    modules = installed(name)
    shutil.copytree(HERE / name, path, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(HERE / "contracts", path / ("src" if name == "foundry" else "contracts"))
    (path / "node_modules").symlink_to(modules)
    return Project(path, environment)


def installed(name: str) -> Path:
    """Where npm has put the packages of a folder beside this file; the test is skipped or fails when they are not there."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: apt-get install nodejs npm")
    modules = HERE / name / "node_modules"
    if not modules.exists():
        pytest.fail(f"the packages of {modules.parent} are not installed: make setup-dev")
    return modules.resolve()
