"""`make_app`: the explorer as an ASGI application."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse
from starlette.routing import Route

from sdk.testnet.services.docs import PREFIX as DOCS_PREFIX
from sdk.testnet.services.docs import docs_routes
from sdk.testnet.services.explorer.exporting import export_routes
from sdk.testnet.services.explorer.head import (
    OF_BLOCKS,
    OF_MONITOR,
    OF_POOL,
    HeadFollower,
    MonitorTeller,
    RoundTeller,
)
from sdk.testnet.services.explorer.twins import twin_routes
from sdk.testnet.services.explorer.views import dashboard
from sdk.testnet.services.explorer.views.addresses import address_handlers
from sdk.testnet.services.explorer.views.blocks import block_handlers
from sdk.testnet.services.explorer.views.charts import chart_handlers
from sdk.testnet.services.explorer.views.home import home_handlers
from sdk.testnet.services.explorer.views.operation import (
    HOME,
    history_routes,
    live_route,
    operator_routes,
    row_routes,
)
from sdk.testnet.services.explorer.views.reading_contracts import reading_handlers
from sdk.testnet.services.explorer.views.searching import search_routes
from sdk.testnet.services.explorer.views.tokens import token_handlers
from sdk.testnet.services.explorer.views.transactions import transaction_handlers
from sdk.testnet.services.explorer.views.validators import validator_handlers
from sdk.testnet.services.explorer.views.verifying import (
    BODY_BYTES_MAX,
    verification_handlers,
    verifying_routes,
)
from sdk.testnet.services.explorer.views.writing_contracts import writing_handlers
from sdk.testnet.services.web.application import make_site_app
from sdk.testnet.services.web.assets import Assets
from sdk.testnet.services.web.health import health_routes
from sdk.testnet.services.web.live import LiveHub
from sdk.testnet.services.web.login import Login
from sdk.testnet.services.web.pages import Pages
from sdk.testnet.services.web.sessions import Sessions
from sdk.testnet.services.web.site import NavigationEntry

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts
    from sdk.testnet.services.web.site import Site

FOLDER: Final = Path(__file__).parent
COOKIE: Final = "explorer_operator"
NAVIGATION: Final = tuple(
    NavigationEntry(key=key, label=label, path=path)
    for key, label, path in (
        ("blocks", "Blocks", "/blocks"),
        ("transactions", "Transactions", "/transactions"),
        ("pending", "Pending", "/pending"),
        ("tokens", "Tokens", "/tokens"),
        ("contracts", "Contracts", "/contracts"),
        ("validators", "Validators", "/validators"),
        ("rounds", "Rounds", "/rounds"),
        ("charts", "Charts", "/charts"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorerApp:
    """The app, and what runs beside it."""

    app: Starlette
    hub: LiveHub
    tellers: tuple[HeadFollower | RoundTeller | MonitorTeller, ...]
    """The `run` of each is somebody's task; without them live parts stand still."""


def make_app(
    parts: ExplorerParts,
    *,
    docs_directory: Path | None = None,
    operator_password_file: Path | None = None,
    public_url: str = "",
) -> ExplorerApp:
    """Return the explorer over its parts.

    Args:
        parts: The objects that it stands on.
        docs_directory: The documentation, shown at /docs.
        operator_password_file: Who knows what is in it sees the dashboard's operator view; the password is made where the file is missing.
        public_url: As people reach it, where a proxy in front changes Host.

    Raises:
        InvalidInput: when no documentation is built in its directory, or others can read the password.
    """
    assets = Assets(FOLDER / "static")
    documents = [] if docs_directory is None else docs_routes(docs_directory)
    navigation = _navigation(parts, has_docs=bool(documents))
    site = parts.site if parts.site.navigation else replace(parts.site, navigation=navigation)
    pages = Pages(site, assets, FOLDER / "templates")
    monitored = {} if parts.monitor is None else OF_MONITOR
    hub = LiveHub([*OF_BLOCKS, *OF_POOL, *monitored], visitors=parts.clients)
    login: Login | None = None
    if parts.monitor is not None and operator_password_file is not None:
        parts = replace(parts, has_operator=True)
        login = Login(
            pages=pages,
            sessions=Sessions(operator_password_file, cookie=COOKIE),
            clients=parts.clients,
            home=HOME,
            prefix="/dashboard",
            where=f"The password is in the file {operator_password_file.name} beside the services' data.",
            public_url=public_url,
        )
    handlers = (
        home_handlers(parts)
        | block_handlers(parts)
        | transaction_handlers(parts)
        | token_handlers(parts)
        | validator_handlers(parts)
        | chart_handlers(parts)
        | address_handlers(parts)
        | reading_handlers(parts)
        | writing_handlers(parts)
        | verification_handlers(parts)
        | dashboard.dashboard_handlers(parts)
    )
    routes: list[Any] = [
        *health_routes({"index": lambda: _index_problem(parts), "node": lambda: _node_problem(parts)}),
        live_route(hub, login),
        *([] if parts.monitor is None else history_routes(parts, login)),
        *([] if parts.monitor is None else row_routes(parts, pages, login)),
        *([] if login is None else operator_routes(parts, pages, login)),
        *search_routes(pages, parts),
        *export_routes(parts),
        *verifying_routes(pages, parts),
        Route("/network.json", _network(site)),
        *documents,
    ]
    for path, handler in handlers.items():
        routes += twin_routes(pages, path, handler)
    return ExplorerApp(
        app=make_site_app(pages, assets, routes, larger_bodies={"/verify": BODY_BYTES_MAX}),
        hub=hub,
        tellers=(
            HeadFollower(parts=parts, pages=pages, hub=hub),
            RoundTeller(parts=parts, pages=pages, hub=hub, topics=OF_POOL),
            *([MonitorTeller(parts=parts, pages=pages, hub=hub, topics=OF_MONITOR)] if monitored else []),
        ),
    )


def _network(site: Site) -> Any:
    async def network(_: Request) -> JSONResponse:
        return JSONResponse(site.network_document(), headers={"cache-control": "max-age=60"})

    return network


def _navigation(parts: ExplorerParts, *, has_docs: bool) -> tuple[NavigationEntry, ...]:
    entries = list(NAVIGATION)
    if parts.monitor is not None:
        entries.append(NavigationEntry(key="dashboard", label="Dashboard", path="/dashboard"))
    if parts.site.faucet_url:
        entries.append(NavigationEntry(key="faucet", label="Faucet", path=parts.site.faucet_url))
    if has_docs:
        entries.append(NavigationEntry(key="docs", label="Docs", path=f"{DOCS_PREFIX}/"))
    return tuple(entries)


async def _index_problem(parts: ExplorerParts) -> str:
    as_of = await parts.reading.now()
    if as_of.block < 0:
        return "the index is empty"
    return f"the index is {as_of.lag_blocks} blocks behind the chain" if as_of.is_behind else ""


async def _node_problem(parts: ExplorerParts) -> str:
    return "" if await parts.reading.chain_head() is not None else "no node answers"
