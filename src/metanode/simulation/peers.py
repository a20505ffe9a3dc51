"""What production sync (`metanode.node.sync`) needs of the world: the other nodes as sources of blocks, this one's driver as importer."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.consensus.messages import Decision
from metanode.errors import Unavailable
from metanode.node.driver import Driver
from metanode.node.sync import encode_decided
from metanode.p2p.enode import NodeId
from metanode.p2p.protocol import BLOCKS_MAX
from metanode.p2p.reputation import Offence, Reputation
from metanode.primitives.types import Height

if TYPE_CHECKING:
    from metanode.simulation.network import SimulatedNetwork
    from metanode.simulation.node import SimulatedNode


@dataclass(slots=True)
class Answers:
    """How a node answers others that are behind. Owner: the scenario."""

    claim: Callable[[Height], Height] = lambda height: height
    """Its true height -> what it says."""
    give: Callable[[int, list[bytes]], list[bytes]] = lambda _first, blocks: blocks
    """(first height asked for, what it has) -> what it sends."""
    takes_s: float = 0.0
    """Beside the way there and back."""


def node_id_of(index: int) -> NodeId:
    """Return the name by which peers know a node."""
    return NodeId(index.to_bytes(64, "big"))


class SimulatedPeers:
    """One life of a node: BlockSource and Importer. Whoever is banned is asked nothing; the life's end ends sync with it."""

    def __init__(self, node: "SimulatedNode", driver: Driver, network: "SimulatedNetwork") -> None:
        self._node = node
        self._driver = driver
        self._network = network
        self._reputation = Reputation()

    # --- the source ---------------------------------------------------------------------------------------------------------------------

    def claims(self) -> Mapping[NodeId, Height]:
        """See BlockSource."""
        self._end_with_life()
        return {
            node_id_of(other.index): other.answers.claim(other.disk.tip)
            for other in self._network.nodes
            if self._is_asked(other.index) and self._is_heard(other)
        }

    async def request_blocks(self, first: Height, count: int, node_id: NodeId) -> tuple[NodeId, list[bytes]]:
        """See BlockSource."""
        index = int.from_bytes(node_id, "big")
        other = self._network.nodes[index]
        await asyncio.sleep(2 * self._network.draw_delay_s() + other.answers.takes_s)
        self._end_with_life()
        if not self._is_asked(index) or not self._is_heard(other):
            raise Unavailable(f"node {index} is not connected")
        disk, last = other.disk, first - 1 + min(count, BLOCKS_MAX)
        have = zip(disk.blocks[first - 1 : last], disk.certificates[first - 1 : last], strict=True)
        blocks = other.answers.give(first, [encode_decided(b.encode(), c) for b, c in have])
        if not blocks:
            raise Unavailable(f"node {index} has no block {first}")
        return node_id, blocks

    def report(self, node_id: NodeId, offence: Offence) -> None:
        """See BlockSource."""
        index = int.from_bytes(node_id, "big")
        self._network.reports.append((self._node.index, index, offence))
        now = asyncio.get_running_loop().time()
        is_needed = self._network.nodes[index].address is not None
        if self._reputation.charge(node_id, offence, now, is_needed=is_needed):
            self._driver.upon_peer_gone(str(index))

    # --- the importer -------------------------------------------------------------------------------------------------------------------

    @property
    def decided_height(self) -> Height:
        """See Importer."""
        self._end_with_life()
        return self._driver.tip.header.height

    async def import_decided(self, block: Block, certificate: Certificate) -> None:
        """See Importer."""
        self._end_with_life()
        await self._driver.import_decided(block, certificate)

    def hold_back(self, *, is_behind: bool) -> None:
        """See Importer."""
        if self._lives():
            self._driver.hold_back(is_behind=is_behind)

    # --- inside -------------------------------------------------------------------------------------------------------------------------

    def _is_asked(self, index: int) -> bool:
        if not self._network.is_linked(self._node.index, index):
            return False
        return not self._reputation.is_banned(node_id_of(index), asyncio.get_running_loop().time())

    def _is_heard(self, other: "SimulatedNode") -> bool:
        """Whether the scenario would let a decision of the other's tip come here: then its status and its blocks do too."""
        certificate = other.tip_certificate
        return certificate is None or self._network.lets_pass(
            other.index, self._node.index, Decision(certificate=certificate)
        )

    def _lives(self) -> bool:
        return self._node.is_running and self._node.driver is self._driver

    def _end_with_life(self) -> None:
        if not self._lives():
            raise asyncio.CancelledError
