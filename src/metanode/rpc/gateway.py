"""The compiled gateway seen from Python: one JSON-RPC endpoint before several nodes. It asks Python nothing; here it is configured and counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from metanode import _engine
from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.memory import give_back_freed_memory
from metanode.rpc.method import declarations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metanode.rpc.method import Method
    from metanode.rpc.server import Listener, RPCLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one client may ask, and all together: buckets of units that fill steadily."""

    units_per_second: int
    """0 is no limit."""
    burst_units: int
    """What a client who was quiet may use at once."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Units of a call by method; one where nothing is said."""
    calls_per_second: Mapping[str, int] = field(default_factory=dict)
    """Of single methods, beside the units, with a burst of two seconds."""
    units_per_second_of_all: int = 0
    """Of all clients together, with a burst of two seconds; 0 is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderRate:
    """Transactions of one key that nodes take, whatever addresses send them: a bucket that fills steadily."""

    transactions_per_minute: int
    burst_transactions: int
    """What a key that was quiet may send at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RPCGatewayConfig:
    """All that a gateway needs to start."""

    listeners: tuple[Listener, ...]
    nodes: tuple[str, ...]
    """http://HOST:PORT of each, where it serves WebSocket too."""
    chain_id: int
    methods: frozenset[str]
    """Every method that is answered; no other is."""
    limits: RPCLimits
    allowance: Allowance
    client_version: str
    log_blocks_max: int
    """Blocks of one `eth_getLogs`."""
    lag_blocks_max: int
    """A node that is further behind is asked for nothing."""
    copies_of_writes: int
    """Nodes that a transaction is handed to."""
    sender_rate: SenderRate | None = None
    """None limits no sender."""
    call_timeout_ms: int
    calls_max: int = 1024
    """Calls that wait for nodes, of all callers: four nodes read 480 at once."""
    worker_threads: int = 2

    def encode(self) -> bytes:
        """The JSON that the compiled gateway takes."""
        server = {
            "listeners": [asdict(listener) for listener in self.listeners],
            "limits": asdict(self.limits)
            | {
                "forwarded_for": True,
                "allowance": asdict(self.allowance),
            },
            "client_version": self.client_version,
            "network_id": self.chain_id,
            "worker_threads": self.worker_threads,
            # Nothing of that kind is answered here.
            "heavy_threads": 1,
        }
        return orjson.dumps(
            {
                "server": server,
                "nodes": self.nodes,
                "methods": sorted(self.methods),
                "chain_id": self.chain_id,
                "lag_blocks_max": self.lag_blocks_max,
                "log_blocks_max": self.log_blocks_max,
                "copies_of_writes": self.copies_of_writes,
                "sender_rate": None if self.sender_rate is None else asdict(self.sender_rate),
                "calls_max": self.calls_max,
                "call_timeout_ms": self.call_timeout_ms,
            }
        )


class RPCGateway:
    """A running gateway, on threads of its own. Any thread may call it."""

    def __init__(self, config: RPCGatewayConfig, described: Mapping[str, Method]) -> None:
        """Listen; raises InvalidInput for what cannot be served, Unavailable when an address can't be had.

        `described` says what methods beside the engine's take and give; their handlers are not called.
        """
        give_back_freed_memory()
        try:
            self._gateway = _engine.RpcGateway.start(config.encode(), declarations(described))
        except ValueError as error:
            raise InvalidInput(str(error)) from None
        except OSError as error:
            raise Unavailable(str(error)) from None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, in the order of the configuration, with the real ports."""
        return self._gateway.addresses()

    def statistics(self) -> dict[str, Any]:
        """The counters: `calls` as `Statistics` in rust/rpc has them, `network` as `GatewayStatistics`."""
        counters: dict[str, Any] = orjson.loads(self._gateway.statistics())
        return counters

    def stop(self) -> None:
        """Let open calls end within three seconds, and close everything; waits for that, so call it on a thread."""
        self._gateway.stop()
