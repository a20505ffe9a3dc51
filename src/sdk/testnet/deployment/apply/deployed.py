"""Runs a deployment as processes of this machine: the same keys, the same genesis, the same `data/` as its containers.

OUTPUT/local is a network directory as `metanode up` makes one, whose folder of nodes is `data/`: `metanode status --directory OUTPUT/local` and the other
commands work on it. The same supervisor keeps the bootstrap node and the services.
"""

from __future__ import annotations

import http.client
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.deployment import changes, keys
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory, write_atomic
from sdk.testnet.deployment.apply.services import served_nodes
from sdk.testnet.deployment.apply.supervisor import running_node
from sdk.testnet.deployment.container_config import BOOTSTRAP, EXPLORER, FAUCET, GATEWAY, enode
from sdk.testnet.deployment.plan import OPERATOR, ProgramPlan, reachable_host
from sdk.testnet.deployment.render import render_node_config
from sdk.testnet.deployment.services_config import on_this_machine, render_services
from sdk.testnet.genesis.generator import SPECIFICATION_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sdk.testnet.deployment.apply.local import NetworkStatus
    from sdk.testnet.deployment.deployment_plan import DeploymentPlan, Identity
    from sdk.testnet.deployment.plan import NetworkPlan

FOLDER: Final = "local"
NODES: Final = "nodes"
SERVICES: Final = "services"
"""The process beside the nodes that runs pages, API and gateway, and its folder."""
CONFIGURATION: Final = "services.toml"
SERVICES_TIMEOUT_S: Final = 60.0
"""They make their databases and read the first blocks."""
ASK_TIMEOUT_S: Final = 5.0
POLL_INTERVAL_S: Final = 0.2
ADVICE: Final = "Stop it, or deploy with port_offset=200 (`testnet deploy --port-offset 200`)"
"""About a port that is taken. A deployment is made from Python or by `testnet`, which have not the options of `metanode up`."""


def directory_of(output: Path) -> NetworkDirectory:
    """The network directory of a deployment."""
    return NetworkDirectory(output / FOLDER)


def check(plan: DeploymentPlan) -> None:
    """Look whether the network can be started as it is planned.

    Raises:
        InvalidInput: when a port is taken, or a network of other parameters runs here.
    """
    directory = directory_of(plan.output)
    wanted = _network(plan)
    if not local.is_running(directory):
        # What a killed supervisor left behind is ended when the network is started.
        local.check_ports(
            (part for part in wanted.processes if running_node(directory, part.name) is None), advice=ADVICE
        )
    elif directory.load_plan() != wanted:
        raise InvalidInput(
            f"{directory.path}: a network of other parameters runs; stop it with `metanode down --directory {directory.path}`"
        )


def start(
    plan: DeploymentPlan,
    identities: Mapping[str, Identity],
    *,
    genesis_hash: str,
    confirm_changes: bool = False,
) -> NetworkStatus:
    """Start everything, and return when the validators agree on a block and the services are ready; what runs is left alone.

    Raises:
        DeploymentChange: when a configuration that a person edited would be replaced, and that was not confirmed.
        InvalidInput: as `check` does.
        Unavailable: when that does not come within a minute; the message shows the ends of the logs.
    """
    check(plan)
    directory = directory_of(plan.output)
    if not local.is_running(directory):
        _write(plan, identities, directory, genesis_hash, confirm_changes=confirm_changes)
        local.start_network(directory)
    status = local.wait_network_ready(directory)
    for program in _network(plan).programs:
        _wait_services(directory, plan, program)
    return status


def stop(output: Path) -> bool:
    """Stop the processes of a deployment; False when none ran."""
    return local.stop_network(directory_of(output))


def _network(plan: DeploymentPlan) -> NetworkPlan:
    """The nodes, those that were added later too, and the programs beside them: the bootstrap node, and the services in one."""
    directory = directory_of(plan.output)
    added = directory.load_plan().nodes if directory.exists() else ()
    nodes = (*plan.network.nodes, *(node for node in added if node.role != "validator"))
    programs = []
    if plan.has(BOOTSTRAP):
        configuration = str(directory.node(BOOTSTRAP) / CONFIGURATION)
        programs.append(
            ProgramPlan(
                name=BOOTSTRAP,
                module="sdk.testnet.bootstrap",
                arguments=("--config", configuration),
                ports={site: plan.published(site) for site in (BOOTSTRAP, "registry")},
            )
        )
    names = [
        *([FAUCET] if plan.has(FAUCET) else []),
        *([EXPLORER, "indexer", "api"] if plan.has_pages else []),
        *([GATEWAY] if plan.has(GATEWAY) else []),
    ]
    if names:
        configuration = str(directory.node(SERVICES) / CONFIGURATION)
        programs.append(
            ProgramPlan(
                name=SERVICES,
                module="sdk.testnet.services.program",
                arguments=(configuration, *names),
                ports={
                    site: plan.published(site)
                    for site in (*names, *([OPERATOR] if plan.has(FAUCET) else []))
                    if site != "indexer"
                },
            )
        )
    return replace(plan.network, nodes=nodes, programs=tuple(programs))


def _write(
    plan: DeploymentPlan,
    identities: Mapping[str, Identity],
    directory: NetworkDirectory,
    genesis_hash: str,
    *,
    confirm_changes: bool,
) -> None:
    """Write what the supervisor and its nodes read, beside the keys and the data that are there."""
    directory.path.mkdir(parents=True, exist_ok=True)
    nodes = directory.path / NODES
    if not nodes.is_symlink():
        nodes.symlink_to(os.path.relpath(plan.data, directory.path))
    network = _network(plan)
    genesis = (plan.genesis / SPECIFICATION_FILE).read_text(encoding="utf-8")
    files = _files(plan, identities, network, genesis, genesis_hash)
    record = changes.load_record(directory.path)
    comparison = changes.compare(directory.path, files, record)
    # Without a record they are what an earlier version wrote, and nobody can say whether a person did.
    said = comparison.edited if record is not None else ()
    if said and not confirm_changes:
        raise changes.DeploymentChange(directory.path, comparison.sentences)
    changes.write(directory.path, files, comparison, {})
    for part in network.processes:
        keys.give(directory.node(part.name), plan.owner)
    write_atomic(directory.genesis_file, genesis)
    write_atomic(directory.path / ".gitignore", "*\n")
    directory.save_plan(network)


def _files(
    plan: DeploymentPlan,
    identities: Mapping[str, Identity],
    network: NetworkPlan,
    genesis: str,
    genesis_hash: str,
) -> dict[str, bytes]:
    """What nodes and services are told, by the path below the network's directory; a node that was added has its own."""
    host = reachable_host(plan.config.bind_address)
    bootstrap = (
        [enode(host, identities[BOOTSTRAP], port=plan.published(BOOTSTRAP))] if plan.has(BOOTSTRAP) else []
    )
    texts: dict[str, str] = {}
    for node in plan.network.nodes:
        others = [
            enode(host, identities[other.name], port=other.p2p_port)
            for other in plan.network.validators
            if other.name != node.name
        ]
        texts[f"{NODES}/{node.name}/config.toml"] = render_node_config(
            plan.network,
            node,
            bootstrap_nodes=[*bootstrap, *others],
            coinbase=None,
            password_file=str(plan.secrets / f"{node.name}.password"),
            written_by="deploy_testnet",
        )
        texts[f"{NODES}/{node.name}/genesis.json"] = genesis
    services = render_services(
        plan,
        replace(on_this_machine(plan), nodes=served_nodes(network)),
        identities,
        genesis_hash=genesis_hash,
        added={
            format_address(directory_of(plan.output).validator_address(node.name)): node.name
            for node in network.with_keys
            if node.role == "candidate"
        },
    )
    for program in network.programs:
        texts[f"{NODES}/{program.name}/{CONFIGURATION}"] = services
    return {name: text.encode() for name, text in texts.items()}


def _wait_services(directory: NetworkDirectory, plan: DeploymentPlan, program: ProgramPlan) -> None:
    """Wait until each site says that it is ready."""
    # The bootstrap node speaks no HTTP there, and the faucet's operator page is of the process that the faucet is.
    waiting = {name: port for name, port in program.ports.items() if name not in (BOOTSTRAP, OPERATOR)}
    deadline = time.monotonic() + SERVICES_TIMEOUT_S
    while waiting:
        answers = {
            name: _ask(reachable_host(plan.config.bind_address), port) for name, port in waiting.items()
        }
        waiting = {name: port for name, port in waiting.items() if answers[name] is not None}
        if waiting and time.monotonic() > deadline:
            reasons = "; ".join(f"{name}: {answers[name]}" for name in waiting)
            raise Unavailable(
                f"the services were not ready after {SERVICES_TIMEOUT_S:.0f} s: {reasons}; see {directory.log_file(program.name)}"
            )
        if waiting:
            time.sleep(POLL_INTERVAL_S)


def _ask(host: str, port: int) -> str | None:
    """Why a site is not ready; None when it is."""
    connection = http.client.HTTPConnection(host, port, timeout=ASK_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        text = answer.read(200).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return None if answer.status == http.HTTPStatus.OK else f"{answer.status} {text}"
