"""Deploy networks to a real Docker engine and look at what runs; the result is docs/evidence/docker.md. See deploy/README.md.

    python deploy/check_compose.py [--work FOLDER] [--evidence FILE] [--only root|user|upgrade|parvyom]

Nothing is simulated: images are built, containers run, are killed and stopped, and a claim that is not true ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from compose_package import NoDebianError  # noqa: E402 - of this checkout
from dashboards import check_dashboards  # noqa: E402 - the same
from engine import BASE, USER, Engine, NoEngineError, engine, give_wheels, prepare_images  # noqa: E402 - the same
from faucet_check import check_faucet, check_operator  # noqa: E402 - the same
from health import check_ends, check_health  # noqa: E402 - the same
from public_testnet import MONITORING, check_parvyom  # noqa: E402 - the same
from reset import CHAIN_ID, check_reset  # noqa: E402 - the same
from seeing import (  # noqa: E402 - the same
    CheckFailedError,
    Report,
    check_agreement,
    check_confined,
    check_gateway,
    container,
    fetch,
    height_of,
    is_above,
    page,
    say,
    tree_of,
    wait_until,
)
from upgrade import check_upgrade  # noqa: E402 - the same

from sdk.testnet.deployment import deploy_testnet  # noqa: E402 - the same
from sdk.testnet.deployment.compose import COMPOSE_FILE  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Callable

PORT_OFFSET = 2000
CASES = ("root", "user", "upgrade", "parvyom")


def main() -> int:
    """Run all checks; 0 when every claim holds, 2 when there is no engine to ask."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, help="where to work; by default a new folder, deleted at the end"
    )
    parser.add_argument("--evidence", type=Path, default=ROOT / "docs" / "evidence" / "docker.md")
    parser.add_argument("--only", choices=CASES, help="one case; the evidence says which are left")
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp(prefix="metanode-check-"))
    work.mkdir(parents=True, exist_ok=True)
    # An ordinary user's folder is below it.
    work.chmod(0o755)
    kept = work / "report.json"
    report = Report.load(kept)
    tree = tree_of(ROOT)
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
                "upgrade": lambda: check_upgrade(found, report, work / "upgrade", wheels),
                "parvyom": lambda: check_parvyom(found, report, work / "parvyom", wheels),
            }
            for name, check in cases.items():
                if arguments.only in (None, name) and name not in report.done:
                    check()
                    report.finish(name, kept, tree=tree)
    except NoEngineError as error:
        say(str(error))
        return 2
    except (CheckFailedError, NoDebianError) as error:
        say(f"check failed: {error}")
        return 1
    finally:
        if arguments.work is None:
            shutil.rmtree(work, ignore_errors=True)
    arguments.evidence.write_text(page(report, CASES), encoding="utf-8")
    say(f"wrote {arguments.evidence}")
    return 0


def check_network(
    engine: Engine, report: Report, output: Path, wheels: Path, *, form: str, user: int | None
) -> None:
    """The network of the toolkit's document: five validators, deployed by root or by an ordinary user."""
    who = "root" if user is None else "an ordinary user"
    case = f"{who}, `{form}`"
    compose = [*engine.compose[form], "-f", COMPOSE_FILE]
    offset = PORT_OFFSET
    output.mkdir(exist_ok=True)

    def deploy(chain_id: int, *, confirm_changes: bool = False) -> None:
        if user is None:
            deploy_testnet(
                "moderntensor-testnet", chain_id, 5, output_dir=output, port_offset=offset, base_image=BASE, confirm_changes=confirm_changes,
            )  # fmt: skip
            return
        # From the image itself: what is installed there deploys too, and without root.
        code = (
            f"from sdk.testnet.deployment import deploy_testnet; deploy_testnet('moderntensor-testnet', {chain_id}, 5, "
            f"output_dir={str(output)!r}, port_offset={offset}, base_image={BASE!r}, confirm_changes={confirm_changes})"
        )
        engine.run(
            "docker", "run", "--rm", f"--user={user}:{user}", f"--volume={output}:{output}", "moderntensor:testnet", "python", "-c", code,
        )  # fmt: skip

    if user is None:
        # `up` builds an image that is missing, and takes one that is there.
        engine.run("docker", "rmi", "--force", "moderntensor:testnet", check=False)
    else:
        os.chown(output, user, user)
    deploy(9999)
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
        check_services(report, case, offset)
        gateway = f"http://127.0.0.1:{8645 + offset}"
        check_gateway(report, case, run, gateway, stopped="validator-2")
        run("up", "-d", "--wait", "prometheus")
        check_prometheus(report, case, f"http://127.0.0.1:{9090 + offset}")
        urls = [f"http://127.0.0.1:{8544 + offset + number}" for number in range(1, 6)]
        faucet_url = f"http://127.0.0.1:{8080 + offset}"
        check_faucet(report, case, faucet_url, urls[0])
        check_operator(report, case, faucet_url, f"http://127.0.0.1:{8081 + offset}", output)
        check_status(engine, report, case, output)
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
        check_health(engine, report, case, run, urls)
        prometheus = f"http://127.0.0.1:{9090 + offset}"
        check_dashboards(report, case, output, prometheus, network="moderntensor-testnet", rpc_url=urls[0])
        check_ends(engine, report, case, run, names, *MONITORING)
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
        if user is None:
            check_toolkit(engine, report, case, output)
        check_reset(
            engine,
            report,
            case,
            output,
            urls,
            run=run,
            deploy_anew=lambda: deploy(CHAIN_ID, confirm_changes=True),
            user=user,
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
    check_confined(engine, report, case, run, names, owner)
    secret = run(
        "exec", "-T", "validator-1", "sh", "-c", "ls -ln /run/secrets; touch /written 2>&1 || true"
    ).stdout
    report.claim(case, "passwords are files for their owner only, and the root can't be written", " / ".join(secret.split("\n")[1:3]),
        holds="-rw-------" in secret and "Read-only file system" in secret)  # fmt: skip


def check_services(report: Report, case: str, offset: int) -> None:
    """What stands around the validators answers people."""
    url = f"http://127.0.0.1:{9099 + offset}/api/v1/peers"
    wait_until(
        lambda: sum(bool(peer["verified"]) for peer in json.loads(fetch(url))["peers"]) >= 5, "verified peers"
    )
    report.claim(
        case, "the bootstrap node lists the validators, whose endpoints it has proved", "5 of 5", holds=True
    )
    pages = {
        path: fetch(f"http://127.0.0.1:{3000 + offset}{path}") for path in ("/", "/dashboard", "/validators")
    }
    report.claim(
        case,
        "explorer and dashboard are pages; the dashboard calls validators by their names",
        ", ".join(pages),
        holds=all(b"<html" in page for page in pages.values()) and b"validator-5" in pages["/dashboard"],
    )
    api = f"http://127.0.0.1:{9545 + offset}/api/v1/blocks?limit=2"
    wait_until(lambda: len(json.loads(fetch(api))["items"]) == 2, "blocks in the API")
    report.claim(case, "the community API lists finalized blocks", "/api/v1/blocks", holds=True)


def check_toolkit(engine: Engine, report: Report, case: str, output: Path) -> None:
    """The toolkit's own commands stop and start containers."""

    def testnet(word: str) -> dict[str, Any]:
        words = (sys.executable, "-m", "sdk.testnet", word, "--docker", "--directory", str(output), "--json")
        found: dict[str, Any] = json.loads(engine.run("env", f"PYTHONPATH={ROOT / 'src'}", *words).stdout)
        return found

    is_stopped = testnet("down")["stopped"]
    nodes = testnet("up")["nodes"]
    report.claim(
        case,
        '`testnet down --docker` stops it, and `testnet up --docker`, which is `apply="compose"`, starts it',
        f"{len(nodes)} nodes answer",
        holds=is_stopped and len(nodes) == 5,
    )


def check_status(engine: Engine, report: Report, case: str, output: Path) -> None:
    """The toolkit's own command sees the containers."""
    done = subprocess.run(
        [sys.executable, "-m", "sdk.testnet", "status", "--directory", str(output), "--json"],
        env=engine.environment | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    claims = (found.get("faucet") or {}).get("claims_left")
    report.claim(
        case,
        "`testnet status` shows all validators and the claims that are left",
        f"block {found.get('height')}, {claims} claims" if found else done.stderr[-300:],
        holds=len(found.get("nodes", ())) == 5 and claims is not None,
    )


def check_prometheus(report: Report, case: str, url: str) -> None:
    """Prometheus scrapes everything that it is told of, and its rules are loaded."""

    def targets() -> dict[str, str]:
        found = json.loads(fetch(f"{url}/api/v1/targets"))["data"]["activeTargets"]
        return {target["labels"]["node"]: target["health"] for target in found}

    def asked(expression: str) -> int:
        return len(json.loads(fetch(f"{url}/api/v1/query?query={expression}"))["data"]["result"])

    wait_until(lambda: set(targets().values()) == {"up"}, "all targets up")
    groups = json.loads(fetch(f"{url}/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    wait_until(
        lambda: all(
            rule["health"] == "ok" for group in json.loads(fetch(f"{url}/api/v1/rules"))["data"]["groups"] for rule in group["rules"]
        ),
        "every rule evaluated",
    )  # fmt: skip
    expected = {f"validator-{number}" for number in range(1, 6)} | {
        "bootstrap", "explorer", "faucet", "gateway"
    }  # fmt: skip
    report.claim(
        case,
        "Prometheus reaches every node and every service, and evaluates every rule",
        f"{len(targets())} targets, {len(rules)} rules",
        holds=set(targets()) == expected and len(rules) > 0,
    )
    for name in ("metanode_faucet_balance_ether", "metanode_explorer_lag_blocks", "metanode_monitor_verdict"):
        wait_until(lambda name=name: asked(name) > 0, name)
    report.claim(
        case,
        "what the alerts about faucet, explorer and monitor are made of is there",
        "3 metrics",
        holds=True,
    )


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


if __name__ == "__main__":
    sys.exit(main())
