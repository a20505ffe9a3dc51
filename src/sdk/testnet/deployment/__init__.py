"""From a network's specification to running nodes: plan, render, apply.

`deploy_testnet` and `TestnetDeployer` write the files of a whole network, for Docker or for processes; `plan`, `render` and `apply.local` are what
`metanode up` stands on. The names are imported when they are first used: nodes of a network need none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdk.testnet.deployment.changes import DeploymentChange
    from sdk.testnet.deployment.configuration import DeploymentConfig
    from sdk.testnet.deployment.deployer import DeploymentResult, TestnetDeployer, deploy_testnet

__all__ = ["DeploymentChange", "DeploymentConfig", "DeploymentResult", "TestnetDeployer", "deploy_testnet"]

_MODULES = dict.fromkeys(__all__, "sdk.testnet.deployment.deployer") | {
    "DeploymentChange": "sdk.testnet.deployment.changes",
    "DeploymentConfig": "sdk.testnet.deployment.configuration",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
