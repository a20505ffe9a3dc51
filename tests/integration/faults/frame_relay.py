"""A switch in user space that delays, loses, repeats and reorders frames: `tc netem` is not in every kernel.

    python -m tests.integration.faults.frame_relay '{"ends": ["node0", …], "delay_ms": [50, 100], "duplicate": 0.5, "seed": 7}'

It runs in the hub's namespace while the ends are off the bridge, reads whole frames from each end and writes them to all others (or to the
one that the destination address was learned at). One frame in flight holds a place in a bounded heap; what does not fit is lost, as in a switch.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

FRAME_BYTES_MAX = 2048
FRAMES_IN_FLIGHT_MAX = 65_536
"""At 500 ms this is more than a hundred megabytes a second."""
ETH_P_ALL = 3
PACKET_OUTGOING = 4
GROUP_BIT = 1
"""Of the first byte of a destination that several have."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What happens to a frame."""

    delay_ms: tuple[float, float] = (0.0, 0.0)
    """Least and most; each frame draws its own, so that frames overtake each other unless `in_order`."""
    in_order: bool = True
    """Whether a frame waits for those before it on its way, as in a queue; otherwise the network reorders."""
    duplicate: float = 0.0
    """Share of the frames that arrive twice."""
    lose: float = 0.0
    """Share of the frames that do not arrive."""


@dataclass
class Switch:
    """Frames under way, and where each address was seen."""

    weather: Weather
    chance: random.Random
    in_flight: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    seen_at: dict[bytes, int] = field(default_factory=dict)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _last_s: dict[tuple[int, int], float] = field(default_factory=dict)

    def take(self, source: int, frame: bytes, ends: int, now_s: float) -> None:
        """Send a frame on its way to whom it is for."""
        self.seen_at[frame[6:12]] = source
        known = None if frame[0] & GROUP_BIT else self.seen_at.get(frame[:6])
        for target in [known] if known is not None else range(ends):
            if target == source:
                continue
            copies = 1 + (self.chance.random() < self.weather.duplicate)
            for _ in range(copies):
                if self.chance.random() >= self.weather.lose and len(self.in_flight) < FRAMES_IN_FLIGHT_MAX:
                    heapq.heappush(
                        self.in_flight,
                        (self._arrival_s(source, target, now_s), next(self._order), target, frame),
                    )

    def _arrival_s(self, source: int, target: int, now_s: float) -> float:
        at_s = now_s + self.chance.uniform(*self.weather.delay_ms) / 1000
        if self.weather.in_order:
            at_s = max(at_s, self._last_s.get((source, target), 0.0))
            self._last_s[source, target] = at_s
        return at_s

    def due(self, now_s: float) -> list[tuple[int, bytes]]:
        """Take the frames that arrive by now."""
        found = []
        while self.in_flight and self.in_flight[0][0] <= now_s:
            _, _, target, frame = heapq.heappop(self.in_flight)
            found.append((target, frame))
        return found

    def wait_s(self, now_s: float) -> float | None:
        """How long until the next frame arrives."""
        return max(0.0, self.in_flight[0][0] - now_s) if self.in_flight else None


def serve(ends: list[str], switch: Switch) -> None:
    """Relay until killed."""
    sockets = []
    selector = selectors.DefaultSelector()
    for index, name in enumerate(ends):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        end.bind((name, ETH_P_ALL))
        end.setblocking(False)
        selector.register(end, selectors.EVENT_READ, index)
        sockets.append(end)
    print("relaying", flush=True)  # noqa: T201 - who started us waits for it
    while True:
        for key, _ in selector.select(switch.wait_s(time.monotonic())):
            _read(sockets[key.data], key.data, switch, len(ends))
        for target, frame in switch.due(time.monotonic()):
            try:
                sockets[target].send(frame)
            except OSError:
                continue  # The end is down or its queue is full: the frame is lost, as on a cable.


def _read(end: socket.socket, index: int, switch: Switch, ends: int) -> None:
    while True:
        try:
            frame, sender = end.recvfrom(FRAME_BYTES_MAX)
        except BlockingIOError:
            return
        # What we have written to this end ourselves is shown too.
        if sender[2] != PACKET_OUTGOING:
            switch.take(index, frame, ends, time.monotonic())


def main() -> None:
    """Read what to do from the command line."""
    asked = json.loads(sys.argv[1])
    weather = Weather(
        delay_ms=tuple(asked.get("delay_ms", (0.0, 0.0))),
        in_order=asked.get("in_order", True),
        duplicate=asked.get("duplicate", 0.0),
        lose=asked.get("lose", 0.0),
    )
    serve(asked["ends"], Switch(weather, random.Random(asked.get("seed", 0))))


if __name__ == "__main__":
    main()
