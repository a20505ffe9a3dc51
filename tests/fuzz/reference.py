"""The specification's environment, made once and checked against hashes, and its process, which lives as long as it answers."""

import hashlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.made_once import cache_directory, make_once

HERE: Final = Path(__file__).resolve().parent
LOCK: Final = HERE / "requirements.lock"
PROGRAM: Final = HERE / "specification.py"
ANSWER_S: Final = 180
"""For one request. A usual one takes a fraction of a second; the gas limits that are drawn bound the rest to some seconds."""
REQUESTS_MAX: Final = 500
"""Before the process is started anew: what a specification leaks over many states is nobody's concern then."""
DIGEST_DIGITS: Final = 16


class ReferenceAbsent(Exception):
    """The specification could not be installed; the text says why."""


class ReferenceFailed(Exception):
    """The specification's process ended or did not answer in time."""


def environment_directory() -> Path:
    """Where the environment is, by the content of the lock and the Python that made it."""
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:DIGEST_DIGITS]
    return cache_directory() / "specification" / digest


def install() -> Path:
    """Return the Python of the environment, which is made first if need be: whole or not at all. Half a minute the first time."""
    directory = environment_directory()
    make_once(directory, _fill)
    return directory / "bin" / "python"


def _fill(directory: Path) -> None:
    venv.create(directory, with_pip=True, symlinks=True)
    command = [
        *(
            str(directory / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ),
        *("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(LOCK)),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if finished.returncode:
        raise ReferenceAbsent(
            f"the specification can't be installed from {LOCK.name}: {finished.stderr.strip()[-500:]}; it is tried again with: make fuzz-evm"
        )


class Reference:
    """The specification's process. Used by one thread."""

    def __init__(self, python: Path) -> None:
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request; raises ReferenceFailed, after which the next request starts a new process."""
        process = self._running()
        self._requests += 1
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = self._line(process)
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            words = self._end()
            raise ReferenceFailed(f"the specification gave no answer: {words}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._requests >= REQUESTS_MAX:
            self._end()
        if self._process is None:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            command = [str(self._python), "-I", str(PROGRAM)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
            self._requests = 0
        return self._process

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        descriptor, parts = process.stdout.fileno(), []
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while selector.select(timeout=ANSWER_S):
                part = os.read(descriptor, 1 << 20)
                parts.append(part)
                if not part or part.endswith(b"\n"):
                    break
        return b"".join(parts)

    def _end(self) -> str:
        """End the process; returns its last words."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.kill()
        process.communicate()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-2_000:]
        self._errors.close()
        return words
