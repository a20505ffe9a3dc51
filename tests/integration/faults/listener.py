"""Hears every consensus message of a network, says nothing, and writes down what a key has signed twice.

    python -m tests.integration.faults.listener GENESIS REPORT HOST:PORT ENODE…

It is a peer that relays nothing, so that it is no way around a partition. Every message of every height is decoded with its signature; what
is signed for one (height, round, class) must be one content, where a proposal counts as a prepare, and who has signed a COMMIT never claims
later to have prepared less. It knows the wire and none of the code by which nodes find evidence. REPORT is written anew when something was heard, at most ten times a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from metanode.chain.genesis import Genesis, parse_genesis
from metanode.consensus import wire
from metanode.consensus.messages import Commit, Proposal, RoundChange, SignedMessage, step_of
from metanode.errors import InvalidInput
from metanode.p2p.enode import parse_enode
from metanode.p2p.network import Network, NetworkConfig
from metanode.p2p.ports import ForkId, OpeningMessages, PeerInfo, Tip, Verdict
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives.types import ZERO_HASH, Address, Hash32, Height

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metanode.p2p.enode import NodeId

WRITE_INTERVAL_S = 0.1
PLACES_MAX = 1_000_000
"""A run of an hour has 40,000."""

Place = tuple[bytes, int, int, str]
"""Who signed, at which height and round, and what kind of message."""


class Ledger:
    """What each key has signed where."""

    def __init__(self, genesis: Genesis) -> None:
        self._domain = genesis.rules.domain
        self._signed: dict[Place, str] = {}
        self._committed: dict[tuple[bytes, int], int] = {}
        """The highest round in which a key has signed a COMMIT, by key and height."""
        self.contradictions: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.malformed = 0
        self.highest = 0

    def hear(self, raw: bytes) -> None:
        """Take the bytes of a message."""
        try:
            message = wire.decode(raw, self._domain)
        except InvalidInput:
            self.malformed += 1
            return
        if not isinstance(message, SignedMessage):
            return  # The claim that a height is decided: it carries a certificate, and no signature of its sender.
        self.enter(message)

    def enter(self, message: SignedMessage) -> None:
        """Compare with what the key has signed before."""
        author, kind = bytes(message.author), step_of(message).name
        place = (author, message.height, message.round, "PREPARE" if isinstance(message, Proposal) else kind)
        content = describe(message)
        before = self._signed.setdefault(place, content)
        self.kinds[kind] += 1
        self.highest = max(self.highest, message.height)
        if before != content:
            self._contradiction(message, f"signed two different {place[3]}: {before} and {content}")
        at_height = (author, message.height)
        if isinstance(message, Commit):
            self._committed[at_height] = max(message.round, self._committed.get(at_height, 0))
        elif isinstance(message, RoundChange):
            claimed = message.prepared.round if message.prepared else -1
            committed = self._committed.get(at_height, -1)
            if claimed < committed < message.round:
                self._contradiction(
                    message, f"committed in round {committed} and claims to have prepared {content}"
                )
        while len(self._signed) > PLACES_MAX:
            del self._signed[next(iter(self._signed))]
        while len(self._committed) > PLACES_MAX:
            del self._committed[next(iter(self._committed))]

    def _contradiction(self, message: SignedMessage, what: str) -> None:
        self.contradictions.append(
            f"0x{message.author.hex()} at height {message.height}, round {message.round}: {what}"
        )

    def to_json(self) -> dict[str, object]:
        """What the audit reads."""
        return {
            "messages": dict(self.kinds), "places": len(self._signed), "highest": self.highest,
            "malformed": self.malformed, "contradictions": self.contradictions,
        }  # fmt: skip


def describe(message: SignedMessage) -> str:
    """What was signed, beside height and round."""
    if not isinstance(message, RoundChange):
        return message.block_hash.hex()
    prepared = message.prepared
    return "nothing" if prepared is None else f"{prepared.block_hash.hex()} in round {prepared.round}"


class Ear:
    """`ChainView` and `NodeHandlers` of a peer that has nothing and passes nothing on."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self.ledger = Ledger(genesis)
        self.news = asyncio.Event()
        self.peers: set[str] = set()
        self.genesis_hash: Hash32 = genesis.hash
        self.network_id = self.chain_id = genesis.chain_id

    def tip(self) -> Tip:
        return Tip(height=Height(0), certificate_hash=ZERO_HASH)

    def fork_id(self) -> ForkId:
        ours = self._genesis.rules.fork_id(height=Height(0), timestamp=self._genesis.header.timestamp)
        return ForkId(hash=ours.hash, next=ours.next)

    def accepts_fork(self, fork_id: ForkId) -> bool:
        return fork_id == self.fork_id()

    def validators(self) -> frozenset[Address]:
        return frozenset(self._genesis.state.validators.addresses)

    def upon_consensus_message(self, raw: bytes, peer: NodeId) -> Verdict:  # noqa: ARG002 - who says it does not matter
        self.ledger.hear(raw)
        self.news.set()
        return Verdict.DROP

    def upon_certificate(self, height: Height, certificate: bytes, peer: NodeId) -> Verdict:  # noqa: ARG002 - the port's
        return Verdict.DROP

    async def upon_transactions(self, batch: bytes, peer: PeerInfo) -> Verdict:  # noqa: ARG002 - the port's
        return Verdict.DROP

    def upon_peer_ready(self, peer: PeerInfo) -> None:
        self.peers.add(peer.node_id.hex())
        self.news.set()

    def upon_peer_gone(self, peer: PeerInfo) -> None:
        self.peers.discard(peer.node_id.hex())
        self.news.set()

    def opening_messages(self) -> OpeningMessages:
        return OpeningMessages()

    async def blocks(self, first: Height, count: int, bytes_max: int) -> Sequence[bytes]:  # noqa: ARG002 - the port's
        return ()

    async def body(self, block_hash: Hash32) -> bytes | None:  # noqa: ARG002 - the port's
        return None


async def listen(genesis: Genesis, report: Path, host: str, port: int, enodes: Sequence[str]) -> None:
    """Listen until killed."""
    ear = Ear(genesis)
    config = NetworkConfig(
        key=NodeKey(os.urandom(32)), client="listener", listen_host=host, listen_port=port,
        peers=tuple(map(parse_enode, enodes)), discovers=False,
    )  # fmt: skip
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Network(config, chain=ear, handlers=ear).run())
        while True:
            ear.news.clear()
            unfinished = report.with_suffix(".new")
            unfinished.write_text(json.dumps({"peers": len(ear.peers), **ear.ledger.to_json()}))
            unfinished.replace(report)
            await asyncio.sleep(WRITE_INTERVAL_S)
            await ear.news.wait()


def main() -> None:
    """Read what to listen to from the command line."""
    genesis, report, address, *enodes = sys.argv[1:]
    host, _, port = address.rpartition(":")
    asyncio.run(listen(parse_genesis(Path(genesis).read_text()), Path(report), host, int(port), enodes))


if __name__ == "__main__":
    main()
