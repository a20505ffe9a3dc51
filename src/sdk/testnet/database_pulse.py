"""Whether a PostgreSQL server answers at all: asked twice a second on a connection of its own, while anybody uses the database.

A server that hangs (its machine, its disk, a stopped process) keeps connections open and says nothing. Whoever asks it for a page would wait for as long as
a slow statement may take, and one after the other for every place in the pool. With its pulse known, those who come are told at once, and those who wait
already are told within two seconds. A server that refuses does answer: what it says is for who asks.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

log = structlog.get_logger(__name__)

EVERY_S: Final = 0.5
"""From one question to the next."""
LATE_S: Final = 1.0
"""An answer that takes longer is none: it is one row from no table. With `EVERY_S` before it, who waits is told within two seconds."""
IDLE_S: Final = 10.0
"""After which a database that nobody uses is asked no more."""
PATIENCE_S: Final = 10.0
"""After which a connection that owes an answer is given up for a new one: the server may have another machine by now."""
CONNECT_S: Final = 2
"""For a new connection: the least that the driver takes."""


class ServerSilent(Exception):  # noqa: N818 - says what is
    """It has not answered for over a second."""


class Pulse:
    """Asks one server. Any thread may use it; its own thread lives while somebody does.

    Args:
        connect: Makes a connection; raises psycopg.Error.
        on_silent: Called on the pulse's thread each time the server falls silent.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], on_silent: Callable[[], None]) -> None:
        self._connect = connect
        self._on_silent = on_silent
        self._changed = threading.Condition()
        self._is_asking = False
        self._is_silent = False
        self._is_closed = False
        self._asked_s: float | None = None
        """Since when a question is open."""
        self._answered_s = float("-inf")
        self._needed_s = float("-inf")

    def check(self) -> None:
        """Return when the server has answered within the last second and a half; waits for an answer no longer than `LATE_S`.

        Raises:
            ServerSilent: when there is none.
        """
        with self._changed:
            began_s = self._needed_s = time.monotonic()
            if not self._is_asking and not self._is_closed:
                self._is_asking = True
                threading.Thread(target=self._ask_always, name="database pulse", daemon=True).start()
            while not self._is_closed:
                now_s = time.monotonic()
                if self._is_silent or now_s - min(began_s, self._asked_s or began_s) > LATE_S:
                    raise ServerSilent
                if now_s - self._answered_s <= EVERY_S + LATE_S:
                    return
                self._changed.wait(LATE_S / 10)

    def close(self) -> None:
        """Ask no more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _ask_always(self) -> None:
        import psycopg  # noqa: PLC0415 - 6 MB that SQLite does without

        connection: psycopg.Connection[Any] | None = None
        unanswered_s: float | None = None
        """Since when this connection owes an answer."""
        while self._goes_on():
            began_s, is_answered = time.monotonic(), True
            try:
                if connection is None:
                    connection = self._connect()
                if unanswered_s is None:
                    connection.pgconn.send_query(b"SELECT 1")
                    unanswered_s = began_s
                is_answered = _has_answered(connection, LATE_S)
            except (psycopg.Error, OSError):
                # A refusal is an answer, when it comes in time.
                is_answered = time.monotonic() - began_s <= LATE_S
                _close(connection)
                connection = None
            if is_answered or connection is None:
                unanswered_s = None
            elif unanswered_s is not None and time.monotonic() - unanswered_s > PATIENCE_S:
                _close(connection)
                connection = unanswered_s = None
            self._note(is_answered=is_answered)
            if unanswered_s is None:
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closed, EVERY_S)
        _close(connection)

    def _goes_on(self) -> bool:
        """Whether to ask once more, and that it is asked now."""
        with self._changed:
            if not self._is_closed and time.monotonic() - self._needed_s <= IDLE_S:
                self._asked_s = time.monotonic()
                return True
            self._is_asking = self._is_silent = False
            # What was true now need not be true when somebody comes again.
            self._answered_s = float("-inf")
            return False

    def _note(self, *, is_answered: bool) -> None:
        with self._changed:
            was_silent, self._is_silent = self._is_silent, not is_answered
            self._asked_s = None
            if is_answered:
                self._answered_s = time.monotonic()
            self._changed.notify_all()
        if was_silent == is_answered:
            log.warning("database_answers_again" if is_answered else "database_silent")
            if not is_answered:
                self._on_silent()


def _has_answered(connection: psycopg.Connection[Any], seconds: float) -> bool:
    """Wait for what was asked, and say whether it has come; raises psycopg.Error for a connection that is over."""
    server = connection.pgconn
    until_s = time.monotonic() + seconds
    ready = select.poll()
    ready.register(server.socket, select.POLLIN)
    while server.is_busy():
        # Looked at once more when the time is up: an answer that has come counts, however late we are.
        if not ready.poll(max(0.0, until_s - time.monotonic()) * 1_000):
            return False
        server.consume_input()
    while server.get_result() is not None:
        pass
    return True


def _close(connection: psycopg.Connection[Any] | None) -> None:
    """Close it, whatever it owes."""
    import psycopg  # noqa: PLC0415 - the same

    if connection is not None:
        with contextlib.suppress(psycopg.Error, OSError):
            connection.close()
