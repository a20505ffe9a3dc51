"""Ends waits for a database server that has fallen silent without closing its connections: stopped, cut off, gone with its machine.

The server's own time limits end what is slow; they are of no use when it is the server that no longer runs. A connection whose time is up is cut off
here, and whoever waits for its answer has an error instead.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 0.5
"""How late a connection may be cut off."""


class ConnectionWatch:
    """Cuts off connections of psycopg whose time is up. Any thread may use it; its own thread lives while something is watched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[int, tuple[float, Any]] = {}
        self._next = 0
        self._is_looking = False

    @contextmanager
    def within(self, connection: Any, seconds: float) -> Iterator[None]:
        """Give what is done with a connection in this block so much time."""
        with self._lock:
            self._next += 1
            mine = self._next
            self._until[mine] = (time.monotonic() + seconds, connection)
            if not self._is_looking:
                self._is_looking = True
                threading.Thread(target=self._look, name="database watch", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._until.pop(mine, None)

    def cut_all(self) -> None:
        """Cut off what is watched now, whatever time it has left."""
        with self._lock:
            cut = len(self._until)
            while self._until:
                _cut_off(self._until.popitem()[1][1])
        if cut:
            log.warning("database_cut_off", connections=cut)

    def _look(self) -> None:
        idle = 0
        while True:
            time.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            with self._lock:
                idle = 0 if self._until else idle + 1
                # Short calls come one after the other: a thread for each of them would cost more than the calls.
                if idle * LOOK_EVERY_S > 10:
                    self._is_looking = False
                    return
                late = [one for one, (until, _) in self._until.items() if until <= now]
                # Under the lock, so that the connection is still the one that waits and not the next user's.
                for one in late:
                    _cut_off(self._until.pop(one)[1])
            if late:
                log.warning("database_cut_off", connections=len(late))


def _cut_off(connection: Any) -> None:
    """End a connection below its owner's feet: what is read from it ends at once."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        duplicate = os.dup(connection.fileno())
        with socket.socket(fileno=duplicate) as end:
            end.shutdown(socket.SHUT_RDWR)
