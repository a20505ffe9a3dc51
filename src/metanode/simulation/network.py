"""A network of links with delay, loss, duplication and reordering, drawn from the seed; partitions and filters are the scenario's."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from metanode.consensus.messages import Message
from metanode.consensus.wire import encode
from metanode.node.ports import Reception
from metanode.primitives.types import Address, Hash32, Height
from metanode.simulation.life import Life

if TYPE_CHECKING:
    from metanode.p2p.reputation import Offence
    from metanode.simulation.node import SimulatedNode

Filter = Callable[[int, int, Message], bool]
"""(sender, receiver, message) -> whether the message is delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFaults:
    """How bad every link is."""

    delay_ms_min: int = 1
    delay_ms_max: int = 50
    loss_percent: int = 0
    duplicate_percent: int = 0
    copies: int = 2
    """Of a message that is duplicated; each takes its own time, so they overtake each other and others."""


class Trace(Protocol):
    """Takes every event in its order."""

    def note(self, *facts: object) -> None:
        """Add an event."""
        ...

    def upon_sent(self, sender: int, message: Message) -> None:
        """Look at a message of a node's own, before anybody gets it."""
        ...

    def upon_answered(self, sender: int, message: Message) -> None:
        """Look at a message of a node's own, before one peer gets it."""
        ...

    def upon_delivered(self, receiver: int) -> None:
        """Look at a node that has taken a message."""
        ...


class SimulatedNetwork:
    """All links. Nodes are known by their index."""

    def __init__(
        self, *, seed: random.Random, faults: LinkFaults, trace: Trace, does_relay: bool = False
    ) -> None:
        self._random = seed
        self._trace = trace
        self._groups: Mapping[int, int] | None = None
        self._does_relay = does_relay
        self.faults = faults
        self.links: dict[tuple[int, int], LinkFaults] = {}
        """(sender, receiver) -> how bad this direction is, in place of `faults`."""
        self._cut: set[tuple[int, int]] = set()
        self._to_greet: set[tuple[int, int]] = set()
        """(one, other) whose connection has begun, while what `one` says first is on its way."""
        self.nodes: list[SimulatedNode] = []
        self.filters: list[Filter] = []
        self.strangers: set[tuple[int, int]] = set()
        """(one, other) that never meet."""
        self.travel_s: Callable[[int, int, bytes], float] | None = None
        """(sender, receiver, bytes) -> seconds on the way, in place of the drawn delay."""
        self.wait_s: Callable[[int, bytes, Message], float] | None = None
        """(receiver, bytes, message) -> seconds until the receiver's processor has handled what has just come."""
        self.delivered = 0
        self.charged: list[tuple[int, int]] = []
        """(who, whom) of each certificate that proved nothing."""
        self.malformed: list[tuple[int, int, bytes]] = []
        """(who, whom, bytes) of what came and was no message: p2p charges whose connection it was."""
        self.reports: list[tuple[int, int, Offence]] = []
        """(who, whom, what) of each answer to sync that was charged."""

    def partition(self, *groups: list[int]) -> None:
        """Let only nodes of one group reach each other; whoever is in no group is alone."""
        self._groups = {node: number for number, group in enumerate(groups) for node in group}
        self._settle_links()

    def heal(self) -> None:
        """Let everybody reach everybody, and connect as peers do."""
        self._groups = None
        self._settle_links()

    def cut(self, sender: int, receiver: int) -> None:
        """Lose everything in one direction of a connection, while the other one works and nobody notices."""
        self._cut.add((sender, receiver))

    def mend(self, sender: int, receiver: int) -> None:
        """End a cut."""
        self._cut.discard((sender, receiver))

    def is_linked(self, one: int, other: int) -> bool:
        """Tell whether two nodes run and reach each other."""
        if one == other or not (self.nodes[one].is_running and self.nodes[other].is_running):
            return False
        if (one, other) in self.strangers:
            return False
        groups = self._groups
        return groups is None or (one in groups and groups.get(one) == groups.get(other))

    def connect(self, node: int) -> None:
        """Let a node that has come up meet everybody it reaches."""
        for other in range(len(self.nodes)):
            if self.is_linked(node, other):
                self._meet(node, other)
                self._meet(other, node)

    def disconnect(self, node: int) -> None:
        """Tell the others that a node has gone."""
        for other in self.nodes:
            if other.is_running:
                other.driver.upon_peer_gone(str(node))

    def broadcast(self, sender: int, raw: bytes, message: Message, life: Life) -> None:
        """Send bytes over every link of a node, one after the other; it may be killed before any of them."""
        life.pass_by("before send")
        self._trace.upon_sent(sender, message)
        is_first = True
        for receiver in range(len(self.nodes)):
            if not self.is_linked(sender, receiver):
                continue
            if not is_first:
                life.pass_by("before send")
            is_first = False
            self.send(sender, receiver, raw, message)

    def answer(self, sender: int, receiver: int, raw: bytes, message: Message) -> None:
        """Send one peer a message of a node's own."""
        self._trace.upon_answered(sender, message)
        self.send(sender, receiver, raw, message)

    def send(self, sender: int, receiver: int, raw: bytes, message: Message) -> None:
        """Send bytes over one link, if it is up and the scenario lets them pass."""
        if not self.is_linked(sender, receiver):
            return
        if not self.lets_pass(sender, receiver, message):
            self._trace.note("filtered", sender, receiver, raw)
            return
        if (sender, receiver) in self._cut:
            self._trace.note("cut", sender, receiver, raw)
            return
        faults = self.links.get((sender, receiver), self.faults)
        if faults.loss_percent and self._random.randrange(100) < faults.loss_percent:
            self._trace.note("lost", sender, receiver, raw)
            return
        repeats = faults.duplicate_percent and self._random.randrange(100) < faults.duplicate_percent
        for _ in range(faults.copies if repeats else 1):
            travel_s = self._draw_s(faults) if self.travel_s is None else self.travel_s(sender, receiver, raw)
            asyncio.get_running_loop().call_later(travel_s, self._arrive, sender, receiver, raw, message)

    def lets_pass(self, sender: int, receiver: int, message: Message) -> bool:
        """Tell whether every filter of the scenario lets a message pass."""
        return all(lets_pass(sender, receiver, message) for lets_pass in self.filters)

    def draw_delay_s(self) -> float:
        """Draw how long a message takes, or half a request."""
        return self._draw_s(self.faults)

    def _draw_s(self, faults: LinkFaults) -> float:
        return self._random.randint(faults.delay_ms_min, faults.delay_ms_max) / 1000

    async def request_block(self, asker: int, height: Height, block_hash: Hash32) -> bytes | None:
        """Ask everybody in reach, one after another."""
        for other in range(len(self.nodes)):
            if not self.is_linked(asker, other):
                continue
            await asyncio.sleep(2 * self.draw_delay_s())
            if not self.is_linked(asker, other):
                continue
            found = self.nodes[other].find_block(height, block_hash)
            if found is not None:
                return found
        return None

    def deliver_again(self, sender: int, receiver: int, message: Message) -> None:
        """Deliver a message that a filter held back."""
        self._deliver(sender, receiver, encode(message), message)

    def _arrive(self, sender: int, receiver: int, raw: bytes, message: Message) -> None:
        if self.wait_s is None:
            self._deliver(sender, receiver, raw, message)
            return
        wait_s = self.wait_s(receiver, raw, message)
        asyncio.get_running_loop().call_later(wait_s, self._deliver, sender, receiver, raw, message)

    def _deliver(self, sender: int, receiver: int, raw: bytes, message: Message) -> None:
        if not self.is_linked(sender, receiver):
            return
        # Messages may overtake each other on a link, but none what the connection begins with.
        self._greet(sender, receiver)
        node = self.nodes[receiver]
        self.delivered += 1
        self._trace.note("delivered", sender, receiver, raw)
        reception = node.driver.receive(raw, str(sender))
        if reception is Reception.MALFORMED:
            assert self.nodes[sender].is_byzantine, raw.hex()
            self.malformed.append((receiver, sender, raw))
        if self._does_relay and reception is Reception.RELAY:
            for other in range(len(self.nodes)):
                if other != sender:
                    self.send(receiver, other, raw, message)
        self._trace.upon_delivered(receiver)

    def _settle_links(self) -> None:
        for one in range(len(self.nodes)):
            for other in range(len(self.nodes)):
                if one == other or not (self.nodes[one].is_running and self.nodes[other].is_running):
                    continue
                if self.is_linked(one, other):
                    self._meet(one, other)
                else:
                    self.nodes[one].driver.upon_peer_gone(str(other))

    def _meet(self, one: int, other: int) -> None:
        """Give `other` what `one` says when a connection begins."""
        self._to_greet.add((one, other))
        asyncio.get_running_loop().call_later(self.draw_delay_s(), self._greet, one, other)

    def _greet(self, one: int, other: int) -> None:
        if (one, other) not in self._to_greet:
            return
        self._to_greet.discard((one, other))
        if not self.is_linked(one, other):
            return
        greeter, greeted = self.nodes[one], self.nodes[other]
        greeted.driver.upon_peer_status(
            str(one), validator=greeter.address, certificate=greeter.tip_certificate
        )
        for raw, message in greeter.own_messages():
            self._deliver(one, other, raw, message)


class NodeNetwork:
    """One node's door to the network: the driver's Network."""

    def __init__(self, network: SimulatedNetwork, index: int, life: Life) -> None:
        self._network = network
        self._index = index
        self._life = life

    def broadcast(self, raw: bytes, message: Message, *, is_repeat: bool) -> None:
        """See Network."""
        del is_repeat
        mischief = self._network.nodes[self._index].mischief
        if mischief is None:
            self._network.broadcast(self._index, raw, message, self._life)
            return
        self._life.go_on()
        for receiver, forged in mischief(message):
            self._network.send(self._index, receiver, encode(forged), forged)

    def send(self, peer: str, raw: bytes, message: Message) -> None:
        """See Network."""
        self._life.pass_by("before send")
        self._network.answer(self._index, int(peer), raw, message)

    def charge(self, peer: str) -> None:
        """See Network."""
        self._network.charged.append((self._index, int(peer)))

    async def request_block(
        self, height: Height, block_hash: Hash32, holders: tuple[Address, ...]
    ) -> bytes | None:
        """See Network."""
        del holders
        return await self._network.request_block(self._index, height, block_hash)
