"""Puts the services of one process together from its configuration: each part is made once, and shared by those that need it.

A service's code is imported when it is added, so that one alone costs what it needs.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING, Any, Final

import structlog

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.services.serving import SiteServer, bind
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from contextlib import AsyncExitStack
    from pathlib import Path

    from sdk.testnet.faucet.desk import ClaimDesk
    from sdk.testnet.monitoring import TestnetMonitor
    from sdk.testnet.monitoring.service_metrics import ServiceMetrics
    from sdk.testnet.services.api import ApiConfig
    from sdk.testnet.services.configuration import ExplorerSection, ServicesConfig, SiteSection
    from sdk.testnet.services.heads import Heads
    from sdk.testnet.services.node_pool import NodePool
    from sdk.testnet.services.store import Store
    from sdk.testnet.services.verification import Verifier

log = structlog.get_logger(__name__)

API_SETTINGS: Final = (
    "keys",
    "anonymous_a_minute",
    "keyed_a_minute",
    "keys_a_day",
    "post_origins",
    "cursor_secret",
    "block_time_s",
)
"""What `[api]` takes beside where it listens."""


class Composition:
    """The services of one process, before they run. What they hold is closed with `stack`."""

    def __init__(self, config: ServicesConfig, stack: AsyncExitStack, *, is_watching: bool = False) -> None:
        self._config = config
        self._stack = stack
        self._store: Store | None = None
        self._nodes: NodePool | None = None
        self._heads: Heads | None = None
        self._verifier: Verifier | None = None
        self._monitor: TestnetMonitor | None = None
        self._desk: ClaimDesk | None = None
        self._runs: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = []
        self.sites: list[SiteServer] = []
        self.servers: list[tuple[str, Callable[[asyncio.Event], Coroutine[Any, Any, None]]]] = []
        """What listens by itself, each until the event is set and it has drained."""
        self._places: dict[str, str] = {}
        """Where what is no site listens, by its name."""
        self._index_problem: Callable[[], Awaitable[str]] | None = None
        """Why the index is not at the chain's head; of a process that writes it."""
        self._metrics: ServiceMetrics | None = None
        if is_watching or (config.metrics is not None and config.metrics.enabled):
            from sdk.testnet.monitoring.service_metrics import ServiceMetrics  # noqa: PLC0415 - see the module

            self._metrics = ServiceMetrics()

    @property
    def addresses(self) -> dict[str, str]:
        """host:port of everything that listens, by its name."""
        return {site.name: site.address for site in self.sites} | self._places

    def tasks(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """Give what runs beside the sites, each to be made a task."""
        for name, run in self._runs:
            yield name, run()

    def add_network_check(self) -> None:
        """Look whether the nodes are of the network that is configured, as soon as they answer; who is not ends the program with a sentence."""
        from sdk.testnet.services.network_check import check_network  # noqa: PLC0415 - see the module

        network = self._config.network
        self._runs.append(("network", lambda: check_network(network.rpc_urls, network.chain_id)))

    async def add(self, name: str) -> None:
        """Make a service; raises a MetanodeError that says why it can't be."""
        await getattr(self, f"_add_{name}")()

    def add_metrics(self) -> None:
        """Serve Prometheus, if the configuration says where; raises Unavailable when the port can't be had."""
        if self._metrics is None:
            return
        section = self._config.metrics
        self._metrics.monitor = self._monitor
        self._watch_certificates(self._metrics)
        if section is None or not section.enabled:
            return
        from starlette.applications import Starlette  # noqa: PLC0415 - see the module

        from sdk.testnet.services.web.health import health_routes  # noqa: PLC0415 - the same

        listener = bind("metrics", section.bind_address, section.port)
        # Of an indexer that is alone it is the only site.
        checks = {} if self._index_problem is None else {"index": self._index_problem}
        app = Starlette(routes=[self._metrics.route(), *health_routes(checks)])
        self.sites.append(SiteServer(name="metrics", app=app, listener=listener))

    def _watch_certificates(self, metrics: ServiceMetrics) -> None:
        """Look at the certificates that strangers are shown, where the sites have names with https."""
        from sdk.testnet.monitoring.certificates import CertificateWatch  # noqa: PLC0415 - see the module

        config = self._config
        sections = {
            "explorer": config.explorer,
            "faucet": config.faucet,
            "api": config.api,
            "gateway": config.gateway,
        }
        urls = {name: section.public_url for name, section in sections.items() if section is not None}
        watch = CertificateWatch(urls)
        if watch.urls:
            metrics.certificates = watch.ends
            self._runs.append(("certificates", watch.run))

    def _counted(self, name: str, app: Any) -> Any:
        """A site whose requests are counted, if anybody reads the numbers."""
        if self._metrics is None:
            return app
        from sdk.testnet.monitoring.service_metrics import CountRequests  # noqa: PLC0415 - see the module

        return CountRequests(app, metrics=self._metrics, site=name)

    @staticmethod
    def _named(app: Any, bind_address: str, public_url: str) -> Any:
        """A site that answers to its own names only, where it can know them."""
        from sdk.testnet.services.web.hosts import HostMiddleware, allowed_hosts  # noqa: PLC0415 - see the module

        hosts = allowed_hosts(bind_address, public_url)
        return app if hosts is None else HostMiddleware(app, hosts=hosts)

    async def _add_indexer(self) -> None:
        from sdk.testnet.services.indexer import Indexer, IndexerConfig  # noqa: PLC0415 - see the module

        config = IndexerConfig(
            rpc_urls=self._config.network.rpc_urls,
            names={parse_address(address): name for address, name in self._config.names.items()},
        )
        heads = self._open_heads()
        heads.is_local = True
        indexer = Indexer(await self._open_store(), config, upon_blocks=heads.tell)

        async def problem() -> str:
            status = indexer.status
            return "" if status.state == "live" else f"{status.state}, at block {status.indexed}"

        self._index_problem = problem
        if self._metrics is not None:
            self._metrics.index = lambda: indexer.status
            self._metrics.indexing = indexer.work
        self._runs.append(("indexer", indexer.run))

    async def _add_explorer(self) -> None:
        from sdk.testnet.services.docs import find_docs  # noqa: PLC0415 - see the module
        from sdk.testnet.services.explorer.app import make_app  # noqa: PLC0415 - the same
        from sdk.testnet.services.explorer.parts import ExplorerParts  # noqa: PLC0415 - the same

        section = self._config.explorer
        listener = bind("explorer", section.bind_address, section.port)
        parts = ExplorerParts.of(
            site=self._site(is_explorer=True),
            store=await self._open_store(),
            nodes=await self._open_nodes(),
            monitor=await self._open_monitor(await self._open_store()),
            verifier=await self._open_verifier(),
            trusted_proxies=networks(section),
            heads=self._open_heads(),
            ask_faucet=self._faucet_state if _url(self._config.faucet) else None,
            node_names=self._config.network.node_names,
        )
        explorer = make_app(
            parts,
            docs_directory=find_docs(section.docs_directory, self._config.directory),
            operator_password_file=self._operator_password_file(section),
            public_url=section.public_url,
        )
        if self._metrics is not None:
            self._metrics.streams["explorer"] = lambda: explorer.hub.client_count
        app = self._named(self._counted("explorer", explorer.app), section.bind_address, section.public_url)
        self.sites.append(
            SiteServer(
                name="explorer",
                app=app,
                listener=listener,
                close_streams=explorer.hub.close,
                trusted_proxies=networks(section),
            )
        )
        self._runs += [(type(teller).__name__, teller.run) for teller in explorer.tellers]

    async def _add_faucet(self) -> None:
        from sdk.testnet.faucet import Faucet  # noqa: PLC0415 - see the module
        from sdk.testnet.services.faucet.admin import make_admin_app  # noqa: PLC0415 - the same
        from sdk.testnet.services.faucet.app import FaucetService, make_public_app  # noqa: PLC0415 - the same
        from sdk.testnet.services.faucet.settings import settings_of  # noqa: PLC0415 - the same

        section, settings = self._config.faucet, settings_of(self._config)
        assert section is not None
        listener = bind("faucet", section.bind_address, section.port)
        self._make_folder()
        faucet = await asyncio.to_thread(Faucet, settings.faucet)
        self._stack.push_async_callback(faucet.close)
        service = FaucetService(
            faucet, self._site(), trusted_proxies=networks(section), public_url=section.public_url
        )
        self._desk = service.desk
        if self._metrics is not None:
            self._metrics.faucet = faucet
        app = self._named(
            self._counted("faucet", make_public_app(service)), section.bind_address, section.public_url
        )
        proxies = networks(section)
        self.sites.append(SiteServer(name="faucet", app=app, listener=listener, trusted_proxies=proxies))
        if settings.operator_port:
            listener = bind("faucet.operator", settings.operator_bind_address, settings.operator_port)
            operator = self._named(
                make_admin_app(service, password_file=settings.operator_password_file),
                settings.operator_bind_address,
                "",
            )
            self.sites.append(SiteServer(name="faucet operator", app=operator, listener=listener))

    async def _add_api(self) -> None:
        from sdk.testnet.services.api import make_app  # noqa: PLC0415 - see the module

        section = self._config.api
        assert section is not None
        listener = bind("api", section.bind_address, section.port)
        app = make_app(
            store=await self._open_store(),
            node=await self._open_nodes(),
            config=self._api_config(section),
            heads=self._open_heads(),
            monitor=await self._open_monitor(await self._open_store()),
            verifier=await self._open_verifier(),
            payouts=self._payouts if _url(self._config.faucet) else None,
        )
        close = app.state.parts.hub.close
        site = self._named(self._counted("api", app), section.bind_address, section.public_url)
        self.sites.append(
            SiteServer(
                name="api",
                app=site,
                listener=listener,
                close_streams=close,
                trusted_proxies=networks(section),
            )
        )

    async def _add_gateway(self) -> None:
        from sdk.testnet.services.gateway import make_gateway, read_settings, serve_gateway  # noqa: PLC0415 - see the module
        from sdk.testnet.services.gateway.service import Place  # noqa: PLC0415 - the same

        section, network = self._config.gateway, self._config.network
        assert section is not None
        place = Place(
            bind_address=section.bind_address,
            port=section.port,
            public_url=section.public_url,
            trusted_proxies=section.trusted_proxies,
            nodes=network.rpc_urls,
            chain_id=network.chain_id,
        )
        try:
            settings = read_settings(self._config.gateway_settings)
            gateway = await asyncio.to_thread(make_gateway, place, settings)
        except InvalidInput as error:
            raise InvalidInput("\n".join(f"gateway.{line}" for line in str(error).splitlines())) from None
        except Unavailable as error:
            raise Unavailable(f"gateway: {error}; stop what listens there, or set gateway.port") from None
        # Also when another part can't be made.
        self._stack.push_async_callback(asyncio.to_thread, gateway.stop)
        if self._metrics is not None:
            self._metrics.gateway = gateway.statistics
        host, port = gateway.addresses[0]
        self._places["gateway"] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        log.info("service_listening", name="gateway", address=self._places["gateway"])
        self.servers.append(("gateway", lambda stop: serve_gateway(gateway, stop)))

    async def _add_bootstrap(self) -> None:
        from sdk.testnet.bootstrap.configuration import BootstrapConfig  # noqa: PLC0415 - see the module
        from sdk.testnet.bootstrap.node import run_bootstrap  # noqa: PLC0415 - the same

        settings = dict(self._config.bootstrap_settings or {})
        if "data_dir" in settings:
            settings["data_dir"] = self._config.directory / settings["data_dir"]
        try:
            config = BootstrapConfig.from_dict({"chain_id": self._config.network.chain_id} | settings)
        except InvalidInput as error:
            raise InvalidInput("\n".join(f"bootstrap.{line}" for line in str(error).splitlines())) from None
        self._places["bootstrap"] = f"{config.listen_address}:{config.listen_port}"
        self._runs.append(("bootstrap", lambda: run_bootstrap(config)))

    async def _payouts(self) -> list[dict[str, Any]]:
        """The faucet's newest payouts: of this process, or asked of the one that serves it. Raises Unavailable."""
        from sdk.testnet.services.faucet.client import newest_payouts  # noqa: PLC0415 - see the module
        from sdk.testnet.services.faucet.documents import payout_document  # noqa: PLC0415 - the same

        if self._desk is not None:
            return [payout_document(payout) for payout in await self._desk.payouts()]
        return await asyncio.to_thread(newest_payouts, _url(self._config.faucet))

    async def _faucet_state(self) -> dict[str, Any]:
        """What is public of the faucet: of this process, or asked of the one that serves it. Raises Unavailable."""
        from sdk.testnet.services.faucet.client import read_state  # noqa: PLC0415 - see the module
        from sdk.testnet.services.faucet.documents import faucet_document  # noqa: PLC0415 - the same

        if self._desk is not None:
            return faucet_document(await self._desk.view(), self._desk.config, None)
        return await asyncio.to_thread(read_state, _url(self._config.faucet))

    def _api_config(self, section: SiteSection) -> ApiConfig:
        """What the API is told: the network, and its own settings in `[api]`."""
        from sdk.testnet.services.api import ApiConfig  # noqa: PLC0415 - see the module
        from sdk.testnet.services.api.configuration import read_keys  # noqa: PLC0415 - the same

        settings = dict(self._config.api_settings)
        unknown = [name for name in settings if name not in API_SETTINGS]
        if unknown:
            raise InvalidInput(
                f"api.{unknown[0]}: no such setting; expected some of {', '.join(API_SETTINGS)}"
            )
        if "keys" in settings:
            settings["keys"] = read_keys(list(settings["keys"]))
        if "cursor_secret" in settings:
            settings["cursor_secret"] = str(settings["cursor_secret"]).encode()
        site, network = self._site(), self._config.network
        try:
            return ApiConfig(
                network_name=network.network_id,
                chain_id=network.chain_id,
                public_url=section.url,
                rpc_url=site.rpc_url,
                ws_url=network.public_ws_url,
                explorer_url=site.explorer_url,
                faucet_url=site.faucet_url,
                currency_symbol=network.currency_symbol,
                reset_policy=network.reset_policy,
                trusted_proxies=networks(section),
                redis_url=self._config.database.redis_url,
                **settings,
            )
        except InvalidInput as error:
            raise InvalidInput(f"api.{error}") from None

    def _operator_password_file(self, section: ExplorerSection) -> Path | None:
        """Where the password of the dashboard's operators is; None where there is no view for them."""
        if not section.operator_view:
            return None
        if section.operator_password_file:
            return self._config.directory / section.operator_password_file
        database = self._config.database
        if database.postgres_url:
            return None
        return (self._config.directory / database.sqlite_path).parent / "operator.password"

    def _site(self, *, is_explorer: bool = False) -> Site:
        """The network as pages speak of it."""
        config = self._config
        network = config.network
        return Site(
            network_name=network.network_id,
            chain_id=network.chain_id,
            currency_symbol=network.currency_symbol,
            own_url=config.explorer.url if is_explorer else "",
            explorer_url="" if is_explorer or not config.explorer.enabled else config.explorer.url,
            faucet_url=_url(config.faucet),
            api_url=_url(config.api),
            rpc_url=config.public_rpc_url,
            reset_policy=network.reset_policy,
            names=dict(config.names),
        )

    def _open_heads(self) -> Heads:
        """What says when the index has a new block, in this process and, by Redis, to others."""
        if self._heads is None:
            from sdk.testnet.services.heads import Heads  # noqa: PLC0415 - see the module

            self._heads = Heads(self._config.database.redis_url)
            if self._config.database.redis_url:
                self._runs.append(("heads", self._heads.run))
        return self._heads

    async def _open_store(self) -> Store:
        if self._store is None:
            from sdk.testnet.services.store import Store  # noqa: PLC0415 - see the module

            self._make_folder()
            self._store = await asyncio.to_thread(Store, self._config.database_url)
            self._stack.callback(self._store.close)
        return self._store

    def _make_folder(self) -> None:
        """Make the folder of the databases that are files."""
        if not self._config.database.postgres_url:
            path = self._config.directory / self._config.database.sqlite_path
            path.parent.mkdir(parents=True, exist_ok=True)

    async def _open_nodes(self) -> NodePool:
        if self._nodes is None:
            from sdk.testnet.services.node_pool import open_node_pool  # noqa: PLC0415 - see the module

            self._nodes = await self._stack.enter_async_context(open_node_pool(self._config.network.rpc_urls))
        return self._nodes

    async def _open_verifier(self) -> Verifier | None:
        """What verifies contracts, running; None where the operator wants none."""
        section = self._config.verification
        if self._verifier is None and section.enabled:
            from sdk.testnet.services.verification import Verifier, find_compilers  # noqa: PLC0415 - see the module
            from sdk.testnet.services.verification.compilers import default_folder  # noqa: PLC0415 - the same

            folders = [self._config.directory / each for each in section.compilers] or [default_folder()]
            compilers = await asyncio.to_thread(find_compilers, folders, node=section.node)
            self._verifier = Verifier(
                store=await self._open_store(), node=await self._open_nodes(), compilers=compilers
            )
            if self._metrics is not None:
                self._metrics.verifications = self._verifier.results
            self._runs.append(("verifier", self._verifier.run))
        return self._verifier

    async def _open_monitor(self, store: Store) -> TestnetMonitor:
        """The monitor of the network's nodes, running; what it says of the whole chain is from the index."""
        if self._monitor is None:
            from sdk.testnet.monitoring import Endpoint, TestnetMonitor, Totals  # noqa: PLC0415 - see the module
            from sdk.testnet.monitoring.alerts.webhooks_file import read_webhooks  # noqa: PLC0415 - the same
            from sdk.testnet.services.docs import ALERTS_GUIDE  # noqa: PLC0415 - the same
            from sdk.testnet.services.look_archive import LookArchive  # noqa: PLC0415 - the same
            from sdk.testnet.services.queries import statistics  # noqa: PLC0415 - the same

            def look() -> Totals:
                with store.look() as connection:
                    found = statistics.totals(connection)
                return Totals(transactions=found.transactions, addresses=found.accounts)

            async def totals() -> Totals:
                return await asyncio.to_thread(look)

            network, told = self._config.network, self._config.alerts.webhooks_file
            count = len(network.rpc_urls)
            self._monitor = TestnetMonitor(
                [
                    Endpoint(rpc_url=url, metrics_url=metrics or None, name=name)
                    for url, metrics, name in zip(
                        network.rpc_urls,
                        network.metrics_urls or ("",) * count,
                        network.node_names or [f"node-{place}" for place in range(1, count + 1)],
                        strict=True,
                    )
                ],
                runbook=f"{self._config.explorer.url}{ALERTS_GUIDE}",
                totals=totals,
                archive=await self._stack.enter_async_context(LookArchive(store)),
                services=self._pages_of_services(),
                node_cores=self._config.alerts.node_cores,
                node_memory_bytes=self._config.alerts.node_memory_mib * 1024**2,
                webhooks=read_webhooks(self._config.directory / told) if told else (),
            )
            self._runs.append(("monitor", self._monitor.run))
        return self._monitor

    def _pages_of_services(self) -> dict[str, str | Callable[[], bytes]]:
        """What the monitor reads of services: this process' own page, whoever else is asked for it, and those of others."""
        urls = self._config.alerts.metrics_urls
        own = {} if self._metrics is None else {"this process": self._metrics.page}
        return {**own, **{url: url for url in urls}}


def networks(section: SiteSection) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Return the networks of the proxies that are believed."""
    return tuple(ipaddress.ip_network(text) for text in section.trusted_proxies)


def _url(section: SiteSection | None) -> str:
    return section.url if section is not None and section.enabled else ""
