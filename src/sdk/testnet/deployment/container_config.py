"""Texts of nodes in containers: each one's configuration file. Pure, golden-tested.

Every node has an address of its own, so all have the same ports; Compose publishes them under others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdk.testnet.deployment.deployment_plan import (
    METRICS_PORT,
    P2P_PORT,
    PRIVATE_PORT,
    RPC_PORT,
    WS_PORT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdk.testnet.deployment.deployment_plan import DeploymentPlan, Identity

COORDINATOR: Final = "bpci-server"
"""The node of the plan for a public testnet that people talk to: it follows, and signs nothing."""
BOOTSTRAP: Final = "bootstrap"
"""The node that tells strangers of the others."""
EXPLORER: Final = "explorer"
FAUCET: Final = "faucet"
GATEWAY: Final = "gateway"
SERVICES_FILE: Final = "services"
"""Name of the configuration of all services, without its suffix."""
SERVICES_METRICS_PORT: Final = METRICS_PORT + 1
"""Of services in containers: beside a node's, for both may be in one."""
GATEWAY_METRICS_PORT: Final = METRICS_PORT + 2
"""Of a gateway that is a process by itself beside a node and the services."""
WEBHOOKS_SECRET: Final = "webhooks"  # noqa: S105 - its name
"""The file with the addresses that are told of alerts."""
OPERATOR_SECRET: Final = "faucet-operator-password"  # noqa: S105 - its name
"""The file with the password of the faucet's operator page."""
DATABASE: Final = {
    "postgres_url": "postgresql://testnet:${DB_PASSWORD:-}@postgres/testnet",
    "redis_url": "redis://redis:6379",
}
"""Of the plan for a public testnet."""
REGISTRY_PORT: Final = METRICS_PORT
"""What the bootstrap node says over HTTP, in its container."""
DOCKER_NETWORKS: Final = ("172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8")
"""Whoever comes through a published port has the address of Docker's gateway: limits per address would be one limit for all."""


def enode(name: str, identity: Identity, *, port: int = P2P_PORT) -> str:
    """How peers in containers reach a node."""
    return f"enode://{identity.node_id.hex()}@{name}:{port}"


def render_validator(
    plan: DeploymentPlan, name: str, identities: Mapping[str, Identity], *, bootstrap: Sequence[str]
) -> str:
    """The configuration of a validator. `bootstrap` are enode addresses beside those of the other validators."""
    key = (
        # The container's entry says which key, from VALIDATOR_KEY_FILE or VALIDATOR_KEY.
        []
        if plan.is_parvyom
        else [
            'validator_key = "keystore:validator.json"',
            f'password_file = "/run/secrets/{name}-password"',
        ]
    )
    return _text(
        _head(plan, name),
        [
            "[server]",
            'bind_address = "0.0.0.0"',
            f"rpc_port = {RPC_PORT}",
            *_rest_of_server(plan),
        ],
        _peers(name, identities, bootstrap),
        ["[validator]", "enabled = true", *key] if key else [],
        ["[log]", 'format = "json"'],
    )


def render_coordinator(
    plan: DeploymentPlan, identities: Mapping[str, Identity], *, bootstrap: Sequence[str]
) -> str:
    """The configuration of the node of `bpci-server`. Gateway, community API and dashboard are of the services beside it."""
    return _text(
        _head(plan, COORDINATOR),
        [
            "[server]",
            'bind_address = "0.0.0.0"',
            f"rpc_port = {plan.coordinator_rpc_port}",
            *([] if plan.has(GATEWAY) else [f"ws_port = {WS_PORT}"]),
            *_rest_of_server(plan),
        ],
        ["[database]", *(f'{name} = "{url}"' for name, url in DATABASE.items())],
        _peers(COORDINATOR, identities, bootstrap),
        ["[log]", 'format = "json"'],
    )


def _head(plan: DeploymentPlan, name: str) -> list[str]:
    return [
        f"# {name} of {plan.config.network_name} in its container; written by deploy_testnet.",
        "[network]",
        'network = "testnet"',
        f"chain_id = {plan.config.chain_id}",
        f'network_id = "{plan.config.network_name}"',
        "public_rpc = true",
        'cors_origins = ["*"]',
    ]


def _rest_of_server(plan: DeploymentPlan) -> list[str]:
    trusted = ", ".join(f'"{network}"' for network in DOCKER_NETWORKS)
    reason = (
        "People come through the RPC gateway, which has limits for them"
        if plan.are_nodes_hidden
        else "Who comes through a port on loopback has the address of Docker's gateway"
        if plan.is_on_loopback
        else ""
    )
    return [
        f"private_port = {PRIVATE_PORT}",
        f"metrics_port = {METRICS_PORT}",
        'metrics_address = "0.0.0.0"',
        "connections_max = 1000",
        *(
            [f"# {reason}: one limit would be everybody's.", f"trusted_proxies = [{trusted}]"]
            if reason
            else []
        ),
    ]


def _peers(name: str, identities: Mapping[str, Identity], bootstrap: Sequence[str]) -> list[str]:
    others = [
        enode(other, identity)
        for other, identity in identities.items()
        if other != name and identity.validator is not None
    ]
    return [
        "[p2p]",
        f'listen_address = "0.0.0.0:{P2P_PORT}"',
        f'advertised_address = "{name}"',
        "bootstrap_nodes = [",
        *(f'    "{address}",' for address in (*bootstrap, *others)),
        "]",
    ]


def _text(*sections: list[str]) -> str:
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"
