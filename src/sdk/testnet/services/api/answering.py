"""What every answer has: who may read it, how long it may be kept, a tag of its content; and a POST that is repeated is answered once."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sdk.testnet.services.api.limiting import EXPOSED
from sdk.testnet.services.web.problems import Problem, problem_json, problem_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sdk.testnet.services.api.configuration import ApiConfig
    from sdk.testnet.services.api.parts import Parts

BY_HASH: Final = "public, max-age=86400"
BY_NUMBER: Final = "public, max-age=30"
"""Heights are used again when a test network starts anew."""
MOVING: Final = "public, max-age=1, stale-while-revalidate=5"
"""What the next block may change, and what a route says nothing of."""
KEPT_S: Final = 1
"""For so long an answer is given again to everybody who asks the same: any number of viewers cost one question to the index a second."""
OWN: Final = "private, no-store"
"""What is said of who asks."""
_STREAMS: Final = re.compile(r"/events$|/exports/\w+$")
"""What is sent as it comes."""
TAGGED_BYTES_MAX: Final = 4 * 1024 * 1024
IDEMPOTENCY_S: Final = 24 * 3_600
IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
KEPT_PATHS: Final = "/api/v1/"
KEPT_BYTES_MAX: Final = 49_152
"""Of an answer that is given again; with its headers and escaped as text it fits what is kept."""
KEPT_HEADERS: Final = frozenset({"content-type", "content-length", "cache-control", "link"})
FORMS: Final = frozenset({"/keys", "/keys/revoke"})
SECRETS: Final = FORMS | {"/api/v1/keys"}
"""Whose answers are kept nowhere."""
_RUNNING: Final = b"running"
_RUNNING_S: Final = 30
"""A POST takes no longer; after a crash its key is free again then."""


class AnswerMiddleware:
    """Adds CORS, caching and tags to what routes answer."""

    def __init__(self, app: ASGIApp, *, config: ApiConfig) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await self._preflight(headers)(scope, receive, send)
            return
        # Forms look at it themselves: they are on this site, by whichever of its names.
        is_sent = scope["method"] in {"POST", "DELETE"} and scope["path"] not in FORMS
        if is_sent and origin is not None and not self._may_post(origin):
            problem = Problem(
                status=403,
                title="Wrong origin",
                detail="pages of this origin may not POST here",
                code="wrong_origin",
            )
            await problem_json(Request(scope), problem)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_cors(MutableHeaders(scope=message), scope, origin)
            await send(message)

        if scope["method"] in {"GET", "HEAD"} and not _STREAMS.search(scope["path"]):
            await self._tagged(scope, receive, send_with_headers, headers)
        elif scope["method"] == "POST" and "idempotency-key" in headers and scope["path"] not in SECRETS:
            await self._once(scope, receive, send_with_headers, headers["idempotency-key"])
        else:
            await self._app(scope, receive, send_with_headers)

    async def _tagged(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """A GET: its body is gathered, tagged, and left out where the caller has it."""
        start, body = await self._answered(scope, receive)
        answer = MutableHeaders(scope=start)
        if start["status"] == 200 and len(body) <= TAGGED_BYTES_MAX:
            answer.setdefault("cache-control", MOVING)
            tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
            answer["etag"] = tag
            if tag in [one.strip().removeprefix("W/") for one in headers.get("if-none-match", "").split(",")]:
                start["status"], body = 304, b""
                for name in ("content-length", "content-type"):
                    if name in answer:
                        del answer[name]
        await send(start)
        await send({"type": "http.response.body", "body": body})

    async def _answered(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        """What the route answers, or what it has answered a moment ago to somebody else."""
        if scope["method"] != "GET" or not scope["path"].startswith(KEPT_PATHS):
            return await self._gather(scope, receive)
        parts: Parts = scope["app"].state.parts
        name = f"answer:{_digest(scope['path'].encode(), scope['query_string'])}"
        kept = await parts.shared.get(name)
        if kept is not None:
            found = orjson.loads(kept)
            again = [(one.encode("latin-1"), value.encode("latin-1")) for one, value in found["headers"]]
            return {"type": "http.response.start", "status": 200, "headers": again}, found["body"].encode()
        start, body = await self._gather(scope, receive)
        fields = Headers(raw=start["headers"])
        if (
            start["status"] == 200
            and fields.get("content-type") == "application/json"
            and fields.get("cache-control", MOVING).startswith("public")
            and len(body) <= KEPT_BYTES_MAX
        ):
            told = [(one, value) for one, value in fields.items() if one in KEPT_HEADERS]
            await parts.shared.replace(name, orjson.dumps({"headers": told, "body": body.decode()}), KEPT_S)
        return start, body

    async def _once(self, scope: Scope, receive: Receive, send: Send, key: str) -> None:
        """A POST with a key: the first one is done, its repetitions get the same answer, with another body 422."""
        request = Request(scope, receive)
        if not IDEMPOTENCY_KEY.fullmatch(key):
            problem = Problem(
                status=400,
                title="That cannot be read",
                detail="Idempotency-Key: expected 1 to 128 visible ASCII characters",
                code="invalid_input",
            )
            await problem_json(request, problem)(scope, receive, send)
            return
        parts: Parts = scope["app"].state.parts
        try:
            body = await request.body()
        except HTTPException as error:
            await problem_json(request, problem_of(error))(scope, receive, send)
            return
        except ClientDisconnect:
            return
        # Pages that nobody is limited on have no allowance.
        allowance = scope.get("state", {}).get("allowance")
        who = allowance.who if allowance else "anybody"
        mark = hashlib.sha256(body).hexdigest()
        name = f"once:{_digest(who.encode(), scope['path'].encode(), scope['query_string'], key.encode())}"
        if not await parts.shared.keep(name, _RUNNING, _RUNNING_S):
            await _repeated(request, await parts.shared.get(name), mark)(scope, receive, send)
            return

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            start, answer = await self._gather(scope, again)
        except BaseException:
            await parts.shared.forget(name)
            raise
        if not (start["status"] < 300 or start["status"] == 422):
            # Refused for a reason that may pass: an account is funded, a pool has room again.
            await parts.shared.forget(name)
        else:
            kept: dict[str, Any] = {
                "mark": mark,
                "status": start["status"],
                "type": Headers(raw=start["headers"]).get("content-type", ""),
                "body": answer.decode(),
            }
            await parts.shared.replace(name, orjson.dumps(kept), IDEMPOTENCY_S)
        await send(start)
        await send({"type": "http.response.body", "body": answer})

    async def _gather(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        start: Message = {}
        body = bytearray()

        async def take(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._app(scope, receive, take)
        return start, bytes(body)

    def _may_post(self, origin: str) -> bool:
        return origin in self._config.post_origins or origin == self._config.public_url

    def _preflight(self, headers: Headers) -> Response:
        origin = headers.get("origin", "")
        posts = headers.get("access-control-request-method") in {"POST", "DELETE"}
        if posts and not self._may_post(origin):
            return Response(status_code=403)
        return Response(
            status_code=204,
            headers={
                "access-control-allow-origin": origin if posts else "*",
                "access-control-allow-methods": "GET, HEAD, POST, DELETE" if posts else "GET, HEAD",
                "access-control-allow-headers": "authorization, content-type, idempotency-key, if-none-match, last-event-id, x-request-id",
                "access-control-max-age": "600",
                "vary": "origin",
            },
        )

    def _add_cors(self, answer: MutableHeaders, scope: Scope, origin: str | None) -> None:
        answer["cross-origin-resource-policy"] = "cross-origin"
        answer["access-control-expose-headers"] = EXPOSED
        if scope["method"] in {"GET", "HEAD"}:
            answer["access-control-allow-origin"] = "*"
        elif origin is not None:
            answer["access-control-allow-origin"] = origin
            answer.add_vary_header("origin")


def _digest(*parts: bytes) -> str:
    """A name for what is the same only where all parts are."""
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()


def _repeated(request: Request, kept: bytes | None, mark: str) -> Response:
    if kept is None or kept == _RUNNING:
        return problem_json(
            request,
            Problem(
                status=409,
                title="Still at it",
                detail="a request with this Idempotency-Key is being answered",
                code="in_progress",
                retry_after_s=1,
            ),
        )
    found = orjson.loads(kept)
    if found["mark"] != mark:
        return problem_json(
            request,
            Problem(
                status=422,
                title="Another request",
                detail="this Idempotency-Key belongs to a request with another body",
                code="key_reused",
            ),
        )
    return Response(found["body"], status_code=found["status"], media_type=found["type"])
