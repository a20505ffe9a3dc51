"""How a network fares: healths, verdict, alerts, and the files of Prometheus and Grafana.

The public names are imported from their modules when they are first used: who renders files needs no client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdk.testnet.explorer import TestnetExplorer
    from sdk.testnet.monitoring.alerts.board import Alert
    from sdk.testnet.monitoring.alerts.catalogue import AlertSeverity
    from sdk.testnet.monitoring.alerts.events import Totals
    from sdk.testnet.monitoring.alerts.webhooks import Webhook
    from sdk.testnet.monitoring.endpoints import Endpoint
    from sdk.testnet.monitoring.health import NetworkMetrics, NodeHealth
    from sdk.testnet.monitoring.monitor import TestnetMonitor
    from sdk.testnet.monitoring.verdict import Judgement, Verdict

__all__ = [
    "Alert",
    "AlertSeverity",
    "Endpoint",
    "Judgement",
    "NetworkMetrics",
    "NodeHealth",
    "TestnetExplorer",
    "TestnetMonitor",
    "Totals",
    "Verdict",
    "Webhook",
]

_MODULES = {
    "Alert": "alerts.board",
    "AlertSeverity": "alerts.catalogue",
    "Endpoint": "endpoints",
    "Judgement": "verdict",
    "NetworkMetrics": "health",
    "NodeHealth": "health",
    "TestnetExplorer": "explorer",
    "TestnetMonitor": "monitor",
    "Totals": "alerts.events",
    "Verdict": "verdict",
    "Webhook": "alerts.webhooks",
}
"""Where each public name lives, below this package; the explorer has a module of its own beside it."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    package = __name__.rpartition(".")[0] if name == "TestnetExplorer" else __name__
    value = getattr(importlib.import_module(f"{package}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
