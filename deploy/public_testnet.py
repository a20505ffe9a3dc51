"""The check of `parvyom-testnet-v1`: the Compose file of the plan for a public testnet."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from engine import BASE, OTHERS, give_wheels
from faucet_check import check_faucet, check_operator
from health import check_ends
from seeing import (
    call,
    check_confined,
    check_gateway,
    fetch,
    height_of,
    is_above,
    new_heads,
    say,
    say_why,
    wait_until,
)

from sdk.testnet.deployment import deploy_testnet
from sdk.testnet.deployment.compose import COMPOSE_FILE, COORDINATOR_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine import Engine
    from seeing import Report

PORT_OFFSET = 2350
MONITORING = ("--profile", "monitoring")
JOINING = {
    "8545": 8545 + PORT_OFFSET + 60,
    "9100": 9100 + PORT_OFFSET + 60,
    "30303": 30303 + PORT_OFFSET + 60,
}
"""Ports of a node that joins: on a machine of its own it has those of the guide."""
CASE = "parvyom-testnet-v1"


def check_parvyom(engine: Engine, report: Report, output: Path, wheels: Path) -> None:
    """Start it from its preset alone, use what is published, follow its guide, and vote."""
    made = deploy_testnet(preset=CASE, output_dir=output, port_offset=PORT_OFFSET, base_image=BASE)
    config = made.plan.config
    report.claim(
        CASE,
        'deployed with nothing but `preset="parvyom-testnet-v1"`, it has the facts of its plan',
        f"chain id {config.chain_id}, {config.num_validators} validators, {config.consensus_type}, gas limit {config.gas_limit:,}, "
        f"{config.block_reward_gwei:,} gwei a block",
        holds=(config.chain_id, config.consensus_type, config.gas_limit) == (1337, "ibft", 8_000_000)
        and config.block_reward_gwei > 0,
    )
    give_wheels(output, wheels)
    with (output / ".env").open("a", encoding="utf-8") as file:
        file.write(f"POSTGRES_IMAGE={OTHERS}\nREDIS_IMAGE={OTHERS}\n")
    # The official images have their programs as commands already.
    override = "services:\n  postgres:\n    command: [entry]\n"
    (output / "compose.override.yml").write_text(override, encoding="utf-8")
    compose = [*engine.compose["docker compose"], "-f", COMPOSE_FILE, "-f", "compose.override.yml"]

    def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return engine.run(*compose, *command, folder=output, check=check)

    # `up` builds an image that is missing, and takes one that is there.
    engine.run("docker", "rmi", "--force", COORDINATOR_IMAGE, made.plan.image, check=False)
    try:
        started = time.monotonic()
        run("up", "-d", "--wait")
        names = run("config", "--services").stdout.split()
        report.claim(
            CASE,
            "`up -d --wait` returns when all are healthy",
            f"{', '.join(sorted(names))}: {time.monotonic() - started:.0f} s",
            holds=set(names) >= {"bpci-server", "validator-1", "validator-4", "postgres", "redis", "faucet"},
        )
        check_confined(engine, report, CASE, run, names, (output / "data").stat().st_uid)
        url = f"http://127.0.0.1:{8545 + PORT_OFFSET}"
        before = height_of(url)
        wait_until(lambda: is_above([url], before), "blocks")
        _check_published(report, run, url)
        faucet_url = f"http://127.0.0.1:{8080 + PORT_OFFSET}"
        check_faucet(report, CASE, faucet_url, url)
        check_operator(report, CASE, faucet_url, f"http://127.0.0.1:{8081 + PORT_OFFSET}", output)
        _check_databases(report, run)
        _check_services_again(engine, report, run)
        _check_voting(report, run, output, url)
        _check_environment(engine, report, run)
        check_ends(engine, report, CASE, run, names)
    finally:
        if sys.exc_info()[0] is not None:
            say_why(engine, run)
        run(*MONITORING, "down", "--volumes", check=False)


def _check_published(report: Report, run: Callable[..., subprocess.CompletedProcess[str]], url: str) -> None:
    """What people and programs are given at the ports of the plan."""
    check_gateway(report, CASE, run, url, stopped="validator-1")
    api = f"http://127.0.0.1:{9545 + PORT_OFFSET}/api/v1"
    wait_until(lambda: len(json.loads(fetch(f"{api}/blocks?limit=2"))["items"]) == 2, "blocks in the API")
    block = json.loads(fetch(f"{api}/blocks?limit=1"))["items"][0]
    told = new_heads(f"ws://127.0.0.1:{8546 + PORT_OFFSET}", 2)
    report.claim(
        CASE,
        "JSON-RPC answers on 8545, WebSocket on 8546 tells a subscriber of new blocks, the community API on 9545 lists finalized ones",
        f"blocks {told[0]} and {told[1]}; {block['number']}",
        holds=call(url, "eth_chainId") == "0x539" and told[1] == told[0] + 1 and int(block["number"]) > 0,
    )
    pages = {
        path: fetch(f"http://127.0.0.1:{3000 + PORT_OFFSET}{path}")
        for path in ("/", "/dashboard", "/validators")
    }
    report.claim(
        CASE,
        "explorer and dashboard on 3000 are pages; the dashboard calls validators by their names",
        ", ".join(pages),
        holds=all(b"<html" in page for page in pages.values()) and b"validator-3" in pages["/dashboard"],
    )
    report.claim(
        CASE,
        "the faucet has its page",
        "/",
        holds=b"<html" in fetch(f"http://127.0.0.1:{8080 + PORT_OFFSET}/"),
    )


def _check_databases(report: Report, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """PostgreSQL and Redis are used, and not only reached."""
    query = (
        "exec",
        "-T",
        "postgres",
        "psql",
        "-U",
        "testnet",
        "-d",
        "testnet",
        "-tAc",
        "select count(*) from blocks",
    )
    rows = int(run(*query).stdout)
    wait_until(lambda: int(run(*query).stdout) > rows, "rows of new blocks in PostgreSQL")
    kept: list[str] = []

    def shares() -> bool:
        # A Redis that has not answered in a quarter of a second is asked again five seconds later.
        fetch(f"http://127.0.0.1:{9545 + PORT_OFFSET}/api/v1/blocks?limit=1")
        kept[:] = run("exec", "-T", "redis", "redis-cli", "keys", "metanode-api:*").stdout.split()
        return bool(kept)

    wait_until(shares, "counts of the API's callers in Redis")
    report.claim(
        CASE,
        "the index grows in PostgreSQL, and what processes of the API share is in Redis",
        f"{int(run(*query).stdout)} blocks, {len(kept)} keys",
        holds=bool(kept),
    )


def _check_services_again(
    engine: Engine, report: Report, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The process beside the coordinator's node is killed: it comes again, and the node does not notice."""
    container = run("ps", "--quiet", "bpci-server").stdout.strip()
    before = engine.inspect(container)["RestartCount"]
    listed = engine.run("docker", "top", container, "-eo", "pid,args").stdout.splitlines()
    victim = next(
        int(line.split()[0])
        for line in listed
        if "sdk.testnet.services.program" in line and "explorer" in line
    )
    gateway = f"http://127.0.0.1:{8545 + PORT_OFFSET}"
    height = height_of(gateway)
    subprocess.run(["kill", "-KILL", str(victim)], check=True)
    killed = time.monotonic()
    page = f"http://127.0.0.1:{3000 + PORT_OFFSET}/readyz"
    wait_until(lambda: _answers(page), "the pages again")
    report.claim(
        CASE,
        "explorer and API beside the node are killed with signal 9: they are started again, and node and gateway run on",
        f"after {time.monotonic() - killed:.0f} s",
        holds=engine.inspect(container)["RestartCount"] == before and height_of(gateway) >= height > 0,
    )


def _check_voting(
    report: Report, run: Callable[..., subprocess.CompletedProcess[str]], output: Path, url: str
) -> None:
    """A node that follows the guide joins, is voted in, and decides; another one is voted out."""
    with _joined(output) as (address, own_url):
        wait_until(lambda: height_of(own_url) >= height_of(url) - 1 > 0, "the node that joined at the head")
        for number in range(1, 5):
            run("exec", "-T", f"validator-{number}", "python", "-m", "sdk.testnet.deployment.vote", address)
        wait_until(lambda: _set_of(url, address) == (5, True), "five validators")
        start = height_of(url)

        def proposed() -> bool:
            metrics = call(url, "ibft_getSignerMetrics", hex(start), hex(height_of(url) + 1)) or []
            found = {entry["address"].lower(): int(entry["proposedBlockCount"], 16) for entry in metrics}
            return found.get(address.lower(), 0) > 0

        wait_until(proposed, "a block of the new validator")
        report.claim(
            CASE,
            'a process outside of Docker follows the guide\'s "Add a validator", reaches the head, is voted in and proposes blocks',
            "4, then 5 validators",
            holds=True,
        )
        for number in range(1, 5):
            words = ("python", "-m", "sdk.testnet.deployment.vote", address, "--remove")
            run("exec", "-T", f"validator-{number}", *words)
        wait_until(lambda: _set_of(url, address) == (4, False), "four validators")
    report.claim(
        CASE, "the validators vote it out again from inside their containers", "4 validators", holds=True
    )


@contextlib.contextmanager
def _joined(output: Path) -> Iterator[tuple[str, str]]:
    """A node made as the guide says, on other ports; its validator's address and its JSON-RPC."""
    home = output / "joining"
    home.mkdir()
    page = (output / "TESTNET_DEPLOYMENT.md").read_text(encoding="utf-8").partition("### Add a validator")[2]
    config = page.partition("cat > config.toml <<'END'\n")[2].partition("\nEND\n")[0]
    head, separator, nodes = config.partition("bootstrap_nodes")
    for port, other in JOINING.items():
        head = re.sub(rf"\b{port}\b", str(other), head)
    (home / "config.toml").write_text(head + separator + nodes, encoding="utf-8")
    specification = "chain_specification.json"
    (home / specification).write_bytes((output / "genesis" / specification).read_bytes())
    metanode = [sys.executable, "-c", "import sys; from metanode.cli import main; sys.exit(main())"]
    made = subprocess.run(
        [*metanode, "keys", "new", "validator.json", "--json"],
        cwd=home,
        check=True,
        capture_output=True,
        text=True,
    )
    with (home / "node.log").open("wb") as log:
        node = subprocess.Popen(
            [*metanode, "node", ".", "--genesis", specification], cwd=home, stdout=log, stderr=log
        )
    try:
        yield json.loads(made.stdout)["address"], f"http://127.0.0.1:{JOINING['8545']}"
    except BaseException:
        say((home / "node.log").read_text(encoding="utf-8", errors="replace")[-3000:])
        raise
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait(timeout=60)


def _set_of(url: str, address: str) -> tuple[int, bool]:
    """How many validators decide the next block, and whether this one does."""
    members = [member.lower() for member in call(url, "ibft_getValidatorsByBlockNumber", "pending") or []]
    return len(members), address.lower() in members


def _check_environment(
    engine: Engine, report: Report, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    inside = engine.inspect(run("ps", "--quiet", "validator-1").stdout.strip())
    variables = dict(entry.split("=", 1) for entry in inside["Config"]["Env"])
    report.claim(
        CASE,
        "a validator has NETWORK, CHAIN_ID and VALIDATOR_KEY_FILE, and no key in its environment",
        f"{variables['NETWORK']}, {variables['CHAIN_ID']}, {variables['VALIDATOR_KEY_FILE']}",
        holds=not variables["VALIDATOR_KEY"] and variables["CHAIN_ID"] == "1337",
    )


def _answers(url: str) -> bool:
    try:
        fetch(url)
    except OSError:
        return False
    return True
