"""Where we are, as others are told: the choice of `advertising`, kept, logged and turned into what discovery says."""

from collections.abc import Collection, Sequence
from typing import Final

import structlog

from metanode.p2p.advertising import choose_host, is_unspecified
from metanode.p2p.dialer import resolve
from metanode.p2p.discv4.packets import Endpoint, IPAddress, unmapped
from metanode.p2p.enode import format_address
from metanode.p2p.errors import PeerUnavailable

log = structlog.get_logger(__name__)

HINT: Final = "set p2p.advertised_address to the name or IP address under which peers reach this node"


class OwnAddress:
    """See the module. Owned by the network."""

    def __init__(
        self, *, configured: str | None, port: int | None, listening: str, local: Sequence[str]
    ) -> None:
        self._configured = configured
        self._listening = listening
        self._local = local
        self.port = port
        """The configured one; None when it is the one that we listen on."""
        self._chosen = choose_host(configured=configured, listening=listening, told=(), local=local)
        self._ip: IPAddress | None = None
        """The last address that the host had."""

    @property
    def host(self) -> str | None:
        """What others are told; None when nothing is known that they could use."""
        return self._chosen.host

    def choose(self, told: Collection[IPAddress]) -> bool:
        """Choose again, knowing where known peers see us; return whether that is elsewhere."""
        before = self._chosen.host
        self._chosen = choose_host(
            configured=self._configured, listening=self._listening, told=told, local=self._local
        )
        return self._chosen.host != before

    def log_choice(self, listening_port: int) -> None:
        """Say what was chosen, and how to choose otherwise; nothing where the configuration says it."""
        if self._configured is not None or not is_unspecified(self._listening):
            return
        because = self._chosen.because
        if self._chosen.host is None:
            log.warning("advertised_address_unknown", because=because, hint=HINT)
        else:
            address = format_address(self._chosen.host, self.port or listening_port)
            log.info("advertised_address_chosen", address=address, because=because, hint=HINT)

    async def endpoint(self, *, tcp_port: int, udp_port: int) -> Endpoint:
        """Return what discovery says of us. It has no names: ours is looked up, and left out while it does not resolve."""
        found: list[IPAddress] = []
        if self._chosen.host is not None:
            try:
                found = [unmapped(ip) for ip in await resolve(self._chosen.host)]
            except PeerUnavailable as error:
                log.warning("advertised_name_unresolved", host=self._chosen.host, error=str(error)[:200])
        # Of several addresses the one that was told before, in whatever order they come.
        if found and self._ip not in found:
            self._ip = found[0]
        ip = self._ip if found else None
        return Endpoint(ip=ip, udp_port=self.port or udp_port, tcp_port=self.port or tcp_port)
