"""A PostgreSQL server of a test's own: a real one, on a socket in a directory of its own, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 30.0


class PostgreSQLAbsent(Exception):  # noqa: N818 - says what is missing
    """No server is installed; the message says what installs it."""


def _program(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = str(versions[0]) if versions else shutil.which(name)
    if found is None:
        raise PostgreSQLAbsent("PostgreSQL is not installed; apt-get install postgresql")
    return found


def _user() -> str | None:
    """Whom the server runs as: it refuses root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise PostgreSQLAbsent("there is no user to run PostgreSQL as; apt-get install postgresql")


class PostgreSQL:
    """A server that can be stopped and started again; `running_postgresql` makes it."""

    def __init__(self, folder: Path, postgres: str, user: str | None, *, durable: bool) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._user = user
        options = {"listen_addresses": "", "shared_buffers": "128MB" if durable else "16MB"}
        if not durable:
            # No test of ours cuts the power.
            options["fsync"] = "off"
        self._command = [postgres, "-D", str(self._data), "-k", str(folder)]
        self._command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of a database that is empty at first."""
        return f"postgresql://faucet@/postgres?host={self._folder}"

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                self._command, user=self._user, cwd=self._folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self._data / "postmaster.pid").exists() or "ready" not in _status(self._data):
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let none of its processes run in this block, as when its machine hangs: connections stay open and say nothing."""
        assert self._server is not None
        stopped = [self._server.pid]
        os.kill(self._server.pid, signal.SIGSTOP)
        # A process that has stopped makes no more of them.
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split()
        for child in map(int, children):
            os.kill(child, signal.SIGSTOP)
            stopped.append(child)
        try:
            yield
        finally:
            for process in reversed(stopped):
                os.kill(process, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it; connections that are open break."""
        if self._server is not None:
            # Its fast shutdown: the smart one would wait for connections that a failed test left open.
            self._server.send_signal(signal.SIGINT)
            self._server.wait(timeout=30)
            self._server = None


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a server for the length of the block; yields the URL of an empty database."""
    with running_postgresql() as server:
        yield server.url


@contextmanager
def running_postgresql(*, durable: bool = False) -> Iterator[PostgreSQL]:
    """The same; yields the server. A durable one is as a package installs it."""
    initdb, postgres, user = _program("initdb"), _program("postgres"), _user()
    folder = Path(tempfile.mkdtemp(prefix="metanode-postgresql-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        subprocess.run(
            [
                initdb,
                "-D",
                folder / "data",
                "-A",
                "trust",
                "-U",
                "faucet",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
            user=user,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        server = PostgreSQL(folder, postgres, user, durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _status(data: Path) -> str:
    """The last line of the server's own file: "ready" once it takes connections."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
