"""`/healthz`: this process lives. `/readyz`: what it stands on answers. For balancers and supervisors; no cache keeps them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from starlette.responses import JSONResponse
from starlette.routing import Route

from metanode.errors import Unavailable
from sdk.testnet.services.web.problems import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

log = structlog.get_logger(__name__)

CHECK_TIMEOUT_S: Final = 1.8
"""A part that has not answered after this is not ready: who asks waits for five seconds at most."""
_FRESH: Final = {"cache-control": "no-store"}


def health_routes(checks: Mapping[str, Callable[[], Awaitable[str]]]) -> list[Route]:
    """Return both routes; `checks` by the name of the part, asked side by side."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_FRESH)

    async def ready(_: Request) -> Response:
        async with asyncio.TaskGroup() as tasks:
            asked = {name: tasks.create_task(_ask(check)) for name, check in checks.items()}
        problems = {name: found for name, task in asked.items() if (found := task.result())}
        document = {
            "status": "not ready" if problems else "ok",
            "checks": {name: problems.get(name, "ok") for name in checks},
        }
        return JSONResponse(document, status_code=503 if problems else 200, headers=_FRESH)

    return [Route("/healthz", live), Route("/readyz", ready)]


async def _ask(check: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return f"no answer in {CHECK_TIMEOUT_S:g} s"
    except Unavailable as error:
        return reason_of(error)[:200] or type(error).__name__
    except Exception as error:
        # Whatever it is, the part is not ready; its words are for the log alone.
        log.exception("readiness_check_failed")
        return type(error).__name__
