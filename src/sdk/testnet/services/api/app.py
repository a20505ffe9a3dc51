"""The community API as an ASGI app: `/api/v1`, Etherscan's dialect at `/api`, Sourcify's at `/v2`, its reference at `/docs`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.api import (
    documents,
    etherscan,
    routes_accounts,
    routes_chain,
    routes_contracts,
    routes_exports,
    routes_keys,
    routes_network,
    routes_verification,
    routes_watching,
)
from sdk.testnet.services.api.answering import AnswerMiddleware
from sdk.testnet.services.api.configuration import VERSION
from sdk.testnet.services.api.events import TOPICS, tell_events
from sdk.testnet.services.api.examples import example_of
from sdk.testnet.services.api.keys import TooManyKeys, VisitorKeys
from sdk.testnet.services.api.limiting import LimitMiddleware
from sdk.testnet.services.api.parts import Parts
from sdk.testnet.services.api.readiness import Readiness
from sdk.testnet.services.api.reference import ICON, STYLE, TYPES, reference_page, types_page
from sdk.testnet.services.api.shared import InMemory, open_shared
from sdk.testnet.services.api.sourcify import sourcify_routes
from sdk.testnet.services.api.watching import tell_alerts, tell_claims
from sdk.testnet.services.explorer.pending import PoolWatch
from sdk.testnet.services.verification.submissions import Rejected
from sdk.testnet.services.web.application import FaultMiddleware
from sdk.testnet.services.web.clients import Clients
from sdk.testnet.services.web.live import QUEUE_EVENTS_MAX, LiveHub
from sdk.testnet.services.web.problems import Problem, problem_document, problem_json, problem_of
from sdk.testnet.services.web.security import SecurityMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from starlette.requests import Request

    from sdk.testnet.services.api.configuration import ApiConfig
    from sdk.testnet.services.api.parts import Monitor
    from sdk.testnet.services.heads import Heads
    from sdk.testnet.services.node_pool import Node
    from sdk.testnet.services.store import Store
    from sdk.testnet.services.verification import Verifier

PREFIX: Final = "/api/v1"
POLICY: Final = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SOURCES_BYTES_MAX: Final = 16 * 1024 * 1024
"""Ten megabytes of sources, as forms and JSON write them."""
LARGER_BODIES: Final = dict.fromkeys(
    ("/api", "/v2/verify/", f"{PREFIX}/contracts/*/verifications"), SOURCES_BYTES_MAX
)
"""Where sources of contracts come in."""
RETRY_S: Final = 5
"""After which a verification may have made room for the next one."""
ERRORS_MAX: Final = 20
"""Wrong parts of a request that are told."""
DESCRIPTION: Final = (
    "Read a Metanode test network: blocks and how they were decided, transactions, accounts, tokens, statistics. Lists have items, next and "
    "as_of; errors are problem+json (RFC 9457). What changes is told in /api/v1/events. Etherscan's dialect is at /api, Sourcify's at /v2."
)


def make_app(
    *,
    store: Store,
    node: Node,
    config: ApiConfig,
    heads: Heads | None = None,
    monitor: Monitor | None = None,
    verifier: Verifier | None = None,
    payouts: Callable[[], Awaitable[Iterable[dict[str, Any]]]] | None = None,
) -> FastAPI:
    """Return the app. It owns none of its parts; what it opens itself (Redis, a watch on the index) lives as long as it serves.

    With a verifier, which somebody runs, contracts can be verified. `payouts` gives the newest of the network's faucet.
    """
    # A block has two events, itself and its transactions.
    hub = LiveHub(
        TOPICS,
        fields={"claim": "id"},
        visitors=Clients(trusted=config.trusted_proxies),
        queue_events_max=2 * QUEUE_EVENTS_MAX,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_shared(config.redis_url) as shared, asyncio.TaskGroup() as tasks:
            app.state.parts.shared = shared
            tellers = [tasks.create_task(tell_events(app.state.parts), name="api: events")]
            if monitor is not None:
                told = tell_alerts(app.state.parts, lambda: routes_watching.firing(monitor))
                tellers.append(tasks.create_task(told, name="api: alerts"))
            if payouts is not None:
                told = tell_claims(app.state.parts, payouts)
                tellers.append(tasks.create_task(told, name="api: claims"))
            try:
                yield
            finally:
                hub.close()
                for teller in tellers:
                    teller.cancel()

    app = FastAPI(
        title="Metanode community API",
        version=VERSION,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = Parts(
        store=store,
        node=node,
        config=config,
        hub=hub,
        shared=InMemory(),
        heads=heads,
        block_time_s=config.block_time_s,
        monitor=monitor,
        verifier=verifier,
        keys=VisitorKeys(store, a_day=config.keys_a_day) if config.keys_a_day else None,
        pool=PoolWatch(node),
        tells_claims=payouts is not None,
    )
    app.state.problem_types = f"{config.public_url}/docs#problem-"
    for routes in (
        routes_network,
        routes_chain,
        routes_accounts,
        routes_contracts,
        routes_verification,
        routes_watching,
        routes_exports,
        routes_keys,
    ):
        app.include_router(routes.router, prefix=PREFIX)
    app.add_route("/api", etherscan.answer_etherscan, methods=["GET", "POST"], include_in_schema=False)
    app.router.routes += [*sourcify_routes(), *routes_keys.key_routes()]
    _add_pages(app)
    _add_errors(app)
    # The first is the innermost.
    app.add_middleware(FaultMiddleware, on_error=_on_fault)
    app.add_middleware(AnswerMiddleware, config=config)
    app.add_middleware(LimitMiddleware, config=config)
    # What goes wrong in one of those two is answered as well.
    app.add_middleware(FaultMiddleware, on_error=_on_fault)
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)
    app.add_middleware(SecurityMiddleware, policy=POLICY, larger_bodies=LARGER_BODIES)
    return app


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; the same for every network."""
    document = app.openapi()
    schemas = document["components"]["schemas"]
    schemas.setdefault("ProblemDocument", _problem_schema(schemas))
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"]["422"] = {
                "description": "A parameter has a wrong value.",
                "content": problem,
            }
            for status, answer in operation["responses"].items():
                found = answer.get("content", {}).get("application/json", {})
                if status.startswith("2") and "schema" in found:
                    found["example"] = example_of(found["schema"], schemas)
    return document


def _problem_schema(schemas: dict[str, Any]) -> dict[str, Any]:
    found = documents.ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(found.pop("$defs", {}))
    return found


def _add_pages(app: FastAPI) -> None:
    async def healthz(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers={"cache-control": "no-store"})

    readiness = Readiness()

    async def readyz(request: Request) -> Response:
        ready, text = await readiness.of(request.app.state.parts)
        return PlainTextResponse(
            text, status_code=200 if ready else 503, headers={"cache-control": "no-store"}
        )

    # They are the same for everybody, and made once: the document is some hundred kilobytes.
    @cache
    def made(name: str) -> bytes:
        document = openapi_of(app)
        match name:
            case "openapi":
                return orjson.dumps(document)
            case "types":
                return types_page(document).encode()
            case _:
                return reference_page(document).encode()

    async def openapi(_: Request) -> Response:
        return Response(made("openapi"), media_type="application/json")

    async def docs(_: Request) -> Response:
        return Response(made("docs"), media_type="text/html; charset=utf-8")

    async def types(_: Request) -> Response:
        return Response(made("types"), media_type="text/html; charset=utf-8")

    async def style(_: Request) -> Response:
        return Response(STYLE, media_type="text/css")

    async def icon(_: Request) -> Response:
        return Response(ICON, media_type="image/svg+xml")

    async def home(_: Request) -> Response:
        return RedirectResponse("/docs")

    for path, page in (
        ("/healthz", healthz), ("/readyz", readyz), ("/openapi.json", openapi), ("/docs", docs), (TYPES, types),
        ("/docs/style.css", style), ("/favicon.svg", icon), ("/", home),
    ):  # fmt: skip
        app.add_route(path, page, include_in_schema=False)


def _add_errors(app: FastAPI) -> None:
    async def on_error(request: Request, error: Exception) -> Response:
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        return problem_json(request, _problem_of(error), headers)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        wrong = error.errors()[:ERRORS_MAX]
        problem = Problem(
            status=422,
            title="A wrong value",
            detail="; ".join(f"{_place(one)}: {one['msg']}" for one in wrong)[:400],
            code="invalid_parameter",
        )
        document = problem_document(request, problem)
        document["errors"] = [{"pointer": _place(one), "message": str(one["msg"])[:200]} for one in wrong]
        return JSONResponse(
            document,
            status_code=422,
            media_type="application/problem+json",
            headers={"cache-control": "no-store"},
        )

    for kind in (HTTPException, InvalidInput, Unavailable):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(RequestValidationError, on_validation)


async def _on_fault(request: Request, error: Exception) -> Response:
    return problem_json(request, problem_of(error))


def _problem_of(error: Exception) -> Problem:
    """What to tell; a node that refuses what we ask of it is unavailable, not wrongly asked."""
    if isinstance(error, JSONRPCError):
        return problem_of(Unavailable(f"the node refuses: {error.message}"))
    if isinstance(error, routes_keys.NotYours):
        return Problem(status=403, title="Not your key", detail=str(error), code="not_your_key")
    if isinstance(error, TooManyKeys):
        return Problem(
            status=429,
            title="Too many keys",
            detail=str(error),
            code="too_many_keys",
            retry_after_s=error.retry_after_s,
        )
    if isinstance(error, Rejected):
        return Problem(
            status=422 if error.code == "invalid_parameter" else error.status,
            title="Not taken",
            detail=str(error)[:400],
            code=error.code,
            retry_after_s=RETRY_S if error.status == 429 else None,
        )
    return problem_of(
        error, nowhere=f"/docs lists what is below {PREFIX}, and /openapi.json has it for programs."
    )


def _place(error: Any) -> str:
    return "/" + "/".join(str(part) for part in error["loc"])
