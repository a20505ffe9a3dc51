"""A site on loopback answers to its own names only."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sdk.testnet.services.web.hosts import HostMiddleware, allowed_hosts


async def ask(host: str, *, bind_address: str = "127.0.0.1", public_url: str = "") -> int:
    async def answer(_: Any) -> PlainTextResponse:
        return PlainTextResponse("here")

    hosts = allowed_hosts(bind_address, public_url)
    app: Any = Starlette(routes=[Route("/", answer)])
    if hosts is not None:
        app = HostMiddleware(app, hosts=hosts)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        return (await http.get("/", headers={"host": host})).status_code


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:3000", "127.0.0.1:3000", "[::1]:3000", "explorer.example", "explorer.example:8443"]
)  # fmt: skip
async def test_its_own_names_are_answered(host: str) -> None:
    assert await ask(host, public_url="https://explorer.example") == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:3000", "evil@localhost.example", "", "[", "10.0.0.1"]
)  # fmt: skip
async def test_other_names_are_refused_on_loopback(host: str) -> None:
    assert await ask(host, public_url="https://explorer.example") == 403
    assert await ask(host, bind_address="::1") == 403


async def test_a_site_for_other_machines_is_called_what_they_like() -> None:
    assert await ask("anything.example", bind_address="0.0.0.0") == 200
