"""The registry over HTTP, read only: health for containers, metrics for Prometheus, peers and counters as JSON for people and programs.

It is small on purpose, and shows nothing that discovery does not tell everybody anyway. It changes nothing: peers are registered in code, or
come by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qs

import orjson

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping

    from sdk.testnet.bootstrap.registry import BootstrapPeer

    Send = Callable[[dict[str, Any]], Awaitable[None]]

CONNECTIONS_MAX: Final = 64
KEEP_ALIVE_S: Final = 5
PEERS_MAX: Final = 1000
"""In one answer; `max_count` asks for less, or for as many."""
PEERS_DEFAULT: Final = 50
_PATHS: Final = b"/healthz /metrics /api/v1/status /api/v1/peers\n"
_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_METRICS: Final = (
    ("active_peers", "peers", "gauge", "Peers that are listed."),
    ("verified_peers", "verified_peers", "gauge", "Those of them that have proved their endpoint."),
    ("total_peers_seen", "peers_seen_total", "counter", "Times that a peer came that was not listed."),
    ("refused_peers", "refused_peers", "gauge", "Nodes of other chains that are remembered."),
    ("table_nodes", "table_nodes", "gauge", "Nodes in the table of discovery."),
    ("datagrams_received", "datagrams_received_total", "counter", "Datagrams of discovery from others."),
    ("datagrams_sent", "datagrams_sent_total", "counter", "Datagrams of discovery to others."),
    ("bytes_received", "received_bytes_total", "counter", "Bytes of discovery from others."),
    ("bytes_sent", "sent_bytes_total", "counter", "Bytes of discovery to others."),
    ("greetings", "greetings_total", "counter", "Nodes that called over TCP and said who they are."),
    ("uptime_seconds", "uptime_seconds", "gauge", "Since the node was started."),
)
"""Entries of the statistics that are metrics too: entry, metric, kind, meaning."""


class RegistryView(Protocol):
    """What this module reads of the node."""

    @property
    def running(self) -> bool:
        """Whether it serves."""

    def get_stats(self) -> Mapping[str, Any]:
        """Its counters."""

    def get_peers(self, max_count: int) -> list[BootstrapPeer]:
        """Peers to tell somebody."""


class RegistryApplication:
    """The ASGI application."""

    def __init__(self, node: RegistryView) -> None:
        self._node = node

    async def __call__(self, scope: dict[str, Any], receive: object, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer one request."""
        if scope["type"] != "http":
            return
        query = scope.get("query_string", b"").decode("ascii", errors="replace")
        status, kind, body = self.answer(scope["method"], scope["path"], query)
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'none'"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def answer(self, method: str, path: str, query: str) -> tuple[int, str, bytes]:
        """Return (status, content type, body)."""
        if method not in ("GET", "HEAD"):
            return _problem(405, "only GET and HEAD: the registry is read here, not written")
        match path:
            case "/healthz" | "/readyz":
                return (200, _TEXT, b"ok\n") if self._node.running else (503, _TEXT, b"not running\n")
            case "/metrics":
                return 200, _METRICS_TYPE, render_metrics(self._node.get_stats())
            case "/api/v1/status":
                return 200, _JSON, _dump(dict(self._node.get_stats()))
            case "/api/v1/peers":
                return self._peers(query)
            case "/":
                return 200, _TEXT, _PATHS
            case _:
                return _problem(404, f"expected one of {_PATHS.decode().strip()}")

    def _peers(self, query: str) -> tuple[int, str, bytes]:
        asked = (
            parse_qs(query, keep_blank_values=True, max_num_fields=8) if query.count("&") < 8 else {"": [""]}
        )
        text = asked.pop("max_count", [str(PEERS_DEFAULT)])[-1]
        if asked:
            return _problem(400, f"found the parameter {next(iter(asked))[:80]!r}; expected max_count")
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= PEERS_MAX):
            return _problem(400, f"max_count: found {text[:80]!r}; expected 1 to {PEERS_MAX:,}")
        peers = self._node.get_peers(int(text))
        return 200, _JSON, _dump({"peers": [peer.to_dict() for peer in peers]})


def render_metrics(statistics: Mapping[str, Any]) -> bytes:
    """The counters in Prometheus' text format."""
    lines = []
    for entry, metric, kind, what in _METRICS:
        name = f"metanode_bootstrap_{metric}"
        lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}", f"{name} {statistics[entry]}"]
    return ("\n".join(lines) + "\n").encode()


async def serve(application: RegistryApplication, listener: socket.socket) -> None:
    """Serve until cancelled, on a socket that listens already: uvicorn ends the process when an attempt of its own to bind fails."""
    uvicorn = await asyncio.to_thread(importlib.import_module, "uvicorn")
    config = uvicorn.Config(
        application, http="httptools", ws="none", lifespan="off", access_log=False, server_header=False,
        log_config=None, limit_concurrency=CONNECTIONS_MAX, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    # Whoever runs us decides when to end, not uvicorn's signal handlers.
    server.capture_signals = contextlib.nullcontext
    try:
        await server.serve(sockets=[listener])
    finally:
        server.should_exit = True


def _dump(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def _problem(status: int, detail: str) -> tuple[int, str, bytes]:
    """RFC 9457."""
    titles = {400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
    return status, _PROBLEM, _dump({"title": titles[status], "status": status, "detail": detail})
