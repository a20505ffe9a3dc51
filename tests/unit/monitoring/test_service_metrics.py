"""The services' page with parts that fail, and requests counted by route."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from metanode.errors import Unavailable
from sdk.testnet.monitoring import TestnetMonitor
from sdk.testnet.monitoring.service_metrics import ROUTES_MAX, CountRequests, ServiceMetrics
from sdk.testnet.services.indexer.work import IndexWork
from sdk.testnet.services.web.problems import LIMITED

if TYPE_CHECKING:
    from starlette.requests import Request


class Broken:
    """A faucet whose database does not answer."""

    address = "0x" + "1" * 40
    rpc_url = None

    def get_stats(self) -> dict[str, Any]:
        raise Unavailable("the database does not answer")


def ask(app: Any, *requests: tuple[str, str]) -> list[httpx.Response]:
    """Methods and paths, one after the other."""

    async def use() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
            return [await client.request(method, path) for method, path in requests]

    return asyncio.run(use())


def samples(metrics: ServiceMetrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
    }


def test_a_part_that_fails_leaves_the_others_their_page() -> None:
    metrics = ServiceMetrics()
    metrics.faucet, metrics.monitor = Broken(), TestnetMonitor()
    found = samples(metrics)

    assert found["metanode_services_part_up", "faucet"] == 0
    assert found["metanode_services_part_up", "monitor"] == 1
    assert found["metanode_monitor_verdict", "UNKNOWN"] == 1
    assert not any(key[0].startswith("metanode_faucet") for key in found)


def test_requests_are_counted_by_the_route_of_the_code() -> None:
    async def plain(_: Any) -> PlainTextResponse:
        return PlainTextResponse("")

    async def wrong(_: Any) -> PlainTextResponse:
        raise RuntimeError("on purpose")

    async def inside(_: Any) -> PlainTextResponse:
        return PlainTextResponse("")

    metrics = ServiceMetrics()
    routes = [
        Route("/a/{name}", plain),
        Route("/wrong", wrong),
        Mount("/m", routes=[Route("/in/{x}", inside)]),
    ]
    paths = ("/a/secret1", "/a/secret2", "/wrong", "/nowhere/secret3", "/m/in/secret4")
    app = CountRequests(Starlette(routes=routes), metrics=metrics, site="s")
    ask(app, *(("GET", path) for path in paths), ("BREW", "/a/x"))

    page = metrics.page().decode()
    found = samples(metrics)
    assert found["metanode_http_requests_total", "GET", "/a/{name}", "s", "2xx"] == 2
    assert found["metanode_http_requests_total", "GET", "/wrong", "s", "5xx"] == 1
    assert found["metanode_http_requests_total", "GET", "other", "s", "4xx"] == 1
    assert found["metanode_http_requests_total", "other", "/a/{name}", "s", "4xx"] == 1
    assert found["metanode_http_requests_total", "GET", "/in/{x}", "s", "2xx"] == 1
    assert "secret" not in page


def test_requests_that_are_too_many_are_counted_also_where_they_are_answered_with_200() -> None:
    async def too_many(_: Any) -> PlainTextResponse:
        return PlainTextResponse("", status_code=429)

    async def in_a_dialect(request: Request) -> PlainTextResponse:
        request.scope.setdefault("state", {})[LIMITED] = True
        return PlainTextResponse("")

    async def fine(_: Any) -> PlainTextResponse:
        return PlainTextResponse("")

    metrics = ServiceMetrics()
    routes = [Route("/many", too_many), Route("/dialect", in_a_dialect), Route("/fine", fine)]
    app = CountRequests(Starlette(routes=routes), metrics=metrics, site="s")
    name = ("metanode_ratelimited_requests_total", "s")
    before = samples(metrics)[name]
    ask(app, ("GET", "/many"), ("GET", "/fine"), ("GET", "/dialect"), ("GET", "/nowhere"))

    assert (before, samples(metrics)[name]) == (0, 2)


def test_routes_without_end_are_other() -> None:
    metrics = ServiceMetrics()
    for number in range(ROUTES_MAX + 50):
        metrics.count("s", f"/r{number}", "GET", 200, 0.1)

    routes = {key[2] for key in samples(metrics) if key[0] == "metanode_http_requests_total"}
    assert len(routes) == ROUTES_MAX + 1
    assert "other" in routes


def test_the_page_is_a_route() -> None:
    metrics = ServiceMetrics()
    (answer,) = ask(Starlette(routes=[metrics.route()]), ("GET", "/metrics"))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert b"process_cpu_seconds_total" in answer.content


def test_judged_sources_are_counted_by_how_it_ended() -> None:
    metrics = ServiceMetrics()
    assert not any(name.startswith("metanode_explorer_verifications") for name, *_ in samples(metrics))

    metrics.verifications = {"exact_match": 3, "no_match": 1}

    found = samples(metrics)
    assert found["metanode_explorer_verifications_total", "exact_match"] == 3
    assert found["metanode_explorer_verifications_total", "no_match"] == 1


def test_wrong_seals_are_counted_from_nought() -> None:
    """The first one is seen to be more only if there was a number before."""
    metrics, work = ServiceMetrics(), IndexWork()
    metrics.indexing = work
    before = samples(metrics)["metanode_explorer_invalid_seals_total",]

    work.invalid_seals = 2

    assert (before, samples(metrics)["metanode_explorer_invalid_seals_total",]) == (0, 2)
