"""What the services of a deployment are told, in containers or as processes of this machine. Pure, golden-tested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address
from sdk.testnet.deployment.container_config import (
    BOOTSTRAP,
    COORDINATOR,
    DATABASE,
    DOCKER_NETWORKS,
    EXPLORER,
    FAUCET,
    GATEWAY,
    GATEWAY_METRICS_PORT,
    OPERATOR_SECRET,
    REGISTRY_PORT,
    SERVICES_METRICS_PORT,
    WEBHOOKS_SECRET,
)
from sdk.testnet.deployment.deployment_plan import (
    API_PORT,
    DASHBOARD_PORT,
    FAUCET_PORT,
    GATEWAY_PORT,
    METRICS_PORT,
    OPERATOR_PORT,
    P2P_PORT,
    RPC_PORT,
    WS_PORT,
)
from sdk.testnet.deployment.plan import OPERATOR, reachable_host
from sdk.testnet.deployment.services_file import (
    ServedNode,
    ServicesFile,
    SitePlace,
    TomlValue,
    render_services_file,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk.testnet.deployment.deployment_plan import DeploymentPlan, Identity

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the services listen, whom they ask, and where their files are."""

    nodes: tuple[ServedNode, ...]
    bind_address: str
    ports: Mapping[str, int]
    """By the names of services."""
    public_rpc_port: int
    """Of the JSON-RPC that people are told of."""
    trusted_proxies: tuple[str, ...]
    """Whose X-Forwarded-For is believed."""
    database: Mapping[str, str]
    """Where the index lies."""
    faucet_data: str
    bootstrap_data: str
    faucet_password_file: str
    operator_bind_address: str
    """Of the faucet's operator page."""
    operator_password_file: str
    bootstrap_name: str
    """Under which others reach the bootstrap node."""
    webhooks_file: str
    metrics_port: int | None
    """Where each process says what it measures."""


def in_containers(plan: DeploymentPlan) -> Places:
    """Each service has an address of its own, and its folder at /data."""
    names = [*([COORDINATOR] if plan.is_parvyom else []), *(node.name for node in plan.network.validators)]
    return Places(
        nodes=tuple(
            ServedNode(
                name=name,
                rpc_url=f"http://{name}:{plan.coordinator_rpc_port if name == COORDINATOR else RPC_PORT}",
                metrics_url=f"http://{name}:{METRICS_PORT}/metrics",
            )
            for name in names
        ),
        bind_address="0.0.0.0",  # noqa: S104 - in a container; what Compose publishes decides
        ports={
            EXPLORER: DASHBOARD_PORT,
            "api": API_PORT,
            FAUCET: FAUCET_PORT,
            OPERATOR: OPERATOR_PORT,
            # That of bpci-server is a process by itself, with a file of its own.
            **({} if plan.is_parvyom else {GATEWAY: GATEWAY_PORT}),
            BOOTSTRAP: P2P_PORT,
            "registry": REGISTRY_PORT,
        },
        public_rpc_port=plan.public_rpc_port,
        # Who comes through a port on loopback has the address of Docker's gateway, and so has a proxy before it.
        trusted_proxies=(*LOOPBACK, *(DOCKER_NETWORKS if plan.is_on_loopback else ())),
        # The faucet's container reads the file too, and has neither the password nor a use for the index.
        database=DATABASE if plan.is_parvyom else {"sqlite_path": "/data/index.db"},
        faucet_data="/data",
        bootstrap_data="/data",
        faucet_password_file=f"/run/secrets/{FAUCET}-password",
        operator_bind_address="0.0.0.0",  # noqa: S104 - in a container; Compose publishes it on loopback alone
        operator_password_file=f"/run/secrets/{OPERATOR_SECRET}",
        bootstrap_name=BOOTSTRAP,
        webhooks_file=f"/run/secrets/{WEBHOOKS_SECRET}",
        metrics_port=SERVICES_METRICS_PORT,
    )


def on_this_machine(plan: DeploymentPlan) -> Places:
    """All on one address, with the ports and the folders that containers would have."""
    host = plan.config.bind_address
    return Places(
        nodes=tuple(
            ServedNode(name=node.name, rpc_url=node.rpc_url, metrics_url=node.metrics_url)
            for node in plan.network.nodes
        ),
        bind_address=host,
        ports={
            name: plan.published(name)
            for name in (EXPLORER, "api", FAUCET, OPERATOR, GATEWAY, BOOTSTRAP, "registry")
        },
        # There is no bpci-server among the processes, and its ports are those of the first validators.
        public_rpc_port=plan.published(GATEWAY) if plan.has(GATEWAY) else plan.network.validators[0].rpc_port,
        trusted_proxies=LOOPBACK,
        database={"sqlite_path": str(plan.data / EXPLORER / "index.db")},
        faucet_data=str(plan.data / FAUCET),
        bootstrap_data=str(plan.data / BOOTSTRAP),
        faucet_password_file=str(plan.secrets / f"{FAUCET}.password"),
        operator_bind_address="127.0.0.1",
        operator_password_file=str(plan.operator_password_file),
        # What listens everywhere finds its address by itself, or is told it.
        bootstrap_name=reachable_host(host),
        webhooks_file=str(plan.webhooks_file),
        metrics_port=None,
    )


def render_services(
    plan: DeploymentPlan,
    places: Places,
    identities: Mapping[str, Identity],
    *,
    genesis_hash: str,
    added: Mapping[str, str] | None = None,
) -> str:
    """The file, with a table for each service of the plan; `added` are names of validators that came later, by their addresses."""
    wanted = {
        EXPLORER: plan.has_pages,
        "api": plan.has_pages,
        GATEWAY: plan.has(GATEWAY),
        FAUCET: plan.has(FAUCET),
    }
    sites = [name for name, is_wanted in wanted.items() if is_wanted and name in places.ports]
    host = plan.public_host
    return render_services_file(
        ServicesFile(
            head=(f"Services of {plan.config.network_name}; written by deploy_testnet.",),
            network_id=plan.config.network_name,
            chain_id=plan.config.chain_id,
            nodes=places.nodes,
            public_rpc_url=f"http://{host}:{places.public_rpc_port}",
            database=places.database,
            bind_address=places.bind_address,
            trusted_proxies=places.trusted_proxies,
            sites={
                name: SitePlace(port=places.ports[name], public_url=public_url(plan, name)) for name in sites
            },
            faucet={
                **({"public": True} if plan.has_public_faucet else {}),
                "keystore": f"{places.faucet_data}/faucet.json",
                "password_file": places.faucet_password_file,
                "database_url": f"sqlite:///{places.faucet_data}/faucet.db",
                "operator_bind_address": places.operator_bind_address,
                "operator_port": places.ports[OPERATOR],
                "operator_password_file": places.operator_password_file,
            },
            bootstrap=_bootstrap(plan, places, genesis_hash) if plan.has(BOOTSTRAP) else {},
            metrics_port=places.metrics_port,
            webhooks_file=places.webhooks_file if plan.has_pages else "",
            service_metrics_urls=_service_metrics_urls(plan, places),
            names=account_names(identities) | dict(added or {}),
        )
    )


def _service_metrics_urls(plan: DeploymentPlan, places: Places) -> tuple[str, ...]:
    """Where the monitor reads the services in other containers: the faucet, and the gateway with what callers do there."""
    if places.metrics_port is None:
        # As processes of this machine all services are one, which reads itself.
        return ()
    found = [f"{FAUCET}:{places.metrics_port}"] if plan.has(FAUCET) else []
    if plan.has(GATEWAY):
        found.append(
            f"{COORDINATOR}:{GATEWAY_METRICS_PORT}" if plan.is_parvyom else f"{GATEWAY}:{places.metrics_port}"
        )
    return tuple(f"http://{place}/metrics" for place in found)


def public_url(plan: DeploymentPlan, service: str) -> str:
    """How people reach the pages of a service."""
    return f"http://{plan.public_host}:{plan.published(service)}"


def render_gateway(plan: DeploymentPlan) -> str:
    """The file of the gateway in bpci-server: JSON-RPC and WebSocket on the ports of the plan, before every node."""
    places, host = in_containers(plan), plan.public_host
    return render_services_file(
        ServicesFile(
            head=(f"RPC gateway of {plan.config.network_name}; written by deploy_testnet.",),
            network_id=plan.config.network_name,
            chain_id=plan.config.chain_id,
            nodes=places.nodes,
            database={},
            bind_address=places.bind_address,
            trusted_proxies=places.trusted_proxies,
            sites={GATEWAY: SitePlace(port=RPC_PORT, public_url=f"http://{host}:{plan.public_rpc_port}")},
            gateway={"websocket_port": WS_PORT},
            metrics_port=GATEWAY_METRICS_PORT,
        )
    )


def account_names(identities: Mapping[str, Identity]) -> dict[str, str]:
    """What pages call the accounts that the deployment knows."""
    found = {}
    for name, identity in identities.items():
        address = identity.validator or identity.account
        if address is not None:
            found[format_address(address)] = name
    return found


def _bootstrap(plan: DeploymentPlan, places: Places, genesis_hash: str) -> dict[str, TomlValue]:
    return {
        "listen_address": places.bind_address,
        "listen_port": places.ports[BOOTSTRAP],
        "advertised_address": places.bootstrap_name,
        "http_address": places.bind_address,
        "http_port": places.ports["registry"],
        "chain_id": plan.config.chain_id,
        "genesis_hash": genesis_hash,
        "data_dir": places.bootstrap_data,
    }
