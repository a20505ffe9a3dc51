"""Every event of a run in its order: a hash over all of them, and the latest themselves, for a person who looks for a fault."""

import asyncio
import hashlib
from collections import deque
from pathlib import Path
from typing import Final

EVENTS_KEPT: Final = 20_000
"""Some minutes of four nodes; older ones are in the hash only."""
BYTES_SHOWN: Final = 40
"""Of a message: its kind, height, round and the first of its signature."""


class Trace:
    """Owner: the checker."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._latest: deque[tuple[object, ...]] = deque(maxlen=EVENTS_KEPT)
        self.events = 0
        """How many there were so far."""

    @property
    def hash(self) -> str:
        """Hash over all events so far."""
        return "0x" + self._hash.hexdigest()

    def note(self, *facts: object) -> None:
        """Add an event at the present moment."""
        now_us = round(asyncio.get_running_loop().time() * 1e6)
        event = (now_us, *facts)
        self.events += 1
        self._latest.append(event)
        self._hash.update(repr(event).encode())

    def save(self, path: Path) -> None:
        """Write the latest events, a line each."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            if self.events > len(self._latest):
                file.write(f"... {self.events - len(self._latest)} events before these\n")
            for now_us, *facts in self._latest:
                assert isinstance(now_us, int)
                file.write(f"{now_us / 1e6:14.6f} {' '.join(_text(fact) for fact in facts)}\n")
            file.write(f"trace hash {self.hash}\n")


def _text(fact: object) -> str:
    if isinstance(fact, bytes):
        rest = f"... {len(fact)} bytes" if len(fact) > BYTES_SHOWN else ""
        return fact[:BYTES_SHOWN].hex() + rest
    return str(fact)
