"""The end of a certificate is read from the site itself, whoever has signed it, and a site that is away keeps what was seen of it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sdk.testnet.monitoring.certificates import CertificateWatch, certificate_end
from sdk.testnet.monitoring.service_metrics import ServiceMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ENDS = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody has heard of."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(ENDS - timedelta(days=3650))
        .not_valid_after(ENDS)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


@contextlib.asynccontextmanager
async def site(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Somebody who listens; gives the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_the_end_is_that_of_the_certificate_that_is_shown(tmp_path: Path) -> None:
    async def see() -> tuple[float, dict[str, float], bool, bool]:
        async with site(certificate(tmp_path)) as port:
            seen = await certificate_end("127.0.0.1", port)
            watch = CertificateWatch(
                {"explorer": f"https://127.0.0.1:{port}", "faucet": "http://127.0.0.1:1"}
            )
            was_seen = await watch.look()
        return seen, dict(watch.ends), was_seen, await watch.look()

    seen, ends, was_seen, is_still_seen = asyncio.run(see())

    assert seen == ENDS.timestamp()
    assert ends == {"explorer": ENDS.timestamp()}, (
        "kept while the site is away, and none of a site without https"
    )
    assert (was_seen, is_still_seen) == (True, False)


def test_who_speaks_no_tls_is_said_and_not_taken_for_a_certificate() -> None:
    async def see() -> bool:
        async with site(None) as port:
            # It reads a byte of the greeting and hangs up.
            return await CertificateWatch({"api": f"https://127.0.0.1:{port}"}).look()

    assert not asyncio.run(see())


def test_without_https_there_is_nothing_to_watch() -> None:
    async def watch() -> None:
        async with asyncio.timeout(5):
            await CertificateWatch({"api": "http://127.0.0.1:1", "gateway": ""}).run()

    asyncio.run(watch())


def test_prometheus_is_told_of_each_site() -> None:
    metrics = ServiceMetrics()
    assert b"metanode_certificate" not in metrics.page()

    metrics.certificates = {"explorer": 1.5e9}

    assert b'metanode_certificate_expiry_timestamp_seconds{site="explorer"} 1.5e+09' in metrics.page()


@pytest.mark.parametrize("url", ["https://127.0.0.1:port", "https://"])
def test_an_address_that_is_none_is_said(url: str) -> None:
    assert not asyncio.run(CertificateWatch({"api": url}).look())
