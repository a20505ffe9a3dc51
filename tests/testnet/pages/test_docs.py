"""The documentation beside the explorer: served at /docs by the services' own process, under their policy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from mkdocs.commands.build import build
from mkdocs.config import load_config
from tests.acceptance.processes import wait_until
from tests.testnet.pages.served import free_port
from tests.testnet.pages.visit import SCREENSHOTS, TOO_WIDE_PX, VIEWS, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[3]
SERVICES = (
    '[network]\nnetwork_id = "n"\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:1"]\n'
    '[explorer]\nport = {port}\ndocs_directory = "site"\n'
)


def test_the_documentation_is_at_docs_and_in_the_menu(tmp_path: Path, browser: Browser) -> None:
    port = free_port()
    config = tmp_path / "services.toml"
    config.write_text(SERVICES.format(port=port))
    command = [sys.executable, "-m", "sdk.testnet.services.program", str(config), "explorer"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "explorer.docs_directory: found no index.html in " in refused.stderr
    assert "`make docs-site` builds" in refused.stderr

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site")))
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{url}/healthz"), within_s=60, what="it answers")
        home = httpx.get(f"{url}/docs", follow_redirects=True)
        assert "A BFT EVM testnet in one command" in home.text
        assert "script-src 'self'" in home.headers["content-security-policy"]
        assert httpx.get(f"{url}/docs/guide/wallets.html").status_code == 200
        assert 'href="/docs/"' in httpx.get(url).text
        with httpx.Client(base_url=url) as site:
            _what_is_not_there_is_said_in_the_site(site)
            _an_address_without_its_ending_leads_to_the_page(site)
        _search_names_guides_first_and_stays_on_the_screen(browser, url)
    finally:
        process.terminate()
        assert process.wait(20) == 0


def _what_is_not_there_is_said_in_the_site(site: httpx.Client) -> None:
    pages = []
    for path in ("/docs/nothing.html", "/docs/nothing", "/docs/guide/", "/docs/a/b/nothing/"):
        answer = site.get(path)
        assert answer.status_code == 404, path
        assert "<title>Page not found · Metanode</title>" in answer.text
        pages.append(answer.text)
    assert len(set(pages)) == 1
    # It is shown at any depth, and what it names is there, beside the explorer.
    named = set(re.findall(r'(?:href|src)="([^"#]+)"', pages[0])) - {"/"}
    assert len(named) > 30
    for each in named:
        assert each.startswith("/docs/"), each
        assert site.get(each).status_code == 200, each


def _an_address_without_its_ending_leads_to_the_page(site: httpx.Client) -> None:
    page = "/docs/tutorial/first-contract.html"
    for path in ("first-contract", "first-contract/", "first-contract.html/"):
        answer = site.get(f"/docs/tutorial/{path}")
        assert answer.status_code == 307
        assert answer.headers["location"] == page
    assert site.get("/docs/%2e%2e/services").status_code == 404


def _search_names_guides_first_and_stays_on_the_screen(browser: Browser, url: str) -> None:
    for view in ("desktop", "phone", "narrow"):
        with Visit(browser, view) as visit:
            page = visit.page
            # From the page for what is not there, which offers it.
            page.goto(f"{url}/docs/tutorial/nothing/")
            page.get_by_role("link", name="Search it").click()
            page.keyboard.type("faucet")
            links = page.locator("#results a")
            links.first.wait_for()
            found = [urlsplit(link.evaluate("link => link.href")).path for link in links.all()]
            assert found[0] == "/docs/guide/public-faucet.html"
            named = [link.evaluate("link => link.firstChild.textContent") for link in links.all()]
            assert len(set(zip(found, named, strict=True))) == len(found)
            box = page.locator("#results").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= VIEWS[view][0]
            assert page.evaluate(TOO_WIDE_PX) <= 0
            page.screenshot(path=SCREENSHOTS / f"docs-search-{view}.png")
            assert page.get_by_role("link", name="Explorer", exact=True).get_attribute("href") == "/"
            assert [each for each in visit.complaints if "404" not in each] == []


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
