"""A process beside this one, started again when it ends: what a container runs beside its node."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

DELAY_MIN_S: Final = 1.0
DELAY_MAX_S: Final = 30.0
"""A database that is not there yet is asked again at least this often."""
STABLE_AFTER_S: Final = 60.0
"""Who ran this long starts over with the shortest delay."""
STOP_TIMEOUT_S: Final = 20.0
"""Services end within five seconds of SIGTERM; who has not after this is killed."""


class Beside:
    """Keeps a command running for the length of a block. One thread owns the process; `_lock` orders its start before or after the end."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, delay_min_s: float = DELAY_MIN_S
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._delay_min_s = delay_min_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="beside")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join()

    def _keep(self) -> None:
        delay_s = self._delay_min_s
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                started_s = time.monotonic()
                self._process = subprocess.Popen(self._command, env=self._environment)
            code = self._process.wait()
            if self._stopping.is_set():
                return
            ran_s = time.monotonic() - started_s
            delay_s = self._delay_min_s if ran_s > STABLE_AFTER_S else min(2 * delay_s, DELAY_MAX_S)
            sys.stderr.write(
                f"{self._command[-1]} and what is with it ended with {code}; starting it again in {delay_s:g} s\n"
            )
            self._stopping.wait(delay_s)
