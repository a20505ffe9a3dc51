"""Deploy networks to a real Docker engine and look at what runs; the result is docs/evidence/docker.md. See deploy/README.md.

    python deploy/check_compose.py [--work FOLDER] [--evidence FILE] [--only root|user|parvyom]

Nothing is simulated: images are built, containers run, are killed and stopped, and a claim that is not true ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from sdk.testnet.deployment import deploy_testnet  # noqa: E402 - from this checkout
from sdk.testnet.deployment.compose import COMPOSE_FILE  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PORT_OFFSET = 2000
USER = 4242
"""An ordinary user by number: it needs no name."""
BASE = "metanode-check/base:latest"
OTHERS = "metanode-check/others:latest"
PROMETHEUS = "metanode-check/prometheus:latest"
"""Stands in for postgres:15, redis:7 and Prometheus where no registry is reachable: the same programs from Debian, behind the same variables."""
MONITORING = ("--profile", "monitoring")
"""Without it, Compose leaves the containers of the profile alone."""
PIP_OPTIONS = "--no-index --find-links=/image/wheels"
START_TIMEOUT_S = 180.0
"""A machine that does much else beside this is slow."""
COMMAND_TIMEOUT_S = 1800.0


class CheckFailedError(Exception):
    """A claim is not true; the text says which."""


@dataclass
class Report:
    """What was seen, in the order in which it was."""

    facts: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    """Case, claim, what was seen."""
    done: list[str] = field(default_factory=list)
    """Cases of which every claim held."""

    @classmethod
    def load(cls, file: Path) -> Report:
        """What earlier runs in the same folder have seen of cases that were done."""
        if not file.exists():
            return cls()
        found = json.loads(file.read_text(encoding="utf-8"))
        return cls(rows=[(case, claim, seen) for case, claim, seen in found["rows"]], done=found["done"])

    def finish(self, name: str, file: Path) -> None:
        """Keep a case that is done."""
        self.done.append(name)
        file.write_text(json.dumps({"rows": self.rows, "done": self.done}), encoding="utf-8")

    def claim(self, case: str, claim: str, seen: str, *, holds: bool) -> None:
        """Keep a claim; ends the run when it is not true."""
        say(f"{'ok' if holds else 'FAILED'}: {case}: {claim} ({seen})")
        if not holds:
            raise CheckFailedError(f"{case}: {claim}: {seen}")
        self.rows.append((case, claim, seen))


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


def main() -> int:
    """Run all checks; 0 when every claim holds, 2 when there is no engine to ask."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, help="where to work; by default a new folder, deleted at the end"
    )
    parser.add_argument("--evidence", type=Path, default=ROOT / "docs" / "evidence" / "docker.md")
    parser.add_argument("--only", choices=("root", "user", "parvyom"), help="one case, without evidence")
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp(prefix="metanode-check-"))
    work.mkdir(parents=True, exist_ok=True)
    # An ordinary user's folder is below it.
    work.chmod(0o755)
    kept = work / "report.json"
    report = Report.load(kept)
    try:
        with engine(work, report) as found:
            wheels = prepare_images(found, work, report)
            cases: dict[str, Callable[[], None]] = {
                "root": lambda: check_network(
                    found, report, work / "root", wheels, form="docker compose", user=None
                ),
                "user": lambda: check_network(
                    found, report, work / "user", wheels, form="docker-compose", user=USER
                ),
                "parvyom": lambda: check_parvyom(found, report, work / "parvyom", wheels),
            }
            for name, check in cases.items():
                if arguments.only in (None, name) and name not in report.done:
                    check()
                    report.finish(name, kept)
    except NoEngineError as error:
        say(str(error))
        return 2
    except CheckFailedError as error:
        say(f"check failed: {error}")
        return 1
    finally:
        if arguments.work is None:
            shutil.rmtree(work, ignore_errors=True)
    if arguments.only is None:
        arguments.evidence.write_text(page(report), encoding="utf-8")
        say(f"wrote {arguments.evidence}")
    return 0


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
    program = here or fetch_compose(work)
    installed = plugins / "docker-compose"
    if not installed.exists():
        shutil.copy(program, installed)
    for folder in (plugins.parent, plugins):
        folder.chmod(0o755)
    installed.chmod(0o755)
    return {"docker compose": ["docker", "compose"], "docker-compose": [str(installed)]}


def fetch_compose(work: Path) -> Path:
    """Compose from Debian sid, unpacked and not installed."""
    folder = work / "sid"
    for part in ("state/lists/partial", "cache/archives/partial", "unpacked"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    program = folder / "unpacked/usr/libexec/docker/cli-plugins/docker-compose"
    if program.exists():
        return program
    (folder / "sources.list").write_text(f"deb {debian_mirror()} sid main\n", encoding="utf-8")
    options = [
        "-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State={folder}/state",
        "-o", "Dir::State::status=/var/lib/dpkg/status", "-o", f"Dir::Cache={folder}/cache",
    ]  # fmt: skip
    say("fetching Compose from Debian sid")
    for command in (["update", "-qq"], ["download", "-qq", "docker-compose"]):
        subprocess.run(["apt-get", *options, *command], cwd=folder, check=True)
    package = next(folder.glob("docker-compose_*.deb"))
    subprocess.run(["dpkg", "-x", str(package), str(folder / "unpacked")], check=True)
    return program


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
    import_debian(engine, OTHERS, "postgresql,redis-server,prometheus,ca-certificates")
    folder = work / "others"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(OTHERS_DOCKERFILE, encoding="utf-8")
    (folder / "entry").write_text(POSTGRES_ENTRY, encoding="utf-8")
    engine.run("docker", "build", "-q", "--tag", OTHERS, ".", folder=folder)
    (folder / "Dockerfile").write_text(f'FROM {OTHERS}\nENTRYPOINT ["prometheus"]\n', encoding="utf-8")
    engine.run("docker", "build", "-q", "--tag", PROMETHEUS, ".", folder=folder)
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


def debian_mirror() -> str:
    """Where this machine's own apt has Debian from."""
    found = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    if not found:
        raise CheckFailedError("apt knows no mirror of Debian: run apt-get update, on a Debian machine")
    return found[0]


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
    /usr/lib/postgresql/15/bin/initdb -D '"$data"' -U "$POSTGRES_USER" --auth-host=scram-sha-256 --pwfile=/tmp/password
    rm /tmp/password
    echo "host all all all scram-sha-256" >>'"$data"'/pg_hba.conf
    echo "CREATE DATABASE $POSTGRES_DB" | /usr/lib/postgresql/15/bin/postgres --single -D '"$data"' postgres
  '
fi
unset PASSWORD
exec setpriv --reuid=postgres --regid=postgres --clear-groups /usr/lib/postgresql/15/bin/postgres -D "$data" -c listen_addresses='*'
"""


def check_network(
    engine: Engine, report: Report, output: Path, wheels: Path, *, form: str, user: int | None
) -> None:
    """The network of the toolkit's document: five validators, deployed by root or by an ordinary user."""
    who = "root" if user is None else "an ordinary user"
    case = f"{who}, `{form}`"
    compose = [*engine.compose[form], "-f", COMPOSE_FILE]
    offset = PORT_OFFSET
    output.mkdir(exist_ok=True)
    if user is None:
        # `up` builds an image that is missing, and takes one that is there.
        engine.run("docker", "rmi", "--force", "moderntensor:testnet", check=False)
        deploy_testnet(
            "moderntensor-testnet", 9999, 5, output_dir=output, port_offset=offset, base_image=BASE
        )
    else:
        # From the image itself: what is installed there deploys too, and without root.
        os.chown(output, user, user)
        code = (
            "from sdk.testnet.deployment import deploy_testnet; "
            f"deploy_testnet('moderntensor-testnet', 9999, 5, output_dir={str(output)!r}, port_offset={offset}, base_image={BASE!r})"
        )
        engine.run(
            "docker", "run", "--rm", f"--user={user}:{user}", f"--volume={output}:{output}", "moderntensor:testnet", "python", "-c", code,
        )  # fmt: skip
    give_wheels(output, wheels)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return engine.run(*compose, *command, folder=output, user=user)

    try:
        started = time.monotonic()
        run("up", "-d", "--wait")
        report.claim(
            case,
            f"`up -d --wait`{' builds the image and' if user is None else ''} returns when all are healthy",
            f"{time.monotonic() - started:.0f} s",
            holds=True,
        )
        owner = (output / "data").stat().st_uid
        report.claim(
            case,
            "containers run as the owner of data/, who is not root",
            f"user {owner}",
            holds=owner == (user or 10001),
        )
        names = run("config", "--services").stdout.split()
        check_hardening(engine, report, case, run, names, owner)
        check_services(report, case, names, offset)
        run("up", "-d", "--wait", "prometheus")
        check_prometheus(report, case, f"http://127.0.0.1:{9090 + offset}", len(names))
        urls = [f"http://127.0.0.1:{8544 + offset + number}" for number in range(1, 6)]
        first = check_agreement(report, case, urls, "five validators agree on a block that is new")
        again = time.monotonic()
        run("restart", "--timeout", "60")
        wait_until(lambda: is_above(urls, first), "blocks after the restart")
        report.claim(
            case,
            "after `restart` the chain goes on",
            f"block {first} and later, {time.monotonic() - again:.0f} s",
            holds=True,
        )
        check_killed(engine, report, case, run, urls)
        stopped = time.monotonic()
        run(*MONITORING, "stop")
        took_s = time.monotonic() - stopped
        codes = {
            name: engine.inspect(container(run, name, stopped=True))["State"]["ExitCode"] for name in names
        }
        report.claim(
            case,
            "`stop` ends every container by itself, with exit code 0",
            f"{took_s:.0f} s",
            holds=set(codes.values()) == {0} and took_s < 60,
        )
        before = time.monotonic()
        run(*MONITORING, "down")
        run("up", "-d", "--wait")
        height = check_agreement(report, case, urls, "after `down` and `up` the chain goes on")
        report.claim(
            case,
            "nothing was lost",
            f"block {height} after {first}; up again in {time.monotonic() - before:.0f} s",
            holds=height > first,
        )
    finally:
        if sys.exc_info()[0] is not None:
            say(
                engine.run(*compose, "logs", "--tail", "6", folder=output, user=user, check=False).stdout[
                    -6000:
                ]
            )
        engine.run(*compose, *MONITORING, "down", "--volumes", folder=output, user=user, check=False)
    kept = {path.name for path in (output / "data").iterdir()} >= {f"validator-{n}" for n in range(1, 6)}
    report.claim(case, "keys and chain stay after `down --volumes`", "data/validator-1 to 5", holds=kept)


def check_hardening(
    engine: Engine,
    report: Report,
    case: str,
    run: Callable[..., subprocess.CompletedProcess[str]],
    names: list[str],
    owner: int,
) -> None:
    """What the engine says of every container, not what the file says."""
    loose: list[str] = []
    for name in names:
        found = engine.inspect(container(run, name))
        host = found["HostConfig"]
        bindings = [
            entry["HostIp"] for ports in (host["PortBindings"] or {}).values() for entry in ports or ()
        ]
        expected = {
            "healthy": found["State"]["Health"]["Status"] == "healthy",
            "user": found["Config"]["User"] == f"{owner}:{owner}",
            "read-only root": host["ReadonlyRootfs"],
            "no capabilities": host["CapDrop"] == ["ALL"] and not host["CapAdd"],
            "no new privileges": "no-new-privileges:true" in host["SecurityOpt"],
            "memory limit": host["Memory"] > 0,
            "limit of processes": 0 < host["PidsLimit"] <= 1024,
            "bounded logs": host["LogConfig"]["Config"].keys() >= {"max-size", "max-file"},
            "ports on loopback": set(bindings) <= {"127.0.0.1"},
            "init": host["Init"],
        }
        loose += [f"{name}: {claim}" for claim, holds in expected.items() if not holds]
    claims = "healthy; read-only root, no capabilities, no new privileges, limits of memory and processes, bounded logs, ports on loopback"
    report.claim(case, claims, f"{len(names)} containers" if not loose else ", ".join(loose), holds=not loose)
    secret = run(
        "exec", "-T", "validator-1", "sh", "-c", "ls -ln /run/secrets; touch /written 2>&1 || true"
    ).stdout
    report.claim(case, "passwords are files for their owner only, and the root can't be written", " / ".join(secret.split("\n")[1:3]),
        holds="-rw-------" in secret and "Read-only file system" in secret)  # fmt: skip


def check_services(report: Report, case: str, names: list[str], offset: int) -> None:
    """What stands around the validators answers people."""
    if "bootstrap" in names:
        url = f"http://127.0.0.1:{9099 + offset}/api/v1/peers"
        wait_until(
            lambda: sum(bool(peer["verified"]) for peer in json.loads(fetch(url))["peers"]) >= 5,
            "verified peers",
        )
        report.claim(
            case,
            "the bootstrap node lists the validators, whose endpoints it has proved",
            "5 of 5",
            holds=True,
        )
    if "explorer" in names:
        pages = {path: fetch(f"http://127.0.0.1:{3000 + offset}{path}") for path in ("/", "/dashboard")}
        report.claim(
            case,
            "explorer and dashboard are pages",
            ", ".join(pages),
            holds=all(b"<html" in page for page in pages.values()),
        )
    if "faucet" in names:
        report.claim(
            case,
            "the faucet has its page",
            "/",
            holds=b"<html" in fetch(f"http://127.0.0.1:{8080 + offset}/"),
        )


def check_prometheus(report: Report, case: str, url: str, expected: int) -> None:
    """Prometheus scrapes everything that it is told of, and its rules are loaded."""

    def targets() -> dict[str, str]:
        found = json.loads(fetch(f"{url}/api/v1/targets"))["data"]["activeTargets"]
        return {target["labels"]["node"]: target["health"] for target in found}

    wait_until(lambda: set(targets().values()) == {"up"}, "all targets up")
    groups = json.loads(fetch(f"{url}/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    wait_until(
        lambda: all(
            rule["health"] == "ok" for group in json.loads(fetch(f"{url}/api/v1/rules"))["data"]["groups"] for rule in group["rules"]
        ),
        "every rule evaluated",
    )  # fmt: skip
    report.claim(case, "Prometheus reaches every target, and evaluates every rule", f"{len(targets())} targets, {len(rules)} rules",
        holds=len(targets()) >= min(expected, 5) and len(rules) > 0)  # fmt: skip


def check_killed(
    engine: Engine,
    report: Report,
    case: str,
    run: Callable[..., subprocess.CompletedProcess[str]],
    urls: list[str],
) -> None:
    """Kill a validator's process with signal 9: the others go on, Docker starts it again, and it catches up."""
    victim = container(run, "validator-3")
    before = height_of(urls[0])
    state = engine.inspect(victim)
    # Docker's own `kill` would count as a wish that it stays away.
    os.kill(state["State"]["Pid"], signal.SIGKILL)
    killed = time.monotonic()
    others = [url for number, url in enumerate(urls) if number != 2]
    wait_until(lambda: is_above(others, before + 1), "blocks without the third validator")
    wait_until(lambda: engine.inspect(victim)["RestartCount"] > state["RestartCount"], "a new start")
    wait_until(lambda: engine.inspect(victim)["State"]["Health"]["Status"] == "healthy", "health")
    healthy_s = time.monotonic() - killed
    check_agreement(
        report,
        case,
        urls,
        "a validator is killed with signal 9: the others go on, it is started again and agrees",
    )
    report.claim(case, "it is healthy again", f"after {healthy_s:.0f} s", holds=True)


def check_parvyom(engine: Engine, report: Report, output: Path, wheels: Path) -> None:
    """The Compose file of the plan for a public testnet."""
    case = "parvyom-testnet-v1"
    offset = PORT_OFFSET + 350
    deploy_testnet(
        case, 1337, 4, preset=case, consensus_type="ibft", output_dir=output, port_offset=offset, base_image=BASE,
        gas_limit=8_000_000, block_reward_gwei=2_000_000_000,
    )  # fmt: skip
    give_wheels(output, wheels)
    with (output / ".env").open("a", encoding="utf-8") as file:
        file.write(f"POSTGRES_IMAGE={OTHERS}\nREDIS_IMAGE={OTHERS}\n")
    # The official images have their programs as commands already.
    override = "services:\n  postgres:\n    command: [entry]\n"
    (output / "compose.override.yml").write_text(override, encoding="utf-8")
    compose = [*engine.compose["docker compose"], "-f", COMPOSE_FILE, "-f", "compose.override.yml"]
    try:
        started = time.monotonic()
        engine.run(*compose, "up", "-d", "--wait", folder=output)
        report.claim(
            case,
            "bpci-server, four validators, postgres and redis are healthy",
            f"{time.monotonic() - started:.0f} s",
            holds=True,
        )
        url = f"http://127.0.0.1:{8545 + offset}"
        before = height_of(url)
        wait_until(lambda: is_above([url], before), "blocks")
        status = json.loads(fetch(f"http://127.0.0.1:{9545 + offset}/api/v1/status"))
        report.claim(case, "JSON-RPC, community API and dashboard answer; PostgreSQL and Redis are reached with the password of the secret",
            json.dumps(status.get("services")), holds=call(url, "eth_chainId") == "0x539" and is_reached(status))  # fmt: skip
        report.claim(
            case,
            "the dashboard is a page",
            "text/html",
            holds=b"<!doctype html>" in fetch(f"http://127.0.0.1:{3000 + offset}/").lower(),
        )
        address = json.loads(
            (output / "data" / "validator-4" / "validator.json").read_text(encoding="utf-8")
        )["address"]
        for number in range(1, 5):
            words = ("python", "-m", "sdk.testnet.deployment.vote", f"0x{address}", "--remove")
            engine.run(*compose, "exec", "-T", f"validator-{number}", *words, folder=output)
        wait_until(
            lambda: len(call(url, "ibft_getValidatorsByBlockNumber", "pending")) == 3, "three validators"
        )
        report.claim(
            case, "validators vote one of them out from inside their containers", "4, then 3", holds=True
        )
        inside = engine.inspect(engine.run(*compose, "ps", "-q", "validator-1", folder=output).stdout.strip())
        variables = dict(entry.split("=", 1) for entry in inside["Config"]["Env"])
        report.claim(case, "a validator has NETWORK, CHAIN_ID and VALIDATOR_KEY_FILE, and no key in its environment",
            f"{variables['NETWORK']}, {variables['CHAIN_ID']}, {variables['VALIDATOR_KEY_FILE']}",
            holds=not variables["VALIDATOR_KEY"] and variables["CHAIN_ID"] == "1337")  # fmt: skip
    finally:
        if sys.exc_info()[0] is not None:
            say(
                engine.run(*compose, *MONITORING, "logs", "--tail", "6", folder=output, check=False).stdout[
                    -6000:
                ]
            )
        engine.run(*compose, *MONITORING, "down", "--volumes", folder=output, check=False)


def is_reached(status: dict[str, Any]) -> bool:
    """Whether the node's status says that both databases answer."""
    found = json.dumps(status.get("services", {}))
    return "postgres" in found and "redis" in found and "unreachable" not in found and "error" not in found


def give_wheels(output: Path, wheels: Path) -> None:
    """Let the image be built without the network."""
    shutil.copytree(wheels, output / "image" / "wheels", dirs_exist_ok=True)
    with (output / ".env").open("a", encoding="utf-8") as file:
        file.write(f"PIP_OPTIONS={PIP_OPTIONS}\nPROMETHEUS_IMAGE={PROMETHEUS}\n")


def container(
    run: Callable[..., subprocess.CompletedProcess[str]], service: str, *, stopped: bool = False
) -> str:
    """The id of a service's container."""
    return run("ps", "--quiet", *(["--all"] if stopped else []), service).stdout.strip()


def check_agreement(report: Report, case: str, urls: list[str], claim: str) -> int:
    """Wait for a block that is new, and compare its hash; the height."""
    target = max(height_of(url) for url in urls) + 2
    wait_until(lambda: is_above(urls, target - 1), f"block {target}")
    hashes = {call(url, "eth_getBlockByNumber", hex(target), False)["hash"] for url in urls}
    report.claim(case, claim, f"block {target}, {min(hashes)[:12]}…", holds=len(hashes) == 1)
    return target


def is_above(urls: list[str], height: int) -> bool:
    """Whether all nodes have finalized more than this."""
    return all(height_of(url) > height for url in urls)


def height_of(url: str) -> int:
    """The newest finalized block of a node; -1 when it does not answer."""
    try:
        return int(call(url, "eth_getBlockByNumber", "finalized", False)["number"], 16)
    except (OSError, TypeError, KeyError, ValueError):
        return -1


def call(url: str, method: str, *params: object) -> Any:
    """One JSON-RPC call."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    return json.loads(fetch(url, body)).get("result")


def fetch(url: str, body: bytes | None = None) -> bytes:
    """One HTTP answer."""
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 - http only
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - the same
        content: bytes = response.read()
        return content


def wait_until(holds: Callable[[], bool], what: str, *, timeout_s: float = START_TIMEOUT_S) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise CheckFailedError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(0.5)


def page(report: Report) -> str:
    """The page of evidence."""
    facts = "\n".join(f"- {name}: {value}." for name, value in report.facts.items())
    rows = "\n".join(f"| {case} | {claim} | {seen} |" for case, claim, seen in report.rows)
    return f"""# Containers on a real Docker engine

Written by `make check-compose` ([deploy/check_compose.py](../../deploy/check_compose.py)) on {datetime.now(UTC):%Y-%m-%d}. A claim that does not hold ends the run, so
every line here was seen.

{facts}
- Images of others: PostgreSQL 15, Redis and Prometheus are Debian's programs behind the variables of the official images; Grafana's was not to be had, so its container
  was not started.

| deployed by | claim | seen |
|---|---|---|
{rows}
"""


def say(text: str) -> None:
    """One line of progress."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
