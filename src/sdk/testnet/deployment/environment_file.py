"""`.env` of a deployment: a person's file, in which every variable stands as a comment with what holds without it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sdk.testnet.deployment.compose import (
    COORDINATOR_IMAGE,
    GRAFANA_IMAGE,
    POSTGRES_IMAGE,
    PROMETHEUS_IMAGE,
    REDIS_IMAGE,
)

if TYPE_CHECKING:
    from sdk.testnet.deployment.deployment_plan import DeploymentPlan

ENVIRONMENT_FILE: Final = ".env"
_VARIABLE: Final = re.compile(r"^[#\s]*(?:export\s+)?([A-Z][A-Z0-9_]*)=", re.MULTILINE)


def render_environment(plan: DeploymentPlan, existing: str = "") -> str:
    """The file with a paragraph for each variable that `existing` does not speak of; what stands there is never changed."""
    known = set(_VARIABLE.findall(existing))
    new = [
        f"# {meaning}\n{line}\n"
        for line, meaning in _variables(plan)
        if _VARIABLE.findall(line)[0] not in known
    ]
    if not new:
        return existing
    head = (
        f"# Variables of {plan.config.network_name} for Compose. Yours: deploy_testnet adds lines and changes none.\n\n"
        if not existing
        else existing + ("" if existing.endswith("\n") else "\n") + "\n"
    )
    return head + "\n".join(new)


def _variables(plan: DeploymentPlan) -> list[tuple[str, str]]:
    """Each variable's line and what it means."""
    found = [
        (
            f"COMPOSE_PROJECT_NAME={plan.project}",
            "Before the names of containers and networks, so that deployments do not meet.",
        ),
        (
            f"# RUN_AS={plan.owner}",
            "User and group of the containers: the owner of data/, who alone can read the keys.",
        ),
        (f"# IMAGE={plan.image}", "The image of all roles."),
        (
            f"# BASE_IMAGE={plan.config.base_image}",
            "What it is built on: anything with Python 3.11 or later and its venv module.",
        ),
        (
            "# PIP_OPTIONS=--no-index --find-links=/image/wheels",
            "Options of pip in the build; these build without the network, from wheels in image/wheels.",
        ),
        ("# NODE_MEMORY=4g", "What a node may take at most."),
        ("# NODE_CPUS=0", "0 is no limit: a validator that is held back votes late."),
    ]
    if plan.has("monitoring"):
        found += [
            (f"# PROMETHEUS_IMAGE={PROMETHEUS_IMAGE}", "Of the profile `monitoring`."),
            (f"# GRAFANA_IMAGE={GRAFANA_IMAGE}", "Of the profile `monitoring`."),
        ]
    if plan.is_parvyom:
        found += [
            (f"# COORDINATOR_IMAGE={COORDINATOR_IMAGE}", "The same image under the name of its plan."),
            (
                f"# POSTGRES_IMAGE={POSTGRES_IMAGE}",
                "The database of the services. NAME@sha256:DIGEST is an image that never becomes another.",
            ),
            (f"# REDIS_IMAGE={REDIS_IMAGE}", "Their cache."),
        ]
        found += [
            (
                f"# VALIDATOR_{number}_KEY=",
                f"64 hexadecimal digits in place of the key file of validator-{number}.",
            )
            for number in range(1, plan.config.num_validators + 1)
        ]
    return found
