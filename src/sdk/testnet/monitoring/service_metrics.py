"""The metrics page of the services: what the monitor, the faucet and the index know, and how requests of people end.

Names stand in `CATALOGUE`; labels are bounded by the code: sites, routes as they are written there, severities, results. Never an address or a path.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.routing import Route

from metanode.errors import MetanodeError
from sdk.testnet.monitoring import faucet_metrics
from sdk.testnet.monitoring.gateway_metrics import gateway_metrics
from sdk.testnet.monitoring.verdict import Verdict
from sdk.testnet.services.web.problems import CALLER, CALLERS, LIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from sdk.testnet.counting import Durations
    from sdk.testnet.faucet.counts import Measures
    from sdk.testnet.monitoring.monitor import TestnetMonitor

log = structlog.get_logger(__name__)

BALANCE_TIMEOUT_S: Final = 1.5
"""Less than a scrape may take."""
WEI_PER_TOKEN: Final = 10**18
REQUEST_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
TOO_MANY: Final = 429
API_SITE: Final = "api"
"""The site whose requests may show a key."""
ROUTES_MAX: Final = 200
"""Routes of all sites; what comes beyond is `other`."""

CATALOGUE: Final = {
    "metanode_monitor_verdict": ("gauge", ("verdict",), "1 for the verdict of the monitor in this process."),
    "metanode_monitor_data_age_seconds": ("gauge", (), "Since a node has answered the monitor."),
    "metanode_alerts_active": ("gauge", ("severity",), "Alerts of the monitor that fire."),
    "metanode_webhook_alerts": ("counter", ("result",), "Alerts delivered to webhooks, and dropped."),
    "metanode_certificate_expiry_timestamp_seconds": ("gauge", ("site",), "When the certificate that a site shows to strangers ends, Unix time."),
    "metanode_explorer_indexed_block_number": ("gauge", (), "Newest block in the index."),
    "metanode_explorer_lag_blocks": ("gauge", (), "Blocks that the node has and the index has not."),
    "metanode_explorer_errors": ("counter", ("stage",), "Attempts of the index that ended: block (what a node told can't be indexed), database, node."),
    "metanode_explorer_invalid_seals": ("counter", (), "Seals in certificates of the chain that are not their validator's, of blocks that this process has indexed."),
    "metanode_explorer_index_duration_seconds": ("histogram", ("stage",), "Fetching and writing a group of blocks, one at the head."),
    "metanode_explorer_verifications": ("counter", ("result",), "Contracts' sources judged: match, exact_match, or why not."),
    "metanode_sse_clients": ("gauge", ("site",), "Open streams of live updates."),
    "metanode_services_part_up": ("gauge", ("part",), "1 for a part that could be asked for this page."),
    "metanode_http_requests": ("counter", ("site", "route", "method", "status_class"), "Requests of people and programs."),
    "metanode_http_request_duration_seconds": ("histogram", ("site", "route"), "From reading a request to the end of its answer."),
    "metanode_api_requests": ("counter", ("caller",), "Requests to the community API by the key that they showed: anonymous (none), key, wrong_key."),
    "metanode_ratelimited_requests": ("counter", ("site",), "Requests answered that somebody has asked too much."),
} | faucet_metrics.CATALOGUE  # fmt: skip
"""Type, labels, meaning; counters without `_total`. Those of the RPC gateway are in `gateway_metrics`."""


class FaucetStatistics(Protocol):
    """What is asked of a faucet."""

    @property
    def address(self) -> str:
        """The account that pays."""

    @property
    def rpc_url(self) -> str | None:
        """Where it pays; None before it does."""

    def get_stats(self) -> dict[str, Any]:
        """Counts; amounts in gwei. A call of the database."""

    def measures(self) -> Measures:
        """What else is counted, and what holds now. A call of the database."""


class IndexStatus(Protocol):
    """What is asked of an index."""

    @property
    def indexed(self) -> int | None:
        """Newest block in it."""

    @property
    def lag_blocks(self) -> int | None:
        """Blocks that it has not yet."""


class IndexCounts(Protocol):
    """What an index has counted."""

    @property
    def durations(self) -> Mapping[Any, Durations]:
        """By stage."""

    @property
    def failures(self) -> Mapping[Any, int]:
        """By what failed."""

    @property
    def invalid_seals(self) -> int:
        """Seals of the chain's certificates that are wrong."""


class ServiceMetrics:
    """One process' registry. Parts are handed in by whoever makes them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Parts(self))
        self.monitor: TestnetMonitor | None = None
        self.faucet: FaucetStatistics | None = None
        self.index: Callable[[], IndexStatus] | None = None
        self.indexing: IndexCounts | None = None
        """What the index in this process has counted."""
        self.certificates: Mapping[str, float] = {}
        """By site when its certificate ends, Unix time; it changes as they are looked at."""
        self.verifications: Mapping[str, int] | None = None
        """By result how many sources were judged; it changes while they are."""
        self.gateway: Callable[[], dict[str, Any]] | None = None
        """What the RPC gateway has counted."""
        self.streams: dict[str, Callable[[], int]] = {}
        """By site how many streams are open."""
        labels = CATALOGUE["metanode_http_requests"][1]
        self._requests = Counter(
            "metanode_http_requests_total",
            CATALOGUE["metanode_http_requests"][2],
            labels,
            registry=self.registry,
        )
        self._durations = Histogram(
            "metanode_http_request_duration_seconds",
            CATALOGUE["metanode_http_request_duration_seconds"][2],
            ("site", "route"),
            registry=self.registry,
            buckets=REQUEST_BUCKETS_S,
        )
        self._limited = Counter(
            "metanode_ratelimited_requests_total",
            CATALOGUE["metanode_ratelimited_requests"][2],
            CATALOGUE["metanode_ratelimited_requests"][1],
            registry=self.registry,
        )
        self._api = Counter(
            "metanode_api_requests_total",
            CATALOGUE["metanode_api_requests"][2],
            CATALOGUE["metanode_api_requests"][1],
            registry=self.registry,
        )
        self._routes: set[tuple[str, str]] = set()

    def page(self) -> bytes:
        """The page in Prometheus' text format. It asks the database and a node: call it on a thread."""
        return generate_latest(self.registry)

    def route(self, path: str = "/metrics") -> Route:
        """The page as a route of a site."""

        async def serve(_: Request) -> Response:
            return Response(await asyncio.to_thread(self.page), media_type=CONTENT_TYPE_LATEST)

        return Route(path, serve, include_in_schema=False)

    def limited(self, site: str, count: int = 1) -> None:
        """Note requests that were too many."""
        self._limited.labels(site).inc(count)

    def asked_api(self, caller: str, count: int = 1) -> None:
        """Note requests to the API, by one of `CALLERS`."""
        self._api.labels(caller).inc(count)

    def count(self, site: str, route: str, method: str, status: int, duration_s: float) -> None:
        """Note a request that is over."""
        if (site, route) not in self._routes:
            if len(self._routes) >= ROUTES_MAX:
                route = "other"
            self._routes.add((site, route))
        shown = method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} else "other"
        self._requests.labels(site, route, shown, f"{status // 100}xx").inc()
        self._durations.labels(site, route).observe(duration_s)


class CountRequests:
    """ASGI middleware around a site's app: counts each request by its route and how it ended."""

    def __init__(self, app: Any, *, metrics: ServiceMetrics, site: str) -> None:
        self._app = app
        self._metrics = metrics
        self._site = site
        # From 0 on, so that the first one is seen to be more.
        metrics.limited(site, 0)
        if site == API_SITE:
            for caller in CALLERS:
                metrics.asked_api(caller, 0)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.monotonic()
        status = 500

        async def note(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            self._metrics.count(
                self._site, _route_of(scope), scope["method"], status, time.monotonic() - started_s
            )
            state = scope.get("state", {})
            if status == TOO_MANY or state.get(LIMITED):
                self._metrics.limited(self._site)
            if CALLER in state:
                self._metrics.asked_api(state[CALLER])


def _route_of(scope: MutableMapping[str, Any]) -> str:
    """The route as it is written in the code, below a mount without its prefix; `other` where none was found."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "other"


class _Parts(Collector):
    """Asks the parts when the page is read."""

    def __init__(self, metrics: ServiceMetrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterator[Metric]:
        """Nothing: nobody is asked before the first page."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Everything that can be asked; a part that fails leaves the others their page."""
        up = _gauge("metanode_services_part_up")
        metrics = self._metrics
        for part, is_there, ask in (
            ("monitor", metrics.monitor is not None, self._monitor),
            ("faucet", metrics.faucet is not None, self._faucet),
            ("index", metrics.index is not None, self._index),
            ("gateway", metrics.gateway is not None, self._gateway),
        ):
            if not is_there:
                continue
            try:
                yield from list(ask())
                up.add_metric([part], 1)
            except (MetanodeError, httpx.HTTPError, KeyError, ValueError, TypeError) as error:
                log.warning("metrics_part_failed", part=part, reason=f"{type(error).__name__} {error}"[:200])
                up.add_metric([part], 0)
        yield up
        if metrics.certificates:
            ends = _gauge("metanode_certificate_expiry_timestamp_seconds")
            for site, end_s in list(metrics.certificates.items()):
                ends.add_metric([site], end_s)
            yield ends
        if metrics.indexing is not None:
            yield from _indexing(metrics.indexing)
        if metrics.verifications is not None:
            judged = _counter("metanode_explorer_verifications")
            for result, number in list(metrics.verifications.items()):
                judged.add_metric([result], number)
            yield judged
        streams = _gauge("metanode_sse_clients")
        for site, count in metrics.streams.items():
            streams.add_metric([site], count())
        yield streams

    def _monitor(self) -> Iterator[Metric]:
        monitor = self._metrics.monitor
        assert monitor is not None
        now = monitor.verdict.verdict
        verdict = _gauge("metanode_monitor_verdict")
        for one in Verdict:
            verdict.add_metric([one.value], float(one is now))
        yield verdict
        age_s = monitor.data_age_s
        if age_s is not None:
            yield _plain("metanode_monitor_data_age_seconds", age_s)
        alerts = _gauge("metanode_alerts_active")
        active = [alert.severity.value for alert in monitor.alerts]
        for severity in ("critical", "warning", "info"):
            alerts.add_metric([severity], active.count(severity))
        yield alerts
        told = _counter("metanode_webhook_alerts")
        told.add_metric(["delivered"], sum(one.delivered for one in monitor.receivers))
        told.add_metric(["dropped"], sum(one.dropped for one in monitor.receivers))
        yield told

    def _faucet(self) -> Iterator[Metric]:
        faucet = self._metrics.faucet
        assert faucet is not None
        yield from faucet_metrics.faucet_metrics(faucet.get_stats(), faucet.measures())
        if faucet.rpc_url is not None:
            yield _plain("metanode_faucet_balance_ether", _balance(faucet.rpc_url, faucet.address))

    def _index(self) -> Iterator[Metric]:
        assert self._metrics.index is not None
        status = self._metrics.index()
        if status.indexed is not None:
            yield _plain("metanode_explorer_indexed_block_number", status.indexed)
        if status.lag_blocks is not None:
            yield _plain("metanode_explorer_lag_blocks", status.lag_blocks)

    def _gateway(self) -> Iterator[Metric]:
        assert self._metrics.gateway is not None
        yield from gateway_metrics(self._metrics.gateway())


def _indexing(counts: IndexCounts) -> Iterator[Metric]:
    """What an index has counted."""
    errors = _counter("metanode_explorer_errors")
    for what, number in list(counts.failures.items()):
        errors.add_metric([what], number)
    yield errors
    invalid = _counter("metanode_explorer_invalid_seals")
    invalid.add_metric([], counts.invalid_seals)
    yield invalid
    name = "metanode_explorer_index_duration_seconds"
    took = HistogramMetricFamily(name, CATALOGUE[name][2], labels=CATALOGUE[name][1])
    for stage, durations in counts.durations.items():
        buckets, sum_s = durations.read()
        took.add_metric([stage], buckets, sum_s)
    yield took


def _balance(url: str, address: str) -> float:
    """Tokens of an account; raises what httpx raises, or KeyError."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": [address, "latest"]}
    with httpx.Client(timeout=BALANCE_TIMEOUT_S, trust_env=False, verify=not url.startswith("http:")) as http:
        return int(http.post(url, json=request).json()["result"], 16) / WEI_PER_TOKEN


def _gauge(name: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, CATALOGUE[name][2], labels=CATALOGUE[name][1])


def _counter(name: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, CATALOGUE[name][2], labels=CATALOGUE[name][1])


def _plain(name: str, value: float) -> GaugeMetricFamily:
    family = _gauge(name)
    family.add_metric([], value)
    return family
