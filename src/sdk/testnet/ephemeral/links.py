"""The ways between the nodes of a network on this machine, and what can be done to them: a door to the `relay` process."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from metanode.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

Way = tuple[int, int]
"""From one node to another, by their indices."""
NOBODY_LISTENS: Final = "127.0.0.1:9"
"""What a node behind the relay tells others of itself: each reaches it by a port of its own, and by no other. Port 9 is `discard`."""
END_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What one node reaches another by."""

    caller: int
    called: int
    target_port: int
    """Where the called one listens."""
    port: int = 0
    """Where the relay listens for the caller; 0 lets the system choose."""


class RelayedLinks:
    """A relay between every two nodes. What is asked for replaces what was; `heal` ends it.

    The process ends with this one, also when that is killed.
    """

    def __init__(self, links: Sequence[Link], *, seed: int = 0) -> None:
        self._links = tuple(links)
        asked = {"links": [[x.caller, x.called, x.port, x.target_port] for x in self._links], "seed": seed}
        # A session of its own: Ctrl-C is for the test, which then stops the network, and the relay last.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sdk.testnet.ephemeral.relay", json.dumps(asked)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._ports: dict[Way, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def ports(self) -> dict[Way, int]:
        """Where each node reaches each other; waits for the relay's start. Raises Unavailable when it has ended."""
        if self._ports is None:
            found = self._answer()["ports"]
            self._ports = {
                (link.caller, link.called): port for link, port in zip(self._links, found, strict=True)
            }
        return self._ports

    def cut(self, pairs: Iterable[Way]) -> int:
        """Separate these pairs in both directions; return how many connections that ended."""
        return self._order(cut=list(pairs))["ended"]

    def mute(self, ways: Iterable[Way]) -> None:
        """Let nothing through on these ways; the opposite ones stay open, and so do the connections."""
        self._order(mute=list(ways))

    def delay(self, delay_ms: tuple[float, float]) -> None:
        """Deliver everything later, by least and most milliseconds, in order."""
        self._order(delay_ms=list(delay_ms))

    def drop(self, connections: int) -> int:
        """End so many connections, which may be made again; return how many there were."""
        return self._order(drop=connections)["ended"]

    def heal(self) -> None:
        """Let everything through again."""
        self._order()

    def close(self) -> None:
        """End the relay and with it every connection."""
        self._process.kill()
        self._process.wait(timeout=END_TIMEOUT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _order(self, **order: object) -> dict[str, int]:
        _ = self.ports  # Its first line is not an answer.
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Unavailable(f"{self._ended()}, and the nodes no longer reach each other") from None
        found: dict[str, int] = self._answer()
        return found

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Unavailable(f"{self._ended()}; what it printed stands on stderr")
        found: dict[str, Any] = json.loads(line)
        return found

    def _ended(self) -> str:
        code = self._process.wait(timeout=END_TIMEOUT_S)
        return f"the relay between the nodes, process {self._process.pid}, has ended with code {code}"


def every_way(ports: Sequence[int]) -> list[Link]:
    """A link for each ordered pair of nodes that listen on these ports."""
    return [
        Link(caller=caller, called=called, target_port=ports[called])
        for caller, called in itertools.permutations(range(len(ports)), 2)
    ]


def between(groups: Sequence[Sequence[int]]) -> list[Way]:
    """The pairs of nodes that are in different groups."""
    return [(a, b) for one, other in itertools.combinations(groups, 2) for a in one for b in other]
