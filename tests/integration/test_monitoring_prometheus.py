"""The rendered rules and dashboards on a real Prometheus that scrapes real nodes, while one of them dies and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from eth_account import Account
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.acceptance.processes import free_ports, wait_until
from tests.integration.prometheus_process import RunningPrometheus, prometheus
from websockets.sync.client import connect

from metanode.cli.calls import call
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet import Faucet, Testnet, TestnetExplorer, TestnetMonitor
from sdk.testnet.monitoring import gateway_metrics
from sdk.testnet.monitoring.rendering import alert_rules, grafana_dashboards, prometheus_config
from sdk.testnet.monitoring.rendering.dashboards import dashboards
from sdk.testnet.monitoring.rendering.panels import ANNOTATIONS
from sdk.testnet.monitoring.rendering.rules import RECORDED, rules
from sdk.testnet.monitoring.service_metrics import CATALOGUE, CountRequests, ServiceMetrics
from sdk.testnet.monitoring.thresholds import Thresholds
from sdk.testnet.services.gateway.service import Place, make_gateway
from sdk.testnet.services.gateway.settings import GatewaySettings
from sdk.testnet.services.indexer.work import IndexWork
from sdk.testnet.services.web.problems import CALLERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from sdk.testnet.deployment.plan import NetworkPlan

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("prometheus") is None, reason="no Prometheus: apt-get install prometheus"
    ),
]

LIMITS = Thresholds(block_time_s=1)
INTERVAL = "20s"
"""What a person chooses in Grafana; the test looks at a short life."""


@dataclass(frozen=True)
class Watched:
    """A network and the Prometheus that scrapes it."""

    network: Testnet
    prometheus: RunningPrometheus
    services: str
    """HOST:PORT of a process of services."""
    gateway: str
    """URL of an RPC gateway before the nodes."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with Testnet(validators=4, block_time_s=1, in_memory=True) as network:
        plan = network.directory.load_plan()
        with services(plan) as (address, gateway):
            config = prometheus_config(plan, scrape_interval_s=1, services={"services": address})
            with prometheus(folder, config=config, rules=alert_rules(block_time_s=1)) as running:
                wait_until(
                    lambda: running.targets_up() == 5,
                    within_s=60,
                    what="all nodes and the services are scraped",
                )
                yield Watched(network, running, address, gateway)


@dataclass(frozen=True)
class Kept:
    """How far an explorer's memory is behind its node."""

    indexed: int | None
    lag_blocks: int | None


@contextlib.contextmanager
def services(plan: NetworkPlan) -> Iterator[tuple[str, str]]:
    """A site with a monitor, a faucet on a chain of its own, an explorer's memory as index, and a gateway; gives HOST:PORT, and the gateway's URL."""
    (port,) = free_ports(1)
    place = Place(
        bind_address="127.0.0.1", port=0, public_url="", trusted_proxies=(), chain_id=plan.spec.chain_id,
        nodes=tuple(node.rpc_url for node in plan.nodes),
    )  # fmt: skip
    gateway = make_gateway(place, GatewaySettings())
    stop, ready = threading.Event(), threading.Event()

    async def page(_: Request) -> Response:
        return PlainTextResponse("found")

    async def run() -> None:
        monitor, faucet, explorer = (
            TestnetMonitor.of_plan(plan),
            Faucet(),
            TestnetExplorer(plan.nodes[0].rpc_url),
        )
        metrics, work = ServiceMetrics(), IndexWork()
        metrics.monitor, metrics.faucet = monitor, faucet
        metrics.indexing, metrics.certificates = work, {"explorer": time.time() + 86_400}
        metrics.index = lambda: Kept(
            explorer.height,
            max(0, monitor.calculate_network_metrics().current_height - (explorer.height or 0)),
        )
        metrics.streams["explorer"] = lambda: 0
        metrics.verifications = {}
        metrics.gateway = gateway.statistics
        for caller in CALLERS:
            metrics.asked_api(caller, 0)
        site = Starlette(routes=[Route("/page/{name}", page), metrics.route()])
        config = uvicorn.Config(
            CountRequests(site, metrics=metrics, site="explorer"),
            host="127.0.0.1",
            port=port,
            log_config=None,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        async with monitor, asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server._serve())
            for number in itertools.count(1):
                # Each from a network of its own, for limits are not what is looked at here.
                paid = await faucet.request_tokens(f"0x22{number:038x}", f"10.{number % 250}.0.1")
                assert paid["success"] or "will be paid" in paid["error"], paid
                ready.set()
                if stop.is_set():
                    break
                begun = time.monotonic()
                with contextlib.suppress(Unavailable):
                    await explorer.update()
                for durations in work.durations.values():
                    durations.note(time.monotonic() - begun)
                await faucet.settle()
                await asyncio.sleep(0.5)
            server.should_exit = True
            await serving
        await faucet.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="services")
    thread.start()
    try:
        assert ready.wait(60), "the services are up"
        host, gateway_port = gateway.addresses[0]
        yield f"127.0.0.1:{port}", f"http://{host}:{gateway_port}"
    finally:
        stop.set()
        thread.join(30)
        gateway.stop()


def asked(expression: str, network: Testnet) -> str:
    """An expression with the variables of a dashboard as a person has them."""
    name = network.directory.load_plan().spec.network_name
    return expression.replace("$network", name).replace("$node", ".*").replace("$interval", INTERVAL)


def use(watched: Watched, socket: Any) -> None:
    """Do what makes series move: transactions, errors, a batch, a subscription."""
    network = watched.network
    for path in ("page/a", "page/b", "nowhere"):
        httpx.get(f"http://{watched.services}/{path}")
    url, sender = network.rpc_url, Account.from_key(network.accounts[0].private_key)
    nonce = int(call(url, "eth_getTransactionCount", sender.address, "pending"), 16)
    fields = {
        "chainId": network.chain_id, "nonce": nonce, "to": "0x" + "11" * 20, "value": 1, "gas": 21_000,
        "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
    }  # fmt: skip
    for method, *parameters in (("eth_blockNumber",), ("eth_getLogs", {"fromBlock": "latest"})):
        call(watched.gateway, method, *parameters)
    raw = "0x" + sender.sign_transaction(fields).raw_transaction.hex().removeprefix("0x")
    call(url, "eth_sendRawTransaction", raw)
    with pytest.raises(InvalidInput):
        call(url, "eth_invented")
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    httpx.post(url, json=[request] * 3)
    with contextlib.suppress(TimeoutError):
        socket.send(json.dumps(request))
        socket.recv(10)


def all_sign(network: Testnet) -> bool:
    """Whether one can be spared: a validator that has just started signs two heights later."""
    with contextlib.suppress(Unavailable):
        return all(call(node.rpc_url, "ibft_getConsensusState")["signs"] for node in network.nodes)
    return False


def test_every_panel_has_an_answer_and_every_rule_is_understood(watched: Watched) -> None:
    """A validator dies and comes back meanwhile, so that there are missed turns, round changes and lost connections to see."""
    network, running = watched.network, watched.prometheus
    wanted = {
        (dashboard.title, panel.title, query.expression): asked(query.expression, network)
        for dashboard in dashboards(LIMITS)
        for panel in dashboard.panels
        for query in panel.queries
    }
    unanswered = dict(wanted)
    wait_until(lambda: all_sign(network), within_s=30, what="all validators sign")
    with connect(network.rpc_url.replace("http:", "ws:")) as socket:

        def are_answered() -> bool:
            use(watched, socket)
            for where, expression in list(unanswered.items()):
                if running.values(expression):
                    del unanswered[where]
            return all("missed" in expression for expression in unanswered.values())

        def missing() -> str:
            return "an answer for\n" + "\n".join(f"{where}" for where in unanswered)

        wait_until(are_answered, within_s=60, what=missing)
        network.node(3).kill()
        wait_until(lambda: are_answered() and not unanswered, within_s=60, what=missing)
    wait_until(lambda: ("NodeDown", "warning") in running.firing(), within_s=60, what="the dead node is told")
    assert {("ChainHalted", "critical"), ("QuorumLost", "critical")} & running.firing() == set()
    network.node(3).start()
    wait_until(lambda: ("NodeDown", "warning") not in running.firing(), within_s=30, what="all is well again")

    assert len(wanted) > 60
    for rule in rules(LIMITS):
        running.query(rule.expression)
    for name in RECORDED:
        assert running.values(name), name
    for _, expression, _, _ in ANNOTATIONS:
        running.query(asked(expression, network))


def test_the_variables_of_the_dashboards_have_values(watched: Watched) -> None:
    name = watched.network.directory.load_plan().spec.network_name
    found = {
        (sample["metric"]["network"], sample["metric"]["node"])
        for sample in watched.prometheus.query("metanode_build_info")
    }

    assert found >= {(name, node.name) for node in watched.network.nodes[:3]}
    for text in grafana_dashboards().values():
        assert {variable["name"] for variable in json.loads(text)["templating"]["list"]} == {
            "datasource", "network", "node", "interval",
        }  # fmt: skip


def test_the_services_page_has_what_its_catalogue_says_and_routes_instead_of_paths(watched: Watched) -> None:
    for path in ("page/somebody-s-secret", "no-page/somebody-s-secret"):
        httpx.get(f"http://{watched.services}/{path}")
    text = httpx.get(f"http://{watched.services}/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    found = {name: family for name, family in families.items() if not name.startswith("process_")}
    catalogue = CATALOGUE | gateway_metrics.CATALOGUE

    assert {name: family.type for name, family in found.items()} == {
        name: kind for name, (kind, _, _) in catalogue.items()
    }
    for name, family in found.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(catalogue[name][1]), sample
    assert 'route="/page/{name}"' in text
    assert 'route="other"' in text
    assert "secret" not in text
    (verdict,) = [s.labels["verdict"] for s in found["metanode_monitor_verdict"].samples if s.value]
    assert verdict in {"HEALTHY", "SLOW", "DEGRADED", "STARTING"}, "it goes on, however busy the machine is"
