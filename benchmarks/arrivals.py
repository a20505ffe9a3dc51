"""When blocks arrive at somebody who subscribed to them. The timestamps of blocks are whole seconds, which say nothing of a block that is late."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from websockets.sync.client import ClientConnection

LOOK_EVERY_S = 0.2
"""How soon the end is noticed while no block comes."""


@contextlib.contextmanager
def noted(url: str) -> Iterator[list[float]]:
    """Note in a thread of its own, while the block runs, the seconds of the monotonic clock at which each new block is told."""
    arrivals: list[float] = []
    over = threading.Event()
    with connect(url.replace("http:", "ws:")) as socket, ThreadPoolExecutor(1) as beside:
        socket.send(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        )
        noting = beside.submit(_note, socket, arrivals, over)
        try:
            yield arrivals
        finally:
            over.set()
        noting.result()


def _note(socket: ClientConnection, arrivals: list[float], over: threading.Event) -> None:
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            if "params" in json.loads(socket.recv(timeout=LOOK_EVERY_S)):
                arrivals.append(time.monotonic())


def intervals_s(arrivals: Sequence[float]) -> list[float]:
    """Seconds from each to the next."""
    return [later - earlier for earlier, later in itertools.pairwise(arrivals)]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by this share of them, between 0 and 1."""
    return sorted(values)[math.ceil(share * len(values)) - 1]
