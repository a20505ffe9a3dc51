"""A validator that signs whatever the scenario says, and sends it to whom the scenario says.

It hears what the network delivers to it, and runs an honest node beside: what that one sends passes through `edit`.
"""

from collections.abc import Callable, Collection

from metanode.chain.block import Block
from metanode.chain.header import ConsensusHeader
from metanode.consensus.messages import (
    Commit,
    Justification,
    Message,
    Prepare,
    PreparedCertificate,
    Proposal,
    RoundChange,
    SignedMessage,
)
from metanode.consensus.wire import encode
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.adversaries.corruption import corrupt
from metanode.simulation.cluster import Cluster


class Scripted:
    """One such validator. Owner: the scenario."""

    def __init__(
        self,
        cluster: Cluster,
        index: int,
        edit: Callable[[Message], Message | None] = lambda message: message,
    ) -> None:
        """`edit` sees each message of the node's own: it goes out as returned, or not at all."""
        self._network = cluster.network
        self._nodes = len(cluster.nodes)
        self.index = index
        self.node = corrupt(cluster, index)
        self.domain = cluster.rules.domain
        self.heard: list[SignedMessage] = []
        """Each message of others that came, once."""
        self._known: set[bytes] = set()
        cluster.network.filters.append(self._hear)

        def mischief(message: Message) -> list[tuple[int, Message]]:
            edited = edit(message)
            return [(other, edited) for other in range(self._nodes)] if edited is not None else []

        self.node.mischief = mischief

    def send(self, message: Message, to: Collection[int] | None = None) -> None:
        """Send a message to some, or to all."""
        raw = encode(message)
        for other in range(self._nodes) if to is None else to:
            self._network.send(self.index, other, raw, message)

    def round_changes(self, height: int, round_: int) -> list[RoundChange]:
        """Return the round changes of others to a round."""
        return [
            message
            for message in self.heard
            if isinstance(message, RoundChange) and (message.height, message.round) == (height, round_)
        ]

    # --- what it signs -------------------------------------------------------------------------------------------------------------------

    def round_change(
        self,
        height: int,
        round_: int,
        prepared: PreparedCertificate | None = None,
        *,
        key: PrivateKey | None = None,
    ) -> RoundChange:
        """Return a round change, on request by a key that is nobody's."""
        signer = key or self.node.key
        claimed = (prepared.round, prepared.block_hash) if prepared else None
        digest = self.domain.round_change(height=Height(height), round=Round(round_), prepared=claimed)
        return RoundChange(
            height=Height(height),
            round=Round(round_),
            prepared=prepared,
            author=signer.address,
            signature=signer.sign(digest),
        )

    def prepare(self, height: int, round_: int, block_hash: Hash32) -> Prepare:
        """Return a prepare."""
        digest = self.domain.prepare(height=Height(height), round=Round(round_), block_hash=block_hash)
        return Prepare(
            height=Height(height),
            round=Round(round_),
            block_hash=block_hash,
            author=self.node.key.address,
            signature=self.node.key.sign(digest),
        )

    def commit(self, height: int, round_: int, block_hash: Hash32) -> Commit:
        """Return a commit."""
        digest = self.domain.commit(height=Height(height), round=Round(round_), block_hash=block_hash)
        return Commit(
            height=Height(height),
            round=Round(round_),
            block_hash=block_hash,
            author=self.node.key.address,
            signature=self.node.key.sign(digest),
        )

    def proposal(
        self,
        round_: int,
        header: ConsensusHeader,
        block: Block | None = None,
        justification: Justification | None = None,
    ) -> Proposal:
        """Return a proposal of the header's height."""
        digest = self.domain.proposal(height=header.height, round=Round(round_), block_hash=header.hash)
        return Proposal(
            height=header.height,
            round=Round(round_),
            header=header,
            block=block,
            justification=justification,
            author=self.node.key.address,
            signature=self.node.key.sign(digest),
        )

    def _hear(self, sender: int, receiver: int, message: Message) -> bool:
        comes_here = receiver == self.index != sender
        if comes_here and isinstance(message, SignedMessage) and message.signature not in self._known:
            self._known.add(message.signature)
            self.heard.append(message)
        return True
