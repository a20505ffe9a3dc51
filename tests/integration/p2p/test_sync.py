"""Sync over real sockets: honest peers, one whose blocks do not verify, one that cuts them, one that takes its time, and one that lowers its claim."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from metanode.errors import InvalidInput
from metanode.node import sync as sync_module
from metanode.node.sync import ChainSync
from metanode.p2p.enode import parse_enode
from metanode.primitives.types import Height

HEAD = 2_000


@dataclass(frozen=True)
class StandIn:
    """A block as far as sync looks at one."""

    height: int


@dataclass
class FakeChain:
    """Importer: takes what comes in order."""

    decided_height: Height = field(default=Height(0))

    async def import_decided(self, block: StandIn, certificate: None) -> None:
        assert certificate is None
        await asyncio.sleep(0)
        if block.height == self.decided_height + 1:
            self.decided_height = Height(block.height)

    def hold_back(self, *, is_behind: bool) -> None:
        pass


def decode(data: bytes) -> tuple[StandIn, None]:
    words = data.split(b" ", 2)
    if len(words) < 3 or words[0] != b"block" or not data.endswith(b"end"):
        raise InvalidInput("decided block: cut off, or of another chain")
    return StandIn(int(words[1])), None


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "decode_decided", decode)


def chain(make=lambda block: block) -> list[bytes]:
    return [make(b"block %d " % height + bytes(500) + b"end") for height in range(HEAD + 1)]


def test_a_node_syncs_from_the_honest_whatever_the_others_do(run, until) -> None:
    async def test(networks) -> None:
        node = await networks.start("node")
        knows = (parse_enode(node.enode),)
        liars = {
            "foreign": chain(lambda block: block.replace(b"block", b"other")),
            "cutting": chain(lambda block: block[:-1]),
        }
        for name, blocks in liars.items():
            liar = await networks.start(name, peers=knows)
            liar.handlers.chain = blocks
        for name in ("honest", "slow"):
            honest = await networks.start(name, peers=knows)
            honest.handlers.chain = chain()
            if name == "slow":
                original = honest.handlers.blocks

                async def dawdle(first, count, bytes_max, original=original):
                    await asyncio.sleep(
                        3.0
                    )  # What is slow about it: beyond the floor of `fetching`, on real sockets.
                    return await original(first, count, bytes_max)

                honest.handlers.blocks = dawdle
        for peer in networks.nodes[1:]:
            peer.chain.height = Height(HEAD)
            peer.network._exchange.send_heartbeat()
        await until(lambda: sorted(node.network.claims().values()) == [HEAD] * 4)
        importer, sync = FakeChain(), ChainSync()
        sync.fall_behind(Height(HEAD))
        syncing = asyncio.create_task(sync.run(node.network, importer))
        try:
            async with asyncio.timeout(60):
                while importer.decided_height < HEAD:
                    await asyncio.sleep(0.05)
        finally:
            syncing.cancel()
        offences = node.network.statistics().offences
        assert offences.get("bad_blocks", 0) >= 2, "both liars were found out"
        assert "malformed" not in offences

    run(test)
