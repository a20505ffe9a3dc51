"""Remembers what left which node, for scenarios whose claim is about messages."""

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from metanode.consensus.messages import Message, SignedMessage
from metanode.simulation.cluster import Cluster

MessageT = TypeVar("MessageT", bound=SignedMessage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The first time that a node sent a message of its own."""

    at_s: float
    message: SignedMessage


class Witness:
    """Sees what goes over any link, first of all filters. Owner: the scenario."""

    def __init__(self, cluster: Cluster) -> None:
        self._addresses = [node.key.address for node in cluster.nodes]
        self._known: set[tuple[int, bytes]] = set()
        self._sightings: dict[int, list[Sighting]] = {}
        cluster.network.filters.insert(0, self._see)

    def seen(self, sender: int) -> list[Sighting]:
        """Return the own messages of a node, in the order in which they left."""
        return self._sightings.get(sender, [])

    def of(self, sender: int) -> list[SignedMessage]:
        """Return the own messages of a node, in the order in which they left."""
        return [sighting.message for sighting in self.seen(sender)]

    def signatures(self, sender: int) -> set[bytes]:
        """Return the signatures of a node's own messages."""
        return {sighting.message.signature for sighting in self.seen(sender)}

    def messages(self, kind: type[MessageT], sender: int | None = None) -> list[MessageT]:
        """Return the messages of a kind by their own authors, of one node or of all."""
        senders = sorted(self._sightings) if sender is None else [sender]
        return [
            sighting.message
            for index in senders
            for sighting in self.seen(index)
            if isinstance(sighting.message, kind)
        ]

    def _see(self, sender: int, _receiver: int, message: Message) -> bool:
        if isinstance(message, SignedMessage) and message.author == self._addresses[sender]:
            key = (sender, message.signature)
            if key not in self._known:
                self._known.add(key)
                at_s = asyncio.get_running_loop().time()
                self._sightings.setdefault(sender, []).append(Sighting(at_s=at_s, message=message))
        return True
