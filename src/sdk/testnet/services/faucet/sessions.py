"""An operator's login: one password, from a file that only its owner reads; sessions in memory, a token against forged forms in each."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.crypto.keystore import read_secret_file, write_secret_file
from metanode.errors import InvalidInput
from sdk.testnet.faucet.client_address import origin_of
from sdk.testnet.faucet.verification import Attempts
from sdk.testnet.services.faucet.problems import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk.testnet.faucet.client_address import IPAddress

SESSION_S: Final = 8 * 3600
"""A working day; then the password is asked for again."""
SESSIONS_MAX: Final = 16
LOGINS_MAX: Final = 5
LOGIN_WINDOW_MS: Final = 900_000
"""Five wrong passwords in a quarter of an hour from one network, and thirty from everywhere."""
ALL_LOGINS_MAX: Final = 30
PASSWORD_CHARACTERS_MIN: Final = 12
_ANYBODY: Final = "anybody"


class LoginRefused(InvalidInput):
    """The password is not the operator's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who knew the password."""

    token: str
    form_token: str
    """In every form; a page of another site does not know it."""
    ends_s: float


class Sessions:
    """Who is logged in. Owned by one app; a restart logs everybody out."""

    def __init__(self, password_file: Path, *, now_s: Callable[[], float] = time.monotonic) -> None:
        """Read the password, or make one where there is no file. Raises InvalidInput when others can read it, or it is short."""
        self._digest = _digest(_password_of(password_file))
        self._now_s = now_s
        self._sessions: dict[str, Session] = {}
        self._failures = Attempts(maximum=LOGINS_MAX, window_ms=LOGIN_WINDOW_MS)
        self._all_failures = Attempts(maximum=ALL_LOGINS_MAX, window_ms=LOGIN_WINDOW_MS)

    def login(self, password: str, client: IPAddress) -> Session:
        """Begin a session.

        Raises:
            LoginRefused: when the password is wrong.
            TooManyRequests: after too many wrong ones, also with the right one.
        """
        now_ms, narrow = int(self._now_s() * 1000), origin_of(client).narrow
        for failures, who in ((self._failures, narrow), (self._all_failures, _ANYBODY)):
            if (wait_s := failures.wait_s(who, now_ms)) is not None:
                raise TooManyRequests(wait_s)
        if not hmac.compare_digest(_digest(password), self._digest):
            self._failures.count(narrow, now_ms)
            self._all_failures.count(_ANYBODY, now_ms)
            raise LoginRefused("password: that is not the operator's")
        self._forget_old()
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(next(iter(self._sessions)))
        session = Session(
            token=secrets.token_urlsafe(32),
            form_token=secrets.token_urlsafe(32),
            ends_s=self._now_s() + SESSION_S,
        )
        self._sessions[session.token] = session
        return session

    def find(self, token: str) -> Session | None:
        """Return a session that goes on."""
        self._forget_old()
        return self._sessions.get(token)

    def logout(self, session: Session) -> None:
        """End a session."""
        self._sessions.pop(session.token, None)

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
