"""Pages of a login: asked for, taken, ended. What is behind it asks `session_of`, and `authorized` before anything changes.

A form is taken from this site only (Origin), from somebody who is logged in (a SameSite cookie), with the token of the session in it. Nothing changes
by GET.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Route

from sdk.testnet.services.web.clients import Clients, check_origin
from sdk.testnet.services.web.problems import TooManyRequests, WrongOrigin
from sdk.testnet.services.web.sessions import LoginRefused, Session, Sessions

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from sdk.testnet.services.web.pages import Pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The login of one site."""

    pages: Pages
    sessions: Sessions
    clients: Clients
    home: str
    """Where who is logged in goes."""
    prefix: str = ""
    """Of `/login` and `/logout`."""
    where: str
    """Where the password is, in a sentence."""
    public_url: str = ""

    def routes(self) -> list[Route]:
        """Return both routes."""
        return [
            Route(f"{self.prefix}/login", self._login, methods=["GET", "POST"]),
            Route(f"{self.prefix}/logout", self._logout, methods=["POST"]),
        ]

    def session_of(self, request: Request) -> Session | None:
        """Return who asks, if somebody who is logged in."""
        return self.sessions.find(request)

    def ask(self) -> Response:
        """Return the answer for who is not."""
        return RedirectResponse(f"{self.prefix}/login", status_code=303)

    async def authorized(self, request: Request) -> tuple[Session | None, FormData]:
        """Return the session and the form of a change. Raises HTTPException 403 for a form that is not of this session's page."""
        form = await request.form()
        session = self.session_of(request)
        try:
            check_origin(request, public_url=self.public_url)
        except WrongOrigin as error:
            raise HTTPException(403, str(error)) from None
        if session is not None and not self.sessions.is_form_of(session, str(form.get("token", ""))):
            raise HTTPException(403, "token: this form is of another session; load the page again")
        return session, form

    async def _login(self, request: Request) -> Response:
        if request.method == "GET":
            return self._page(request)
        try:
            check_origin(request, public_url=self.public_url)
            form = await request.form()
            session = await self.sessions.login(
                str(form.get("password", ""))[:200],
                self.clients.address_of(request),
                device=self.sessions.device_of(request),
            )
        except (LoginRefused, WrongOrigin) as error:
            return self._page(request, error=str(error), status=401)
        except TooManyRequests as error:
            headers = {"retry-after": str(error.retry_after_s)}
            return self._page(request, error=str(error), status=429, headers=headers)
        answer = RedirectResponse(self.home, status_code=303)
        self.sessions.remember(answer, session, is_https=self.clients.is_https(request))
        return answer

    async def _logout(self, request: Request) -> Response:
        session, _ = await self.authorized(request)
        answer = self.ask()
        if session is not None:
            self.sessions.logout(session, answer)
        return answer

    def _page(
        self, request: Request, *, error: str = "", status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        return self.pages.render(
            "login.html",
            request,
            status=status,
            headers={"cache-control": "no-store"} | (headers or {}),
            error=error,
            action=f"{self.prefix}/login",
            where=self.where,
        )
