"""Texts of the services: one file for faucet, explorer and API, in containers or as processes of this machine. Pure, golden-tested."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdk.testnet.deployment.container_config import (
    BOOTSTRAP,
    DOCKER_NETWORKS,
    EXPLORER,
    FAUCET,
    REGISTRY_PORT,
)
from sdk.testnet.deployment.deployment_plan import (
    API_PORT,
    DASHBOARD_PORT,
    FAUCET_PORT,
    P2P_PORT,
    RPC_PORT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk.testnet.deployment.deployment_plan import DeploymentPlan

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the services listen, whom they ask, and where their files are."""

    rpc_urls: tuple[str, ...]
    """JSON-RPC of the nodes."""
    bind_address: str
    ports: Mapping[str, int]
    """By the names of services."""
    trusted_proxies: tuple[str, ...]
    """Whose X-Forwarded-For is believed."""
    faucet_data: str
    explorer_data: str
    bootstrap_data: str
    faucet_password_file: str
    bootstrap_name: str
    """Under which others reach the bootstrap node."""


def in_containers(plan: DeploymentPlan) -> Places:
    """Each service has an address of its own, and its folder at /data."""
    return Places(
        rpc_urls=tuple(f"http://{node.name}:{RPC_PORT}" for node in plan.network.validators),
        bind_address="0.0.0.0",  # noqa: S104 - in a container; what Compose publishes decides
        ports={
            EXPLORER: DASHBOARD_PORT,
            "api": API_PORT,
            FAUCET: FAUCET_PORT,
            BOOTSTRAP: P2P_PORT,
            "registry": REGISTRY_PORT,
        },
        # Who comes through a port on loopback has the address of Docker's gateway, and so has a proxy before it.
        trusted_proxies=(*LOOPBACK, *(DOCKER_NETWORKS if plan.is_on_loopback else ())),
        faucet_data="/data",
        explorer_data="/data",
        bootstrap_data="/data",
        faucet_password_file=f"/run/secrets/{FAUCET}-password",
        bootstrap_name=BOOTSTRAP,
    )


def on_this_machine(plan: DeploymentPlan) -> Places:
    """All on one address, with the ports and the folders that containers would have."""
    host = plan.config.bind_address
    return Places(
        rpc_urls=tuple(node.rpc_url for node in plan.network.validators),
        bind_address=host,
        ports={name: plan.published(name) for name in (EXPLORER, "api", FAUCET, BOOTSTRAP, "registry")},
        trusted_proxies=LOOPBACK,
        faucet_data=str(plan.data / FAUCET),
        explorer_data=str(plan.data / EXPLORER),
        bootstrap_data=str(plan.data / BOOTSTRAP),
        faucet_password_file=str(plan.secrets / f"{FAUCET}.password"),
        # What listens everywhere finds its address by itself, or is told it.
        bootstrap_name="127.0.0.1" if host == "0.0.0.0" else host,  # noqa: S104 - compared
    )


def render_services(
    plan: DeploymentPlan, places: Places, *, genesis_hash: str, services: Sequence[str] | None = None
) -> str:
    """The file, with a table for each service of the plan, or of those in `services`."""
    wanted = plan.services if services is None else services
    tables = [_network(plan, places), _database(places)]
    host = plan.public_host
    if EXPLORER in wanted:
        tables += [_site(EXPLORER, plan, places, host), _site("api", plan, places, host)]
    if FAUCET in wanted:
        tables.append([*_site(FAUCET, plan, places, host), *_faucet(places)])
    if BOOTSTRAP in wanted:
        tables.append(bootstrap_table(plan, places, genesis_hash=genesis_hash))
    head = f"# Services of {plan.config.network_name}; written by deploy_testnet.\n"
    return head + "\n\n".join("\n".join(table) for table in tables) + "\n"


def bootstrap_table(plan: DeploymentPlan, places: Places, *, genesis_hash: str) -> list[str]:
    """The table of the bootstrap node."""
    return [
        f"[{BOOTSTRAP}]",
        f"listen_address = {_text(places.bind_address)}",
        f"listen_port = {places.ports[BOOTSTRAP]}",
        f"advertised_address = {_text(places.bootstrap_name)}",
        f"http_address = {_text(places.bind_address)}",
        f"http_port = {places.ports['registry']}",
        f"chain_id = {plan.config.chain_id}",
        f"genesis_hash = {_text(genesis_hash)}",
        f"data_dir = {_text(places.bootstrap_data)}",
    ]


def _network(plan: DeploymentPlan, places: Places) -> list[str]:
    host = plan.public_host
    return [
        "[network]",
        f"network_id = {_text(plan.config.network_name)}",
        f"chain_id = {plan.config.chain_id}",
        f"rpc_urls = [{', '.join(_text(url) for url in places.rpc_urls)}]",
        f"node_names = [{', '.join(_text(node.name) for node in plan.network.validators)}]",
        f"public_rpc_url = {_text(f'http://{host}:{plan.network.validators[0].rpc_port}')}",
    ]


def _database(places: Places) -> list[str]:
    return ["[database]", f"sqlite_path = {_text(places.explorer_data + '/index.db')}"]


def _site(name: str, plan: DeploymentPlan, places: Places, host: str) -> list[str]:
    return [
        f"[{name}]",
        f"bind_address = {_text(places.bind_address)}",
        f"port = {places.ports[name]}",
        f"public_url = {_text(f'http://{host}:{plan.published(name)}')}",
        f"trusted_proxies = [{', '.join(_text(network) for network in places.trusted_proxies)}]",
    ]


def _faucet(places: Places) -> list[str]:
    return [
        f"rpc_url = {_text(places.rpc_urls[0])}",
        f"keystore = {_text(places.faucet_data + '/faucet.json')}",
        f"password_file = {_text(places.faucet_password_file)}",
        f"database_url = {_text(f'sqlite:///{places.faucet_data}/faucet.db')}",
    ]


def _text(value: str) -> str:
    """A TOML text: JSON's escapes are TOML's."""
    return json.dumps(value)
