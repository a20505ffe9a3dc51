"""The containers of a deployment, started and stopped by Compose, and asked by the ports that they publish."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.deployment.apply import compose
from sdk.testnet.deployment.apply.local import NetworkStatus, NodeStatus, ask_node
from sdk.testnet.deployment.apply.services import published_statuses
from sdk.testnet.deployment.changes import load_record
from sdk.testnet.deployment.compose import COMPOSE_FILE
from sdk.testnet.deployment.configuration import PARVYOM
from sdk.testnet.deployment.container_config import COORDINATOR
from sdk.testnet.deployment.plan import NetworkSpec, NodePlan, plan_network

if TYPE_CHECKING:
    from pathlib import Path

    from sdk.testnet.deployment.changes import Record
    from sdk.testnet.deployment.plan import NetworkPlan

DOWN_TIMEOUT_S: Final = 300.0
"""Each container has two minutes to write what it holds."""
MONITORING: Final = "monitoring"
PROFILED: Final = f"profiles: [{MONITORING}]"
"""What the Compose file of a deployment with Prometheus and Grafana has."""


def find_deployment(directory: Path) -> Path:
    """The folder with a deployment's Compose file; raises InvalidInput when it has none."""
    found = directory.resolve()
    if not (found / COMPOSE_FILE).exists():
        raise InvalidInput(f"no {COMPOSE_FILE} in {found}; `testnet deploy` writes one")
    return found


def stop_containers(directory: Path) -> None:
    """Stop a deployment's containers; keys and chain stay. Raises Unavailable with what Compose said."""
    folder = find_deployment(directory)
    # Compose leaves alone what belongs to a profile that is not named, and says nothing of it.
    profile = ["--profile", MONITORING] if PROFILED in (folder / COMPOSE_FILE).read_text("utf-8") else []
    command = [*compose.find_compose(), "-f", COMPOSE_FILE, *profile, "down"]
    try:
        answer = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=DOWN_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"`{' '.join(command)}` in {folder} did not end in {DOWN_TIMEOUT_S:.0f} s"
        ) from None
    if answer.returncode != 0:
        raise Unavailable(f"`{' '.join(command)}` in {folder} failed:\n{answer.stderr.strip()[-2000:]}")


def containers_status(directory: Path) -> NetworkStatus | None:
    """What the nodes of a deployment answer at their published ports, and its services, as its record has them; None where there is no record.

    Of the plan for a public testnet this is `bpci-server` alone: its validators publish no JSON-RPC, and its guide has the services' ports, which are others.

    Raises:
        InvalidInput: when the record can't be read.
    """
    record = load_record(directory)
    if record is None:
        return None
    asked, spec = record.parameters, _spec(directory, record)
    plans = plan_network(spec).nodes
    chosen = asked.get("services", ())
    if asked.get("preset") == PARVYOM:
        # It has the port that is the first validator's elsewhere.
        plans, chosen = (replace(plans[0], name=COORDINATOR, role="follower"),), ()
    nodes = asyncio.run(_ask_all(plans))
    is_running = any(node.height is not None for node in nodes)
    return NetworkStatus(
        directory=directory,
        network_name=spec.network_name,
        chain_id=spec.chain_id,
        running=is_running,
        nodes=nodes,
        services=published_statuses(spec, chosen, is_running=is_running),
    )


def containers_plan(directory: Path) -> NetworkPlan | None:
    """The nodes of a deployment where their containers publish them; None where there is no record of one.

    Raises:
        InvalidInput: when the record can't be read, or the deployment publishes no node's JSON-RPC.
    """
    record = load_record(directory)
    if record is None:
        return None
    if record.parameters.get("preset") == PARVYOM:
        raise InvalidInput(
            f"{directory}: the containers of {PARVYOM} publish no node's own JSON-RPC; the dashboard of {COORDINATOR} watches all nodes, "
            "and TESTNET_DEPLOYMENT.md says where it and their gateway are"
        )
    return plan_network(_spec(directory, record))


def _spec(directory: Path, record: Record) -> NetworkSpec:
    asked = record.parameters
    try:
        return NetworkSpec(
            network_name=asked["network_name"],
            chain_id=asked["chain_id"],
            validator_count=asked["num_validators"],
            block_time_s=asked["block_time_s"],
            bind_address=asked["bind_address"],
            port_offset=asked["port_offset"],
        )
    except KeyError as error:
        raise InvalidInput(f"{directory}: the record of the deployment has no {error}") from None


async def _ask_all(plans: tuple[NodePlan, ...]) -> tuple[NodeStatus, ...]:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_ask(plan)) for plan in plans]
    return tuple(task.result() for task in asked)


async def _ask(plan: NodePlan) -> NodeStatus:
    """What a container answers; its process is the engine's business."""
    return await ask_node(
        NodeStatus(
            name=plan.name, role=plan.role, pid=None, restarts=0, rpc_url=plan.rpc_url, metrics_url=plan.metrics_url,
            height=None, block_hash=None, peers=None, validators=None,
        )
    )  # fmt: skip
