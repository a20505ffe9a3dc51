"""What Grafana is provisioned with: its data source, where its dashboards are, and the dashboards. Pure."""

from __future__ import annotations

import json
from typing import Final

from sdk.testnet.monitoring.rendering.dashboards import dashboards
from sdk.testnet.monitoring.rendering.panels import document
from sdk.testnet.monitoring.rendering.prometheus import dump
from sdk.testnet.monitoring.thresholds import Thresholds

DATASOURCE_UID: Final = "metanode-prometheus"
DASHBOARDS_FOLDER: Final = "/etc/grafana/dashboards"


def grafana_datasource(url: str = "http://prometheus:9090") -> str:
    """`provisioning/datasources/prometheus.yml`: Prometheus at this URL."""
    return dump(
        {
            "apiVersion": 1,
            "datasources": [
                {
                    "name": "Prometheus",
                    "type": "prometheus",
                    "uid": DATASOURCE_UID,
                    "access": "proxy",
                    "url": url,
                    "isDefault": True,
                    "editable": False,
                    "jsonData": {"timeInterval": "5s", "httpMethod": "POST"},
                }
            ],
        }
    )


def grafana_provider(folder: str = DASHBOARDS_FOLDER) -> str:
    """`provisioning/dashboards/metanode.yml`: the folder that holds the files of `grafana_dashboards`."""
    return dump(
        {
            "apiVersion": 1,
            "providers": [
                {
                    "name": "metanode",
                    "folder": "Metanode",
                    "type": "file",
                    "disableDeletion": True,
                    "allowUiUpdates": False,
                    "options": {"path": folder},
                }
            ],
        }
    )


def grafana_dashboards(*, block_time_s: float = 2) -> dict[str, str]:
    """The dashboards as JSON by file name, for a network with this time between blocks."""
    return {
        f"{dashboard.uid}.json": json.dumps(document(dashboard), indent=2) + "\n"
        for dashboard in dashboards(Thresholds(block_time_s=block_time_s))
    }
