"""The panels of the RPC gateway: what callers do there, and how the nodes behind it are. It asks what `gateway_metrics` says. Pure."""

from __future__ import annotations

from sdk.testnet.monitoring.rendering.panels import NETWORK, Panel, ask


def _rate(name: str, by: str) -> str:
    return f"sum by ({by}) (rate(metanode_gateway_{name}_total{{{NETWORK}}}[$interval]))"


def _outcomes() -> str:
    """A method is counted from its first call on: before there is one, none ended well."""
    nothing = f'label_replace(sum(metanode_gateway_nodes{{{NETWORK}}}) * 0, "outcome", "ok", "", "")'
    return f"{_rate('requests', 'outcome')} or {nothing}"


def gateway_panels() -> tuple[Panel, ...]:
    """A row of them. What a gateway calls `node` is `exported_node`: `node` is where Prometheus has read it."""
    took = (
        f"sum by (kind, le) (rate(metanode_gateway_request_duration_seconds_bucket{{{NETWORK}}}[$interval]))"
    )
    return (
        Panel(
            title="Calls a second at the gateway, by how they ended", stacked=True,
            queries=(ask(_outcomes(), "{{outcome}}"),),
            description="denied: not served there. limited: over a rate.",
        ),
        Panel(
            title="Calls a second at the gateway, by kind", stacked=True,
            queries=(ask(f"sum by (kind) (rate(metanode_gateway_request_duration_seconds_count{{{NETWORK}}}[$interval]))", "{{kind}}"),),
            description="read, logs (and traces), write.",
        ),
        Panel(
            title="How long a call takes at the gateway, 95 %", unit="s", steps=((0.1, "orange"),),
            queries=(ask(f"histogram_quantile(0.95, {took})", "{{kind}}"),),
            description="From reading it to its answer, the node's time within. Reads should take less than 0.1 s.",
        ),
        Panel(
            title="Nodes behind the gateway",
            queries=(ask(f"min by (state) (metanode_gateway_nodes{{{NETWORK}}})", "{{state}}"),),
            description="configured, up, and at the head: the three should be the same.",
        ),
        Panel(
            title="Nodes behind what callers see",
            queries=(
                ask(
                    f"max by (node) (metanode_gateway_head{{{NETWORK}}}) - on (node) group_right () "
                    f"max by (node, exported_node) (metanode_gateway_node_head{{{NETWORK}}})",
                    "node {{exported_node}}",
                ),
            ),
            description="In blocks, each node by its place in the configuration; far above 0 is a node that does not answer.",
        ),
        Panel(
            title="Calls that nodes were asked, a second", stacked=True,
            queries=(ask(_rate("node_calls", "exported_node, outcome"), "node {{exported_node}} {{outcome}}"),),
            description="Failed ones are asked of another node, where that is safe.",
        ),
        Panel(
            title="Asked again, and without an answer, a second",
            queries=(
                ask(f"sum(rate(metanode_gateway_retries_total{{{NETWORK}}}[$interval]))", "of a second node"),
                ask(_rate("unanswered", "reason"), "{{reason}}"),
            ),
            description="unavailable: no node was there. timeout: none answered in time.",
        ),
        Panel(
            title="Refused at the gateway, a second",
            queries=(ask(_rate("limited", "rate"), "rate of {{rate}}"), ask(_rate("refused", "what"), "{{what}}")),
            description="Over a rate of one client, of all, of a sender; and what was refused before a method was read.",
        ),
        Panel(
            title="Open at the gateway",
            queries=(
                ask(f"sum by (transport) (metanode_gateway_connections{{{NETWORK}}})", "{{transport}}"),
                ask(f"sum by (type) (metanode_gateway_subscriptions{{{NETWORK}}})", "subscriptions to {{type}}"),
            ),
            description="Connections of callers, and what they subscribe to.",
        ),
        Panel(
            title="Blocks told to subscribers, a second", stacked=True,
            queries=(ask(_rate("blocks", "how"), "{{how}}"),),
            description="fetched: no node told of it. skipped: after a long silence.",
        ),
    )  # fmt: skip
