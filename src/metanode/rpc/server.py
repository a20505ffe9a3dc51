"""The compiled JSON-RPC server seen from Python: configuration in, forwarded requests out to handlers.

Only methods with a handler here ever take the GIL. Their number in flight is bounded in Rust (256); each runs as a
task of the server's group and has a time limit.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from metanode import _engine
from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import InternalError, InvalidParams, JSONRPCError, NodeFault, RequestTimedOut
from metanode.rpc.memory import give_back_freed_memory
from metanode.rpc.method import declarations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from metanode.rpc.method import Method

HANDLER_TIMEOUT_S = 9.0
"""A second less than the caller's, so that the caller hears a reason."""

log = structlog.get_logger("rpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address and what is served on it."""

    address: str = "127.0.0.1"
    """A literal address. Loopback ones offer more namespaces by default than others."""
    port: int
    """0 takes a free one."""
    private: bool = False
    """For the operator: the only kind that serves `admin_` and validator votes. Loopback, no web origins."""
    http: bool = True
    websocket: bool = True
    namespaces: tuple[str, ...] | None = None
    """None takes the default of the address."""
    cors_origins: tuple[str, ...] = ()
    """Web origins that may read answers; "*" is any, without credentials."""
    websocket_origins: tuple[str, ...] | None = None
    """Web origins that may open a WebSocket; None takes `cors_origins`."""
    hosts: tuple[str, ...] = ("localhost",)
    """Names accepted in the Host header beside literal addresses; "*" is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RPCLimits:
    """The limits that operators change; all others are constants of the server."""

    connections_max: int = 200
    """Open connections on all listeners that are not private."""
    connections_per_address_max: int = 20
    """Not for loopback and trusted proxies."""
    requests_per_address_per_second: int | None = None
    """Items of a batch count; a burst of two seconds is allowed. None is no limit."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or ranges that stand for many users."""
    body_bytes_max: int = 1 << 20
    response_bytes_max: int = 10 << 20
    batch_items_max: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RPCServerConfig:
    """All that the server needs to start."""

    listeners: tuple[Listener, ...]
    limits: RPCLimits = field(default_factory=RPCLimits)
    client_version: str
    """Answer of `web3_clientVersion`: name/version/os/language."""
    network_id: int
    """Answer of `net_version`; equals the chain id."""
    worker_threads: int = 1
    """Threads that read requests and answer cheap ones: one serves about 80,000 a second."""
    heavy_threads: int = 2
    """Threads for calls that run code or scan blocks."""

    def encode(self) -> bytes:
        """The JSON that the compiled server takes."""
        return orjson.dumps(asdict(self))


class RPCServer:
    """A running server. Belongs to the event loop that opened it; `open_server` makes it."""

    def __init__(
        self, config: RPCServerConfig, methods: Mapping[str, Method], engine: _engine.Engine | None
    ) -> None:
        self._methods = methods
        self._tasks = asyncio.TaskGroup()
        self._loop = asyncio.get_running_loop()
        try:
            self._server = _engine.RpcServer.start(
                config.encode(), engine, declarations(methods), self._asked_from_thread
            )
        except ValueError as error:
            raise InvalidInput(str(error)) from None
        except OSError as error:
            raise Unavailable(str(error)) from None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, in the order of the configuration, with the real ports."""
        return self._server.addresses()

    def set_peer_count(self, peers: int) -> None:
        """Set the answer of `net_peerCount`."""
        self._server.set_peer_count(peers)

    def set_shedding(self, *, shedding: bool) -> None:
        """While set, heavy calls are refused as "busy": consensus needs the processor."""
        self._server.set_shedding(shedding)

    def publish_head(
        self, *, number: int, block_hash: bytes, header: Any, logs: Sequence[Any], receipts: Sequence[Any]
    ) -> None:
        """Tell subscribers and filters of a block. `header`, `logs` and `receipts` have the shapes of JSON-RPC."""
        told = [orjson.dumps(receipt) for receipt in receipts]
        self._server.publish_head(number, block_hash, orjson.dumps(header), orjson.dumps(logs), told)

    def publish_pending(self, transactions: Mapping[bytes, Any]) -> None:
        """Tell subscribers and filters of new executable transactions: their hashes, and what they look like in JSON-RPC."""
        self._server.publish_pending(list(transactions), [orjson.dumps(one) for one in transactions.values()])

    def statistics(self) -> dict[str, Any]:
        """The counters, for metrics: see `Statistics` in rust/rpc."""
        counters: dict[str, Any] = orjson.loads(self._server.statistics())
        return counters

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        async with self._tasks:
            try:
                yield
            finally:
                # Waits for open requests, which may need this loop to be answered.
                await asyncio.to_thread(self._server.stop)

    def _asked_from_thread(
        self, request_id: int, listener: str, peer: str, method: str, params: bytes
    ) -> None:
        """Take a request over; runs on a thread of the server."""
        self._loop.call_soon_threadsafe(self._asked, request_id, listener, peer, method, params)

    def _asked(self, request_id: int, listener: str, peer: str, method: str, params: bytes) -> None:
        self._tasks.create_task(
            self._answer(request_id, listener, peer, method, params), name=f"rpc {method}"
        )

    async def _answer(self, request_id: int, listener: str, peer: str, method: str, params: bytes) -> None:
        server = self._server
        try:
            result = await self._call(method, params)
        except (JSONRPCError, NodeFault) as error:
            data = None if error.data is None else orjson.dumps(error.data)
            server.fail(request_id, error.code, error.message, data)
        except InvalidInput as error:
            server.fail(request_id, InvalidParams.error_code, str(error))
        except Unavailable as error:
            log.warning(
                "rpc_handler_unavailable", method=method, listener=listener, peer=peer, error=str(error)[:200]
            )
            server.fail(request_id, JSONRPCError.error_code, str(error))
        except Exception:
            # The edge: a handler's fault is answered without its details, and does not end the node.
            log.exception("rpc_handler_failed", method=method, listener=listener, peer=peer)
            server.fail(request_id, InternalError.error_code, "internal error")
        else:
            server.respond(request_id, result)

    async def _call(self, method: str, params: bytes) -> bytes:
        try:
            arguments = orjson.loads(params)
        except ValueError as error:
            # The server has checked the syntax; what is left are numbers and strings Python does not take.
            raise InvalidParams(f"parameters cannot be read: {error}") from None
        if not isinstance(arguments, list):
            raise InvalidParams("parameters are not an array")
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                result = await self._methods[method].handler(arguments)
        except TimeoutError:
            raise RequestTimedOut("request timed out") from None
        return orjson.dumps(result)


@asynccontextmanager
async def open_server(
    config: RPCServerConfig, methods: Mapping[str, Method], *, engine: _engine.Engine | None = None
) -> AsyncIterator[RPCServer]:
    """Serve JSON-RPC inside the block; at its end open requests get three seconds, then everything is closed.

    The engine answers its own methods and feeds subscriptions and filters; one of `methods` that it has too is answered by the handler.
    Without an engine all methods need handlers, and news comes through `publish_head` and `publish_pending`.

    Raises:
        InvalidInput: when the configuration cannot be served.
        Unavailable: when an address cannot be listened on.
    """
    give_back_freed_memory()
    server = RPCServer(config, methods, engine)
    async with server._serving():  # noqa: SLF001 - the only door, kept out of the class's public face
        yield server
