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

DOWN_TIMEOUT_S: Final = 300.0
"""Each container has two minutes to write what it holds."""


def find_deployment(directory: Path) -> Path:
    """The folder with a deployment's Compose file; raises InvalidInput when it has none."""
    found = directory.resolve()
    if not (found / COMPOSE_FILE).exists():
        raise InvalidInput(f"no {COMPOSE_FILE} in {found}; `testnet deploy` writes one")
    return found


def stop_containers(directory: Path) -> None:
    """Stop a deployment's containers; keys and chain stay. Raises Unavailable with what Compose said."""
    folder = find_deployment(directory)
    command = [*compose.find_compose(), "-f", COMPOSE_FILE, "down"]
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
    asked = record.parameters
    try:
        spec = NetworkSpec(
            network_name=asked["network_name"],
            chain_id=asked["chain_id"],
            validator_count=asked["num_validators"],
            bind_address=asked["bind_address"],
            port_offset=asked["port_offset"],
        )
    except KeyError as error:
        raise InvalidInput(f"{directory}: the record of the deployment has no {error}") from None
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
