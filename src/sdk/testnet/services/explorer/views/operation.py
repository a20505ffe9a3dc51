"""What of the dashboard is for operators: the same page with the inside of the nodes, behind a login; and the numbers of its charts, for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from sdk.testnet.services.explorer.twins import json_response, plain
from sdk.testnet.services.explorer.views import dashboard
from sdk.testnet.services.explorer.views.choice import address_of
from sdk.testnet.services.explorer.views.moments import KeptMoments, until_of, window_of

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
