"""The edge of every site: request ids, headers that browsers obey, a bound for bodies.

Plain ASGI, so that streams pass through as they are.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX: Final = 1024 * 1024
"""Forms and calls are some kilobytes; a site that takes more says so."""
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
"""What we take over from a proxy; anything else is replaced."""
FIXED_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-frame-options": "DENY",
}


def content_security_policy(*, form_targets: Sequence[str] = (), connect_targets: Sequence[str] = ()) -> str:
    """Return the policy of all pages: everything from this origin, no inline script or style, no frame around it.

    Args:
        form_targets: Further origins to which forms go, e.g. the search of another service's site.
        connect_targets: Further origins that scripts ask.
    """
    forms, connects = " ".join(("'self'", *form_targets)), " ".join(("'self'", *connect_targets))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src {connects}; worker-src 'self'; font-src 'self'; manifest-src 'self'; object-src 'none'; "
        f"base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    )


class SecurityMiddleware:
    """Gives every request an id (`scope["state"]["request_id"]`), every answer the headers, and no body more room than it may have."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: str,
        body_bytes_max: int = BODY_BYTES_MAX,
        larger_bodies: Mapping[str, int] | None = None,
    ) -> None:
        """Bound bodies; `larger_bodies` has other bounds, by path: a whole one, how one begins that ends with a slash, or begin and end around a star."""
        self._larger_bodies = dict(larger_bodies or {})
        self._app = app
        self._policy = policy
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                for name, value in FIXED_HEADERS.items():
                    answer.setdefault(name, value)
                # A site may loosen its own policy for one page, e.g. documentation with another script.
                answer.setdefault("content-security-policy", self._policy)
            await send(message)

        body_bytes_max = self._bytes_max(scope["path"])
        await self._app(scope, self._bounded(headers, receive, body_bytes_max), send_with_headers)

    def _bytes_max(self, path: str) -> int:
        for where, bytes_max in self._larger_bodies.items():
            begin, star, end = where.partition("*")
            is_within = path.startswith(begin) and path.endswith(end) and (star or where.endswith("/"))
            if path == where or is_within:
                return bytes_max
        return self._body_bytes_max

    @staticmethod
    def _bounded(headers: Headers, receive: Receive, body_bytes_max: int) -> Receive:
        """Return `receive`, which raises HTTPException 413 (when first read) for a body that says or proves to be too long."""
        said = headers.get("content-length", "")
        is_too_long = said.isascii() and said.isdigit() and int(said[:20]) > body_bytes_max
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            if is_too_long:
                raise HTTPException(413, f"the body has {said} bytes; at most {body_bytes_max} are read")
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > body_bytes_max:
                    raise HTTPException(413, f"the body has over {body_bytes_max} bytes")
            return message

        return receive_bounded
