"""The asyncio shell of discovery: one UDP socket, one timer.

The service stands under its owner's task group; everything happens in the event loop, the machine is touched by nobody else.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from metanode.p2p.discv4.discovery import Discovery, IdentityLearned, NodeProved
from metanode.p2p.discv4.packets import PACKET_BYTES_MAX, Contact, unmapped
from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.errors import PeerUnavailable

log = structlog.get_logger(__name__)

_IDENTIFY_ATTEMPTS: Final = 3
_IDENTIFY_TIMEOUT_S: Final = 1.0
_TICK_S: Final = 1.0
"""Longest sleep: the wall clock may be set while we sleep."""


class DiscoveryService:
    """Runs a `Discovery` on a bound socket; see `run`."""

    def __init__(
        self,
        discovery: Discovery,
        *,
        host: str,
        port: int,
        upon_node: Callable[[Contact], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._discovery = discovery
        self._host = host
        self._port = port
        self._upon_node = upon_node
        self._clock = clock
        self._transport: asyncio.DatagramTransport | None = None
        self._woken = asyncio.Event()
        self._identities: dict[tuple[str, int], list[asyncio.Future[NodeId]]] = {}
        self.datagrams_in = 0
        self.datagrams_out = 0
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def discovery(self) -> Discovery:
        """The machine, for its table and record."""
        return self._discovery

    async def bind(self) -> int:
        """Open the socket and return its port; raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Protocol(self), local_addr=(self._host, self._port)
        )
        return int(self._transport.get_extra_info("sockname")[1])

    async def run(self) -> None:
        """Serve until cancelled; `bind` comes first."""
        transport = self._transport
        assert transport is not None
        try:
            while True:
                self._discovery.handle_timer(self._clock())
                self._flush()
                delay_s = min(_TICK_S, max(0.01, self._discovery.timer_at - self._clock()))
                self._woken.clear()
                try:
                    async with asyncio.timeout(delay_s):
                        await self._woken.wait()
                except TimeoutError:
                    pass
        finally:
            transport.close()

    def add_bootstrap(self, enode: Enode, ip: str) -> None:
        """Start from a node whose host was resolved to `ip`."""
        if enode.node_id is not None and enode.udp_port:
            contact = Contact(
                node_id=enode.node_id, ip=unmapped(ip), udp_port=enode.udp_port, tcp_port=enode.tcp_port
            )
            self._discovery.add_bootstrap(contact, self._clock())
            self._woken.set()

    async def identify(self, ip: str, port: int) -> NodeId:
        """Return the node id behind an address, learned by a ping; raises PeerUnavailable when nobody answers."""
        address = unmapped(ip), port
        key = str(address[0]), port
        for _ in range(_IDENTIFY_ATTEMPTS):
            future: asyncio.Future[NodeId] = asyncio.get_running_loop().create_future()
            self._identities.setdefault(key, []).append(future)
            self._discovery.identify(address, self._clock())
            self._flush()
            try:
                async with asyncio.timeout(_IDENTIFY_TIMEOUT_S):
                    return await future
            except TimeoutError:
                continue
            finally:
                waiting = self._identities.get(key, [])
                if future in waiting:
                    waiting.remove(future)
                if not waiting:
                    self._identities.pop(key, None)
        raise PeerUnavailable(f"no answer to a discovery ping from {ip}:{port} (udp)")

    def receive(self, data: bytes, source: tuple[str, int]) -> None:
        """Take a datagram from the socket."""
        self.datagrams_in += 1
        self.bytes_in += len(data)
        # One byte more than allowed is enough to know that it is too long.
        self._discovery.receive_datagram(data[: PACKET_BYTES_MAX + 1], source[:2], self._clock())
        self._flush()

    def _flush(self) -> None:
        assert self._transport is not None
        for datagram, (ip, port) in self._discovery.datagrams_to_send():
            try:
                self._transport.sendto(datagram, (str(ip), port))
            except (OSError, ValueError) as error:
                # An address of the other family, or one that the system does not send to: somebody else's neighbours name anything.
                log.debug("discovery_not_sent", ip=str(ip), error=repr(error))
            else:
                self.datagrams_out += 1
                self.bytes_out += len(datagram)
        while (event := self._discovery.next_event()) is not None:
            match event:
                case NodeProved(contact=contact):
                    log.debug("discovery_node", node=contact.node_id.hex()[:16], ip=str(contact.ip))
                    self._upon_node(contact)
                case IdentityLearned(address=(ip, port), node_id=node_id):
                    for future in self._identities.get((str(ip), port), []):
                        if not future.done():
                            future.set_result(node_id)


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, service: DiscoveryService) -> None:
        self._service = service

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._service.receive(data, addr)

    def error_received(self, exc: Exception) -> None:
        # ICMP tells that somebody does not listen; the ping's own timeout says the same.
        log.debug("discovery_socket_error", error=repr(exc))
