"""Every text of a deployment, by its path below the output folder. Pure: the image's wheel comes from outside."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from sdk.testnet.deployment.changes import digest
from sdk.testnet.deployment.compose import COMPOSE_FILE, render_compose
from sdk.testnet.deployment.container_config import (
    BOOTSTRAP,
    COORDINATOR,
    EXPLORER,
    FAUCET,
    GATEWAY,
    GATEWAY_METRICS_PORT,
    SERVICES_FILE,
    SERVICES_METRICS_PORT,
    enode,
    render_coordinator,
    render_validator,
)
from sdk.testnet.deployment.deployment_plan import METRICS_PORT
from sdk.testnet.deployment.guide import GUIDE_FILE, render_guide
from sdk.testnet.deployment.services_config import (
    in_containers,
    public_url,
    render_gateway,
    render_services,
)
from sdk.testnet.monitoring.alerts.catalogue import GUIDE, RUNBOOK
from sdk.testnet.monitoring.rendering import (
    alert_rules,
    grafana_dashboards,
    grafana_datasource,
    grafana_provider,
    prometheus_config,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk.testnet.deployment.deployment_plan import DeploymentPlan, Identity
    from sdk.testnet.genesis.block import GenesisBlock

DOCKERIGNORE: Final = "# Keys and chain data are never sent to the builder.\n*\n!image\n"
_DIGITS: Final = 12
"""Of the digest that tells Compose of a changed configuration."""


def render_configurations(
    plan: DeploymentPlan, identities: Mapping[str, Identity], block: GenesisBlock
) -> dict[str, str]:
    """The configuration file of each container, by its name."""
    bootstrap = [enode(BOOTSTRAP, identities[BOOTSTRAP])] if plan.has(BOOTSTRAP) else []
    found = {
        node.name: render_validator(plan, node.name, identities, bootstrap=bootstrap)
        for node in plan.network.validators
    }
    if plan.is_parvyom or any(plan.has(name) for name in (BOOTSTRAP, FAUCET, EXPLORER, GATEWAY)):
        found[SERVICES_FILE] = render_services(
            plan, in_containers(plan), identities, genesis_hash="0x" + block.hash.hex()
        )
    if plan.is_parvyom:
        found[COORDINATOR] = render_coordinator(plan, identities, bootstrap=bootstrap)
        if plan.has(GATEWAY):
            found[GATEWAY] = render_gateway(plan)
    return found


def render_compose_of(plan: DeploymentPlan, identities: Mapping[str, Identity], block: GenesisBlock) -> str:
    """The Compose file, which knows the digest of each configuration."""
    configurations = render_configurations(plan, identities, block)
    return render_compose(
        plan, digests={name: digest(text.encode())[:_DIGITS] for name, text in configurations.items()}
    )


def render_monitoring(plan: DeploymentPlan) -> dict[str, str]:
    """What Prometheus and Grafana read."""
    if not plan.has("monitoring"):
        return {}
    block_time_s = plan.config.block_time_s
    alone = (FAUCET, EXPLORER) if plan.is_parvyom else (FAUCET, EXPLORER, GATEWAY)
    services = {name: f"{name}:{SERVICES_METRICS_PORT}" for name in alone if plan.has(name)}
    if plan.has(BOOTSTRAP):
        services[BOOTSTRAP] = f"{BOOTSTRAP}:{METRICS_PORT}"
    if plan.is_parvyom:
        # Its pages and its API are a process beside its node, and its gateway is another.
        services[f"{COORDINATOR}-{SERVICES_FILE}"] = f"{COORDINATOR}:{SERVICES_METRICS_PORT}"
        if plan.has(GATEWAY):
            services[f"{COORDINATOR}-{GATEWAY}"] = f"{COORDINATOR}:{GATEWAY_METRICS_PORT}"
    return {
        "prometheus.yml": prometheus_config(
            plan.network,
            target=lambda node: f"{node.name}:{METRICS_PORT}",
            followers={COORDINATOR: f"{COORDINATOR}:{METRICS_PORT}"} if plan.is_parvyom else {},
            services=services,
            rule_files=("rules/alerts.yml",),
            alertmanager=plan.config.alertmanager,
        ),
        # Without pages there is nobody who serves the guide: then it is where a network of one's own has it.
        "rules/alerts.yml": alert_rules(
            block_time_s=block_time_s,
            runbook=f"{public_url(plan, EXPLORER)}{GUIDE}" if plan.has_pages else RUNBOOK,
        ),
        "grafana/provisioning/datasources/prometheus.yml": grafana_datasource(),
        "grafana/provisioning/dashboards/metanode.yml": grafana_provider(),
    } | {
        f"grafana/dashboards/{name}": text
        for name, text in grafana_dashboards(block_time_s=block_time_s).items()
    }


def render_files(
    plan: DeploymentPlan,
    identities: Mapping[str, Identity],
    block: GenesisBlock,
    *,
    wheel_name: str,
    wheel: bytes,
    requirements: str,
) -> dict[str, bytes]:
    """Every file but keys, genesis and `.env`."""
    texts = {
        f"config/{name}.toml": text for name, text in render_configurations(plan, identities, block).items()
    } | {
        COMPOSE_FILE: render_compose_of(plan, identities, block),
        "Dockerfile": image_file("Dockerfile"),
        ".dockerignore": DOCKERIGNORE,
        "image/healthy.py": image_file("healthy.py"),
        "image/requirements.txt": requirements,
        GUIDE_FILE: render_guide(plan, identities, block),
    }
    texts |= render_monitoring(plan)
    return {name: text.encode() for name, text in texts.items()} | {f"image/{wheel_name}": wheel}


def image_file(name: str) -> str:
    """A file of the image, as it is shipped with this package."""
    return resources.files("sdk.testnet.deployment.image").joinpath(name).read_text(encoding="utf-8")
