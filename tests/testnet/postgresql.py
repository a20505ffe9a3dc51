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


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a server for the length of the block; yields the URL of an empty database."""
    initdb, postgres, user = _program("initdb"), _program("postgres"), _user()
    folder = Path(tempfile.mkdtemp(prefix="metanode-postgresql-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-A", "trust", "-U", "faucet", "--no-sync", "-E", "UTF8", "--locale=C"],
            user=user,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        # No test of ours cuts the power.
        options = {"listen_addresses": "", "shared_buffers": "16MB", "fsync": "off"}
        command = [postgres, "-D", data, "-k", folder]
        command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log) as server,
        ):
            try:
                deadline = time.monotonic() + START_TIMEOUT_S
                while not (data / "postmaster.pid").exists() or "ready" not in _status(data):
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError((folder / "log").read_text()[-2000:])
                    time.sleep(0.05)
                yield f"postgresql://faucet@/postgres?host={folder}"
            finally:
                # Its fast shutdown: the smart one would wait for connections that a failed test left open.
                server.send_signal(signal.SIGINT)
                server.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _status(data: Path) -> str:
    """The last line of the server's own file: "ready" once it takes connections."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
