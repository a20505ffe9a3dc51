"""Links and processors with their costs: distance, bandwidth, and the time that a message takes its receiver.

The latencies are half of usual round trips between data centres of five continents, rounded up; they are an assumption, as is the
bandwidth. A processor handles one message after another: each signature that it has not seen costs 40 us (docs/evidence/catalogue.md, row 40), the rest
of a message 60 us, one whose bytes it has seen 5 us.
"""

import asyncio
import random
from typing import Final

from metanode.consensus.messages import Decision, Message, Proposal, RoundChange
from metanode.simulation.cluster import Cluster

CONTINENTS: Final = ("North America", "South America", "Europe", "Asia", "Oceania")
LATENCY_MS: Final = (
    (15, 60, 45, 110, 100),
    (60, 15, 95, 165, 160),
    (45, 95, 12, 85, 135),
    (110, 165, 85, 30, 50),
    (100, 160, 135, 50, 15),
)
"""One way, between and within continents."""
JITTER_PERCENT: Final = 10
UPLINK_BYTES_PER_S: Final = 100_000_000 // 8
SIGNATURE_S: Final = 40e-6
MESSAGE_S: Final = 60e-6
REPETITION_S: Final = 5e-6


class Geography:
    """Spreads the nodes of a cluster over the continents, in turn. Owner: the scenario."""

    def __init__(self, cluster: Cluster) -> None:
        self._random = random.Random(f"geography {cluster.seed}")
        self._uplink_free_at = [0.0] * len(cluster.nodes)
        cluster.network.travel_s = self._travel_s

    def _travel_s(self, sender: int, receiver: int, raw: bytes) -> float:
        now = asyncio.get_running_loop().time()
        begun = max(now, self._uplink_free_at[sender])
        sent = self._uplink_free_at[sender] = begun + len(raw) / UPLINK_BYTES_PER_S
        latency_ms = LATENCY_MS[sender % len(CONTINENTS)][receiver % len(CONTINENTS)]
        jitter = self._random.randrange(JITTER_PERCENT * 10) / 1000
        return sent - now + latency_ms / 1000 * (1 + jitter)


class Processors:
    """One processor for each node of a cluster. Owner: the scenario."""

    def __init__(self, cluster: Cluster) -> None:
        count = len(cluster.nodes)
        self._free_at = [0.0] * count
        self._seen: list[set[bytes]] = [set() for _ in range(count)]
        self.busy_s = [0.0] * count
        """How long each has worked."""
        cluster.network.wait_s = self._wait_s

    def _wait_s(self, receiver: int, raw: bytes, message: Message) -> float:
        seen = self._seen[receiver]
        cost_s = REPETITION_S
        if raw not in seen:
            seen.add(raw)
            signatures = [signature for signature in _signatures(message) if signature not in seen]
            seen.update(signatures)
            cost_s = MESSAGE_S + len(signatures) * SIGNATURE_S
        now = asyncio.get_running_loop().time()
        self._free_at[receiver] = max(now, self._free_at[receiver]) + cost_s
        self.busy_s[receiver] += cost_s
        return self._free_at[receiver] - now


def _signatures(message: Message) -> list[bytes]:
    """Return the signatures that a message makes its receiver check."""
    if isinstance(message, Decision):
        return list(message.certificate.seals)
    found = [message.signature]
    prepared = None
    if isinstance(message, Proposal):
        if message.block is not None and message.block.parent_certificate is not None:
            found += message.block.parent_certificate.seals
        if message.justification is not None:
            found += [claim.signature for claim in message.justification.claims]
            prepared = message.justification.prepared
    elif isinstance(message, RoundChange):
        prepared = message.prepared
    if prepared is not None:
        found += [prepared.proposal.signature, *(seal.signature for seal in prepared.prepares)]
    return found
