"""The documentation in a real browser, under the policy that the services send: it is searched by keyboard, fits a telephone, and asks nobody else."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from mkdocs.commands.build import build
from mkdocs.config import load_config
from starlette.applications import Starlette
from starlette.middleware import Middleware
from tests.acceptance.processes import wait_until

from metanode.node.listening import open_listener
from sdk.testnet.services.docs import docs_routes
from sdk.testnet.services.web.security import SecurityMiddleware, content_security_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not Path("/usr/bin/chromium").exists(), reason="Chromium is not installed; apt-get install chromium"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    edge = Middleware(SecurityMiddleware, policy=content_security_policy())
    listener = open_listener("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=docs_routes(folder), middleware=[edge]), log_config=None, ws="none")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started, within_s=30.0, what="the site is served")
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=30)
    listener.close()


def watched(page: Page) -> tuple[list[str], list[str]]:
    """What a page asks for, and what the browser complains of."""
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return asked, complaints


def test_a_page_is_found_by_typing_and_opened_by_enter(site: str, browser: Any) -> None:
    page = browser.new_page()
    asked, complaints = watched(page)
    page.goto(f"{site}/docs/tutorial/first-contract.html")
    page.keyboard.press("/")
    page.keyboard.type("run a validator")
    first = page.locator("#results a").first
    first.wait_for()
    assert first.evaluate("link => link.firstChild.textContent") == "Run a validator"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/guide/run-a-validator.html")
    assert page.locator("h1").inner_text() == "Run a validator"
    page.locator("#query").fill("<img src=x onerror=alert(1)>")
    page.locator("#results p").wait_for()
    assert page.locator("#results img").count() == 0
    assert all(url.startswith(site) for url in asked)
    assert complaints == []
    page.close()


@pytest.mark.parametrize(
    ("query", "page_path"),
    [("eth_getLogs", "/docs/reference/json-rpc.html"), ("--no-services", "/docs/reference/cli.html")],
)
def test_methods_and_options_are_found_as_they_are_written(
    site: str, browser: Any, query: str, page_path: str
) -> None:
    page = browser.new_page()
    _, complaints = watched(page)
    page.goto(f"{site}/docs/")
    page.locator("#query").fill(query)
    page.locator("#results > *").first.wait_for()
    found = page.locator("#results a").evaluate_all("links => links.map(link => new URL(link.href).pathname)")
    assert page_path in found
    assert complaints == []
    page.close()


def test_an_index_that_could_not_be_had_once_is_asked_for_again(site: str, browser: Any) -> None:
    page = browser.new_page()
    index = "**/search_index.json"
    page.route(index, lambda route: route.fulfill(status=503, body="starting"))
    page.goto(f"{site}/docs/")
    with page.expect_event("pageerror"):
        page.locator("#query").fill("wall")
    page.unroute(index)
    page.locator("#query").fill("wallets")
    page.locator("#results a").first.wait_for()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_narrow_telephone(site: str, browser: Any, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    asked, complaints = watched(page)
    page.goto(f"{site}/docs/")
    links = page.locator(".menu a").evaluate_all("links => links.map(link => link.href)")
    assert len(links) > 30
    chosen = links if scheme == "light" else links[:3]
    for link in chosen:
        page.goto(link)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, link
    assert all(url.startswith(site) for url in asked)
    assert complaints == []
    page.close()


def test_a_page_is_read_and_left_without_javascript(site: str, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/docs/guide/viem.html")
    assert not page.locator("#search").is_visible()
    page.locator(".turn a[rel=next]").click()
    assert page.locator("h1").inner_text() == "web3.py"
    context.close()
