"""Prometheus' configuration of a planned network. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk.testnet.deployment.plan import NetworkPlan, NodePlan

SCRAPE_INTERVAL_S: Final = 5
VALIDATORS_JOB: Final = "metanode-validators"
NODES_JOB: Final = "metanode-nodes"
"""Followers and candidates."""
SERVICES_JOB: Final = "metanode-services"


def loopback(node: NodePlan) -> str:
    """Where the metrics of a node are on its own machine."""
    return f"127.0.0.1:{node.metrics_port}"


def prometheus_config(
    plan: NetworkPlan,
    *,
    target: Callable[[NodePlan], str] = loopback,
    followers: Mapping[str, str] | None = None,
    services: Mapping[str, str] | None = None,
    rule_files: tuple[str, ...] = ("alerts.yml",),
    alertmanager: str | None = None,
    scrape_interval_s: int = SCRAPE_INTERVAL_S,
) -> str:
    """`prometheus.yml`.

    `target` says where the metrics of a node are, as HOST:PORT; `followers` does of nodes that are not of the plan, and `services` of services,
    by their names. Every series has the labels `network` and `node`. `rule_files` are paths relative to the file; `alertmanager` is HOST:PORT.
    """
    network = plan.spec.network_name
    validators = [node for node in plan.nodes if node.role == "validator"]
    others = {node.name: target(node) for node in plan.nodes if node.role != "validator"}
    jobs = [
        _job(VALIDATORS_JOB, network, {node.name: target(node) for node in validators}),
        _job(NODES_JOB, network, others | dict(followers or {})),
        _job(SERVICES_JOB, network, services or {}),
    ]
    document: dict[str, Any] = {
        "global": {
            "scrape_interval": f"{scrape_interval_s}s",
            "scrape_timeout": f"{max(1, scrape_interval_s - 1)}s",
            "evaluation_interval": f"{scrape_interval_s}s",
        },
        "rule_files": list(rule_files),
        "scrape_configs": [job for job in jobs if job["static_configs"]],
    }
    if alertmanager is not None:
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    head = f"# Prometheus for {network}: every node's /metrics. The rules are in {', '.join(rule_files)}.\n"
    return head + dump(document)


def _job(name: str, network: str, targets: Mapping[str, str]) -> dict[str, Any]:
    return {
        "job_name": name,
        "static_configs": [
            {"targets": [address], "labels": {"network": network, "node": node}}
            for node, address in targets.items()
        ],
    }


def dump(document: Any) -> str:
    """YAML in the order in which it was written, one line for one value."""
    return yaml.safe_dump(document, sort_keys=False, width=4096, allow_unicode=True)
