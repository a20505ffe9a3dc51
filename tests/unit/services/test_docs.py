"""The documentation's addresses: what is typed almost right leads to the page, and everything else is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette

from sdk.testnet.services.docs import docs_routes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("guide", 307, "/docs/guide.html"),
        ("guide/", 307, "/docs/guide.html"),
        ("guide.html/", 307, "/docs/guide.html"),
        ("nothing", 404, None),
        ("%00", 404, None),
        pytest.param("a" * 300, 404, None, id="longer than the name of a file can be"),
        pytest.param("a/" * 3_000, 404, None, id="longer than a path can be"),
    ],
)
async def test_an_address_leads_to_a_page_or_is_not_there(
    path: str, status: int, location: str | None, tmp_path: Path
) -> None:
    for name in ("index.html", "guide.html", "404.html"):
        (tmp_path / name).write_text(name)
    transport = httpx.ASGITransport(Starlette(routes=docs_routes(tmp_path)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://any") as http:
        answer = await http.get(f"/docs/{path}")

    assert (answer.status_code, answer.headers.get("location")) == (status, location)
