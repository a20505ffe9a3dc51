"""Which names a site on loopback answers to: a page of somebody else's, whose name leads to this machine for a moment, is not answered."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def allowed_hosts(bind_address: str, public_url: str) -> frozenset[str] | None:
    """Return the names of a site that listens on loopback; None of one that other machines reach, for nobody knows how they call it."""
    address = ipaddress.ip_address(bind_address)
    if not address.is_loopback:
        return None
    public = urlsplit(public_url).hostname if public_url else None
    return LOOPBACK_NAMES | {str(address)} | ({public.lower()} if public else set())


class HostMiddleware:
    """Refuses requests for other names with 403."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "http":
            said = Headers(scope=scope).get("host", "")
            if _name_of(said) not in self._hosts:
                answer = PlainTextResponse(
                    f"Host: expected one of {', '.join(sorted(self._hosts))}, found {said!r:.80}. This site listens on loopback; "
                    "if a proxy leads here, set public_url in its configuration.\n",
                    status_code=403,
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
