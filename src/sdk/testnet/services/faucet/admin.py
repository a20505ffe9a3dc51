"""The operator's site, on a port of its own: pause, budget, lists, vouchers and keys, payouts that were given up, the record; and metrics.

Everything is behind a password. A form is taken from this site only (Origin), from somebody who is logged in (a SameSite cookie), with the token of
the session in it. Nothing changes by GET.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.faucet.faucet import parse_allowed_network, parse_network
from sdk.testnet.faucet.paying import GWEI
from sdk.testnet.faucet.payout import PayoutState
from sdk.testnet.services.faucet.app import FOLDER
from sdk.testnet.services.faucet.documents import STATES, payout_document
from sdk.testnet.services.web.application import make_site_app
from sdk.testnet.services.web.assets import Assets
from sdk.testnet.services.web.login import Login
from sdk.testnet.services.web.pages import Pages
from sdk.testnet.services.web.sessions import Sessions
from sdk.testnet.services.web.site import NavigationEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from sdk.testnet.services.faucet.app import FaucetService
    from sdk.testnet.services.web.sessions import Session

log = structlog.get_logger(__name__)

COOKIE: Final = "faucet_operator"
BODY_BYTES_MAX: Final = 8192
DAY_MS: Final = 86_400_000
NAVIGATION: Final = (NavigationEntry(key="admin", label="Operation", path="/"),)
SAID: Final = {
    "paused": "The faucet is paused.",
    "draining": "The faucet is paused, and pays what waits.",
    "resumed": "The faucet pays again.",
    "budget": "The budget is changed.",
    "blocked": "Blocked.",
    "unblocked": "Not blocked any more.",
    "allowed": "Allowed.",
    "disallowed": "Not allowed any more: the limits hold again.",
    "revoked": "Revoked.",
    "retried": "Queued once more.",
    "cancelled": "Cancelled.",
    "nothing": "Nothing changed: somebody was faster.",
}


def make_admin_app(service: FaucetService, *, password_file: Path, operator_url: str = "") -> Starlette:
    """Return the operator's app over the service that `make_public_app` serves; the password is made where the file is missing.

    Raises:
        InvalidInput: when others can read the password file.
    """
    site = replace(service.site, service="Faucet operation", navigation=NAVIGATION)
    assets = Assets(FOLDER / "static")
    pages = Pages(site, assets, FOLDER / "templates")
    operation, now_ms = service.faucet.operation, service.desk.now_ms
    sessions = Sessions(
        password_file,
        cookie=COOKIE,
        on_refused=lambda who: operation.note("login refused", who, actor="stranger", now_ms=now_ms()),
    )
    login = Login(
        pages=pages,
        sessions=sessions,
        clients=service.clients,
        home="/",
        where="The password is in the file that the faucet's configuration names.",
        public_url=operator_url,
    )
    views = _AdminViews(service, pages, login)
    return make_site_app(
        pages,
        assets,
        [
            Route("/", views.panel),
            *login.routes(),
            Route("/do/{action}", views.act, methods=["POST"]),
            Route("/metrics", views.metrics),
        ],
        form_targets=[site.explorer_url] if site.explorer_url else [],
        body_bytes_max=BODY_BYTES_MAX,
    )


class _AdminViews:
    """The handlers of the operator's pages."""

    def __init__(self, service: FaucetService, pages: Pages, login: Login) -> None:
        self._service = service
        self._operation = service.faucet.operation
        self._desk = service.desk
        self._clients = service.clients
        self._pages = pages
        self._login = login
        self._actions: dict[str, Callable[[FormData, str], str]] = {
            "pause": self._pause,
            "resume": self._resume,
            "budget": self._budget,
            "block": self._block,
            "unblock": self._unblock,
            "allow": self._allow,
            "disallow": self._disallow,
            "voucher": self._voucher,
            "revoke": self._revoke,
            "retry": self._retry,
            "cancel": self._cancel,
        }

    async def panel(self, request: Request) -> Response:
        """Everything an operator sees."""
        session = self._login.session_of(request)
        if session is None:
            return self._login.ask()
        return await self._panel(request, session, said=SAID.get(request.query_params.get("said", ""), ""))

    async def act(self, request: Request) -> Response:
        """Do one thing, and go back to the page."""
        session, form = await self._login.authorized(request)
        if session is None:
            return self._login.ask()
        action = self._actions.get(request.path_params["action"])
        if action is None:
            raise InvalidInput("action: there is no such one")
        actor = f"operator at {self._clients.address_of(request)}"
        try:
            said = await run_in_threadpool(action, form, actor)
        except InvalidInput as error:
            return await self._panel(request, session, error=str(error), status=400)
        if said.startswith("secret:"):
            # Shown once, in the answer itself: it is in no address and in no history.
            return await self._panel(request, session, secret=said.removeprefix("secret:"))
        return RedirectResponse(f"/?said={said}", status_code=303)

    async def metrics(self, _: Request) -> Response:
        """What Prometheus reads; numbers only, so it stands before the password, on the operator's port."""
        text = await self._service.metrics.collect(self._desk)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _panel(
        self,
        request: Request,
        session: Session,
        *,
        said: str = "",
        error: str = "",
        secret: str = "",
        status: int = 200,
    ) -> Response:
        try:
            view = await self._desk.view()
        except Unavailable:
            # Pausing is most needed when something is wrong.
            view = None
        settings = await run_in_threadpool(self._operation.settings)
        return self._pages.render(
            "admin.html",
            request,
            status=status,
            section="admin",
            headers={"cache-control": "no-store"},
            token=session.form_token,
            said=said,
            error=error,
            secret=secret,
            view=view,
            settings=settings,
            payer=self._service.faucet.address,
            gwei=GWEI,
            blocked_addresses=await run_in_threadpool(lambda: sorted(self._service.faucet.blocked_addresses)),
            blocked_ips=await run_in_threadpool(self._operation.blocked, "ip"),
            allowed_addresses=await run_in_threadpool(lambda: sorted(self._service.faucet.allowed_addresses)),
            allowed_ips=await run_in_threadpool(self._operation.allowed, "ip"),
            passes=await run_in_threadpool(self._operation.passes),
            audit=await run_in_threadpool(self._operation.audit),
            stuck=await run_in_threadpool(self._stuck),
        )

    def _stuck(self) -> list[dict[str, Any]]:
        rows = []
        for payout in self._service.faucet.stuck_payouts():
            badge, word = STATES[payout.state]
            rows.append(
                payout_document(payout)
                | {
                    "number": payout.id,
                    "amount_wei": payout.amount_gwei * GWEI,
                    "badge": badge,
                    "word": word,
                    "reason": payout.error or "",
                    "is_failed": payout.state is PayoutState.FAILED,
                    "requested_s": payout.requested_ms / 1000,
                }
            )
        return rows

    # -- what an operator does ------------------------------------------------------------------------------------------------------------

    def _pause(self, form: FormData, actor: str) -> str:
        drains = _text(form, "drains", 3) == "yes"
        self._operation.pause(
            _text(form, "reason", 200), drains=drains, actor=actor, now_ms=self._desk.now_ms()
        )
        return "draining" if drains else "paused"

    def _resume(self, _: FormData, actor: str) -> str:
        self._operation.resume(actor=actor, now_ms=self._desk.now_ms())
        return "resumed"

    def _budget(self, form: FormData, actor: str) -> str:
        self._operation.set_budget(
            daily_limit=_number(form, "daily_limit"),
            tokens_per_request=_number(form, "tokens_per_request"),
            actor=actor,
            now_ms=self._desk.now_ms(),
        )
        return "budget"

    def _block(self, form: FormData, actor: str) -> str:
        kind, value = _listed(form)
        self._operation.block(kind, value, actor=actor, now_ms=self._desk.now_ms())
        return "blocked"

    def _unblock(self, form: FormData, actor: str) -> str:
        kind, value = _listed(form)
        gone = self._operation.unblock(kind, value, actor=actor, now_ms=self._desk.now_ms())
        return "unblocked" if gone else "nothing"

    def _allow(self, form: FormData, actor: str) -> str:
        kind, value = _listed(form, parse_allowed_network)
        if kind == "ip":
            self._check_no_proxy(value)
        self._operation.allow(kind, value, actor=actor, now_ms=self._desk.now_ms())
        return "allowed"

    def _disallow(self, form: FormData, actor: str) -> str:
        kind, value = _listed(form)
        gone = self._operation.disallow(kind, value, actor=actor, now_ms=self._desk.now_ms())
        return "disallowed" if gone else "nothing"

    def _check_no_proxy(self, value: str) -> None:
        """Refuse an entry that would free nobody: of an address of trusted proxies it is not known for whom it asks."""
        network = ipaddress.ip_network(value)
        for proxies in self._service.trusted_proxies:
            is_wider = network.version == proxies.version and proxies.prefixlen <= network.prefixlen
            if is_wider and network.network_address in proxies:
                raise InvalidInput(
                    f"what: {value} lies in {proxies} of trusted_proxies, and who asks from there may ask for anybody; name the proxies alone in "
                    "trusted_proxies of the services' file, and the rest can be allowed"
                )

    def _voucher(self, form: FormData, actor: str) -> str:
        now_ms = self._desk.now_ms()
        count, is_key = _number(form, "count"), _text(form, "kind", 10) == "key"
        days = _number(form, "days")
        if not 1 <= days <= 366:
            raise InvalidInput("days: expected a whole number from 1 to 366")
        text = self._operation.make_pass(
            label=_text(form, "label", 64),
            uses_max=None if is_key else count,
            daily_max=count if is_key else None,
            expires_ms=now_ms + days * DAY_MS,
            actor=actor,
            now_ms=now_ms,
        )
        return f"secret:{text}"

    def _revoke(self, form: FormData, actor: str) -> str:
        gone = self._operation.revoke_pass(_text(form, "id", 8), actor=actor, now_ms=self._desk.now_ms())
        return "revoked" if gone else "nothing"

    def _retry(self, form: FormData, actor: str) -> str:
        return "retried" if self._service.faucet.retry_payout(_number(form, "id"), actor=actor) else "nothing"

    def _cancel(self, form: FormData, actor: str) -> str:
        done = self._service.faucet.cancel_payout(_number(form, "id"), actor=actor)
        return "cancelled" if done else "nothing"


def _text(form: FormData, name: str, most: int) -> str:
    return str(form.get(name, "")).strip()[:most]


def _number(form: FormData, name: str) -> int:
    text = _text(form, name, 30).replace(",", "").replace("_", "").replace("\u202f", "")
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"{name}: expected a whole number, found {text!r:.40}")
    return int(text)


def _listed(form: FormData, parse_ip: Callable[[str], str] = parse_network) -> tuple[str, str]:
    """An entry of a list: an address, or an IP address or network."""
    what = _text(form, "what", 100)
    if what.lower().startswith("0x"):
        return "address", parse_address(what).hex()
    return "ip", parse_ip(what)
