"""The faucet in a real browser, on a real network: from a click to coins, with a wallet, on narrow screens, against hostile input."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.testnet.accessibility import grave_faults
from tests.testnet.faucet_service import Served, served
from tests.testnet.test_testnet import rpc

from metanode.crypto.addresses import format_address
from sdk.testnet import FaucetConfig, Testnet

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not Path("/usr/bin/chromium").exists(), reason="Chromium is not installed; apt-get install chromium"
    ),
]

DRIP_WEI = 100 * 10**18
SCREENSHOTS = Path(os.environ.get("METANODE_SCREENSHOTS", "build/screenshots"))
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844), "narrow": (320, 720)}
WALLET = """
(() => {
  window.asked = [];
  const provider = {
    request: async ({ method, params }) => {
      window.asked.push([method, params]);
      if (method === "eth_requestAccounts") return ["ADDRESS"];
      if (method === "wallet_addEthereumChain") return null;
      throw Object.assign(new Error("not known"), { code: 4200 });
    },
  };
  const detail = Object.freeze({
    info: Object.freeze({ uuid: "1", name: NAME, icon: ICON, rdns: "test.wallet" }), provider,
  });
  const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
})();
"""
ICON = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='orange'/></svg>"


COPY_STANDS_BESIDE = """() => {
  const one = document.querySelector(".subtitle .address");
  const [text, copy] = ["code", ".copy"].map((each) => one.querySelector(each).getBoundingClientRect());
  return copy.width > 0 && copy.top < text.bottom;
}"""
"""Whether the button that copies an address is in its line."""


@pytest.fixture(scope="module")
def net() -> Iterator[Testnet]:
    with Testnet(validators=1, block_time_s=1, chain_id=9999, in_memory=True) as net:
        yield net


@pytest.fixture(scope="module")
def service(net: Testnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("faucet")
    patch = pytest.MonkeyPatch()
    patch.setenv("FAUCET_PRIVATE_KEY", net.accounts[4].private_key)
    config = FaucetConfig.public(
        rpc_url=net.rpc_url,
        database_url=f"sqlite:///{folder}/faucet.db",
        proof_of_work_bits=3,
        max_requests_per_ip=100,
        max_requests_per_network=100,
        one_at_a_time=False,
    )
    try:
        with served(config, folder, rpc_url=net.rpc_url) as running:
            yield running
    finally:
        patch.undo()


class Visit:
    """One tab, and everything that it asked for or complained of."""

    def __init__(self, page: Page, service: Served) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._own = service.url
        page.on("request", lambda request: self.requests.append(request.url))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text) if message.type in {"error", "warning"} else None
            ),
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def check(self, *, own: str = "") -> None:
        """Nothing came from elsewhere, and nothing broke a rule."""
        elsewhere = [url for url in self.requests if not url.startswith((own or self._own, "data:", "blob:"))]
        assert elsewhere == []
        assert self.complaints == []


@pytest.fixture(params=["desktop"])
def visit(request: pytest.FixtureRequest, browser: Browser, service: Served) -> Iterator[Visit]:
    width, height = WIDTHS[request.param]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if request.param == "phone" else "light",
        device_scale_factor=1,
    )
    page = context.new_page()
    yield Visit(page, service)
    context.close()


def screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"faucet-{name}.png", full_page=True)
    # A page that works goes on to its claim by itself, whenever that is.
    if "narrow" not in name and not name.startswith("work"):
        assert grave_faults(page) == []


def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def balance(net: Testnet, address: str) -> int:
    return int(rpc(net.rpc_url, "eth_getBalance", address, "latest"), 16)


def overhear(page: Page, *selectors: str) -> list[str]:
    """Every text that these elements take from now on, also for a moment: a quick machine solves eight puzzles between two looks."""
    said: list[str] = []

    def hear(text: str) -> None:
        said.append(text)

    page.expose_function("overheard", hear)
    page.evaluate(
        """(selectors) => new MutationObserver(() => {
          for (const one of document.querySelectorAll(selectors.join(","))) window.overheard(one.textContent);
        }).observe(document.body, { subtree: true, childList: true, characterData: true })""",
        list(selectors),
    )
    return said


def wait_said(page: Page, said: list[str], wanted: str, *, within_s: float) -> None:
    """Wait until such a text was there."""
    until_s = time.monotonic() + within_s
    while not any(re.search(wanted, text) for text in said):
        assert time.monotonic() < until_s, f"{wanted!r} is not among {said}"
        page.wait_for_timeout(50)


@pytest.mark.parametrize("visit", list(WIDTHS), indirect=True)
def test_a_claim_from_click_to_coins(
    visit: Visit, service: Served, net: Testnet, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["visit"]
    address, page = format_address(os.urandom(20)), visit.page
    page.goto(f"{service.url}/?address={address}")
    expect(page.get_by_label("Your address")).to_have_value(address)
    screenshot(page, f"form-{name}")
    assert fits(page)
    said = overhear(page, "#work-estimate", "#work-progress")
    page.get_by_role("button", name="Get 100 ETH").click()
    wait_said(page, said, "on this device", within_s=30)
    if page.get_by_role("button", name="Start").is_visible():
        page.get_by_role("button", name="Start").click()  # a machine that does much else takes longer
    wait_said(page, said, "[1-8] of 8 solved", within_s=60)
    screenshot(page, f"work-{name}")
    assert fits(page)
    page.wait_for_url(re.compile("/claims/[0-9a-f]{32}$"), timeout=120_000)
    expect(page.locator("#verdict")).to_contain_text("Final: the coins are there", timeout=30_000)
    expect(page.locator("#took-row")).to_be_visible()
    expect(page.locator("#transaction code")).to_have_text(re.compile("^0x[0-9a-f]{64}$"))
    screenshot(page, f"claim-{name}")
    assert fits(page)
    assert balance(net, address) == DRIP_WEI

    page.goto(f"{service.url}/status")
    expect(page.get_by_role("heading", name="Newest payouts")).to_be_visible()
    screenshot(page, f"status-{name}")
    assert fits(page)
    assert page.evaluate(COPY_STANDS_BESIDE), "and not in a line of its own"
    page.goto(f"{service.url}/rules")
    screenshot(page, f"rules-{name}")
    assert fits(page)

    # Once more: the limit says when, where the reader looks.
    page.goto(f"{service.url}/?address={address}")
    page.get_by_role("button", name="Get 100 ETH").click()
    expect(page.locator("#problem")).to_be_focused()
    expect(page.locator("#problem")).to_contain_text("Too many requests for this address: 1 in 1 d at most")
    expect(page.locator("#problem")).to_contain_text("You can claim again at")
    screenshot(page, f"refused-{name}")
    # The browser itself notes an answer of 429.
    assert [text for text in visit.complaints if "429" not in text] == []
    visit.complaints.clear()
    visit.check()


def test_cancelling_ends_the_work_and_another_claim_can_begin(visit: Visit, service: Served) -> None:
    page = visit.page
    page.goto(f"{service.url}/?address={format_address(os.urandom(20))}")
    page.get_by_role("button", name="Get 100 ETH").click()
    expect(page.locator("#work")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.get_by_role("button", name="Get 100 ETH")).to_be_focused()
    page.get_by_role("button", name="Get 100 ETH").click()
    page.wait_for_url(re.compile("/claims/"), timeout=120_000)
    visit.check()


def test_a_busy_faucet_and_a_lost_answer_cost_no_second_puzzle(
    visit: Visit, service: Served, net: Testnet
) -> None:
    address, page = format_address(os.urandom(20)), visit.page
    sent: list[str] = []

    def disturb(route: Route) -> None:
        sent.append(route.request.headers["idempotency-key"])
        if len(sent) == 1:
            busy = {"code": "busy", "title": "Busy", "detail": "try again", "status": 503, "retry_after": 1}
            route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(busy))
        elif len(sent) == 2:
            route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
        elif len(sent) == 3:
            # It arrives, and nobody hears of it.
            assert route.fetch().status == 202
            route.abort()
        else:
            route.continue_()

    page.route("**/api/v1/faucet/claims", disturb)
    page.goto(f"{service.url}/?address={address}")
    page.get_by_role("button", name="Get 100 ETH").click()
    page.wait_for_url(re.compile("/claims/[0-9a-f]{32}$"), timeout=120_000)
    expect(page.locator("#verdict")).to_contain_text("Final: the coins are there", timeout=30_000)
    assert page.locator("#verdict svg").count() == 1, "with the icon that the server's page has"

    assert len(sent) == 4
    assert len(set(sent)) == 1
    assert sum(url.endswith("/challenges") for url in visit.requests) == 1
    assert balance(net, address) == DRIP_WEI


def test_a_wallet_fills_in_its_address_and_learns_the_network(visit: Visit, service: Served) -> None:
    address, page = format_address(os.urandom(20)), visit.page
    hostile = "<img src=x onerror=alert(1)>"
    page.add_init_script(
        WALLET.replace("ADDRESS", address).replace("NAME", repr(hostile)).replace("ICON", f'"{ICON}"')
    )
    page.on("dialog", lambda dialog: pytest.fail(f"a script of the wallet's name ran: {dialog.message}"))
    page.goto(service.url)
    expect(page.get_by_role("button", name=hostile)).to_be_visible()
    screenshot(page, "wallet")
    page.get_by_role("button", name=hostile).click()
    expect(page.get_by_label("Your address")).to_have_value(address)
    page.get_by_role("button", name="Add the network to my wallet").click()
    expect(page.locator("#add-network-said")).to_have_text("Your wallet knows the network now.")
    asked = dict(page.evaluate("window.asked"))
    (chain,) = asked["wallet_addEthereumChain"]
    assert chain["chainId"] == "0x270f"
    assert chain["chainName"] == "metanode-testnet"
    assert chain["rpcUrls"]
    visit.check()


def test_a_picture_of_a_wallet_that_lies_elsewhere_is_not_fetched(visit: Visit, service: Served) -> None:
    page = visit.page
    page.add_init_script(
        WALLET.replace("ADDRESS", "0x" + "1" * 40)
        .replace("NAME", '"Spy"')
        .replace("ICON", '"https://spy.example/x.png"')
    )
    page.goto(service.url)
    expect(page.get_by_role("button", name="Spy")).to_be_visible()
    expect(page.get_by_role("button", name="Spy").locator("img")).to_have_count(0)
    visit.check()


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "\u202e0x1111",
        "javascript:alert(1)",
        "0x" + "f" * 4000,
        "' OR 1=1--",
        "{{7*7}}",
    ],
)
def test_hostile_addresses_are_text(visit: Visit, service: Served, hostile: str) -> None:
    page = visit.page
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(f"{service.url}/")
    page.evaluate("(text) => { location.search = `?address=${encodeURIComponent(text)}` }", hostile)
    page.wait_for_url(re.compile(r"\?address="))
    expect(page.get_by_label("Your address")).to_be_visible()
    assert page.locator("#claim-form img, #claim-form script").count() == 0
    page.get_by_role("button", name="Get 100 ETH").click()
    expect(page.locator("#problem")).to_contain_text("That is no address")
    assert fits(page)
    visit.check()


def test_pages_are_read_without_javascript(browser: Browser, service: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for path, text in (
        ("/", "Get 100 ETH"),
        ("/status", "Newest payouts"),
        ("/rules", "How much, how often"),
    ):
        page.goto(service.url + path)
        expect(page.get_by_text(text).first).to_be_visible()
    page.goto(service.url)
    expect(page.get_by_text("Without JavaScript this page can't do the proof of work")).to_be_visible()
    context.close()


def test_the_form_is_used_by_keyboard_alone(visit: Visit, service: Served) -> None:
    page = visit.page
    page.goto(service.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Your address")).to_be_focused()
    page.keyboard.type(format_address(os.urandom(20)))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused(timeout=30_000)
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_be_hidden()
    visit.check()


@pytest.mark.parametrize("visit", ["desktop", "phone"], indirect=True)
def test_an_operator_sees_everything_and_pauses(
    visit: Visit, service: Served, request: pytest.FixtureRequest
) -> None:
    name, page = request.node.callspec.params["visit"], visit.page
    page.goto(service.admin_url)
    page.get_by_label("Password").fill(service.password)
    screenshot(page, f"login-{name}")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Operation")).to_be_visible()
    expect(page.get_by_role("button", name="Drain")).to_be_visible()
    assert fits(page)
    screenshot(page, f"operation-paying-{name}")
    page.get_by_label("For whom").fill("Workshop <b>")
    page.get_by_role("button", name="Make").click()
    expect(page.locator(".secret")).to_have_text(re.compile("mnv_[0-9a-f]{8}_[0-9a-f]{32}"))
    page.get_by_label("Reason, shown to everybody").fill("A new network at noon")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The faucet is paused.")).to_be_visible()
    screenshot(page, f"operation-{name}")
    assert fits(page)
    page.get_by_role("button", name="Pay again").click()
    expect(page.get_by_text("The faucet pays again.")).to_be_visible()
    visit.check(own=service.admin_url)


@pytest.mark.parametrize("visit", ["desktop", "narrow"], indirect=True)
def test_an_operator_blocks_and_allows_and_takes_it_back(
    visit: Visit, service: Served, request: pytest.FixtureRequest
) -> None:
    name, page = request.node.callspec.params["visit"], visit.page
    page.goto(service.admin_url)
    page.get_by_label("Password").fill(service.password)
    page.get_by_role("button", name="Log in").click()
    someone = format_address(os.urandom(20))
    for heading, button, entries in (
        ("Blocked", "Block", ("203.0.113.0/24", "2001:db8:1234:5678:9abc:def0:1234:5678")),
        ("Allowed", "Allow", (someone, "10.1.0.0/16")),
    ):
        for entry in entries:
            card = page.locator("section.panel", has=page.get_by_role("heading", name=heading, exact=True))
            card.get_by_label("Address, IP address or network").fill(entry)
            card.get_by_role("button", name=button, exact=True).click()
            expect(page.get_by_text(f"{heading}.", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="allow ip", exact=True).first).to_be_visible()
    assert fits(page)
    screenshot(page, f"operation-lists-{name}")
    for heading, button in (("Blocked", "Unblock"), ("Allowed", "Disallow")):
        card = page.locator("section.panel", has=page.get_by_role("heading", name=heading, exact=True))
        while card.get_by_role("button", name=button).count():
            card.get_by_role("button", name=button).first.click()
            expect(page.get_by_text(f"Not {heading.lower()} any more")).to_be_visible()
        expect(card.get_by_text("Nobody.")).to_be_visible()
    assert (service.faucet.blocked_ips, service.faucet.allowed_ips) == (set(), set())
    visit.check(own=service.admin_url)


def test_how_fast_this_browser_hashes(visit: Visit, service: Served) -> None:
    """Prints a number; what it has to show is that the threads work and report."""
    page = visit.page
    page.goto(service.url)
    speed = page.evaluate(
        """async () => {
          const module = document.querySelector('script[src*="faucet/claim.js"]').src.replace("claim.js", "solver.js");
          const { Solver } = await import(module);
          const solver = new Solver();
          const begin = performance.now();
          const speed = await solver.measure({ N: 4096, r: 8, p: 1, dkLen: 32 });
          const result = { speed, threads: solver.workers.length, milliseconds: performance.now() - begin };
          solver.close();
          return result;
        }"""
    )
    print(f"Chromium: {speed['speed']:.1f} hashes/s on {speed['threads']} threads")  # noqa: T201 - a measurement for who runs it with -s
    assert speed["speed"] > 1
    assert 1 <= speed["threads"] <= 4


def test_a_claim_page_of_nobody_is_a_page(visit: Visit, service: Served) -> None:
    answer = visit.page.goto(f"{service.url}/claims/{'0' * 32}")
    assert answer is not None
    assert answer.status == 404
    expect(visit.page.get_by_text("There is no claim with this id.")).to_be_visible()
