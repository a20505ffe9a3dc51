"""What all services in one process take of memory, as `metanode up` runs them: `python -m benchmarks services`.

A network of one validator, made as `metanode up` makes it, gets blocks full of transfers to new accounts, and contracts. Then its services, all of them, by the configuration
that was written for them: they fill the index from that node; every kind of page of every site is read; a thousand viewers watch the first page while more full
blocks come. Told are the peak of each phase (VmHWM, set back before each) and what the process has at its end (PSS); the budget is for the highest.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import psutil
from tests.testnet.index_chain import Chain as Account
from tests.testnet.index_chain import call_of, word

from benchmarks.chains import Chain
from benchmarks.index_contracts import contract_row
from benchmarks.page_subjects import find_subjects, kinds
from benchmarks.pages import wait_ready
from benchmarks.report import Figure
from benchmarks.viewers import watch
from metanode.cli.transfers import request_bodies, senders, spread
from metanode.crypto.addresses import parse_address
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.deployment.apply import local, services
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS
from sdk.testnet.services.connections import raise_file_limit
from sdk.testnet.services.indexer import writing
from sdk.testnet.services.indexer.events import TRANSFER
from sdk.testnet.services.store import Store, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_TARGET_MB: Final = 200
TRANSFERS: Final = 100_000
"""Three dozen blocks of 2,800; the indexer's memory is the same after a dozen."""
SENDERS_SHARE: Final = 100
"""Transfers of one sender: no more of them wait in the pool than one account may have."""
AT_ONCE: Final = 40_000
"""Transfers that wait in the pool."""
TOKEN_MOVES: Final = 60
"""More than a page has."""
VIEWERS: Final = 1_000
VIEWED_BLOCKS: Final = 20
VIEWED_TRANSFERS: Final = 10_000
"""In full blocks while viewers watch."""
REQUESTS: Final = 20
"""Of each kind of page."""
INDEX_WITHIN_S: Final = 900.0
PORT_OFFSET: Final = 4_400
_PEAK_RESET: Final = "5"
"""What `/proc/PID/clear_refs` takes to begin VmHWM anew."""


@dataclass(frozen=True)
class Phase:
    """What a process had while something was done."""

    peak_mb: float
    end_mb: float
    """PSS at the end of it."""


def measure(rounds: int, transfers: int = TRANSFERS, viewers: int = VIEWERS) -> Iterator[Figure]:
    """Give the peak of each phase and of all, in megabytes."""
    raise_file_limit()
    found: dict[str, list[Phase]] = {}
    with tempfile.TemporaryDirectory(prefix="metanode-services-") as path:
        directory = NetworkDirectory(Path(path))
        with _network(directory) as chain:
            _fill(chain, transfers, seed="services")
            tokens = _make_contracts(chain)
            for number in range(rounds):
                shutil.rmtree(directory.node(services.NAME) / "data", ignore_errors=True)
                for name, phase in _run(directory, chain, tokens, viewers, number).items():
                    print(f"    {name}: peak {phase.peak_mb:.0f} MB, then {phase.end_mb:.0f}", flush=True)
                    found.setdefault(name, []).append(phase)
    for name, each in found.items():
        yield _figure(f"services, {name}: peak MB (VmHWM)", [one.peak_mb for one in each])
        yield _figure(f"services, {name}: MB at its end (PSS)", [one.end_mb for one in each])
    highest = [max(each[number].peak_mb for each in found.values()) for number in range(rounds)]
    yield _figure("services, in all phases: peak MB (VmHWM)", highest, f"< {MEMORY_TARGET_MB}")


def _run(
    directory: NetworkDirectory, chain: Chain, tokens: list[str], viewers: int, number: int
) -> dict[str, Phase]:
    """One life of the process."""
    config = services.config_file(directory)
    told = tomllib.loads(config.read_text())
    ports = {name: told[name]["port"] for name in ("explorer", "faucet", "api", "gateway")}
    ports["operator"] = told["faucet"]["operator_port"]
    sites = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    index = f"sqlite:///{config.parent / told['database']['sqlite_path']}"
    command = [sys.executable, "-m", "sdk.testnet.services.program", str(config)]
    phases: dict[str, Phase] = {}
    with (
        (config.parent / "services.log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=directory.path) as process,
    ):
        try:
            watched = psutil.Process(process.pid)
            with _phase(phases, "start", process.pid):
                wait_ready(sites["explorer"], process)
            with _phase(phases, f"back-fill of {chain.height:,} blocks", process.pid):
                _wait_indexed(sites["explorer"], chain.height)
            _verify(index, tokens)
            with _phase(phases, "every kind of page", process.pid):
                _read_all(sites, index)
            with _phase(phases, f"{viewers:,} viewers", process.pid):
                asyncio.run(watch(ports["explorer"], watched, viewers, VIEWED_BLOCKS // 4))
            with _phase(phases, f"{viewers:,} viewers and full blocks", process.pid):
                sending = threading.Thread(
                    target=_fill, args=(chain, VIEWED_TRANSFERS, f"viewed {number}"), name="load"
                )
                sending.start()
                asyncio.run(watch(ports["explorer"], watched, viewers, VIEWED_BLOCKS))
                sending.join()
                _wait_indexed(sites["explorer"], chain.height)
            with _phase(phases, "every kind of page again", process.pid):
                _read_all(sites, index)
        finally:
            process.terminate()
    return phases


@contextlib.contextmanager
def _network(directory: NetworkDirectory) -> Iterator[Chain]:
    """A validator, with services that are configured and do not run."""
    spec = replace(PRESETS["metanode-local"], validator_count=1, port_offset=PORT_OFFSET)
    plan = local.create_network(directory, spec, with_services=True)
    # Who watches their memory starts them.
    directory.save_plan(replace(plan, programs=()))
    local.start_network(directory)
    try:
        status = local.wait_network_ready(directory)
        processes = tuple(psutil.Process(node.pid) for node in status.nodes if node.pid)
        rich = PrivateKey(bytes.fromhex(funded_accounts()[0].private_key[2:]))
        yield Chain("metanode", plan.nodes[0].rpc_url, rich, processes)
    finally:
        local.stop_network(directory)


def _fill(chain: Chain, count: int, seed: str) -> None:
    """Send transfers, and return when blocks have them all."""
    for start in range(0, count, AT_ONCE):
        part = min(AT_ONCE, count - start)
        accounts = senders(max(1, part // SENDERS_SHARE), seed=f"{seed} {start}")
        chain.fund(accounts)
        first = chain.height + 1
        raws = list(spread(accounts, part, chain.chain_id))
        with httpx.Client(timeout=60, headers={"content-type": "application/json"}) as http:
            for body in request_bodies(raws, batch=SENDERS_SHARE):
                refused = [
                    each["error"] for each in http.post(chain.url, content=body).json() if "error" in each
                ]
                assert not refused, refused[0]
        chain.wait_included(first, part)


def _make_contracts(chain: Chain) -> list[str]:
    """Make two tokens that move, and calls that pay; the tokens' addresses."""
    with Account(chain.url, funded_accounts()[1], chain_id=chain.chain_id) as account:
        tokens = [
            account.speaker(f"Token {place}".encode(), f"T{place}", 18, value=10**18) for place in range(2)
        ]
        say = "say3(bytes32,bytes32,bytes32,bytes)"
        nonce = int(account.rpc("eth_getTransactionCount", funded_accounts()[1].address, "pending"), 16)
        for place in range(TOKEN_MOVES):
            to = funded_accounts()[place % 8 + 2].address
            for data in (
                call_of(say, TRANSFER, word(0), word(to), word(10**18 + place)),
                call_of("pay(address,uint256)", to, 1 + place),
            ):
                account.send(to=tokens[place % 2], data=data, nonce=nonce)
                nonce += 1
        account.do(to=funded_accounts()[2].address, value=1)
    return tokens


def _verify(index: str, tokens: list[str]) -> None:
    """Say what a verification would have written of a token's sources."""
    store = Store(index)
    try:
        with store.change() as connection:
            number = connection.execute(
                tables.accounts.select().where(tables.accounts.c.address == parse_address(tokens[0]))
            ).one()
            # A row of the index is one of a number that is verified; its account is this one.
            row = contract_row(0, number.first_block, int(time.time()))
            writing.upsert(connection, tables.contracts, [(number.id, *row[1:])])
    finally:
        store.close()


def _read_all(sites: dict[str, str], index: str) -> None:
    """Read every kind of page of every site, one after the other and eight at once, and their JSON and CSV."""
    found, chance = find_subjects(index), random.Random(3)
    makers = kinds(found, chance)
    explorer = [make() for make in makers.values() for _ in range(REQUESTS)]
    twins = [
        f"{path.partition('?')[0].rstrip('/') or '/index'}.json" for path in explorer if "/search" not in path
    ]
    lists = [f"/address/{found.busy}/{what}.csv" for what in ("transactions", "transfers")]
    asked = {
        "explorer": [*explorer, *twins, *lists, "/verify", "/network.json"],
        "faucet": ["/", "/status", "/rules", "/network.json"],
        "operator": ["/"],
        "api": ["/", "/openapi.json", *_resources(sites["api"])],
    }
    for name, paths in asked.items():
        for readers in (1, 8):
            _read(sites[name], paths, readers)
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", True]}
    for _ in range(REQUESTS):
        httpx.post(sites["gateway"], json=body, timeout=20).raise_for_status()


def _resources(api: str) -> list[str]:
    """What the community API has without a parameter."""
    document = httpx.get(f"{api}/openapi.json", timeout=20).json()
    return [
        path
        for path, methods in document["paths"].items()
        if "get" in methods and "{" not in path and "events" not in path
    ]


def _read(site: str, paths: list[str], readers: int) -> None:
    async def read() -> None:
        waiting = list(paths)
        async with httpx.AsyncClient(base_url=site, timeout=60, headers={"accept": "text/html"}) as http:

            async def one() -> None:
                while waiting:
                    path = waiting.pop()
                    answer = await http.get(path)
                    assert answer.status_code < 500, f"{site}{path}: {answer.status_code}"

            async with asyncio.TaskGroup() as tasks:
                for number in range(readers):
                    tasks.create_task(one(), name=f"reader {number}")

    asyncio.run(read())


def _wait_indexed(explorer: str, height: int) -> None:
    deadline = time.monotonic() + INDEX_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            found: dict[str, Any] = httpx.get(f"{explorer}/index.json", timeout=20).json()
            if found.get("as_of", {}).get("block", -1) >= height:
                return
        time.sleep(0.5)
    raise TimeoutError(f"block {height} was not in the index within {INDEX_WITHIN_S:g} s")


@contextlib.contextmanager
def _phase(phases: dict[str, Phase], name: str, pid: int) -> Iterator[None]:
    """Note the peak of a process in this block, and what it has at the end."""
    process = Path(f"/proc/{pid}")
    (process / "clear_refs").write_text(_PEAK_RESET)
    yield
    peak = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM:"))
    pss = psutil.Process(pid).memory_full_info().pss
    phases[name] = Phase(int(peak.split()[1]) * 1024 / 1e6, pss / 1e6)


def _figure(measure_name: str, values: list[float], target: str = "") -> Figure:
    return Figure(measure_name, "metanode", statistics.median(values), min(values), max(values), target)
