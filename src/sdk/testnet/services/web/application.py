"""Puts the app of a site together: routes, static files, errors as pages or problem+json, the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.services.web.problems import problem_json, problem_of, request_id_of, wants_json
from sdk.testnet.services.web.security import BODY_BYTES_MAX, SecurityMiddleware, content_security_policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from sdk.testnet.services.web.assets import Assets
    from sdk.testnet.services.web.pages import Pages

log = structlog.get_logger(__name__)

GZIP_BYTES_MIN = 1_000
"""Below this, a page is one packet either way."""
NOWHERE = (
    "The menu names what there is; the explorer's search finds addresses, transactions, blocks and tokens."
)
ROBOTS = "User-agent: *\nDisallow: /search\nDisallow: /address/\nDisallow: /tx/\n"
"""A test network starts anew: nobody should find its transactions by a search engine later."""


def make_site_app(
    pages: Pages,
    assets: Assets,
    routes: Sequence[BaseRoute],
    *,
    lifespan: Any = None,
    form_targets: Sequence[str] = (),
    connect_targets: Sequence[str] = (),
    body_bytes_max: int = BODY_BYTES_MAX,
    larger_bodies: Mapping[str, int] | None = None,
) -> Starlette:
    """Return the app of one site.

    Handlers raise: `NotFound` is 404, another `InvalidInput` 400, `Unavailable` 503, anything else 500 with an entry in the log. The answer is
    a page for people and problem+json for programs.
    """

    async def on_error(request: Request, error: Exception) -> Response:
        problem = problem_of(error, nowhere=NOWHERE)
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        if wants_json(request):
            return problem_json(request, problem, headers)
        answer = pages.problem(request, problem)
        answer.headers.update(headers)
        return answer

    handlers: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = dict.fromkeys(
        (HTTPException, InvalidInput, Unavailable), on_error
    )
    app = Starlette(
        routes=[
            Route("/static/{mark}/{name:path}", assets.serve),
            Route("/favicon.ico", lambda _: RedirectResponse(assets.url("favicon.svg"), 302)),
            Route("/robots.txt", lambda _: Response(ROBOTS, media_type="text/plain")),
            *routes,
        ],
        middleware=[
            Middleware(
                SecurityMiddleware,
                policy=content_security_policy(form_targets=form_targets, connect_targets=connect_targets),
                body_bytes_max=body_bytes_max,
                larger_bodies=larger_bodies,
            ),
            Middleware(GZipMiddleware, minimum_size=GZIP_BYTES_MIN, compresslevel=5),
            Middleware(FaultMiddleware, on_error=on_error),
        ],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    # Redirects that a wrong path makes are one more place where a Host header is believed.
    app.router.redirect_slashes = False
    return app


class FaultMiddleware:
    """Answers what no handler expected with 500, logs it once with the request's id, and tells the caller nothing of the inside."""

    def __init__(
        self, app: ASGIApp, *, on_error: Callable[[Request, Exception], Awaitable[Response]]
    ) -> None:
        self._app = app
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False

        async def send_noticed(message: Any) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noticed)
        except Exception as error:
            request = Request(scope, receive)
            log.exception("page_failed", path=scope["path"], request=request_id_of(request))
            if is_started:
                raise
            answer = await self._on_error(request, error)
            await answer(scope, receive, send)
