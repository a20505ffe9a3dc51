"""What the RPC gateway counts, as Prometheus reads it. Labels are bounded: methods that it serves, and `other`; nodes by their place in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

CATALOGUE: Final = {
    "metanode_gateway_requests": ("counter", ("method", "outcome"), "Calls by method: ok, error, denied (not served), limited."),
    "metanode_gateway_request_duration_seconds": ("histogram", ("kind",), "From reading a call to its answer: read, logs (and traces), write."),
    "metanode_gateway_nodes": ("gauge", ("state",), "Nodes that are configured, up, and at the head."),
    "metanode_gateway_node_head": ("gauge", ("node",), "Newest block of each node; 0 while that is not known."),
    "metanode_gateway_node_calls": ("counter", ("node", "outcome"), "Calls that each node was asked: answered, failed."),
    "metanode_gateway_head": ("gauge", (), "Newest block that callers see."),
    "metanode_gateway_blocks": ("counter", ("how",), "Blocks for subscribers: told, fetched because no node told of them, skipped after a long silence, without their logs."),
    "metanode_gateway_retries": ("counter", (), "Calls that a second node was asked."),
    "metanode_gateway_unanswered": ("counter", ("reason",), "Calls without an answer: unavailable (no node), timeout."),
    "metanode_gateway_connections": ("gauge", ("transport",), "Open connections of callers: http, websocket."),
    "metanode_gateway_subscriptions": ("gauge", ("type",), "Open subscriptions of callers."),
    "metanode_gateway_limited": ("counter", ("rate",), "Calls refused because of a rate: of their client, of all clients together, of their transaction's sender."),
    "metanode_gateway_refused": ("counter", ("what",), "Refused before a method was read: connections over the limit, requests; and subscribers closed because they did not read."),
}  # fmt: skip
"""Type, labels, meaning; counters without `_total`."""
DURATION_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
"""The target is 100 ms at p95 for reads."""
_FINE_BOUNDS_S: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Those of the compiled server (`FINE_BOUNDS_US` in rust/rpc)."""
_LOGS: Final = ("eth_getLogs", "eth_getFilterLogs")
_TRACES: Final = ("debug_", "trace_", "ots_")


def gateway_metrics(counters: Mapping[str, Any]) -> Iterator[Metric]:
    """Give the metrics of what `RPCGateway.statistics` counted."""
    calls, network = counters["calls"], counters["network"]
    yield _requests(calls["methods"])
    yield _durations(calls["methods"])
    nodes = network["nodes"]
    states = _gauge("metanode_gateway_nodes")
    states.add_metric(["configured"], len(nodes))
    states.add_metric(["up"], sum(node["up"] for node in nodes))
    states.add_metric(["at_head"], network["nodes_at_head"])
    yield states
    heads, asked = _gauge("metanode_gateway_node_head"), _counter("metanode_gateway_node_calls")
    for number, node in enumerate(nodes, start=1):
        heads.add_metric([str(number)], node["head"])
        asked.add_metric([str(number), "answered"], node["calls"] - node["failures"])
        asked.add_metric([str(number), "failed"], node["failures"])
    yield heads
    yield asked
    head = _gauge("metanode_gateway_head")
    head.add_metric([], network["visible"])
    yield head
    yield from _sums(calls, network)


def _sums(calls: Mapping[str, Any], network: Mapping[str, Any]) -> Iterator[Metric]:
    retries = _counter("metanode_gateway_retries")
    retries.add_metric([], network["retries"])
    yield retries
    for name, counts in (
        (
            "metanode_gateway_blocks",
            {
                "told": network["blocks"],
                "fetched": network["blocks_fetched"],
                "skipped": network["blocks_skipped"],
                "without_logs": network["blocks_without_logs"],
            },
        ),
        (
            "metanode_gateway_unanswered",
            {"unavailable": network["unavailable"], "timeout": network["timed_out"]},
        ),
        (
            "metanode_gateway_limited",
            {
                "client": calls["over_rate_of_client"],
                "all": calls["over_rate_of_all"],
                "sender": network["over_rate_of_sender"],
            },
        ),
        (
            "metanode_gateway_refused",
            {
                "connection": calls["refused_connections"],
                "request": calls["refused_requests"],
                "slow_subscriber": calls["slow_subscribers"],
            },
        ),
    ):
        counter = _counter(name)
        for label, count in counts.items():
            counter.add_metric([label], count)
        yield counter
    for name, counts in (
        (
            "metanode_gateway_connections",
            {"http": calls["http_connections"], "websocket": calls["websocket_connections"]},
        ),
        ("metanode_gateway_subscriptions", dict(calls["subscriptions_by_type"])),
    ):
        gauge = _gauge(name)
        for label, count in counts.items():
            gauge.add_metric([label], count)
        yield gauge


def _requests(methods: Sequence[Mapping[str, Any]]) -> Metric:
    requests = _counter("metanode_gateway_requests")
    for method in methods:
        for outcome in ("ok", "error", "denied", "limited"):
            count = sum(transport[outcome] for transport in method["transports"])
            if count:
                requests.add_metric([method["method"], outcome], count)
    return requests


def _durations(methods: Sequence[Mapping[str, Any]]) -> Metric:
    name = "metanode_gateway_request_duration_seconds"
    histogram = HistogramMetricFamily(name, CATALOGUE[name][2], labels=CATALOGUE[name][1])
    for kind in ("read", "logs", "write"):
        chosen = [method for method in methods if _kind(method["method"]) == kind]
        fine = [sum(counts) for counts in zip(*(method["fine_buckets"] for method in chosen), strict=True)]
        fine = fine or [0] * (len(_FINE_BOUNDS_S) + 1)
        buckets = [(str(bound), sum(fine[: _FINE_BOUNDS_S.index(bound) + 1])) for bound in DURATION_BUCKETS_S]
        total_s = sum(method["total_us"] for method in chosen) / 1e6
        histogram.add_metric([kind], [*buckets, ("+Inf", sum(fine))], total_s)
    return histogram


def _kind(method: str) -> str:
    if method.startswith("eth_sendRaw"):
        return "write"
    return "logs" if method in _LOGS or method.startswith(_TRACES) else "read"


def _gauge(name: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, CATALOGUE[name][2], labels=CATALOGUE[name][1])


def _counter(name: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, CATALOGUE[name][2], labels=CATALOGUE[name][1])
