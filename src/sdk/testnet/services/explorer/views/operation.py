"""What of the dashboard is for operators: the same page with the inside of the nodes, behind a login; and the numbers of its charts and single rows, for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from sdk.testnet.services.explorer.twins import json_response, plain
from sdk.testnet.services.explorer.views import dashboard
from sdk.testnet.services.explorer.views.choice import address_of
from sdk.testnet.services.explorer.views.moments import KeptMoments, until_of, window_of
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from sdk.testnet.services.explorer.parts import ExplorerParts
    from sdk.testnet.services.web.live import LiveHub
    from sdk.testnet.services.web.login import Login
    from sdk.testnet.services.web.pages import Pages

HOME = "/dashboard/operator"
FRESH = {"cache-control": "no-store"}


def history_routes(parts: ExplorerParts, login: Login | None) -> list[BaseRoute]:
    """Return the routes of the charts' numbers: what the monitor remembers, whatever a Prometheus does."""
    kept = KeptMoments(parts.monitor)

    async def history(request: Request) -> Response:
        return Response(
            kept.read(window_of(request), until_of(request), is_operator=False),
            media_type="application/json",
            headers={"cache-control": "no-cache", "access-control-allow-origin": "*"},
        )

    async def inside(request: Request) -> Response:
        if login is None or login.session_of(request) is None:
            raise HTTPException(401, "Log in at /dashboard/login, and send its cookie.")
        asked = request.query_params.get("validator")
        validator = None if asked is None else address_of(asked)
        return Response(
            kept.read(window_of(request), until_of(request), is_operator=True, validator=validator),
            media_type="application/json",
            headers=FRESH,
        )

    return [Route("/dashboard/history.json", history), Route(f"{HOME}/history.json", inside)]


class KeptRows:
    """Rows of validators that somebody has chosen and the table has no room for: each is made once a look of the monitor and a verdict, however many ask for it."""

    def __init__(self, parts: ExplorerParts, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages
        self._seen: tuple[int, Any] = (-1, None)
        self._kept: dict[tuple[str, bool], str] = {}
        """Of this look and verdict, by address and reader: of validators only."""

    def read(self, address: str, *, is_operator: bool) -> str:
        """Return a validator's row; raises NotFound for an address that none has."""
        monitor = self._parts.monitor
        # When our own looks fail, no further one is counted, and what is seen of the nodes grows old: then the verdict is another, and every row is grey.
        seen = (monitor.looks, monitor.verdict.verdict)
        if seen != self._seen:
            self._seen = seen
            self._kept.clear()
        key = (address, is_operator)
        if key not in self._kept:
            context = dashboard.row_context(self._parts, address, is_operator=is_operator)
            if context is None:
                raise NotFound(f"No validator that the nodes name now has the address {address}.")
            self._kept[key] = self._pages.fragment("dashboard/row.html", **context)
        return self._kept[key]


def row_routes(parts: ExplorerParts, pages: Pages, login: Login | None) -> list[BaseRoute]:
    """Return the routes of one validator's row, which live parts lack where it is not among the first: those are the same for all who look."""
    kept = KeptRows(parts, pages)

    async def row(request: Request) -> Response:
        address = address_of(request.query_params.get("validator", ""))
        content = kept.read(address, is_operator=False)
        return Response(content, media_type="text/html", headers={"cache-control": "no-cache"})

    async def inside(request: Request) -> Response:
        if login is None or login.session_of(request) is None:
            raise HTTPException(401, "Log in at /dashboard/login, and send its cookie.")
        address = address_of(request.query_params.get("validator", ""))
        return Response(kept.read(address, is_operator=True), media_type="text/html", headers=FRESH)

    return [Route("/dashboard/row", row), Route(f"{HOME}/row", inside)]


def operator_routes(parts: ExplorerParts, pages: Pages, login: Login) -> list[BaseRoute]:
    """Return the operator's page and its twin, with the login before them."""

    async def page(request: Request) -> Response:
        session = login.session_of(request)
        if session is None:
            return login.ask()
        model = await dashboard.read_dashboard(parts, is_operator=True)
        extra = dashboard.extras(request, parts, model) | {
            "topic": dashboard.OPERATOR_TOPIC,
            "form_token": session.form_token,
        }
        return pages.render(
            "dashboard.html", request, section="dashboard", headers=FRESH, model=model, twin="", **extra
        )

    async def twin(request: Request) -> Response:
        if login.session_of(request) is None:
            raise HTTPException(401, "Log in at /dashboard/login, and send its cookie.")
        model = await dashboard.read_dashboard(parts, is_operator=True)
        answer = json_response(plain(model))
        # What is behind a login is for no other site's pages.
        del answer.headers["access-control-allow-origin"]
        answer.headers["cache-control"] = "no-store"
        return answer

    return [*login.routes(), Route(f"{HOME}.json", twin), Route(HOME, page)]


def live_route(hub: LiveHub, login: Login | None) -> Route:
    """Return the route of the live views; that of operators is for who is logged in."""

    async def live(request: Request) -> Response:
        asked = request.query_params.get("topics", "").split(",")
        if dashboard.OPERATOR_TOPIC in asked and (login is None or login.session_of(request) is None):
            raise HTTPException(401, "Log in at /dashboard/login for this view.")
        return await hub.serve(request)

    return Route("/live", live)
