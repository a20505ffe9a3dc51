"""The services beside a local network: one process that the supervisor keeps, its configuration, its ports.

DIR/nodes/services/services.toml   what they are told; written with the network, changed by whoever likes; nodes that are added are
                                   taken up in it by `taking_up`
DIR/nodes/services/data/           what the explorer reads, what the faucet has paid; `metanode reset` deletes it with the chain
DIR/nodes/services/faucet.json     the faucet's key, with its password beside it
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from metanode.crypto.addresses import format_address
from sdk.testnet.deployment.apply.layout import write_atomic
from sdk.testnet.deployment.plan import OPERATOR, SERVICE_PORTS, ProgramPlan, reachable_host, url_host
from sdk.testnet.deployment.services_file import ServedNode, ServicesFile, SitePlace, render_services_file
from sdk.testnet.keys import read_account, take_key

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from metanode.crypto.secp256k1 import PrivateKey
    from sdk.testnet.deployment.apply.layout import NetworkDirectory
    from sdk.testnet.deployment.plan import NetworkPlan, NetworkSpec

NAME: Final = "services"
"""What the process is called in logs and states."""
LOOPBACK: Final = "127.0.0.1"
PORTS: Final = {name: SERVICE_PORTS[name] for name in ("explorer", "faucet", OPERATOR, "api", "gateway")}
"""Before the network's offset. The dashboard is a page of the explorer."""
CONNECT_TIMEOUT_S: Final = 0.3
ANSWER_TIMEOUT_S: Final = 2.0
ANSWER_BYTES_MAX: Final = 4096
"""Of a node that is asked for its height: a line."""

State = Literal["running", "starting", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service as people reach it."""

    name: str
    url: str
    state: State
    pages: tuple[str, ...] = ()
    """What people look for by its own name, and is a page of this service, at `url`/NAME."""


def program_plan(directory: NetworkDirectory, spec: NetworkSpec) -> ProgramPlan:
    """Return the process that runs the services."""
    return ProgramPlan(
        name=NAME,
        module="sdk.testnet.services.program",
        arguments=(str(config_file(directory)),),
        ports={name: port + spec.port_offset for name, port in PORTS.items()},
    )


def config_file(directory: NetworkDirectory) -> Path:
    """What the services are told."""
    return directory.node(NAME) / "services.toml"


def create_faucet_key(directory: NetworkDirectory) -> PrivateKey:
    """Return the faucet's key; that of an earlier network in this directory is taken up again."""
    home = directory.node(NAME)
    return take_key(home / "faucet.json", home / "faucet.password")


def write_config(directory: NetworkDirectory, plan: NetworkPlan) -> None:
    """Write what the services of a new network are told."""
    write_atomic(config_file(directory), render_config(directory, plan))


def render_config(directory: NetworkDirectory, plan: NetworkPlan) -> str:
    """Return the services' configuration: every node of the plan, and the names of accounts that the plan knows."""
    spec = plan.spec
    names = {format_address(directory.validator_address(node.name)): node.name for node in plan.with_keys}
    keystore = directory.node(NAME) / "faucet.json"
    sites = dict(PORTS)
    if keystore.exists():
        names[format_address(read_account(keystore))] = "faucet"
    else:
        del sites["faucet"]
    return render_services_file(
        ServicesFile(
            head=(
                "What explorer, dashboard, faucet, community API and RPC gateway of this network are told. Change it as you like;",
                "`metanode down` and `metanode up` take it up. Nodes that are added to the network are added here, unless rpc_urls, node_names or",
                "metrics_urls have been changed. Described in docs/reference/services.md.",
            ),
            network_id=spec.network_name,
            chain_id=spec.chain_id,
            nodes=served_nodes(plan),
            database={"sqlite_path": "data/index.db"},
            bind_address=spec.bind_address,
            sites={name: SitePlace(port=port + spec.port_offset) for name, port in sites.items()},
            faucet={"keystore": keystore.name, "operator_port": PORTS[OPERATOR] + spec.port_offset},
            names=names,
        )
    )


def served_nodes(plan: NetworkPlan) -> tuple[ServedNode, ...]:
    """The nodes that the services ask: all of them."""
    return tuple(
        ServedNode(name=node.name, rpc_url=node.rpc_url, metrics_url=node.metrics_url) for node in plan.nodes
    )


def statuses(plan: NetworkPlan, *, is_running: bool) -> tuple[ServiceStatus, ...]:
    """Return each service and whether it takes connections."""
    programs = [program for program in plan.programs if program.name == NAME]
    ports = {name: port for program in programs for name, port in program.ports.items()}
    shows_docs = any(_shows_docs(Path(program.arguments[0])) for program in programs)
    return _statuses(plan.spec, ports, is_running=is_running, shows_docs=shows_docs)


def published_statuses(
    spec: NetworkSpec, chosen: Collection[str], *, is_running: bool
) -> tuple[ServiceStatus, ...]:
    """Return the same of containers: those of `services=` of a deployment, at the ports that they publish."""
    ports = {
        name: port + spec.port_offset
        for name, port in PORTS.items()
        # The community API is of the explorer's container, and the faucet has its operator's page.
        if {"api": "explorer", OPERATOR: "faucet"}.get(name, name) in chosen
    }
    # Whether their image has documents is not known from here.
    return _statuses(spec, ports, is_running=is_running, shows_docs=False)


def _shows_docs(config: Path) -> bool:
    """Whether the explorer has the documentation, by what the services are told and what was built."""
    from sdk.testnet.services.docs import AUTO, find_docs  # noqa: PLC0415 - routes, for who has an explorer only

    try:
        told = tomllib.loads(config.read_text(encoding="utf-8")).get("explorer", {})
        found = find_docs(told.get("docs_directory", AUTO), config.parent)
    except (OSError, ValueError, AttributeError, TypeError):
        # A file that somebody broke: the services say so in their log.
        return False
    return found is not None and (found / "index.html").is_file()


def _statuses(
    spec: NetworkSpec, ports: Mapping[str, int], *, is_running: bool, shows_docs: bool
) -> tuple[ServiceStatus, ...]:
    pages = {"explorer": ("dashboard", "docs") if shows_docs else ("dashboard",)}
    reachable = reachable_host(spec.bind_address)
    hosts = {name: LOOPBACK if name == OPERATOR else reachable for name in ports}
    return tuple(
        ServiceStatus(
            name=name,
            url=f"http://{url_host(hosts[name])}:{port}",
            state="stopped" if not is_running else "running" if _listens(hosts[name], port) else "starting",
            pages=pages.get(name, ()),
        )
        for name, port in ports.items()
    )


async def has_block(host: str, rpc_port: int) -> bool:
    """Whether a node has a block after the first; asked by hand, for an HTTP library takes a tenth of a second to load."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'
    head = (
        f"POST / HTTP/1.1\r\nHost: {url_host(host)}:{rpc_port}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection(host, rpc_port)
    except OSError:
        return False
    try:
        writer.write(head.encode() + body)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await writer.drain()
            answer = await reader.read(ANSWER_BYTES_MAX)
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return b'"result":"0x' in answer and b'"result":"0x0"' not in answer


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False
