"""What can be done to the network between the nodes: by the kernel in namespaces, by a relay of connections where those are not permitted."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

from tests.integration.faults.leftovers import DIES_WITH_US

from sdk.testnet.ephemeral import links as relayed
from sdk.testnet.ephemeral.links import between

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.integration.faults.namespaces import BridgedNamespaces

    from sdk.testnet.ephemeral.links import Link, Way

__all__ = ["Links", "NamespaceLinks", "NotPossible", "RelayedLinks", "between"]


class NotPossible(Exception):  # noqa: N818 - says what it is
    """This kind of network can't do that."""


class Links(Protocol):
    """The ways between the nodes. What is asked for replaces what was; `heal` ends it."""

    def mute(self, ways: Iterable[Way]) -> None:
        """Let nothing through on these ways; the opposite ones stay open."""

    def cut(self, pairs: Iterable[Way]) -> None:
        """Separate these pairs in both directions."""

    def lose(self, share: float) -> None:
        """Lose this share of all packets."""

    def distort(
        self,
        *,
        delay_ms: tuple[float, float] = (0.0, 0.0),
        in_order: bool = True,
        duplicate: float = 0.0,
        lose: float = 0.0,
    ) -> None:
        """Delay, reorder, repeat and lose."""

    def drop(self, connections: int) -> None:
        """End so many connections."""

    def heal(self) -> None:
        """Let everything through again."""

    def close(self) -> None:
        """End what this has started."""


class NamespaceLinks:
    """nft rules at each node's `eth0`; delays and repetitions by a switch in user space in the bridge's place."""

    def __init__(self, spaces: BridgedNamespaces, nodes: int) -> None:
        self._spaces = spaces
        self._nodes = nodes
        self._relay: subprocess.Popen[bytes] | None = None

    def mute(self, ways: Iterable[Way]) -> None:
        """See Links."""
        self.heal()
        for source, target in ways:
            self._rule(target, f"ip saddr {self._spaces.address(source)}", "drop")

    def cut(self, pairs: Iterable[Way]) -> None:
        """See Links."""
        self.mute([way for a, b in pairs for way in ((a, b), (b, a))])

    def lose(self, share: float) -> None:
        """See Links."""
        self.heal()
        for node in range(self._nodes):
            self._rule(node, f"numgen random mod 1000 < {round(share * 1000)}", "drop")

    def distort(
        self,
        *,
        delay_ms: tuple[float, float] = (0.0, 0.0),
        in_order: bool = True,
        duplicate: float = 0.0,
        lose: float = 0.0,
    ) -> None:
        """See Links."""
        self.heal()
        # The listener's cable too: nobody on the bridge would hear it alone.
        ends = [self._spaces.hub_end(index) for index in range(len(self._spaces.nodes))]
        for end in ends:
            self._spaces.hub.run("ip", "link", "set", end, "nomaster")
            self._spaces.hub.run("ip", "link", "set", end, "promisc", "on")
        asked = {
            "ends": ends,
            "delay_ms": delay_ms,
            "in_order": in_order,
            "duplicate": duplicate,
            "lose": lose,
        }
        self._relay = subprocess.Popen(
            [*DIES_WITH_US, *self._spaces.hub.command, sys.executable, "-m", "tests.integration.faults.frame_relay", json.dumps(asked)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        _wait_relaying(self._relay)

    def drop(self, connections: int) -> None:
        """See Links."""
        raise NotPossible(f"{connections} connections end by a relay of connections only")

    def heal(self) -> None:
        """See Links."""
        for node in range(self._nodes):
            self._spaces.nodes[node].run("nft", "flush", "chain", "inet", "faults", "input")
        if self._relay is not None:
            _end(self._relay)
            self._relay = None
            for index in range(len(self._spaces.nodes)):
                self._spaces.hub.run("ip", "link", "set", self._spaces.hub_end(index), "master", "bridge")

    def close(self) -> None:
        """See Links."""
        if self._relay is not None:
            _end(self._relay)

    def _rule(self, node: int, condition: str, verdict: str) -> None:
        self._spaces.nodes[node].run("nft", f"add rule inet faults input iifname eth0 {condition} {verdict}")


class RelayedLinks:
    """The relay of connections, one port for each ordered pair."""

    def __init__(self, links: Sequence[Link]) -> None:
        """Each link with the port of the relay."""
        self._relay = relayed.RelayedLinks(links)
        _ = self._relay.ports  # It listens.

    def mute(self, ways: Iterable[Way]) -> None:
        """See Links."""
        self._relay.mute(ways)

    def cut(self, pairs: Iterable[Way]) -> None:
        """See Links."""
        self._relay.cut(pairs)

    def lose(self, share: float) -> None:
        """See Links."""
        raise NotPossible(f"loss of {share:.0%} of packets: a relay of connections has none")

    def distort(
        self,
        *,
        delay_ms: tuple[float, float] = (0.0, 0.0),
        in_order: bool = True,
        duplicate: float = 0.0,
        lose: float = 0.0,
    ) -> None:
        """See Links."""
        if duplicate or lose or not in_order:
            raise NotPossible("a relay of connections has no packets to lose, repeat or reorder")
        self._relay.delay(delay_ms)

    def drop(self, connections: int) -> None:
        """See Links."""
        self._relay.drop(connections)

    def heal(self) -> None:
        """See Links."""
        self._relay.heal()

    def close(self) -> None:
        """See Links."""
        self._relay.close()


def _wait_relaying(relay: subprocess.Popen[bytes]) -> None:
    assert relay.stdout is not None
    assert relay.stdout.readline() == b"relaying\n", "the relay has not started"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(timeout=10.0)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
