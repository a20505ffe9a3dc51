"""A network of real node processes on this machine: make it, start it, wait for it, ask it, stop it, delete it.

`make up`, `metanode up` and the Python API all stand on these functions. Files are described in `layout`, the process
that keeps the nodes running in `supervisor`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import psutil

from metanode.chain.genesis import make_genesis
from metanode.chain.validators import ValidatorSet
from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, MetanodeError, Unavailable
from metanode.node.keys import load_node_key
from metanode.node.listening import describe_process, listeners
from metanode.primitives.hexadecimal import decode_quantity
from metanode.rpc.client import open_client
from sdk.testnet.deployment.apply import services
from sdk.testnet.deployment.apply.accounts import BALANCE_WEI, funded_accounts
from sdk.testnet.deployment.apply.by_hand import find_by_hand
from sdk.testnet.deployment.apply.layout import NetworkDirectory, write_atomic
from sdk.testnet.deployment.apply.supervisor import (
    STOP_TIMEOUT_S,
    running_node,
    running_supervisor,
    take_lock,
)
from sdk.testnet.deployment.apply.taking_up import take_up_nodes
from sdk.testnet.deployment.plan import (
    CHAIN_FILES,
    FAUCET_BALANCE_GWEI,
    NetworkPlan,
    NodePlan,
    plan_network,
    url_host,
)
from sdk.testnet.deployment.render import render_node_config
from sdk.testnet.keys import take_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from metanode.crypto.secp256k1 import PrivateKey
    from metanode.primitives.types import Address
    from sdk.testnet.deployment.apply.services import ServiceStatus
    from sdk.testnet.deployment.plan import NetworkSpec, ProgramPlan

_Answer = TypeVar("_Answer")

READY_TIMEOUT_S = 60.0
"""A network that is not up after this has a fault; the message shows the logs' ends."""
SUPERVISOR_START_TIMEOUT_S = 10.0
"""A supervisor holds its lock within a second; one that does not after this has ended, and no node will come up."""
ADVICE = "Stop it, or start this network with --port-offset 200 in another --directory; --no-services needs fewer ports"
"""About a port that is taken, in the words of `metanode up`."""
PORTS_NAMED_MAX = 8
"""A second network beside a first one meets all its ports: some of them tell what is wrong."""
POLL_INTERVAL_S = 0.1
STATUS_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What one node answers now."""

    name: str
    role: str
    pid: int | None
    restarts: int
    rpc_url: str
    metrics_url: str
    height: int | None
    """Number of its newest finalized block; None when it does not answer."""
    block_hash: str | None
    peers: int | None
    validators: int | None
    """How many decide its next block."""
    by_hand: bool = False
    """Somebody runs it with `metanode node`: the supervisor neither stops it nor starts it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStatus:
    """What a local network answers now."""

    directory: Path
    network_name: str
    chain_id: int
    running: bool
    nodes: tuple[NodeStatus, ...]
    services: tuple[ServiceStatus, ...] = ()
    """Explorer, faucet and community API, where the network has them."""

    @property
    def validator_count(self) -> int:
        """How many validators decide the next block, as the node of the highest block says; the plan's number when none answers."""
        told = max(
            ((node.height or 0, node.validators) for node in self.nodes if node.validators is not None),
            default=None,
        )
        return sum(node.role == "validator" for node in self.nodes) if told is None else told[1]

    @property
    def height(self) -> int | None:
        """The finalized height that every validator has reached, when all answer; every node where no validator can be asked."""
        heights = [node.height for node in self.nodes if node.role == "validator"] or [
            node.height for node in self.nodes
        ]
        return min(heights) if heights and None not in heights else None  # type: ignore[type-var]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """How the nodes of a network reach each other when that is not by their own ports: through something that can stand in the way."""

    ports: Mapping[tuple[str, str], int]
    """Of this machine, by the names of who calls and who is called."""
    advertised_address: str
    """What each node tells others of itself."""


def create_network(
    directory: NetworkDirectory,
    spec: NetworkSpec,
    *,
    balances: Mapping[Address, int] | None = None,
    doors: Doors | None = None,
    with_services: bool = False,
) -> NetworkPlan:
    """Write keys, genesis and configurations of a new network. `balances` in wei stand beside those of the ten well-known accounts.

    Raises:
        InvalidInput: when the directory holds a network already, or `spec` is not possible.
    """
    if directory.exists():
        raise InvalidInput(
            f"{directory.path} holds a network already; `metanode reset` deletes its chain data"
        )
    plan = plan_network(spec)
    keys = {node.name: _create_keys(directory, node) for node in plan.nodes}
    given = dict(balances or {})
    if with_services:
        plan = replace(plan, programs=(*plan.programs, services.program_plan(directory, spec)))
        given[services.create_faucet_key(directory).address] = FAUCET_BALANCE_GWEI * 10**9
    genesis = make_genesis(
        network_name=spec.network_name,
        chain_id=spec.chain_id,
        genesis_time=int(time.time()),
        validators=ValidatorSet.of_addresses(key.validator.address for key in keys.values() if key.validator),
        balances={parse_address(account.address): BALANCE_WEI for account in funded_accounts()} | given,
        period_s=spec.block_time_s,
        gas_limit=spec.gas_limit,
        reward_gwei=spec.block_reward_gwei,
    )
    write_atomic(directory.genesis_file, json.dumps(genesis, indent=2) + "\n")
    enodes = {node.name: _enode(keys[node.name].node, node) for node in plan.nodes}
    for node in plan.nodes:
        _write_config(directory, plan, node, enodes, doors)
    if with_services:
        services.write_config(directory, plan)
    # Keys of a network inside a repository are nobody's to commit.
    write_atomic(directory.path / ".gitignore", "*\n")
    directory.save_plan(plan)
    return plan


@dataclass(frozen=True, slots=True)
class AddedNode:
    """A node that was added to a network that stands."""

    plan: NodePlan
    validator_address: Address | None
    """Of the key that a candidate signs with once it is voted in; None of a follower."""
    is_served: bool
    """Whether the services are told of it; they are not where their configuration has a list of nodes of its own."""


def add_node(directory: NetworkDirectory, role: Literal["candidate", "follower"]) -> AddedNode:
    """Add a node that follows without voting; a running supervisor starts it at once, and the services anew, which learn of it so.

    Raises:
        InvalidInput: when another process has one of its ports, or no ports are left.
    """
    plan = directory.load_plan().with_node(role)
    node = plan.nodes[-1]
    check_ports([node])
    keys = _create_keys(directory, node)
    enodes = {other.name: _enode(_node_key(directory, other.name), other) for other in plan.nodes}
    _write_config(directory, plan, node, enodes)
    directory.save_plan(plan)
    is_served = take_up_nodes(directory, plan)
    supervisor = running_supervisor(directory)
    if supervisor is not None:
        os.kill(supervisor, signal.SIGHUP)
        if is_served and any(program.name == services.NAME for program in plan.programs):
            # They read what they are told when they start.
            try:
                stop_node(directory, services.NAME)
            finally:
                # Also when somebody who does not wait for their end presses Ctrl-C: nothing else would start them again.
                release_node(directory, services.NAME)
    return AddedNode(node, keys.validator.address if keys.validator else None, is_served)


def start_network(directory: NetworkDirectory) -> bool:
    """Start the supervisor, detached; False when it runs already.

    Raises:
        InvalidInput: when another process has one of the ports; the sentence names it.
    """
    plan = directory.load_plan()
    if running_supervisor(directory) is not None:
        return False
    try:
        lock = take_lock(directory)
    except InvalidInput:
        # Somebody else starts it at this moment.
        return False
    try:
        _start_supervisor(directory, plan, lock)
    finally:
        # The supervisor has it now, or nobody.
        os.close(lock)
    return True


def _start_supervisor(directory: NetworkDirectory, plan: NetworkPlan, lock: int) -> None:
    for held in directory.pid_file.parent.glob("*.held"):
        held.unlink()
    # Nodes that a killed supervisor left behind: they would answer now and be started again a moment later.
    _end([process for part in plan.processes if (process := running_node(directory, part.name))])
    check_ports(plan.processes)
    take_up_nodes(directory, plan)
    directory.supervisor_log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "sdk.testnet.deployment.apply.supervisor",
        str(directory.path),
        str(lock),
    ]
    with directory.supervisor_log.open("ab") as log:
        # The shell puts it into the background and ends: the supervisor is nobody's child, and no zombie when it ends.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
            check=True,
        )


def kill_node(directory: NetworkDirectory, name: str) -> None:
    """Kill a node with signal 9, which stays dead until `release_node`."""
    directory.held_file(name).touch()
    process = running_node(directory, name)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            # The supervisor is its parent, and sees the end at once.
            psutil.wait_procs([process], timeout=STOP_TIMEOUT_S)


def stop_node(directory: NetworkDirectory, name: str) -> None:
    """Let a node end as it does when its machine is shut down; it stays away until `release_node`."""
    directory.held_file(name).touch()
    process = running_node(directory, name)
    if process is not None:
        _end([process])


def release_node(directory: NetworkDirectory, name: str) -> None:
    """Start a killed node again; raises InvalidInput when the network does not run."""
    directory.held_file(name).unlink(missing_ok=True)
    supervisor = running_supervisor(directory)
    if supervisor is None:
        raise InvalidInput(f"the network in {directory.path} does not run, so nothing starts {name}")
    os.kill(supervisor, signal.SIGHUP)


def wait_network_ready(
    directory: NetworkDirectory,
    *,
    timeout_s: float = READY_TIMEOUT_S,
    progress: Callable[[NetworkStatus], None] | None = None,
) -> NetworkStatus:
    """Wait until every validator reports the same finalized block, at height 1 or above, and one that was decided meanwhile.

    A chain of before has blocks whether it goes on or not; that it does is shown by a block more than validators had when all answered first.

    Raises:
        Unavailable: when that has not happened in time, or nothing keeps the nodes running; the message shows each
            log's end.
    """
    found_at: int | None = None
    deadline = time.monotonic() + timeout_s
    last_supervised = time.monotonic()
    while True:
        status = network_status(directory)
        if progress is not None:
            progress(status)
        if status.height is not None:
            found_at = status.height if found_at is None else found_at
            goes_on = status.height > found_at or found_at == 1
            if goes_on and _agree(status):
                return status
        if status.running:
            last_supervised = time.monotonic()
        elif time.monotonic() > last_supervised + SUPERVISOR_START_TIMEOUT_S:
            raise Unavailable(f"the supervisor of the nodes has ended\n{_log_ends(directory)}")
        if time.monotonic() > deadline:
            at = (
                ""
                if status.height is None
                else f": every validator has block {status.height}, and none comes"
            )
            raise Unavailable(
                f"the network was not ready after {timeout_s:.0f} s{at}; `metanode doctor` says why\n{_log_ends(directory)}"
            )
        time.sleep(POLL_INTERVAL_S)


def stop_network(directory: NetworkDirectory) -> bool:
    """Stop all nodes cleanly; False when nothing ran."""
    if not directory.exists():
        raise InvalidInput(f"no network in {directory.path}; start one with `metanode up`")
    supervisor = running_supervisor(directory)
    if supervisor is None:
        # By their directories, not by the plan: a network whose plan is damaged can be stopped too.
        homes = sorted((directory.path / "nodes").glob("*"))
        orphans = [process for home in homes if (process := running_node(directory, home.name))]
        _end(orphans)
        return bool(orphans)
    try:
        process = psutil.Process(supervisor)
    except psutil.NoSuchProcess:
        return False
    process.terminate()
    try:
        process.wait(timeout=2 * STOP_TIMEOUT_S)
    except psutil.TimeoutExpired:
        raise Unavailable(
            f"the supervisor, process {supervisor}, did not stop; see {directory.supervisor_log}"
        ) from None
    return True


def reset_network(directory: NetworkDirectory) -> None:
    """Delete chain data, plan, genesis and logs of a stopped network; keys stay, and a new network takes them up."""
    for node_directory in sorted((directory.path / "nodes").glob("*")):
        shutil.rmtree(node_directory / "data", ignore_errors=True)
        # What services of a deployment keep of the chain, beside their keys.
        for pattern in CHAIN_FILES.get(node_directory.name, ()):
            for path in node_directory.glob(pattern):
                path.unlink()
    shutil.rmtree(directory.path / "logs", ignore_errors=True)
    shutil.rmtree(directory.path / "run", ignore_errors=True)
    directory.genesis_file.unlink(missing_ok=True)
    directory.plan_file.unlink(missing_ok=True)


def is_running(directory: NetworkDirectory) -> bool:
    """Whether the network's supervisor runs."""
    return running_supervisor(directory) is not None


def network_status(directory: NetworkDirectory) -> NetworkStatus:
    """Ask every node, all at once."""
    plan = directory.load_plan()
    return NetworkStatus(
        directory=directory.path,
        network_name=plan.spec.network_name,
        chain_id=plan.spec.chain_id,
        running=is_running(directory),
        nodes=apart(lambda: asyncio.run(_node_statuses(directory, plan))),
        services=services.statuses(plan, is_running=is_running(directory)),
    )


def set_services(directory: NetworkDirectory, *, are_wanted: bool) -> None:
    """Let the services of a stopped network run from its next start on, or no more; raises InvalidInput while it runs."""
    plan = directory.load_plan()
    others = tuple(program for program in plan.programs if program.name != services.NAME)
    if are_wanted == (len(others) < len(plan.programs)):
        return
    if running_supervisor(directory) is not None:
        raise InvalidInput(f"the network in {directory.path} runs; stop it before its services are switched")
    if are_wanted:
        services.write_config(directory, plan)
        others = (*others, services.program_plan(directory, plan.spec))
    directory.save_plan(replace(plan, programs=others))


def wait_services_ready(directory: NetworkDirectory, *, timeout_s: float) -> tuple[ServiceStatus, ...]:
    """Wait until every service takes connections, at most so long, and return where they are."""
    deadline = time.monotonic() + timeout_s
    plan = directory.load_plan()
    while True:
        found = services.statuses(plan, is_running=is_running(directory))
        if all(each.state == "running" for each in found) or time.monotonic() > deadline:
            return found
        time.sleep(POLL_INTERVAL_S)


def check_new_ports(directory: NetworkDirectory, spec: NetworkSpec, *, with_services: bool) -> None:
    """Refuse to make a network when another process listens on one of its ports; raises InvalidInput as `check_ports` does."""
    programs = [services.program_plan(directory, spec)] if with_services else []
    check_ports([*plan_network(spec).nodes, *programs])


def check_ports(nodes: Iterable[NodePlan | ProgramPlan], *, advice: str = ADVICE) -> None:
    """Refuse to start when another process listens on a port of ours; `advice` is what to do about it.

    Raises:
        InvalidInput: naming each port, what it is for, and which process has it.
    """
    taken = listeners()
    problems = [
        f"port {port} ({use} of {node.name}) is in use by {describe_process(taken[port])}"
        for node in nodes
        for use, port in node.ports.items()
        if port in taken
    ]
    if problems:
        more = len(problems) - PORTS_NAMED_MAX
        lines = [*problems[:PORTS_NAMED_MAX], *([f"and {more} more ports"] if more > 0 else [])]
        raise InvalidInput("\n  ".join(lines) + f"\n{advice}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    validator: PrivateKey | None
    """None of a node that follows."""
    node: PrivateKey


def _create_keys(directory: NetworkDirectory, node: NodePlan) -> _Keys:
    """The node's keys; those of an earlier network in this directory are taken up again."""
    home = directory.node(node.name)
    node_key = _node_key(directory, node.name)
    if node.role == "follower":
        return _Keys(validator=None, node=node_key)
    return _Keys(validator=take_key(home / "validator.json", home / "validator.password"), node=node_key)


def _node_key(directory: NetworkDirectory, name: str) -> PrivateKey:
    return load_node_key(directory.node(name) / "nodekey")


def _enode(key: PrivateKey, node: NodePlan) -> str:
    return f"enode://{key.public_key.hex()}@{url_host(node.host)}:{node.p2p_port}"


def _write_config(
    directory: NetworkDirectory,
    plan: NetworkPlan,
    node: NodePlan,
    enodes: dict[str, str],
    doors: Doors | None = None,
) -> None:
    names = [other.name for other in plan.validators if other.name != node.name]
    others = [enodes[name] for name in names]
    if doors is not None:
        others = [
            f"{enode.rpartition(':')[0]}:{doors.ports[node.name, name]}"
            for name, enode in zip(names, others, strict=True)
        ]
    home = directory.node(node.name)
    text = render_node_config(
        plan,
        node,
        bootstrap_nodes=others,
        coinbase=None,
        advertised_address=None if doors is None else doors.advertised_address,
    )
    write_atomic(home / "config.toml", text)
    write_atomic(home / "genesis.json", directory.genesis_file.read_text(encoding="utf-8"))


def apart(ask: Callable[[], _Answer]) -> _Answer:
    """Call what runs an event loop of its own: on another thread, if the caller is inside one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return ask()
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(ask).result()


async def _node_statuses(directory: NetworkDirectory, plan: NetworkPlan) -> tuple[NodeStatus, ...]:
    kept = {node.name: running_node(directory, node.name) for node in plan.nodes}
    by_hand = find_by_hand(directory, [node for node in plan.nodes if kept[node.name] is None])
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(_node_status(directory, node, kept[node.name], by_hand.get(node.name)))
            for node in plan.nodes
        ]
    return tuple(task.result() for task in asked)


async def _node_status(
    directory: NetworkDirectory,
    node: NodePlan,
    kept: psutil.Process | None,
    by_hand: psutil.Process | None,
) -> NodeStatus:
    process = kept or by_hand
    found = NodeStatus(
        name=node.name, role=node.role, pid=process.pid if process else None, restarts=_restarts(directory, node.name),
        rpc_url=node.rpc_url, metrics_url=node.metrics_url, height=None, block_hash=None, peers=None, validators=None,
        by_hand=by_hand is not None,
    )  # fmt: skip
    return found if process is None else await ask_node(found)


async def ask_node(status: NodeStatus) -> NodeStatus:
    """The same with what the node answers at its JSON-RPC; as it is when it does not answer."""
    # Not up yet, or not any more: the table says so.
    with contextlib.suppress(MetanodeError, TypeError, KeyError):
        async with open_client(status.rpc_url, timeout_s=STATUS_TIMEOUT_S) as client:
            block, count, members = await client.batch(
                [
                    ("eth_getBlockByNumber", ["finalized", False]),
                    ("net_peerCount", []),
                    ("ibft_getValidatorsByBlockNumber", ["pending"]),
                ]
            )
        return replace(
            status,
            height=decode_quantity(block["number"]),
            block_hash=block["hash"],
            peers=decode_quantity(count),
            # A listener may be configured without ibft_.
            validators=len(members) if isinstance(members, list) else None,
        )
    return status


def _agree(status: NetworkStatus) -> bool:
    """Whether every validator has the same hash for the lowest of their heights."""
    validators = [node for node in status.nodes if node.role == "validator"]
    if len({(node.height, node.block_hash) for node in validators}) == 1:
        return True
    try:
        return len(apart(lambda: asyncio.run(_hashes(validators, status.height or 0)))) == 1
    except (ExceptionGroup, TypeError, KeyError):
        return False


async def _hashes(nodes: Iterable[NodeStatus], height: int) -> set[str]:
    """The hashes that the nodes have for a height."""

    async def ask(url: str) -> str:
        async with open_client(url, timeout_s=STATUS_TIMEOUT_S) as client:
            found: str = (await client.call("eth_getBlockByNumber", hex(height), False))["hash"]  # noqa: FBT003 - JSON-RPC
            return found

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask(node.rpc_url)) for node in nodes]
    return {task.result() for task in asked}


def _restarts(directory: NetworkDirectory, name: str) -> int:
    try:
        return int(json.loads(directory.state_file(name).read_text(encoding="utf-8"))["restarts"])
    except (OSError, ValueError, KeyError):
        return 0


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=STOP_TIMEOUT_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _log_ends(directory: NetworkDirectory, lines: int = 8) -> str:
    parts = []
    for log in sorted(directory.path.glob("logs/*.log")):
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        parts.append("\n".join([f"--- {log}", *tail]))
    return "\n".join(parts)
