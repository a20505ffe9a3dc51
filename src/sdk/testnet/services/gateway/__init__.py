"""The RPC gateway: one public JSON-RPC and WebSocket address before the nodes of a network, with limits for strangers.

What it does for a request is compiled (`rust/rpc/src/gateway`); here are its settings, its place among the services, and its metrics.
"""

from sdk.testnet.services.gateway.service import make_gateway, serve_gateway
from sdk.testnet.services.gateway.settings import GatewaySettings, read_settings

__all__ = ["GatewaySettings", "make_gateway", "read_settings", "serve_gateway"]
