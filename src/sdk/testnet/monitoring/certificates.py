"""When the certificates end that sites show to strangers: asked of the sites themselves, under the names that people use."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog
from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger(__name__)

LOOK_INTERVAL_S: Final = 3600.0
"""A certificate that is renewed in time has weeks."""
RETRY_S: Final = 60.0
"""After this a site is asked again that was not reached."""
TIMEOUT_S: Final = 10.0
HTTPS_PORT: Final = 443


class CertificateWatch:
    """Looks at the certificates of sites once an hour; `ends` has what was seen last.

    Whether a certificate is to be trusted is for browsers to say: of one that nobody trusts the end is told, too.

    Args:
        urls: Addresses by the name of the site; only those with https are looked at.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = {site: url for site, url in urls.items() if url.startswith("https://")}
        self.ends: dict[str, float] = {}
        """By site, Unix time."""

    async def run(self) -> None:
        """Look until cancelled; returns at once where there is nothing to look at."""
        while self.urls:
            were_seen = await self.look()
            await asyncio.sleep(LOOK_INTERVAL_S if were_seen else RETRY_S)

    async def look(self) -> bool:
        """Ask every site once; whether all have answered. What was seen of one that did not stays."""
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._ask(site, url)) for site, url in self.urls.items()]
        return all(task.result() for task in asked)

    async def _ask(self, site: str, url: str) -> bool:
        parts = urlsplit(url)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self.ends[site] = await certificate_end(parts.hostname or "", parts.port or HTTPS_PORT)
        except (OSError, ValueError, TimeoutError) as error:
            log.warning(
                "certificate_not_seen",
                site=site,
                reason=f"{type(error).__name__} {error}"[:200],
                retry_s=RETRY_S,
            )
            return False
        return True


async def certificate_end(host: str, port: int) -> float:
    """When the certificate ends that this address shows, Unix time.

    Raises:
        OSError: when nobody is there, or who is there speaks no TLS.
        ValueError: when what it shows is no certificate, or the address is none.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        # Whom we have asked may hang up in any way it likes.
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return x509.load_der_x509_certificate(shown or b"").not_valid_after_utc.timestamp()
