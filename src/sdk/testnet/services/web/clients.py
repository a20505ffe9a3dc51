"""Who is at the other end of a request: its address behind proxies, how often it asks, and whether a page of ours sent it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from metanode.errors import InvalidInput
from sdk.testnet.faucet.attempts import OriginAttempts
from sdk.testnet.faucet.client_address import LOOPBACK, client_address, origin_of, parse_ip
from sdk.testnet.services.web.problems import TooManyRequests, WrongOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from sdk.testnet.faucet.client_address import IPAddress, IPNetwork

REQUESTS_MAX: Final = 60
"""A minute, of what costs the service something: a person needs a few."""
READS_MAX: Final = 1_200
"""A minute, of what is only read: a class of a hundred behind one address whose pages ask on."""
MINUTE_MS: Final = 60_000


def monotonic_ms() -> int:
    """Return a time that no change of the clock moves."""
    return int(time.monotonic() * 1000)


class Clients:
    """Finds clients, and counts what they ask for, for each network and for the one around it."""

    def __init__(
        self,
        now_ms: Callable[[], int] = monotonic_ms,
        *,
        trusted: Sequence[IPNetwork] = LOOPBACK,
        maximum: int = REQUESTS_MAX,
        reads_max: int = READS_MAX,
    ) -> None:
        self._now_ms = now_ms
        self._trusted = trusted
        self._requests = OriginAttempts(maximum=maximum, window_ms=MINUTE_MS)
        self._reads = OriginAttempts(maximum=reads_max, window_ms=MINUTE_MS)

    def address_of(self, request: Request) -> IPAddress:
        """Return the client's address. Raises InvalidInput where there is none, as over a socket of files without a proxy."""
        if request.client is None:
            raise InvalidInput("the connection says no IP address; put a proxy in front that does, by TCP")
        return client_address(
            request.client.host, request.headers.getlist("x-forwarded-for"), trusted=self._trusted
        )

    def stranger_of(self, request: Request) -> IPNetwork | None:
        """Return the network that a client is counted by; None of this machine and of a proxy that does not say for whom it asks."""
        try:
            address = self.address_of(request)
        except InvalidInput:
            return None
        return None if self._is_trusted(address) else origin_of(address).narrow

    def is_https(self, request: Request) -> bool:
        """Whether the browser's connection is encrypted, as far as a trusted proxy says so."""
        if request.url.scheme == "https":
            return True
        said = request.headers.get("x-forwarded-proto", "")
        peer = None if request.client is None else parse_ip(request.client.host)
        return said == "https" and peer is not None and self._is_trusted(peer)

    def count(self, request: Request) -> IPAddress:
        """Return the client's address, and count this request.

        Raises:
            TooManyRequests: when it is one too many.
            InvalidInput: as `address_of`.
        """
        return self._counted(request, self._requests)

    def count_read(self, request: Request) -> IPAddress:
        """Return the client's address, and count this look at something. Raises as `count`."""
        return self._counted(request, self._reads)

    def count_stranger(self, request: Request) -> None:
        """Count what costs much, of everybody but this machine and silent proxies. Raises TooManyRequests."""
        if self.stranger_of(request) is not None:
            self.count(request)

    def _counted(self, request: Request, attempts: OriginAttempts) -> IPAddress:
        client = self.address_of(request)
        origin, now_ms = origin_of(client), self._now_ms()
        if (wait_s := attempts.wait_s(origin, now_ms)) is not None:
            raise TooManyRequests(wait_s)
        attempts.count(origin, now_ms)
        return client

    def _is_trusted(self, address: IPAddress) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)


def check_origin(request: Request, *, public_url: str = "") -> None:
    """Refuse what a page of another origin sent: a browser says so by itself.

    Args:
        request: What came.
        public_url: As people reach this site: a proxy in front may have changed Host, and then this alone is right.

    Raises:
        WrongOrigin: when it did.
    """
    site = request.headers.get("sec-fetch-site", "")
    if site and site not in {"same-origin", "none"}:
        raise WrongOrigin("the request comes from a page of another site; open this one itself")
    origin = request.headers.get("origin")
    if origin is None:
        return
    if public_url and _origin_of(origin) == _origin_of(public_url):
        return
    if origin.partition("://")[2] != request.headers.get("host", ""):
        expected = public_url or "the address of this site"
        raise WrongOrigin(
            f"Origin: expected {expected}, found {origin!r:.80}; open this site itself. If this is its page, its operator has to set "
            "public_url, or let the proxy in front pass on Host"
        )


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname or ''}:{port or default}"
