"""Sync against peers that deliver, stall, and lie; virtual blocks, no sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from metanode.errors import InvalidInput, Unavailable
from metanode.node import sync as sync_module
from metanode.node.sync import ChainSync, SyncProgress
from metanode.p2p.enode import NodeId
from metanode.p2p.reputation import Offence
from metanode.primitives.types import Height

if TYPE_CHECKING:
    from collections.abc import Callable

PEER = NodeId(b"p" * 64)


@dataclass(frozen=True)
class StandIn:
    """A block as far as sync looks at one."""

    height: int


@dataclass
class FakeChain:
    """Importer: takes the next block, refuses any other and those it was told to."""

    decided_height: Height = field(default=Height(0))
    refused: set[int] = field(default_factory=set)
    imported: list[int] = field(default_factory=list)

    async def import_decided(self, block: StandIn, certificate: None) -> None:
        assert certificate is None
        await asyncio.sleep(0)
        if block.height != self.decided_height + 1 or block.height in self.refused:
            raise InvalidInput(f"block {block.height} is not proven")
        self.decided_height = Height(block.height)
        self.imported.append(block.height)


@dataclass
class FakePeers:
    """Source: answers by a script, counts what it is asked."""

    answer: Callable[[int, int], list[bytes]]
    asked: list[tuple[int, int]] = field(default_factory=list)
    reports: list[Offence] = field(default_factory=list)

    async def request_blocks(self, first: Height, count: int) -> tuple[NodeId, list[bytes]]:
        self.asked.append((first, count))
        await asyncio.sleep(0)
        return PEER, self.answer(first, count)

    def report(self, node_id: NodeId, offence: Offence) -> None:
        assert node_id == PEER
        self.reports.append(offence)


@pytest.fixture(autouse=True)
def stand_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(data: bytes) -> tuple[StandIn, None]:
        if data == b"garbage":
            raise InvalidInput("decided block: not RLP")
        return StandIn(int(data)), None

    monkeypatch.setattr(sync_module, "decode_decided", decode)
    monkeypatch.setattr(sync_module, "RETRY_S", 0.0)


def blocks(first: int, count: int, head: int) -> list[bytes]:
    return [b"%d" % height for height in range(first, min(first + count, head + 1))]


async def reach(sync: ChainSync, peers: FakePeers, chain: FakeChain, height: int) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sync.run(peers, chain))  # type: ignore[arg-type]
        while chain.decided_height < height:
            await asyncio.sleep(0)
        running.cancel()


def test_a_node_that_has_fallen_behind_imports_every_block_in_order() -> None:
    chain, sync = FakeChain(), ChainSync()
    peers = FakePeers(lambda first, count: blocks(first, count, head=1000))
    sync.fall_behind(Height(1000))

    asyncio.run(reach(sync, peers, chain, 1000))

    assert chain.imported == list(range(1, 1001))
    assert peers.reports == []


def test_progress_is_told_while_far_behind_and_ends_with_none() -> None:
    told: list[SyncProgress | None] = []
    chain, sync = FakeChain(decided_height=Height(3)), ChainSync(told.append)
    peers = FakePeers(lambda first, count: blocks(first, count, head=300))
    sync.fall_behind(Height(300))

    async def catch_up() -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sync.run(peers, chain))  # type: ignore[arg-type]
            while not told or told[-1] is not None:
                await asyncio.sleep(0)
            running.cancel()

    asyncio.run(catch_up())

    assert [entry and (entry.starting, entry.current, entry.highest) for entry in told] == [
        (3, 3, 300), (3, 131, 300), (3, 259, 300), None,
    ]  # fmt: skip


def test_a_node_that_is_a_few_blocks_behind_is_not_called_syncing() -> None:
    told: list[SyncProgress | None] = []
    chain, sync = FakeChain(), ChainSync(told.append)
    peers = FakePeers(lambda first, count: blocks(first, count, head=3))
    sync.fall_behind(Height(3))

    asyncio.run(reach(sync, peers, chain, 3))

    assert [entry for entry in told if entry is not None] == []


def test_one_batch_is_fetched_ahead_and_no_more() -> None:
    chain, sync = FakeChain(), ChainSync()
    peers = FakePeers(lambda first, count: blocks(first, count, head=500))
    ahead: list[int] = []
    original = chain.import_decided

    async def watched(block: StandIn, certificate: None) -> None:
        ahead.append(max(first + count - 1 for first, count in peers.asked) - block.height)
        await original(block, certificate)

    chain.import_decided = watched  # type: ignore[method-assign]
    sync.fall_behind(Height(500))

    asyncio.run(reach(sync, peers, chain, 500))

    assert max(ahead) <= 2 * sync_module.BATCH_BLOCKS


def test_short_answers_are_taken_and_the_rest_is_asked_for() -> None:
    chain, sync = FakeChain(), ChainSync()
    peers = FakePeers(lambda first, count: blocks(first, min(count, 3), head=20))
    sync.fall_behind(Height(20))

    asyncio.run(reach(sync, peers, chain, 20))

    assert chain.imported == list(range(1, 21))


@pytest.mark.parametrize("lie", [b"garbage", b"999", b"0"])
def test_a_peer_that_sends_something_else_is_charged_and_sync_goes_on(lie: bytes) -> None:
    chain, sync = FakeChain(), ChainSync()
    lies = [lie]

    def answer(first: int, count: int) -> list[bytes]:
        return [lies.pop()] if lies else blocks(first, count, head=10)

    peers = FakePeers(answer)
    sync.fall_behind(Height(10))

    asyncio.run(reach(sync, peers, chain, 10))

    assert peers.reports == [Offence.BAD_BLOCKS]
    assert chain.imported == list(range(1, 11))


def test_nobody_to_ask_is_waited_out() -> None:
    chain, sync = FakeChain(), ChainSync()
    silences = [None] * 5

    def answer(first: int, count: int) -> list[bytes]:
        if silences:
            silences.pop()
            raise Unavailable("no peer has sent the blocks")
        return blocks(first, count, head=10)

    peers = FakePeers(answer)
    sync.fall_behind(Height(10))

    asyncio.run(reach(sync, peers, chain, 10))

    assert peers.reports == []


def test_a_node_at_the_tip_asks_nothing() -> None:
    chain, sync = FakeChain(decided_height=Height(7)), ChainSync()
    peers = FakePeers(lambda first, count: blocks(first, count, head=7))
    sync.fall_behind(Height(7))

    async def idle() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sync.run(peers, chain))  # type: ignore[arg-type]
            for _ in range(100):
                await asyncio.sleep(0)
            running.cancel()

    asyncio.run(idle())

    assert peers.asked == []
