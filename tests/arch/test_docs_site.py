"""The documentation as a site: it builds without a warning, asks nobody but its own origin, and is served at /docs."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from starlette.applications import Starlette

from metanode.errors import InvalidInput
from sdk.testnet.monitoring.alerts.catalogue import ALERTS
from sdk.testnet.services.docs import ALERTS_GUIDE, docs_routes

ROOT = Path(__file__).resolve().parents[2]
EXPLORER = "/"
"""What the site stands in."""


class Links(HTMLParser):
    """What a page fetches, what it links to, its headings, and what a strict policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []
        self.ids: set[str] = set()
        self.inline: list[str] = []
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        found = dict(attributes)
        for name in ("src", "href"):
            if value := found.get(name):
                (self.linked if tag == "a" else self.fetched).append(value)
        if found.get("id"):
            self.ids.add(str(found["id"]))
        self.inline += [name for name in found if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's signature
        self._tag = ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with `strict`: a warning ends it."""
    folder = tmp_path_factory.mktemp("site")
    logging.getLogger("mkdocs").setLevel(logging.WARNING)
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder


def pages(site: Path) -> dict[str, Links]:
    return {path.relative_to(site).as_posix(): Links(path.read_text()) for path in site.rglob("*.html")}


def test_every_document_is_a_page_and_in_the_menu(site: Path) -> None:
    documents = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix().replace("README.html", "index.html")
        for path in (ROOT / "docs").rglob("*.md")
    }
    found = pages(site)
    assert set(found) - {"404.html"} == documents
    assert {link for link in found["index.html"].linked if not link.startswith("#")} >= documents


def test_every_link_of_every_page_leads_somewhere(site: Path) -> None:
    found = pages(site)
    broken = []
    for name, page in found.items():
        if name == "404.html":
            continue
        for link in page.linked + page.fetched:
            parts = urlsplit(link)
            if parts.scheme or link == EXPLORER:
                continue
            target = ((site / name).parent / parts.path).resolve() if parts.path else site / name
            other = found.get(target.relative_to(site.resolve() if parts.path else site).as_posix())
            if not target.is_file() or (
                parts.fragment and other is not None and parts.fragment not in other.ids
            ):
                broken.append((name, link))
    assert broken == []


def test_no_page_fetches_anything_of_others_or_has_a_script_of_its_own(site: Path) -> None:
    for name, page in pages(site).items():
        assert not [
            address for address in page.fetched if urlsplit(address).scheme or address.startswith("//")
        ], name
        assert page.inline == [], name
    for file in [*site.rglob("*.css"), *site.rglob("*.js")]:
        assert not re.search(r"url\(|@import|https?://|\beval\(", file.read_text()), file.name


def test_the_index_of_the_search_has_every_section(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    titles = {entry["title"] for entry in entries}
    assert {"Ten minutes to a deployed contract", "Run a validator", "Who is listed"} <= titles
    assert (site / "search" / "search_index.json").stat().st_size < 2_000_000


def test_every_alert_leads_to_a_heading_of_a_page_that_is_served(site: Path) -> None:
    async def look() -> None:
        transport = httpx.ASGITransport(Starlette(routes=docs_routes(site)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
            for kind in ALERTS:
                link = urlsplit(kind.runbook_url())
                page = await client.get(link.path)
                assert page.status_code == 200, kind.name
                assert link.fragment in Links(page.text).ids, kind.name
            assert link.path == ALERTS_GUIDE, "what the services put behind their own address"

    asyncio.run(look())


def test_it_is_served_below_docs(site: Path, tmp_path: Path) -> None:
    async def look() -> None:
        transport = httpx.ASGITransport(Starlette(routes=docs_routes(site)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/docs")).headers["location"] == "/docs/"
            assert "Metanode" in (await client.get("/docs/")).text
            assert (await client.get("/docs/guide/viem.html")).status_code == 200
            index = await client.get("/docs/search/search_index.json")
            assert index.headers["content-type"].startswith("application/json")
            for outside in ("..", "%2e%2e", "%2e%2e%2f%2e%2e"):
                assert (await client.get(f"/docs/{outside}/etc/passwd")).status_code == 404
            missing = await client.get("/docs/nothing.html")
            assert missing.status_code == 404
            assert "Page not found" in missing.text

    asyncio.run(look())
    with pytest.raises(InvalidInput, match="make docs-site"):
        docs_routes(tmp_path)
