"""What callers do at the RPC gateways before the nodes, of the gateways' metrics pages: to nodes a gateway is one caller, and much it answers itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdk.testnet.monitoring.page import MetricsPage

CONNECTIONS: Final = "metanode_gateway_connections"
REQUESTS: Final = "metanode_gateway_requests_total"


def gateway_traffic(pages: Iterable[MetricsPage]) -> dict[str, Any] | None:
    """Return the WebSocket connections and the calls by method of all gateways together; None where no page is a gateway's."""
    found = [page for page in pages if page.value(CONNECTIONS) is not None]
    if not found:
        return None
    calls: dict[str, float] = {}
    for page in found:
        for method, count in page.by(REQUESTS, "method").items():
            calls[method] = calls.get(method, 0.0) + count
    return {
        "websocket_connections": sum(page.value(CONNECTIONS, transport="websocket") or 0 for page in found),
        "rpc_calls": dict(sorted(calls.items())),
    }
