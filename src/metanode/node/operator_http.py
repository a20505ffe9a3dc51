"""The node's HTTP for operators: /metrics, /healthz, /readyz, a JSON status and a small status page.

Served by uvicorn in the node's own event loop. It answers from memory only, so that a scrape never waits for the disk
or for consensus.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    Send = Callable[[dict[str, Any]], Awaitable[None]]

CONNECTIONS_MAX = 64
"""Scrapers, probes and a few people; more is a mistake."""
KEEP_ALIVE_S = 5


class NodeView(Protocol):
    """What this module reads of the node."""

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics."""

    def unready_reason(self) -> str | None:
        """Why the node should get no traffic, None when it should."""

    def unhealthy_reason(self) -> str | None:
        """Why an operator must look at this node, which no new start heals; None when it is well."""

    def status(self) -> dict[str, Any]:
        """What the status document and page show; values are text, numbers, lists and dictionaries."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    content_type: str
    body: bytes


TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"


class OperatorApplication:
    """The ASGI application. `page` serves the status page at / instead of the list of paths."""

    def __init__(self, node: NodeView, *, page: bool = False) -> None:
        self._node = node
        self._page = page

    async def __call__(self, scope: dict[str, Any], receive: object, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer one request."""
        if scope["type"] != "http":
            return
        answer = self.answer(scope["method"], scope["path"])
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    def answer(self, method: str, path: str) -> Answer:
        """The answer to a request."""
        if method not in ("GET", "HEAD"):
            return Answer(405, TEXT, b"only GET and HEAD\n")
        match path:
            case "/metrics":
                return Answer(200, CONTENT_TYPE_LATEST, generate_latest(self._node.registry))
            case "/healthz":
                return _probe(self._node.unhealthy_reason())
            case "/readyz":
                return _probe(self._node.unready_reason())
            case "/api/v1/status":
                return Answer(200, JSON, orjson.dumps(self._node.status(), option=orjson.OPT_INDENT_2))
            case "/" if self._page:
                return Answer(200, HTML, render_page(self._node.status()).encode())
            case "/":
                return Answer(200, TEXT, b"/metrics /healthz /readyz /api/v1/status\n")
            case _:
                return Answer(404, TEXT, b"not found\n")


def _probe(reason: str | None) -> Answer:
    return Answer(200, TEXT, b"ok\n") if reason is None else Answer(503, TEXT, f"{reason}\n".encode())


def render_page(status: dict[str, Any]) -> str:
    """One page without scripts, for people who open the node's dashboard port."""
    rows = "".join(
        f"<tr><th scope=row>{html.escape(name.replace('_', ' '))}</th><td>{html.escape(_shown(value))}</td></tr>"
        for name, value in status.items()
    )
    title = html.escape(str(status.get("network", "Metanode")))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="4">
<title>{title} · Metanode</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ margin: 2rem auto; max-width: 46rem; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .5rem .25rem;
  text-align: left; vertical-align: top; }}
th {{ font-weight: 500; white-space: nowrap; padding-right: 1.5rem; }}
td {{ font-family: ui-monospace, monospace; font-size: .9rem; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{title}</h1>
<table>{rows}</table>
</body>
</html>
"""


def _shown(value: object) -> str:
    match value:
        case list() | tuple():
            return ", ".join(map(_shown, value))
        case dict():
            return ", ".join(f"{key}: {_shown(entry)}" for key, entry in value.items())
        case None:
            return "-"
        case _:
            return str(value)


async def serve(application: OperatorApplication, listener: socket.socket) -> None:
    """Serve until cancelled. uvicorn would end the process when an attempt of its own to bind failed."""
    # Takes a tenth of a second to import, which no node's start should wait for.
    uvicorn = await asyncio.to_thread(importlib.import_module, "uvicorn")
    config = uvicorn.Config(
        application, http="httptools", ws="none", lifespan="off", access_log=False,
        log_config=None, limit_concurrency=CONNECTIONS_MAX, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    # The node decides when to end, not uvicorn's signal handlers.
    server.capture_signals = contextlib.nullcontext
    try:
        await server.serve(sockets=[listener])
    finally:
        server.should_exit = True
