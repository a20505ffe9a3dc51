"""The files of Prometheus and Grafana for a planned network: pure text, for whoever writes them down."""

from sdk.testnet.monitoring.rendering.grafana import grafana_dashboards, grafana_datasource, grafana_provider
from sdk.testnet.monitoring.rendering.prometheus import prometheus_config
from sdk.testnet.monitoring.rendering.rules import alert_rules

__all__ = ["alert_rules", "grafana_dashboards", "grafana_datasource", "grafana_provider", "prometheus_config"]
