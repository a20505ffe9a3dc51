"""The faucet's site: the claim form, a page for each claim, the state of the faucet, its rules; and the API below `/api/v1/faucet`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput, StorageFailed, Unavailable
from sdk.testnet.faucet.client_address import LOOPBACK
from sdk.testnet.faucet.paying import GWEI
from sdk.testnet.faucet.policy import Refused, describe_seconds
from sdk.testnet.faucet.proof_of_work import expected_hashes
from sdk.testnet.services.faucet.api import accepted_of, make_api, make_router
from sdk.testnet.services.faucet.documents import OVER, PUBLIC_STATES, STATES, payout_document
from sdk.testnet.services.faucet.metrics import FaucetMetrics
from sdk.testnet.services.faucet.problems import problem_of_error, problem_of_refusal
from sdk.testnet.services.web.application import make_site_app
from sdk.testnet.services.web.assets import Assets
from sdk.testnet.services.web.clients import REQUESTS_MAX, Clients, check_origin
from sdk.testnet.services.web.pages import Pages
from sdk.testnet.services.web.problems import NotFound, reason_of
from sdk.testnet.services.web.site import NavigationEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request

    from sdk.testnet.faucet import Faucet
    from sdk.testnet.faucet.client_address import IPNetwork
    from sdk.testnet.faucet.desk import ClaimDesk
    from sdk.testnet.faucet.payout import Payout
    from sdk.testnet.services.web.site import Site

log = structlog.get_logger(__name__)

FOLDER: Final = Path(__file__).parent
BODY_BYTES_MAX: Final = 4096
RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
"""The longest pause after an error of ours."""
NAVIGATION: Final = (
    NavigationEntry(key="claim", label="Claim", path="/"),
    NavigationEntry(key="status", label="Status", path="/status"),
    NavigationEntry(key="rules", label="Rules", path="/rules"),
)
ADDRESS_CHARACTERS_MAX: Final = 100
STEPS: Final = ("queued", "signed", "sent", "final")
"""What a claim goes through, as its page shows it."""


class FaucetService:
    """One faucet as it is seen from the web; `run` beside the app pays what is claimed."""

    def __init__(
        self,
        faucet: Faucet,
        site: Site,
        *,
        trusted_proxies: Sequence[IPNetwork] = LOOPBACK,
        requests_a_minute: int = REQUESTS_MAX,
        public_url: str = "",
    ) -> None:
        """Open the desk of a faucet.

        Args:
            faucet: Who pays.
            site: The network, as its other pages speak of it.
            trusted_proxies: Networks whose `X-Forwarded-For` is believed.
            requests_a_minute: What one network may ask of it.
            public_url: As people reach it, where a proxy in front changes Host.
        """
        self.public_url: Final = public_url
        self.trusted_proxies: Final = tuple(trusted_proxies)
        self.faucet: Final = faucet
        self.site: Final = site
        self.desk: Final[ClaimDesk] = faucet.open_desk(proxies=trusted_proxies)
        self.clients: Final = Clients(trusted=trusted_proxies, maximum=requests_a_minute)
        self.metrics: Final = FaucetMetrics()

    async def pay(self) -> None:
        """Pay what is claimed until cancelled. An error of ours is logged and counted, nothing is promised meanwhile, and it is tried again."""
        pause_s = RETRY_S

        def goes_well() -> None:
            nonlocal pause_s
            pause_s = RETRY_S
            self.desk.trouble = ""

        while True:
            try:
                await self.faucet.run(on_settled=goes_well)
            except Exception:
                self.desk.trouble = "the faucet has stopped paying by an error of its own; its log says which"
                self.metrics.faults.inc()
                log.exception("faucet_stopped", retry_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_MAX_S)


def make_app(
    faucet: Faucet, site: Site, *, trusted_proxies: Sequence[IPNetwork] = LOOPBACK, runs: bool = True
) -> Starlette:
    """Return the public app; `runs` makes it pay what is claimed for as long as it serves.

    Args:
        faucet: Who pays. The caller closes it after the app.
        site: The network, as its other pages speak of it.
        trusted_proxies: Networks whose `X-Forwarded-For` is believed. The server in front must not rewrite the peer itself: uvicorn with
            `proxy_headers=False`.
        runs: False where another process on the same database pays.
    """
    return make_public_app(FaucetService(faucet, site, trusted_proxies=trusted_proxies), runs=runs)


def make_public_app(service: FaucetService, *, runs: bool = True) -> Starlette:
    """Return the public app of a service that an operator's page shares."""
    site = replace(service.site, service="Faucet", navigation=navigation_of(service.site))
    assets = Assets(FOLDER / "static")
    pages = Pages(site, assets, FOLDER / "templates")
    views = _Views(service, pages)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            if not runs:
                yield
                return
            # A ledger of another chain ends the start, with its sentence; a node that is away is waited for.
            with contextlib.suppress(Unavailable):
                await service.faucet.settle()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(service.pay(), name="faucet")
                yield
                task.cancel()
        finally:
            service.desk.close()

    api = make_api(make_router(service.desk, service.clients, service.metrics, public_url=service.public_url))
    return make_site_app(
        pages,
        assets,
        [
            Route("/", views.claim_form),
            Route("/claim", views.claim, methods=["POST"]),
            Route("/claims/{claim_id}", views.claim_page),
            Route("/status", views.status),
            Route("/rules", views.rules),
            Route("/network.json", views.network),
            Route("/healthz", views.alive),
            Route("/readyz", views.ready),
            Route("/api/{rest:path}", api),
        ],
        lifespan=lifespan,
        form_targets=[site.explorer_url] if site.explorer_url else [],
        body_bytes_max=BODY_BYTES_MAX,
    )


def navigation_of(site: Site) -> tuple[NavigationEntry, ...]:
    """Return the menu: the faucet's pages, and the explorer where the network has one."""
    if not site.explorer_url:
        return NAVIGATION
    return (*NAVIGATION, NavigationEntry(key="explorer", label="Explorer", path=f"{site.explorer_url}/"))


class _Views:
    """The handlers of the pages."""

    def __init__(self, service: FaucetService, pages: Pages) -> None:
        self._service = service
        self._desk = service.desk
        self._clients = service.clients
        self._pages = pages
        self._site = service.site

    async def claim_form(self, request: Request) -> Response:
        """The page that people come for."""
        address = request.query_params.get("address", "")[:ADDRESS_CHARACTERS_MAX]
        return await self._form(request, address=address)

    async def claim(self, request: Request) -> Response:
        """The form without JavaScript: with a voucher, or where no proof of work is asked."""
        form = await request.form()
        address = str(form.get("address", ""))[:ADDRESS_CHARACTERS_MAX]
        voucher = str(form.get("voucher", "")).strip()[:100] or None
        try:
            check_origin(request, public_url=self._service.public_url)
            client = self._clients.count(request)
            outcome = await self._desk.redeem_without_proof(address, client, voucher=voucher)
            if isinstance(outcome, Refused):
                problem = problem_of_refusal(outcome)
            else:
                payout = accepted_of(outcome)
                assert payout.claim_id is not None
                return RedirectResponse(f"/claims/{payout.claim_id.hex()}", status_code=303)
        except (InvalidInput, Unavailable) as error:
            problem = problem_of_error(error)
        return await self._form(
            request, address=address, error=problem.detail, status=problem.status, title=problem.title
        )

    async def claim_page(self, request: Request) -> Response:
        """A claim, and how far it is; the page goes on by itself."""
        self._clients.count_read(request)
        payout = await self._desk.find(request.path_params["claim_id"])
        if payout is None:
            raise NotFound(
                "There is no claim with this id.", "It may be of a network that was made anew since."
            )
        document = payout_document(payout)
        return self._pages.render(
            "claim_status.html",
            request,
            claim=document,
            amount_wei=payout.amount_gwei * GWEI,
            reached=_reached(payout),
            is_over=payout.state in OVER,
            time_s=_time_s(payout),
        )

    async def status(self, request: Request) -> Response:
        """The state of the faucet."""
        client = self._clients.count_read(request)
        view = await self._desk.view()
        bits = await self._desk.difficulty(client)
        return self._pages.render(
            "status.html",
            request,
            section="status",
            view=view,
            payer=format_address(view.payer),
            bits=bits,
            hashes=None if bits is None else expected_hashes(bits),
            payouts=[self._row(payout) for payout in await self._desk.payouts()],
            gwei=GWEI,
        )

    async def rules(self, request: Request) -> Response:
        """Who gets how much, and why."""
        view = await self._desk.view()
        return self._pages.render(
            "rules.html",
            request,
            section="rules",
            view=view,
            config=self._desk.config,
            gwei=GWEI,
            window=_describe_window(self._desk.config.cooldown_period),
        )

    async def network(self, _: Request) -> Response:
        """The network as wallets take it (EIP-3085)."""
        return JSONResponse(self._site.network_document(), headers={"cache-control": "max-age=60"})

    async def alive(self, _: Request) -> Response:
        """The process answers."""
        return PlainTextResponse("alive\n", headers={"cache-control": "no-store"})

    async def ready(self, _: Request) -> Response:
        """Database and node answer."""
        trouble = self._desk.trouble
        try:
            if not trouble and (await self._desk.view()).balance_gwei is None:
                trouble = "the node does not answer; what was claimed is paid when it does"
        except Unavailable as unavailable:
            trouble = reason_of(unavailable)
        headers = {"cache-control": "no-store"} | ({"retry-after": "5"} if trouble else {})
        return PlainTextResponse(
            f"{trouble or 'ready'}\n", status_code=503 if trouble else 200, headers=headers
        )

    async def _form(
        self, request: Request, *, address: str, error: str = "", title: str = "", status: int = 200
    ) -> Response:
        view, trouble, headers = None, "", {}
        try:
            view = await self._desk.view()
        except Unavailable as unavailable:
            trouble = reason_of(unavailable)
            if isinstance(unavailable, StorageFailed):
                # Without its records it takes nothing at all; without a node it says so, and its form is there.
                status, headers = 503, {"retry-after": "5", "cache-control": "no-store"}
        return self._pages.render(
            "claim.html",
            request,
            status=status,
            headers=headers,
            section="claim",
            view=view,
            trouble=trouble,
            address=address,
            error=error,
            error_title=title,
            config=self._desk.config,
            needs_work=await self._needs_work(request),
            amount_wei=(view.tokens_per_request if view else self._desk.config.tokens_per_request) * GWEI,
            window=_describe_window(self._desk.config.cooldown_period),
            explorer_url=self._site.explorer_url,
        )

    async def _needs_work(self, request: Request) -> bool:
        try:
            return await self._desk.needs_work(self._clients.address_of(request))
        except (InvalidInput, Unavailable):
            # Who asks, or who is allowed, is not known now; the answer to its claim says why.
            return self._desk.config.proof_of_work

    @staticmethod
    def _row(payout: Payout) -> dict[str, Any]:
        badge, word = STATES[payout.state]
        return payout_document(payout) | {
            "amount_wei": payout.amount_gwei * GWEI,
            "badge": badge,
            "word": word,
            "requested_s": payout.requested_ms / 1000,
        }


def _reached(payout: Payout) -> int:
    """How many of the steps are done or under way."""
    name = PUBLIC_STATES[payout.state]
    return STEPS.index(name) + 1 if name in STEPS else 0


def _describe_window(seconds: int) -> str:
    return {3600: "an hour", 86_400: "a day", 604_800: "a week"}.get(seconds, describe_seconds(seconds))


def _time_s(payout: Payout) -> float | None:
    return None if payout.settled_ms is None else (payout.settled_ms - payout.requested_ms) / 1000
