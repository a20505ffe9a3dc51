"""Whom to call, and when to call again.

Each target (a static address, or an endpoint of a validator's record) has a loop of its own that keeps it connected: resolve the name, learn and pin the id
when the address has none, connect, wait for the end, begin again. What fails is logged once, then once a minute while it goes on, and never ends the node.
"""

import asyncio
import ipaddress
import socket
from random import Random
from typing import Final, Protocol

import structlog

from metanode.p2p.enode import Enode, NodeId
from metanode.p2p.errors import PeerFault, PeerUnavailable
from metanode.p2p.pins import PeerStore, PinMismatch, check_pin

log = structlog.get_logger(__name__)

RETRY_S_MIN: Final = 0.25
RETRY_S_MAX_NEEDED: Final = 1.0
"""Validators are redialled within a second (docs/spec/peers.md, Records)."""
RETRY_S_MAX: Final = 15.0
EAGER_S: Final = 60.0
"""For so long after its start, or after it was last connected, any target is redialled like a validator: networks start together."""
RESOLVE_TIMEOUT_S: Final = 5.0
ADDRESSES_MAX: Final = 8
"""Of one name; each is tried in its turn."""
LOG_INTERVAL_S: Final = 60.0


class DialOwner(Protocol):
    """What a dial loop needs of the network."""

    @property
    def own_id(self) -> NodeId:
        """Our node id."""
        ...

    def may_dial(self, node_id: NodeId) -> bool:
        """Whether a node is not banned."""
        ...

    def is_member(self, node_id: NodeId) -> bool:
        """Whether a node is a validator's, by its record or its proof."""
        ...

    async def wait_disconnected(self, node_id: NodeId) -> bool:
        """Return at once False when a node is not connected, else True after its connection has ended."""
        ...

    async def connect(self, node_id: NodeId, ip: str, port: int, *, is_static: bool) -> bool:
        """Connect and serve the connection to its end; return whether its status was good. Raises PeerUnavailable when nobody is there."""
        ...

    async def identify(self, ip: str, port: int) -> NodeId:
        """Return the node id behind an address."""
        ...

    def upon_resolved(self, enode: Enode, ip: str) -> None:
        """A target's host is at an IP address."""
        ...


class Target:
    """Keeps one address connected; `run` is the loop."""

    def __init__(
        self, enode: Enode, owner: DialOwner, store: PeerStore, random: Random, *, is_static: bool
    ) -> None:
        self.enode = enode
        self.node_id: NodeId | None = enode.node_id
        """Its id, once it is known."""
        self._owner = owner
        self._store = store
        self._random = random
        self.is_static = is_static
        """Whether it was configured, and not found in a record."""
        self._logged: dict[str, float] = {}
        """When each text was last logged; one for each address and way to fail."""

    async def run(self) -> None:
        """Keep the target connected until cancelled; ends by itself only when the address turns out to be our own."""
        loop = asyncio.get_running_loop()
        failures = turn = 0
        eager_until = loop.time() + EAGER_S
        while True:
            try:
                if self.node_id is not None and await self._owner.wait_disconnected(self.node_id):
                    failures = 0
                    eager_until = loop.time() + EAGER_S
                addresses = await resolve(self.enode.host)
                # A name such as localhost has addresses of both families, and a node listens on one: each gets its turn.
                ip = addresses[turn % len(addresses)]
                self._owner.upon_resolved(self.enode, ip)
                node_id = await self._identify(ip)
                if node_id == self._owner.own_id:
                    log.debug("dial_target_is_ourselves", address=self.enode.address)
                    return
                if self._owner.may_dial(node_id) and await self._owner.connect(
                    node_id, ip, self.enode.tcp_port, is_static=self.is_static
                ):
                    failures = 0
                    eager_until = loop.time() + EAGER_S
            except (PeerFault, PeerUnavailable, OSError) as error:
                turn += 1
                self._log(error, loop.time())
            failures += 1
            is_eager = loop.time() < eager_until or (
                self.node_id is not None and self._owner.is_member(self.node_id)
            )
            bound_s = RETRY_S_MAX_NEEDED if is_eager else RETRY_S_MAX
            delay_s = min(bound_s, RETRY_S_MIN * 2.0 ** min(failures - 1, 10))
            await asyncio.sleep(delay_s * self._random.uniform(0.6, 1.0))

    async def _identify(self, ip: str) -> NodeId:
        if self.enode.node_id is not None:
            return self.enode.node_id
        node_id = await self._owner.identify(ip, self.enode.udp_port)
        if node_id != self._owner.own_id:
            is_first = await check_pin(self._store, self.enode.address, node_id)
            if is_first:
                log.info("peer_pinned", address=self.enode.address, node_id=node_id.hex())
            self.node_id = node_id
        return node_id

    def _log(self, error: Exception, now: float) -> None:
        self._logged = {text: at for text, at in self._logged.items() if now < at + LOG_INTERVAL_S}
        if str(error) in self._logged:
            return
        self._logged[str(error)] = now
        if isinstance(error, PinMismatch):
            log.error("peer_pin_mismatch", address=self.enode.address, error=str(error))
        else:
            log.warning("peer_dial_failed", address=self.enode.address, error=str(error)[:200])


async def resolve(host: str) -> tuple[str, ...]:
    """Return the IP addresses of a host, those of IPv4 first and at most `ADDRESSES_MAX`; raises PeerUnavailable when it has none."""
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        pass
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise PeerUnavailable(f"the host name {host!r} was not resolved in {RESOLVE_TIMEOUT_S:g} s") from None
    except (OSError, UnicodeError) as error:
        raise PeerUnavailable(f"the host name {host!r} does not resolve: {error}") from error
    if not found:
        raise PeerUnavailable(f"the host name {host!r} does not resolve")
    ordered = sorted(found, key=lambda entry: entry[0] is not socket.AF_INET)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in ordered))[:ADDRESSES_MAX]
