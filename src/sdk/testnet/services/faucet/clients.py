"""Who is at the other end of a request: its address behind proxies, how often it asks, and whether its own page sent it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from metanode.errors import InvalidInput
from sdk.testnet.faucet.client_address import LOOPBACK, client_address, origin_of, parse_ip
from sdk.testnet.faucet.verification import Attempts
from sdk.testnet.services.faucet.problems import TooManyRequests, WrongOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from sdk.testnet.faucet.client_address import IPAddress, IPNetwork

REQUESTS_MAX: Final = 60
MINUTE_MS: Final = 60_000


class Clients:
    """Finds clients, and counts what they ask for: `REQUESTS_MAX` a minute that cost the faucet something, for each network."""

    def __init__(
        self,
        now_ms: Callable[[], int],
        *,
        trusted: Sequence[IPNetwork] = LOOPBACK,
        maximum: int = REQUESTS_MAX,
    ) -> None:
        self._now_ms = now_ms
        self._trusted = trusted
        self._requests = Attempts(maximum=maximum, window_ms=MINUTE_MS)

    def address_of(self, request: Request) -> IPAddress:
        """Return the client's address. Raises InvalidInput where there is none, as over a socket of files without a proxy."""
        if request.client is None:
            raise InvalidInput("the connection says no IP address; put a proxy in front that does, by TCP")
        return client_address(
            request.client.host, request.headers.getlist("x-forwarded-for"), trusted=self._trusted
        )

    def is_https(self, request: Request) -> bool:
        """Whether the browser's connection is encrypted, as far as a trusted proxy says so."""
        if request.url.scheme == "https":
            return True
        said = request.headers.get("x-forwarded-proto", "")
        peer = None if request.client is None else parse_ip(request.client.host)
        return said == "https" and any(
            peer is not None and peer.version == network.version and peer in network
            for network in self._trusted
        )

    def count(self, request: Request) -> IPAddress:
        """Return the client's address, and count this request.

        Raises:
            TooManyRequests: when it is one too many.
            InvalidInput: as `address_of`.
        """
        client = self.address_of(request)
        narrow, now_ms = origin_of(client).narrow, self._now_ms()
        if (wait_s := self._requests.wait_s(narrow, now_ms)) is not None:
            raise TooManyRequests(wait_s)
        self._requests.count(narrow, now_ms)
        return client


def check_origin(request: Request) -> None:
    """Refuse what a page of another origin sent: a browser says so by itself. Raises WrongOrigin."""
    site = request.headers.get("sec-fetch-site", "")
    if site and site not in {"same-origin", "none"}:
        raise WrongOrigin("the request comes from a page of another site; open the faucet itself")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise WrongOrigin(f"Origin: {origin!r:.80} is not this site; open the faucet itself")
