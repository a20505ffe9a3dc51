"""How much a client may ask: each route has a cost, each client or key a budget a minute. Told in every answer by the headers of the IETF's draft."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request

from metanode.errors import InvalidInput
from sdk.testnet.faucet.client_address import client_address, origin_of
from sdk.testnet.services.web.problems import Problem, problem_json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sdk.testnet.services.api.configuration import ApiConfig
    from sdk.testnet.services.api.parts import Parts

WINDOW_S: Final = 60
COSTS: Final = (
    (re.compile(r"/trace$"), 10),
    (re.compile(r"/logs$|^/api$"), 5),
    (re.compile(r"/search$|/consensus/state$|/events$"), 3),
    (
        re.compile(
            r"/(blocks|transactions|tokens|contracts|transfers|internal|holders|nfts|history|rounds|votes|series)$"
        ),
        2,
    ),
)
"""By the end of the path; everything else costs 1."""
FREE: Final = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/"})
READABLE: Final = {"access-control-allow-origin": "*"}
"""A page may read why it is refused."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a request is counted as."""

    key: str | None
    limit: int
    used: int


def cost_of(path: str) -> int:
    """Return what a request of this path costs."""
    return next((cost for pattern, cost in COSTS if pattern.search(path)), 1)


class LimitMiddleware:
    """Counts requests, refuses those over the budget with 429, and wrong keys with 401."""

    def __init__(self, app: ASGIApp, *, config: ApiConfig) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http" or scope["path"] in FREE or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        given = _key_of(Headers(scope=scope), request)
        key = None if given is None else self._config.key_of(given)
        if given is not None and key is None:
            problem = Problem(
                status=401,
                title="Unknown key",
                detail="the API key is not known here, or has expired",
                code="unknown_key",
                hint="Leave the key out to ask as anybody, or ask the operator for a new one.",
            )
            await problem_json(request, problem, {"www-authenticate": "Bearer", **READABLE})(
                scope, receive, send
            )
            return
        parts: Parts = scope["app"].state.parts
        name, limit = (
            ("key", self._config.keyed_a_minute) if key else ("anon", self._config.anonymous_a_minute)
        )
        who = f"key:{key.id}" if key else f"net:{_network_of(scope, self._config)}"
        used = await parts.shared.add(f"limit:{who}", cost_of(scope["path"]), WINDOW_S)
        scope.setdefault("state", {})["allowance"] = Allowance(key.id if key else None, limit, used)
        told = {
            "ratelimit-policy": f'"{name}";q={limit};w={WINDOW_S}',
            "ratelimit": f'"{name}";r={max(0, limit - used)};t={WINDOW_S}',
        }
        if used > limit:
            await self._refuse(request, limit, told)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    @staticmethod
    def _refuse(request: Request, limit: int, told: dict[str, str]) -> ASGIApp:
        if request.url.path == "/api":
            from sdk.testnet.services.api.etherscan import limit_answer  # noqa: PLC0415 - it is made of routes

            return limit_answer(told | READABLE)
        problem = Problem(
            status=429,
            title="Too many requests",
            detail=f"{limit} cost units a minute are given to you, and they are used",
            code="rate_limited",
            hint="Wait a minute, or ask the operator for a key.",
            retry_after_s=WINDOW_S,
        )
        return problem_json(request, problem, told | READABLE)


def _key_of(headers: Headers, request: Request) -> str | None:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip()
    if request.url.path == "/api":
        # Etherscan's clients always send one, mostly of somewhere else.
        found = request.query_params.get("apikey", "")
        return found if found.startswith("evk_") else None
    return None


def _network_of(scope: Scope, config: ApiConfig) -> str:
    peer = (scope.get("client") or ("127.0.0.1", 0))[0]
    forwarded = [value for name, value in Headers(scope=scope).items() if name == "x-forwarded-for"]
    try:
        address = client_address(peer, forwarded, trusted=config.trusted_proxies)
    except InvalidInput:
        return json.dumps(str(peer)[:60])
    return str(origin_of(address).narrow)
