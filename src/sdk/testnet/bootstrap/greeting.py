"""A greeting: the RLPx handshake and the two hellos, the peer's status if it sends one, and goodbye.

It tells, authenticated by the node's key, what the peer calls itself and which chain it is on. A bootstrap node greets whoever calls, and calls peers
that it lists and knows nothing of. It holds no connections: nodes keep those with each other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput
from metanode.p2p import protocol
from metanode.p2p.enode import NodeId
from metanode.p2p.rlpx.connection import ConnectionLimits, MessageReceived, Ready, RLPxConnection, Terminated
from metanode.p2p.rlpx.reasons import DisconnectReason

if TYPE_CHECKING:
    from metanode.p2p.rlpx.handshake import NodeKey

GREETING_TIMEOUT_S: Final = 5.0
"""From the first byte to goodbye; go-ethereum gives a handshake as long."""
STATUS_TIMEOUT_S: Final = 1.5
"""After the hellos: a node sends its status without waiting for ours."""
CLOSE_TIMEOUT_S: Final = 1.0
FAREWELL: Final = "a bootstrap node holds no connections"
_READ_BYTES: Final = 8 * 1024
_LIMITS: Final = ConnectionLimits(handshake_timeout_s=GREETING_TIMEOUT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a peer has said of itself."""

    node_id: NodeId
    client: str
    chain_id: int | None
    """None when no status came."""
    genesis_hash: bytes | None


async def call(key: NodeKey, client: str, remote_id: NodeId, ip: str, port: int) -> Greeting | None:
    """Call a node and greet it; None when nobody with that key answers in time."""
    try:
        async with asyncio.timeout(GREETING_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(ip, port, limit=_READ_BYTES)
            return await greet(key, client, reader, writer, remote_id=remote_id)
    except (OSError, TimeoutError, InvalidInput):
        # InvalidInput: the id is no point of the curve.
        return None


async def greet(
    key: NodeKey,
    client: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    remote_id: NodeId | None = None,
) -> Greeting | None:
    """Greet over an open connection and close it; with a `remote_id` we are the caller. None when no hello came in time."""
    loop = asyncio.get_running_loop()
    connection: RLPxConnection | None = None
    ready: Ready | None = None
    status: protocol.Status | None = None
    deadline = loop.time() + GREETING_TIMEOUT_S
    try:
        connection = RLPxConnection(
            key=key, client=client, capability=protocol.CAPABILITY, now=loop.time(), remote_id=remote_id, limits=_LIMITS
        )  # fmt: skip
        while not connection.is_closed and status is None and loop.time() < deadline:
            writer.write(connection.data_to_send())
            try:
                async with asyncio.timeout_at(deadline):
                    data = await reader.read(_READ_BYTES)
            except TimeoutError:
                break
            if not data:
                break
            connection.receive_data(data, loop.time())
            while (event := connection.next_event()) is not None:
                match event:
                    case Ready():
                        ready = event
                        deadline = min(deadline, loop.time() + STATUS_TIMEOUT_S)
                    case MessageReceived(code=code, payload=payload):
                        status = status or _status(code, payload)
                    case Terminated():
                        break
                    case _:
                        pass
    except OSError:
        pass
    finally:
        if connection is not None:
            if not connection.is_closed:
                connection.disconnect(DisconnectReason.USELESS_PEER, FAREWELL)
            await _close(writer, connection.data_to_send())
        else:
            writer.close()
    if ready is None:
        return None
    return Greeting(
        node_id=NodeId(ready.remote_id),
        client=ready.hello.client,
        chain_id=None if status is None else status.chain_id,
        genesis_hash=None if status is None else bytes(status.genesis_hash),
    )


def _status(code: int, payload: bytes) -> protocol.Status | None:
    try:
        message = protocol.decode(code, payload)
    except InvalidInput:
        return None
    return message if isinstance(message, protocol.Status) else None


async def _close(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Say goodbye, if that can be done in a moment."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            writer.write(data)
            await writer.drain()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.close()
