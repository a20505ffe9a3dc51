"""A Docker engine, Compose in both its forms, and the images that the check needs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compose_package import debian_mirror, fetch_compose
from seeing import CheckFailedError, Report, say, wait_until

from sdk.testnet.deployment import deploy_testnet

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = 4242
"""An ordinary user by number: it needs no name."""
BASE = "metanode-check/base:latest"
OTHERS = "metanode-check/others:latest"
PROMETHEUS = "metanode-check/prometheus:latest"
"""Stands in for postgres:15, redis:7 and Prometheus where no registry is reachable: the same programs from Debian, behind the same variables."""
PIP_OPTIONS = "--no-index --find-links=/image/wheels"
COMMAND_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Engine:
    """A Docker engine and how to call it."""

    environment: dict[str, str]
    compose: dict[str, list[str]]
    """`docker compose` and `docker-compose`."""

    def run(
        self, *command: str, folder: Path | None = None, user: int | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, as another user where one is given."""
        become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        done = subprocess.run(
            [*become, *command],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
        if check and done.returncode != 0:
            raise CheckFailedError(f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-4000:]}")
        return done

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine says of a container."""
        found: list[dict[str, Any]] = json.loads(self.run("docker", "inspect", container).stdout)
        return found[0]


class NoEngineError(Exception):
    """There is no Docker engine, and none can be started."""


@contextlib.contextmanager
def engine(work: Path, report: Report) -> Iterator[Engine]:
    """A Docker engine: the one that DOCKER_HOST names, or one of our own that ends with us."""
    environment = dict(os.environ) | {"DOCKER_CONFIG": str(work / "docker-config"), "DOCKER_BUILDKIT": "0"}
    own: subprocess.Popen[bytes] | None = None
    if not environment.get("DOCKER_HOST"):
        if shutil.which("dockerd") is None or os.getuid() != 0:
            raise NoEngineError(
                "no Docker engine: DOCKER_HOST is not set, and there is no dockerd to start, or no root to start it; nothing was "
                "checked. On Debian: apt-get install docker.io mmdebstrap"
            )
        socket = work / "docker.sock"
        environment["DOCKER_HOST"] = f"unix://{socket}"
        with (work / "dockerd.log").open("wb") as log:
            own = subprocess.Popen(
                [
                    "dockerd", "--data-root", str(work / "engine"), "--exec-root", str(work / "engine-run"),
                    "--pidfile", str(work / "dockerd.pid"), "--host", f"unix://{socket}", "--group", str(USER),
                ],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
    try:
        wait_until(
            lambda: subprocess.run(["docker", "info"], env=environment, capture_output=True, check=False).returncode == 0,
            "the engine answers",
        )  # fmt: skip
        found = Engine(environment=environment, compose=find_compose(work, environment))
        version = found.run("docker", "version", "--format", "{{.Server.Version}}").stdout.strip()
        driver = found.run("docker", "info", "--format", "{{.Driver}}").stdout.strip()
        report.facts["Engine"] = f"Docker {version}, {driver}"
        report.facts["Machine"] = (
            f"{os.cpu_count()} cores, which other work may use too: times are upper bounds"
        )
        short = found.run(*found.compose["docker compose"], "version", "--short").stdout.strip()
        report.facts["Compose"] = f"{short}, as `docker compose` and as `docker-compose`"
        yield found
    finally:
        if own is not None:
            own.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                own.wait(timeout=60)


def find_compose(work: Path, environment: dict[str, str]) -> dict[str, list[str]]:
    """Both forms of Compose 2; where the plugin is missing, the program of Debian sid serves as both."""
    plugins = Path(environment["DOCKER_CONFIG"]) / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    here = next(
        (
            path
            for folder in ("/usr/libexec/docker", "/usr/lib/docker", "/usr/local/lib/docker", str(Path.home() / ".docker"))
            if (path := Path(folder) / "cli-plugins" / "docker-compose").exists()
        ),
        None,
    )  # fmt: skip
    if here is None:
        say("fetching Compose from Debian sid")
    program = here or fetch_compose(work)
    installed = plugins / "docker-compose"
    if not installed.exists():
        shutil.copy(program, installed)
    for folder in (plugins.parent, plugins):
        folder.chmod(0o755)
    installed.chmod(0o755)
    return {"docker compose": ["docker", "compose"], "docker-compose": [str(installed)]}


def prepare_images(engine: Engine, work: Path, report: Report) -> Path:
    """The base image, the stand-ins of images of others, and the wheels of the lock."""
    if engine.run("docker", "pull", "-q", "python:3.11-slim", check=False).returncode == 0:
        engine.run("docker", "tag", "python:3.11-slim", BASE)
        report.facts["Base image"] = "python:3.11-slim"
    else:
        import_debian(engine, BASE, "python3,python3-venv,ca-certificates")
        report.facts["Base image"] = (
            "Debian bookworm with Python 3.11 by mmdebstrap and docker import: no registry was reachable"
        )
    if engine.run("docker", "image", "inspect", PROMETHEUS, check=False).returncode != 0:
        make_others(engine, work / "others")
    wheels = work / "wheels"
    if not wheels.exists():
        deploy_testnet("wheels", 9999, 1, output_dir=work / "requirements")
        say("fetching the wheels of the lock")
        subprocess.run(
            [
                sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels),
                "--requirement", str(work / "requirements" / "image" / "requirements.txt"),
            ],
            check=True,
        )  # fmt: skip
    return wheels


def make_others(engine: Engine, folder: Path) -> None:
    """PostgreSQL, Redis and Prometheus of Debian, as images."""
    import_debian(engine, OTHERS, "postgresql,redis-server,prometheus,ca-certificates")
    folder.mkdir(exist_ok=True)
    (folder / "entry").write_text(POSTGRES_ENTRY, encoding="utf-8")
    for tag, text in (
        (OTHERS, OTHERS_DOCKERFILE),
        (PROMETHEUS, f'FROM {OTHERS}\nENTRYPOINT ["prometheus"]\n'),
    ):
        (folder / "Dockerfile").write_text(text, encoding="utf-8")
        engine.run("docker", "build", "-q", "--tag", tag, ".", folder=folder)


def import_debian(engine: Engine, tag: str, packages: str) -> None:
    """Make an image of Debian with some packages, unless the engine has it."""
    if engine.run("docker", "image", "inspect", tag, check=False).returncode == 0:
        return
    say(f"making {tag} with {packages}")
    made = subprocess.Popen(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "bookworm", "-", debian_mirror()],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    subprocess.run(
        ["docker", "import", "-", tag],
        stdin=made.stdout,
        env=engine.environment,
        check=True,
        capture_output=True,
    )
    if made.wait() != 0:
        raise CheckFailedError(f"mmdebstrap ended with {made.returncode}")


OTHERS_DOCKERFILE = f"""\
FROM {OTHERS}
COPY entry /usr/local/bin/entry
RUN chmod 0755 /usr/local/bin/entry && ln -s /usr/lib/postgresql/15/bin/* /usr/local/bin/ || true
"""
POSTGRES_ENTRY = """\
#!/bin/sh
# What the official image of PostgreSQL does with its variables, as far as this check needs it.
set -eu
data=/var/lib/postgresql/data
chown postgres:postgres "$data"
install -d -o postgres -g postgres /var/run/postgresql
export PASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")"
if [ ! -s "$data/PG_VERSION" ]; then
  setpriv --reuid=postgres --regid=postgres --clear-groups sh -eu -c '
    printf %s "$PASSWORD" >/tmp/password
    /usr/lib/postgresql/15/bin/initdb -D '"$data"' -U "$POSTGRES_USER" --auth-host=scram-sha-256 --pwfile=/tmp/password $POSTGRES_INITDB_ARGS
    rm /tmp/password
    echo "host all all all scram-sha-256" >>'"$data"'/pg_hba.conf
    echo "CREATE DATABASE $POSTGRES_DB" | /usr/lib/postgresql/15/bin/postgres --single -D '"$data"' postgres
  '
fi
unset PASSWORD
exec setpriv --reuid=postgres --regid=postgres --clear-groups /usr/lib/postgresql/15/bin/postgres -D "$data" -c listen_addresses='*'
"""


def give_wheels(output: Path, wheels: Path) -> None:
    """Let the image be built without the network."""
    shutil.copytree(wheels, output / "image" / "wheels", dirs_exist_ok=True)
    with (output / ".env").open("a", encoding="utf-8") as file:
        file.write(f"PIP_OPTIONS={PIP_OPTIONS}\nPROMETHEUS_IMAGE={PROMETHEUS}\n")
