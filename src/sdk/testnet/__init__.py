"""The network around the nodes: genesis, faucet, bootstrap, monitoring, explorer, deployment.

The public names are imported from their modules when they are first used, so that a command pays for what it needs only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdk.testnet.bootstrap import BootstrapConfig, BootstrapNode
    from sdk.testnet.deployment import DeploymentConfig, TestnetDeployer, deploy_testnet
    from sdk.testnet.ephemeral import Testnet
    from sdk.testnet.explorer import TestnetExplorer
    from sdk.testnet.faucet import Faucet, FaucetConfig
    from sdk.testnet.genesis import (
        AccountConfig,
        ConsensusConfig,
        GenesisBlock,
        GenesisConfig,
        GenesisGenerator,
        GenesisWarning,
        NetworkConfig,
        ValidatorConfig,
    )
    from sdk.testnet.monitoring import NetworkMetrics, NodeHealth, TestnetMonitor

__all__ = [
    "AccountConfig",
    "BootstrapConfig",
    "BootstrapNode",
    "ConsensusConfig",
    "DeploymentConfig",
    "Faucet",
    "FaucetConfig",
    "GenesisBlock",
    "GenesisConfig",
    "GenesisGenerator",
    "GenesisWarning",
    "NetworkConfig",
    "NetworkMetrics",
    "NodeHealth",
    "Testnet",
    "TestnetDeployer",
    "TestnetExplorer",
    "TestnetMonitor",
    "ValidatorConfig",
    "deploy_testnet",
]

_MODULES = dict.fromkeys(__all__, "sdk.testnet.genesis") | {
    "Testnet": "sdk.testnet.ephemeral",
    "BootstrapConfig": "sdk.testnet.bootstrap",
    "BootstrapNode": "sdk.testnet.bootstrap",
    "DeploymentConfig": "sdk.testnet.deployment",
    "TestnetDeployer": "sdk.testnet.deployment",
    "deploy_testnet": "sdk.testnet.deployment",
    "Faucet": "sdk.testnet.faucet",
    "FaucetConfig": "sdk.testnet.faucet",
    "NetworkMetrics": "sdk.testnet.monitoring",
    "NodeHealth": "sdk.testnet.monitoring",
    "TestnetExplorer": "sdk.testnet.explorer",
    "TestnetMonitor": "sdk.testnet.monitoring",
}
"""Where each public name lives."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
