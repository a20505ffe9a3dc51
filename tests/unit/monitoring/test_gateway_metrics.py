"""What a gateway counts, as Prometheus reads it."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from sdk.testnet.monitoring import gateway_metrics
from sdk.testnet.monitoring.callers import gateway_traffic
from sdk.testnet.monitoring.page import read_page
from sdk.testnet.monitoring.service_metrics import ServiceMetrics
from sdk.testnet.services.gateway.service import Place, make_gateway
from sdk.testnet.services.gateway.settings import GatewaySettings

ENDED = {"ok": 0, "error": 0, "denied": 0, "limited": 0}


def counted(method: str, buckets: list[int], total_us: int, **ended: int) -> dict[str, object]:
    transports = [{"transport": "http", **ENDED, **ended}, {"transport": "websocket", **ENDED}]
    return {"method": method, "fine_buckets": buckets, "total_us": total_us, "transports": transports}


def test_durations_are_summed_by_kind_in_the_buckets_of_the_target() -> None:
    calls = [
        counted("eth_call", [0, 0, 0, 0, 3, 2, 1, 0, 4, 0, 0, 0, 0, 5], 2_000_000, ok=14, error=1),
        counted("eth_chainId", [1] + [0] * 13, 50, ok=1),
        counted("eth_getLogs", [0] * 13 + [1], 9_000_000, limited=1),
    ]
    durations = gateway_metrics._durations(calls)
    buckets = {
        (sample.labels["kind"], sample.labels["le"]): sample.value
        for sample in durations.samples
        if sample.name.endswith("_bucket")
    }

    read = [buckets["read", str(bound)] for bound in gateway_metrics.DURATION_BUCKETS_S]
    assert read == [4, 6, 7, 7, 11, 11]
    assert buckets["read", "+Inf"] == 16
    assert (buckets["logs", "0.25"], buckets["logs", "+Inf"], buckets["write", "+Inf"]) == (0, 1, 0)
    requests = {tuple(s.labels.values()): s.value for s in gateway_metrics._requests(calls).samples}
    assert requests["eth_call", "ok"] == 14
    assert requests["eth_getLogs", "limited"] == 1


def test_the_page_has_the_catalogue() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/rpc-gateway.md").read_text()

    for name, (kind, labels, meaning) in gateway_metrics.CATALOGUE.items():
        shown = f"{name}_total" if kind == "counter" else name
        assert f"| `{shown}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |" in page


def test_a_real_gateway_has_every_metric_of_the_catalogue() -> None:
    place = Place(
        bind_address="127.0.0.1", port=0, public_url="", trusted_proxies=(), chain_id=1, nodes=("http://127.0.0.1:1",)
    )  # fmt: skip
    gateway = make_gateway(place, GatewaySettings())
    try:
        metrics = ServiceMetrics()
        metrics.gateway = gateway.statistics
        text = metrics.page().decode()
    finally:
        gateway.stop()
    families = {family.name: family for family in text_string_to_metric_families(text)}

    for name, (kind, labels, _) in gateway_metrics.CATALOGUE.items():
        assert families[name].type == kind
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == set(labels)
    assert 'metanode_services_part_up{part="gateway"} 1.0' in text
    assert gateway_traffic([read_page(text)]) == {"websocket_connections": 0, "rpc_calls": {}}


def test_what_callers_do_is_the_sum_of_all_gateways_and_nothing_without_one() -> None:
    pages = [
        read_page(
            f'metanode_gateway_connections{{transport="http"}} 9\nmetanode_gateway_connections{{transport="websocket"}} {count}\n'
            f'metanode_gateway_requests_total{{method="eth_call",outcome="ok"}} {count}\n'
            'metanode_gateway_requests_total{method="eth_call",outcome="limited"} 1\n'
        )
        for count in (3, 4)
    ]

    assert gateway_traffic([*pages, read_page("metanode_explorer_lag_blocks 0")]) == {
        "websocket_connections": 7,
        "rpc_calls": {"eth_call": 9},
    }
    assert gateway_traffic([read_page("metanode_explorer_lag_blocks 0")]) is None
