"""An operator's login: one password, from a file that only its owner reads; sessions in memory, a token against forged forms in each.

Wrong passwords slow down whoever sends them, and shut nobody out who has been logged in from the same browser before: when a faucet has to be paused,
somebody else's guesses must not be in the way.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from metanode.crypto.keystore import read_secret_file, write_secret_file
from metanode.errors import InvalidInput
from sdk.testnet.faucet.attempts import Attempts, OriginAttempts
from sdk.testnet.faucet.client_address import origin_of
from sdk.testnet.services.web.problems import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from sdk.testnet.faucet.client_address import IPAddress

log = structlog.get_logger(__name__)

SESSION_S: Final = 8 * 3600
"""A working day; then the password is asked for again."""
SESSIONS_MAX: Final = 16
LOGINS_MAX: Final = 5
LOGIN_WINDOW_MS: Final = 900_000
"""Five wrong passwords in a quarter of an hour from one browser that was logged in before, or from one network else."""
ALL_LOGINS_MAX: Final = 30
"""After so many from everywhere, each further one waits its turn."""
TURN_S: Final = 1.0
TURNS_MAX: Final = 10
"""Logins that wait for a turn; more are sent away."""
DEVICE_S: Final = 90 * 86_400
"""A browser that was logged in is known for so long."""
PASSWORD_CHARACTERS_MIN: Final = 12
TOLD_EVERY_MS: Final = 60_000
"""Refused logins are told once a minute: a flood of them is no flood of lines."""
_ANYBODY: Final = "anybody"


class LoginRefused(InvalidInput):
    """The password is not the operator's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who knew the password."""

    token: str
    form_token: str
    """In every form; a page of another site does not know it."""
    device: str
    """What the browser shows at its next login, signed."""
    ends_s: float


class Sessions:
    """Who is logged in to one site. Owned by one app; a restart logs everybody out."""

    def __init__(
        self,
        password_file: Path,
        *,
        cookie: str,
        now_s: Callable[[], float] = time.monotonic,
        on_refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read the password, or make one where there is no file.

        Args:
            password_file: Readable by its owner alone.
            cookie: Name of the cookie; sites of one host share their cookies.
            now_s: A clock that only goes on.
            on_refused: Hears of refused logins, once a minute: who it was. Blocks for no longer than a database does.

        Raises:
            InvalidInput: when others can read the file, or the password is short.
        """
        self._digest = _digest(_password_of(password_file))
        self._cookie = cookie
        self._now_s = now_s
        self._on_refused = on_refused
        self._sessions: dict[str, Session] = {}
        self._failures = OriginAttempts(maximum=LOGINS_MAX, window_ms=LOGIN_WINDOW_MS)
        self._failures_of_devices = Attempts(maximum=LOGINS_MAX, window_ms=LOGIN_WINDOW_MS)
        self._all_failures = Attempts(maximum=ALL_LOGINS_MAX, window_ms=LOGIN_WINDOW_MS)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._told_ms = -TOLD_EVERY_MS

    async def login(self, password: str, client: IPAddress, *, device: str = "") -> Session:
        """Begin a session.

        Args:
            password: What was typed.
            client: Where it comes from.
            device: The browser's cookie of an earlier session.

        Raises:
            LoginRefused: when the password is wrong.
            TooManyRequests: after too many wrong ones of this browser or network, also with the right one.
        """
        known = self._device_of(device)
        self._check_limits(known, client)
        if known is None and self._all_failures.wait_s(_ANYBODY, self._now_ms()) is not None:
            await self._wait_turn()
            # Its network may have used up its own tries while it waited.
            self._check_limits(known, client)
        if not hmac.compare_digest(_digest(password), self._digest):
            self._count_failure(known, client)
            await self._tell(f"wrong password from {origin_of(client).narrow}")
            raise LoginRefused("password: that is not the operator's")
        self._forget_old()
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(next(iter(self._sessions)))
        session = Session(
            token=secrets.token_urlsafe(32),
            form_token=secrets.token_urlsafe(32),
            device=self._signed(known or secrets.token_hex(16)),
            ends_s=self._now_s() + SESSION_S,
        )
        self._sessions[session.token] = session
        return session

    def find(self, request: Request) -> Session | None:
        """Return the session of a request, if it goes on."""
        self._forget_old()
        return self._sessions.get(request.cookies.get(self._cookie, ""))

    def device_of(self, request: Request) -> str:
        """Return what the browser shows of an earlier session, for `login`."""
        return request.cookies.get(f"{self._cookie}_device", "")[:200]

    def is_form_of(self, session: Session, token: str) -> bool:
        """Whether a form is one of this session's pages."""
        return hmac.compare_digest(token.encode(), session.form_token.encode())

    def remember(self, answer: Response, session: Session, *, is_https: bool) -> None:
        """Give the browser its cookies."""
        for name, value, age_s in (
            (self._cookie, session.token, None),
            (f"{self._cookie}_device", session.device, DEVICE_S),
        ):
            answer.set_cookie(
                name, value, max_age=age_s, path="/", httponly=True, samesite="strict", secure=is_https
            )

    def logout(self, session: Session, answer: Response) -> None:
        """End a session."""
        self._sessions.pop(session.token, None)
        answer.delete_cookie(self._cookie, path="/")

    def _check_limits(self, known: str | None, client: IPAddress) -> None:
        now_ms = self._now_ms()
        wait_s = (
            self._failures.wait_s(origin_of(client), now_ms)
            if known is None
            else self._failures_of_devices.wait_s(known, now_ms)
        )
        if wait_s is not None:
            raise TooManyRequests(wait_s)

    async def _wait_turn(self) -> None:
        if self._waiting >= TURNS_MAX:
            raise TooManyRequests(int(TURNS_MAX * TURN_S))
        self._waiting += 1
        try:
            async with self._turn:
                await asyncio.sleep(TURN_S)
        finally:
            self._waiting -= 1

    def _count_failure(self, known: str | None, client: IPAddress) -> None:
        now_ms = self._now_ms()
        self._all_failures.count(_ANYBODY, now_ms)
        if known is None:
            self._failures.count(origin_of(client), now_ms)
        else:
            self._failures_of_devices.count(known, now_ms)

    async def _tell(self, what: str) -> None:
        now_ms = self._now_ms()
        if now_ms - self._told_ms < TOLD_EVERY_MS:
            return
        self._told_ms = now_ms
        log.warning("operator_login_refused", reason=what)
        await asyncio.to_thread(self._on_refused, what)

    def _device_of(self, text: str) -> str | None:
        name, _, _ = text.partition(".")
        return name if name and hmac.compare_digest(text.encode(), self._signed(name).encode()) else None

    def _signed(self, name: str) -> str:
        # By the password: a new one makes all browsers strangers.
        return f"{name}.{hmac.new(self._digest, name.encode(), 'sha256').hexdigest()}"

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)

    def _forget_old(self) -> None:
        now_s = self._now_s()
        for token in [one.token for one in self._sessions.values() if one.ends_s <= now_s]:
            del self._sessions[token]


def _password_of(path: Path) -> str:
    if not path.exists():
        write_secret_file(path, secrets.token_urlsafe(18).encode())
    password = read_secret_file(path).decode(errors="replace").strip()
    if len(password) < PASSWORD_CHARACTERS_MIN:
        raise InvalidInput(
            f"{path}: an operator's password has {PASSWORD_CHARACTERS_MIN} characters or more; delete the file to get a new one"
        )
    return password


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode(errors="replace")).digest()
