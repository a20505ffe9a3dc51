"""Makes a gateway of its settings, and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode import __version__
from metanode.rpc.gateway import Allowance, RPCGateway, RPCGatewayConfig, SenderRate
from metanode.rpc.ibft import ibft_methods
from metanode.rpc.server import Listener, RPCLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metanode.rpc.ibft import ChainReader
    from sdk.testnet.services.gateway.settings import GatewaySettings

BODY_BYTES_MAX: Final = (1 << 20) - 1024
"""Of a request and of a WebSocket message: what a node takes, less what the gateway writes around a call.

Over WebSocket it is not the 64 KiB that pages' sockets have elsewhere: wallets and libraries send the same calls over either transport, and
one transaction of the 128 KiB that a pool takes has 256 KiB of hexadecimal digits; three of those fit into a batch. What all messages over
64 KiB hold together while they are read and answered has bounds of its own: 8 MiB, of one address 4 (`requests_held_bytes_max` of `rust/rpc`).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a gateway listens, and before whom it stands."""

    bind_address: str
    port: int
    public_url: str
    """Empty where nobody says."""
    trusted_proxies: Sequence[str]
    nodes: Sequence[str]
    """http:// of each."""
    chain_id: int


def make_gateway(place: Place, settings: GatewaySettings) -> RPCGateway:
    """Listen. Nodes are reached from then on, and may come and go.

    Raises:
        InvalidInput: for a node that is not http://, for it is reached without TLS.
        Unavailable: when a port can't be had.
    """
    # They are described here, not called.
    described = ibft_methods(typing.cast("ChainReader", None))
    return RPCGateway(make_config(place, settings), described)


def make_config(place: Place, settings: GatewaySettings) -> RPCGatewayConfig:
    """What the compiled part is told."""
    is_private = ipaddress.ip_address(place.bind_address).is_loopback and not place.public_url
    hosts, origins = (("localhost",), ()) if is_private else (("*",), ("*",))
    both = Listener(
        address=place.bind_address,
        port=place.port,
        hosts=hosts if settings.hosts is None else settings.hosts,
        cors_origins=origins if settings.cors_origins is None else settings.cors_origins,
    )
    listeners = [both]
    if settings.websocket_port:
        listeners.append(
            Listener(
                address=place.bind_address,
                port=settings.websocket_port,
                http=False,
                hosts=both.hosts,
                cors_origins=both.cors_origins,
            )
        )
    return RPCGatewayConfig(
        listeners=tuple(listeners),
        nodes=tuple(place.nodes),
        chain_id=place.chain_id,
        methods=settings.methods,
        limits=RPCLimits(
            connections_max=settings.connections_max,
            connections_per_address_max=settings.connections_per_address_max,
            trusted_proxies=tuple(place.trusted_proxies),
            body_bytes_max=BODY_BYTES_MAX,
            batch_items_max=settings.batch_items_max,
        ),
        allowance=Allowance(
            units_per_second=settings.units_per_second,
            burst_units=settings.burst_units,
            weights=settings.all_weights,
            calls_per_second=dict(settings.calls_per_second),
            units_per_second_of_all=settings.units_per_second_of_all,
        ),
        sender_rate=SenderRate(
            transactions_per_minute=settings.transactions_per_minute_of_sender,
            burst_transactions=settings.burst_transactions_of_sender,
        )
        if settings.transactions_per_minute_of_sender
        else None,
        client_version=f"metanode-gateway/v{__version__}",
        log_blocks_max=settings.log_blocks_max,
        lag_blocks_max=settings.lag_blocks_max,
        copies_of_writes=settings.copies_of_writes,
        call_timeout_ms=1_000 * settings.call_timeout_s,
    )


async def serve_gateway(gateway: RPCGateway, stop: asyncio.Event) -> None:
    """Run until `stop` is set; then calls under way are answered, WebSockets told to go, within three seconds."""
    try:
        await stop.wait()
    finally:
        await asyncio.shield(asyncio.to_thread(gateway.stop))
