"""What every site does: headers, static files, errors for people and for programs."""

from __future__ import annotations

import html
import re
from functools import partial

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from metanode.errors import InvalidInput, StorageFailed, Unavailable
from metanode.rpc.errors import NodeUnreachable
from sdk.testnet.services.web.application import make_site_app
from sdk.testnet.services.web.assets import Assets
from sdk.testnet.services.web.health import health_routes
from sdk.testnet.services.web.pages import Pages
from sdk.testnet.services.web.problems import NotFound
from sdk.testnet.services.web.site import NavigationEntry, Site

HOSTILE = "<img src=x onerror=alert(1)> \u202e"
ERRORS = {
    "missing": NotFound(f"no block {HOSTILE}", "The newest is 5."),
    "wrong": InvalidInput("limit: expected 1 to 100, found 1000"),
    "away": Unavailable("the database does not answer"),
    "broken": RuntimeError("a secret of ours"),
}
SECRET = "https://user:canary@node-1.internal:8545/v1/canary"
AWAY = {
    "node": NodeUnreachable(f"{SECRET} does not answer: refused"),
    "nonsense": NodeUnreachable(f"{SECRET} answers 502: 'canary'", has_answered=True),
    "database": StorageFailed("connection to canary.internal failed: password of canary"),
    "nodes": Unavailable(f"no node can be asked: {SECRET} is away; {SECRET} is of another chain"),
}
"""What the inside says when a part is away: addresses with keys."""


def make_app():
    site = Site(
        network_name="metanode-local",
        chain_id=1337,
        navigation=(NavigationEntry(key="blocks", label="Blocks", path="/blocks"),),
    )
    assets = Assets()
    pages = Pages(site, assets)

    async def fail(request):
        raise (ERRORS | AWAY)[request.path_params["name"].removesuffix(".json")]

    async def home(request):
        return pages.render("layout.html", request, section="blocks")

    async def take(request):
        return PlainTextResponse(str(len(await request.body())))

    async def away(error):
        raise error

    checks = {
        name: partial(away, error) for name, error in (AWAY | {"broken": RuntimeError("canary")}).items()
    }
    routes = [
        Route("/", home),
        Route("/fail/{name}", fail),
        Route("/take", take, methods=["POST"]),
        *health_routes(checks),
    ]
    return make_site_app(pages, assets, routes, body_bytes_max=1_000)


class Caller:
    """A client that opens the app anew for each request."""

    def __init__(self):
        self.app = make_app()

    async def request(self, method, path, **options):
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
            return await client.request(method, path, **options)

    async def get(self, path, **options):
        return await self.request("GET", path, **options)

    async def post(self, path, **options):
        return await self.request("POST", path, **options)


@pytest.fixture
def http():
    return Caller()


async def test_every_answer_has_the_headers_that_keep_a_browser_safe(http):
    for path in ("/", "/nothing", "/fail/broken", "/static/x/css/site.css"):
        headers = (await http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"]
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"


async def test_a_request_id_is_taken_over_only_when_it_is_one(http):
    assert (await http.get("/", headers={"x-request-id": "proxy-12345678"})).headers[
        "x-request-id"
    ] == "proxy-12345678"
    for wrong in ("short", "x" * 65, "a b c d e f g h", "'><script>"):
        assert (await http.get("/", headers={"x-request-id": wrong})).headers["x-request-id"] != wrong


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("missing", 404, "not_found"), ("wrong", 400, "invalid_input"), ("away", 503, "unavailable")],
)
async def test_people_and_programs_are_told_the_same(http, name, status, code):
    page = await http.get(f"/fail/{name}", headers={"accept": "text/html,application/json;q=0.5"})
    asked = await http.get(f"/fail/{name}", headers={"accept": "application/json"})
    twin = await http.get(f"/fail/{name}.json")

    assert page.status_code == asked.status_code == twin.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert asked.headers["content-type"] == twin.headers["content-type"] == "application/problem+json"
    document = asked.json()
    assert document["code"] == twin.json()["code"] == code
    assert document["detail"] == str(ERRORS[name])
    assert document["instance"] == asked.headers["x-request-id"]
    assert document["title"] in page.text
    assert page.headers["x-request-id"] in page.text


async def test_an_address_that_nothing_has_says_so_and_how_to_go_on(http):
    page = await http.get("/nothing", headers={"accept": "text/html"})
    document = (await http.get("/nothing", headers={"accept": "application/json"})).json()

    assert page.status_code == 404
    for words in ("Not found", "Nothing is at this address.", "The menu names what there is"):
        assert words in page.text
    assert 'href="/blocks"' in page.text, "it has the menu of the site"
    assert (document["title"], document["detail"]) == ("Not found", "Nothing is at this address.")
    assert document["hint"].startswith("The menu names")


async def test_what_somebody_sent_comes_back_as_text(http):
    page = (await http.get("/fail/missing", headers={"accept": "text/html"})).text

    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt; \\u202e" in page


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "///evil.example", "/\\evil.example", "/a%3Fb%23c", "/a?q=1&r=%22"]
)
async def test_trying_again_stays_on_this_site(http, path):
    answer = await http.get(f"http://site{path}", headers={"accept": "text/html"})
    (link,) = re.findall(r'href="([^"]*)">Try again', answer.text)

    assert answer.status_code == 404
    assert link.startswith("/")
    assert link[1:2] not in {"/", "\\"}
    if "%3F" in path or "?" in path:
        assert html.unescape(link) == path, "the same address"


async def test_our_own_fault_is_told_without_its_inside(http):
    for accept in ("text/html", "application/json"):
        answer = await http.get("/fail/broken", headers={"accept": accept})
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.headers["x-request-id"] in answer.text


@pytest.mark.parametrize("name", AWAY)
async def test_nobody_is_told_where_the_parts_are_that_are_away(http, name):
    for accept in ("text/html", "application/json"):
        answer = await http.get(f"/fail/{name}", headers={"accept": accept})
        assert answer.status_code == 503
        assert "canary" not in answer.text
        assert "internal" not in answer.text
        assert ("database" if name == "database" else "node") in answer.text


async def test_readiness_names_parts_and_not_where_they_are(http):
    answer = await http.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"] == {
        "node": "the node does not answer",
        "nonsense": "the node answers what can't be read",
        "database": "the database refused or did not answer",
        "nodes": "no node can be asked: (address) is away; (address) is of another chain",
        "broken": "RuntimeError",
    }


async def test_a_wrong_method_names_the_right_one(http):
    answer = await http.request("DELETE", "/")

    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_long_body_is_not_read(http, streamed):
    async def pieces():
        for _ in range(20):
            yield b"x" * 100

    answer = await http.post("/take", content=pieces() if streamed else b"x" * 2_000)
    assert answer.status_code == 413
    assert (await http.post("/take", content=b"x" * 1_000)).text == "1000"


async def test_static_files_stay_for_ever_and_change_their_name_with_their_content(http):
    page = (await http.get("/")).text
    (css,) = re.findall(r'href="(/static/[0-9a-f]{12}/css/site\.css)"', page)
    found = await http.get(css)

    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["content-type"] == "text/css; charset=utf-8"
    again = await http.get(css, headers={"if-none-match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    old = await http.get("/static/000000000000/css/site.css")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "path",
    [
        "vendor/VENDOR.toml",
        "vendor/uplot-1.6.32/LICENSE",
        "../pages.py",
        "..%2fpages.py",
        "%2e%2e/pages.py",
        "css/site.css%00",
        "css",
        "",
        "/etc/passwd",
    ],
)
async def test_only_what_is_meant_to_be_served_is(http, path):
    assert (await http.get(f"/static/x/{path}")).status_code == 404


def test_a_template_that_names_a_missing_file_fails():
    with pytest.raises(KeyError, match=r"no static file 'css/nothing\.css'"):
        Assets().url("css/nothing.css")


def test_a_site_s_addresses_are_urls():
    with pytest.raises(InvalidInput, match="explorer_url: expected a URL"):
        Site(network_name="n", chain_id=1, explorer_url="javascript:alert(1)")
