"""How much a client may ask: each route has a cost, each client or key a budget a minute. Told in every answer by the headers of the IETF's draft."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from metanode.errors import InvalidInput
from sdk.testnet.faucet.client_address import client_address, origin_of
from sdk.testnet.services.api.configuration import key_id
from sdk.testnet.services.web.problems import CALLER, CALLERS, LIMITED, Problem, problem_json, problem_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sdk.testnet.faucet.client_address import Origin
    from sdk.testnet.services.api.configuration import ApiConfig, ApiKey
    from sdk.testnet.services.api.parts import Parts

WINDOW_S: Final = 60
USE_REMEMBERED_S: Final = 400 * 86_400
"""How long it is known when a key was used last, as long as the store of it lives."""
FIELDS_MAX: Final = 100
ROWS_MAX: Final = 10_000
"""Rows of one answer of Etherscan's dialect at most."""
LISTS: Final = frozenset(
    {
        "txlist", "txlistinternal", "tokentx", "tokennfttx", "token1155tx", "getminedblocks", "getlogs",
        "tokenholderlist",
    }
)  # fmt: skip
"""Its actions whose cost is in their rows."""
COSTS: Final = (
    (re.compile(r"/exports/\w+$"), 20),
    (
        re.compile(
            r"/(trace|state-diff|balance-history|verifications)$|^/v2/verify/[^/]+/[^/]+$|^/api/v1/keys$"
        ),
        10,
    ),
    (re.compile(r"/logs$|^/api$|/call$"), 5),
    (re.compile(r"/search$|/consensus/state$|/events$|/performance$"), 3),
    (
        re.compile(
            r"/(blocks|transactions|tokens|contracts|transfers|internal|holders|nfts|history|rounds|votes|series|encode)$"
        ),
        2,
    ),
)
"""By the end of the path; everything else costs 1."""
LISTS_COST: Final = 5
"""Of a list in Etherscan's dialect, and 1 more for each 1,000 rows that it may have."""
WRONG_KEY_COST: Final = 5
"""Of a key that is none: guesses use up what anybody of that network has."""
FREE: Final = frozenset(
    {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/types", "/docs/style.css", "/"}
)
"""Made once or once a second, and the same for everybody."""
EXPOSED: Final = "link, etag, ratelimit, ratelimit-policy, retry-after, x-request-id"
READABLE: Final = {"access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED}
"""A page may read why it is refused, and until when."""
FORM_BYTES_MAX: Final = 65_536
"""Of a form that is looked through for a key. Sources to verify are longer, and have it in front."""
_SCOPES: Final = (
    (re.compile(r"^/api/v1/faucet(/|$)"), "faucet"),
    (re.compile(r"/verifications?(/|$)|^/v2/verify(/|$)"), "verify"),
)
"""What a key has to be for, by the path; everything else is reading."""
_VERIFYING: Final = frozenset({"verifysourcecode", "checkverifystatus"})
"""Actions of Etherscan's dialect that are not."""
_OWN: Final = re.compile(r"^/api/v1/(me|keys(/.*)?)$")
"""What is about a key itself is for any."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a request is counted as."""

    key: str | None
    who: str
    """The key, or the network that it came from."""
    limit: int
    used: int
    left_s: int
    """Until the count begins anew."""
    owner: ApiKey | None = None
    """The key as it is kept."""
    origin: Origin | None = None
    """Where the request came from; None of a peer without an IP address."""
    last_used_at: int | None = None
    """When the key was used before this, in seconds since 1970; to the minute."""


def cost_of(path: str, query: Mapping[str, str] | None = None) -> int:
    """Return what a request of this path costs."""
    if path == "/api" and query and query.get("action", "").lower() == "checkverifystatus":
        # Tools ask every few seconds.
        return 1
    if path == "/api" and query is not None and not query.get("action"):
        # It is in a form that is not looked through, or far behind in one: the dearest that it may be.
        return LISTS_COST + ROWS_MAX // 1_000
    if path == "/api" and query and query.get("action", "").lower() in LISTS:
        asked = query.get("offset", "")
        rows = min(int(asked), ROWS_MAX) if asked.isdecimal() and len(asked) < 9 and int(asked) else ROWS_MAX
        return LISTS_COST + rows // 1_000
    return next((cost for pattern, cost in COSTS if pattern.search(path)), 1)


def scope_of(path: str, query: Mapping[str, str] | None = None) -> str:
    """Return what a key has to be for."""
    if path == "/api" and query and query.get("action", "").lower() in _VERIFYING:
        return "verify"
    return next((scope for pattern, scope in _SCOPES if pattern.search(path)), "read")


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
        try:
            form, receive = await _form_of(scope, receive)
        except HTTPException as error:
            await problem_json(Request(scope), problem_of(error), READABLE)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        request = Request(scope, receive)
        parts: Parts = scope["app"].state.parts
        given = _key_of(Headers(scope=scope), request, form)
        origin = _origin_of(scope, self._config)
        network = _name_of(scope, origin)
        try:
            key = None if given is None else await self._owner_of(parts, given, network)
        except _Guessing as guessing:
            _note_caller(scope, "wrong_key")
            limit, told = self._config.anonymous_a_minute, {"ratelimit": f'"anon";r=0;t={guessing.left_s}'}
            await self._refuse(request, limit, guessing.left_s, told)(scope, receive, send)
            return
        name, limit = (
            ("key", self._config.keyed_a_minute) if key else ("anon", self._config.anonymous_a_minute)
        )
        who = f"key:{key.id}" if key else f"net:{network}"
        is_wrong = given is not None and key is None
        _note_caller(scope, "key" if key else "wrong_key" if is_wrong else "anonymous")
        asked = {**form, **request.query_params}
        cost = WRONG_KEY_COST if is_wrong else cost_of(scope["path"], asked)
        used, left_s = await parts.shared.add(f"limit:{who}", cost, WINDOW_S)
        told = {
            "ratelimit-policy": f'"{name}";q={limit};w={WINDOW_S}',
            "ratelimit": f'"{name}";r={max(0, limit - used)};t={left_s}',
        }
        if used > limit:
            await self._refuse(request, limit, left_s, told)(scope, receive, send)
            return
        refusal = _wrong_key() if is_wrong else _missing_scope(key, scope["path"], asked)
        if refusal is not None:
            headers = told | READABLE | ({"www-authenticate": "Bearer"} if is_wrong else {})
            await _told_refusal(request, refusal, headers)(scope, receive, send)
            return
        last_used_at = None if key is None else await _last_use(parts, key.id)
        scope.setdefault("state", {})["allowance"] = Allowance(
            key=key.id if key else None,
            who=who,
            limit=limit,
            used=used,
            left_s=left_s,
            owner=key,
            origin=origin,
            last_used_at=last_used_at,
        )

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    async def _owner_of(self, parts: Parts, given: str, network: str) -> ApiKey | None:
        """The operator's key of this text, or a visitor's; raises _Guessing for a network that has tried too many."""
        key = self._config.key_of(given)
        if key is not None or parts.keys is None or key_id(given) is None:
            return key
        if parts.keys.is_known(given):
            # No question to the database: of these there may be any number.
            return await parts.keys.find(given)
        tries, left_s = await parts.shared.add(f"guess:{network}", 0, WINDOW_S)
        if tries >= self._config.anonymous_a_minute:
            raise _Guessing(left_s)
        key = await parts.keys.find(given)
        if key is None:
            await parts.shared.add(f"guess:{network}", WRONG_KEY_COST, WINDOW_S)
        return key

    @staticmethod
    def _refuse(request: Request, limit: int, left_s: int, told: dict[str, str]) -> ASGIApp:
        if request.url.path == "/api":
            # It is answered with 200, and counted all the same.
            request.scope.setdefault("state", {})[LIMITED] = True
            from sdk.testnet.services.api.etherscan import limit_answer  # noqa: PLC0415 - it is made of routes

            return limit_answer(told | READABLE | {"retry-after": str(left_s)})
        problem = Problem(
            status=429,
            title="Too many requests",
            detail=f"{limit} cost units a minute are given to you, and they are used",
            code="rate_limited",
            hint="Wait as long as Retry-After says, or make a key at /keys.",
            retry_after_s=left_s,
        )
        return problem_json(request, problem, told | READABLE)


def _note_caller(scope: Scope, caller: str) -> None:
    assert caller in CALLERS, caller
    scope.setdefault("state", {})[CALLER] = caller


def _told_refusal(request: Request, refusal: Problem, headers: dict[str, str]) -> ASGIApp:
    """The answer to a key that is none, or not for this; in Etherscan's dialect with its status and its words."""
    if request.url.path == "/api":
        from sdk.testnet.services.api.etherscan import key_answer  # noqa: PLC0415 - it is made of routes

        return key_answer(
            refusal, {name: text for name, text in headers.items() if name != "www-authenticate"}
        )
    return problem_json(request, refusal, headers)


def _wrong_key() -> Problem:
    return Problem(
        status=401,
        title="Unknown key",
        detail="the API key is not known here, has expired or is revoked",
        code="unknown_key",
        hint="Leave the key out to ask as anybody, or make a new one at /keys.",
    )


def _missing_scope(key: ApiKey | None, path: str, query: Mapping[str, str]) -> Problem | None:
    scope = scope_of(path, query)
    if key is None or scope in key.scopes or _OWN.search(path):
        return None
    return Problem(
        status=403,
        title="Not with this key",
        detail=f"the API key {key.id} is for {', '.join(sorted(key.scopes))}, and this needs {scope}",
        code="missing_scope",
        hint="Leave the key out to ask as anybody, or make one of this scope.",
    )


async def _last_use(parts: Parts, key_id: str) -> int | None:
    """When a key was used last; this use is noted, once a minute."""
    found = await parts.shared.get(f"use:{key_id}")
    before = int(found) if found and found.isdigit() else None
    now = int(time.time())
    if before is None or now - before >= WINDOW_S:
        await parts.shared.replace(f"use:{key_id}", str(now).encode(), USE_REMEMBERED_S)
    return before


async def _form_of(scope: Scope, receive: Receive) -> tuple[dict[str, str], Receive]:
    """The fields of a form that is sent to Etherscan's dialect, and its body again for who reads it next.

    Raises HTTPException for a body that is too long, and ClientDisconnect.
    """
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if scope["path"] != "/api" or scope["method"] != "POST" or kind != "application/x-www-form-urlencoded":
        return {}, receive
    body = await Request(scope, receive).body()

    is_told = False

    async def again() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    fields = parse_qsl(
        body[:FORM_BYTES_MAX].decode(errors="replace"), keep_blank_values=True, max_num_fields=None
    )
    return first_of_each(fields[:FIELDS_MAX]), again


def first_of_each(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The fields of a form, the first of those with one name: what is read for the cost is what is answered, however long the form is."""
    return dict(reversed(fields))


def _key_of(headers: Headers, request: Request, form: Mapping[str, str]) -> str | None:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip()
    if request.url.path == "/api":
        # Etherscan's clients always send one, mostly of somewhere else.
        found = request.query_params.get("apikey", "") or form.get("apikey", "")
        return found if found.startswith("evk_") else None
    return None


def _origin_of(scope: Scope, config: ApiConfig) -> Origin | None:
    peer = (scope.get("client") or ("127.0.0.1", 0))[0]
    forwarded = [value for name, value in Headers(scope=scope).items() if name == "x-forwarded-for"]
    try:
        return origin_of(client_address(peer, forwarded, trusted=config.trusted_proxies))
    except InvalidInput:
        return None


def _name_of(scope: Scope, origin: Origin | None) -> str:
    """What a network is counted as."""
    if origin is None:
        return json.dumps(str((scope.get("client") or ("", 0))[0])[:60])
    return str(origin.narrow)


class _Guessing(Exception):  # noqa: N818 - it is an answer
    """So many keys were none that no more are looked up for a while."""

    def __init__(self, left_s: int) -> None:
        super().__init__()
        self.left_s = left_s
