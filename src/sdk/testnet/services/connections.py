"""What one connection may take of a site: time for headers, body and reading, and places for each address.

A person's browser is never near any of it. Who sends nothing, a byte now and then, or never reads is closed within some fifteen seconds, and
keeps no place that others need.
"""

from __future__ import annotations

import resource
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from metanode.errors import InvalidInput
from sdk.testnet.faucet.client_address import LOOPBACK, IPNetwork, origin_of, parse_ip

if TYPE_CHECKING:
    import asyncio
    import ipaddress
    from collections.abc import Callable, Sequence

log = structlog.get_logger(__name__)

HEADERS_S: Final = 10.0
"""For the headers of a request, from the connection's begin or from their first byte."""
BODY_S: Final = 15.0
"""For a body, and a second more for each `SLOWEST_BYTES_S` of it that has come."""
READ_S: Final = 15.0
"""Who has not read `SLOWEST_BYTES_S` a second for so long, while there is something to read, is gone or means harm."""
SLOWEST_BYTES_S: Final = 1024
"""A connection slower than a telephone's modem is not waited for."""
CONNECTIONS_OF_ONE_MAX: Final = 128
"""Of one IPv4 address or IPv6 /64: a class of twenty behind one address, whose browsers open six each."""
FILES_MAX: Final = 65_536
"""Open files that a process of services asks for: its connections, databases and nodes are some 10,000 at most."""
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 5\r\n"
    b"connection: close\r\n\r\ntoo many connections from this address\n"
)


@dataclass(slots=True)
class Places:
    """How many connections each address has. Owned by the event loop of its site."""

    trusted: Sequence[IPNetwork] = LOOPBACK
    """Proxies, and this machine: many people come through one of them."""
    maximum: int = CONNECTIONS_OF_ONE_MAX
    _taken: Counter[IPNetwork] = field(default_factory=Counter)

    def take(self, peer: str) -> IPNetwork | None:
        """Return what to give back; None for who is not counted. Raises TooManyConnections."""
        try:
            address = parse_ip(peer)
        except InvalidInput:
            return None
        if any(address.version == network.version and address in network for network in self.trusted):
            return None
        network = origin_of(address).narrow
        if self._taken[network] >= self.maximum:
            raise TooManyConnections(network)
        self._taken[network] += 1
        return network

    def give_back(self, network: IPNetwork | None) -> None:
        """A connection is over."""
        if network is not None:
            self._taken[network] -= 1
            if not self._taken[network]:
                del self._taken[network]

    @property
    def addresses(self) -> int:
        """How many have a place."""
        return len(self._taken)


class TooManyConnections(InvalidInput):
    """One address has all the places that it may have."""

    def __init__(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
        super().__init__(f"{network}: too many connections")


def timed_protocol(places: Places) -> Callable[..., asyncio.Protocol]:
    """Return uvicorn's protocol for a site whose clients have `places`, and so long for everything."""
    return partial(_TimedProtocol, places=places)


class _TimedProtocol(HttpToolsProtocol):
    """A connection that is closed when its client is too slow, or has too many."""

    def __init__(self, *args: Any, places: Places, **options: Any) -> None:
        super().__init__(*args, **options)
        self._places = places
        self._place: IPNetwork | None = None
        self._reading: asyncio.TimerHandle | None = None
        """Ends headers or a body that do not come."""
        self._writing: asyncio.TimerHandle | None = None
        """Ends who does not read."""
        self._is_request_open = False
        """Whether a request has begun whose last byte has not come."""
        self._body_bytes = 0
        self._body_since_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = self.client
        try:
            self._place = self._places.take(peer[0] if peer else "")
        except TooManyConnections:
            transport.write(_FULL)
            transport.close()
            return
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.give_back(self._place)
        self._place = None
        for timer in (self._reading, self._writing):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        # Bytes that begin no request end the wait for the next one as well.
        if self._reading is None and not self._is_request_open and not self._is_answering():
            self._expect_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_request_open = True
        if self._reading is None:
            self._expect_headers()

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        self._body_bytes, self._body_since_s = 0, self.loop.time()
        self._reading = self.loop.call_later(BODY_S, self._judge_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_request_open = False
        self._expect_nothing()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # What is left to send is sent at the client's pace, and then the connection is idle or closed.
        if self._writing is None and self.transport.get_write_buffer_size():
            self._watch_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._watch_reader()

    def resume_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def _expect_headers(self) -> None:
        self._reading = self.loop.call_later(HEADERS_S, self._close)

    def _expect_nothing(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _judge_body(self) -> None:
        allowed_s = BODY_S + self._body_bytes / SLOWEST_BYTES_S
        # While we do not read, the client is not to blame.
        left_s = BODY_S if self.flow.read_paused else allowed_s - (self.loop.time() - self._body_since_s)
        if left_s > 0:
            self._reading = self.loop.call_later(left_s, self._judge_body)
        else:
            self._close()

    def _watch_reader(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._writing = self.loop.call_later(READ_S, self._judge_reader, waiting)

    def _judge_reader(self, waited: int) -> None:
        self._writing = None
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            return
        # More than before is of answers that were made since: then it is looked at once more.
        if 0 <= waited - waiting < SLOWEST_BYTES_S * READ_S:
            self.transport.abort()
        else:
            self._watch_reader()

    def _close(self) -> None:
        self._reading = None
        if self.transport.get_write_buffer_size():
            # A polite end would wait for who does not read.
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.close()


def raise_file_limit(most: int = FILES_MAX) -> int:
    """Let this process have as many open files as the machine allows, `most` at most; returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    log.info("file_limit", files=soft)
    return soft
