"""Sync against peers that deliver, stall, dawdle and lie; stand-ins for blocks, no sockets, virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import structlog

from metanode.errors import InvalidInput, Unavailable
from metanode.node import fetching
from metanode.node import sync as sync_module
from metanode.node.sync import ChainSync, SyncProgress
from metanode.p2p.enode import NodeId
from metanode.p2p.reputation import Offence
from metanode.primitives.types import Height
from metanode.simulation.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ALICE, BOB, CAROL = NodeId(b"a" * 64), NodeId(b"b" * 64), NodeId(b"c" * 64)
FULL_BLOCK_BYTES = 320_000


@dataclass(frozen=True)
class StandIn:
    """A block as far as sync looks at one."""

    height: int
    is_good: bool


def encode(height: int, *, mark: bytes = b"good", size: int = 0) -> bytes:
    return (b"%d %s " % (height, mark)).ljust(size, b".")


def decode(data: bytes) -> tuple[StandIn, None]:
    height, mark, *_ = data.split(b" ")
    if mark == b"garbage":
        raise InvalidInput("decided block: not RLP")
    return StandIn(int(height), mark == b"good"), None


@pytest.fixture(autouse=True)
def stand_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    monkeypatch.setattr(sync_module, "decode_decided", decode)


@dataclass
class FakeChain:
    """Importer: takes the next block if it is good, and a moment for it."""

    decided_height: Height = field(default=Height(0))
    import_s: float = 0.001
    imported: list[int] = field(default_factory=list)
    held_back: list[bool] = field(default_factory=list)

    async def import_decided(self, block: StandIn, certificate: None) -> None:
        assert certificate is None
        await asyncio.sleep(self.import_s)
        if block.height <= self.decided_height:
            return
        if block.height != self.decided_height + 1 or not block.is_good:
            raise InvalidInput(f"block {block.height} is not proven")
        self.decided_height = Height(block.height)
        self.imported.append(block.height)

    def hold_back(self, *, is_behind: bool) -> None:
        self.held_back.append(is_behind)

    @property
    def is_held_back(self) -> bool:
        return bool(self.held_back) and self.held_back[-1]


@dataclass
class FakePeer:
    """One peer: what it claims, how long it takes, and what it makes of a question."""

    claim: int
    answer_s: float = 0.01
    block_bytes: int = 0
    give: Callable[[int, int], list[bytes]] | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    def blocks(self, first: int, count: int) -> list[bytes]:
        """As an honest peer: as many as it has, and no further one after two megabytes."""
        most = max(1, 2**21 // max(1, self.block_bytes))
        end = min(first + min(count, most), self.claim + 1)
        return [encode(height, size=self.block_bytes) for height in range(first, end)]


class FakePeers:
    """Source: the connected peers. Who is charged with 100 points is gone."""

    def __init__(self, peers: dict[NodeId, FakePeer]) -> None:
        self.peers = peers
        self.reports: Counter[tuple[NodeId, Offence]] = Counter()
        self.open = 0
        self.open_most = 0

    def claims(self) -> dict[NodeId, Height]:
        return {node_id: Height(peer.claim) for node_id, peer in self.peers.items()}

    async def request_blocks(self, first: Height, count: int, node_id: NodeId) -> tuple[NodeId, list[bytes]]:
        assert count > 0
        peer = self.peers.get(node_id)
        if peer is None:
            raise Unavailable("not connected")
        assert peer.claim >= first, "nobody is asked for more than it claims"
        peer.asked.append((first, count))
        self.open += 1
        self.open_most = max(self.open_most, self.open)
        try:
            await asyncio.sleep(peer.answer_s)
        finally:
            self.open -= 1
        blocks = (peer.give or peer.blocks)(first, count)
        if not blocks or node_id not in self.peers:
            raise Unavailable("no answer")
        return node_id, blocks

    def report(self, node_id: NodeId, offence: Offence) -> None:
        self.reports[node_id, offence] += 1
        if offence is Offence.BAD_BLOCKS or self.reports[node_id, offence] == 3:
            self.peers.pop(node_id, None)


def play(scenario: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(3_600):
            await scenario

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(bounded())


async def run_until(sync: ChainSync, peers: FakePeers, chain: FakeChain, done: Callable[[], bool]) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sync.run(peers, chain))  # type: ignore[arg-type]
        while not done():
            await asyncio.sleep(0.01)
        running.cancel()


def catch_up(
    peers: dict[NodeId, FakePeer], *, to: int, chain: FakeChain | None = None, known: bool = True
) -> tuple[FakeChain, FakePeers]:
    chain, source, sync = chain or FakeChain(), FakePeers(peers), ChainSync()
    if known:
        sync.fall_behind(Height(to))
    play(run_until(sync, source, chain, lambda: chain.decided_height >= to and not chain.is_held_back))
    return chain, source


def test_a_node_that_is_far_behind_imports_every_block_in_order_from_several_peers() -> None:
    peers = {ALICE: FakePeer(5_000), BOB: FakePeer(5_000), CAROL: FakePeer(5_000)}

    chain, source = catch_up(peers, to=5_000, chain=FakeChain(import_s=0.00001))

    assert chain.imported == list(range(1, 5_001))
    assert not source.reports
    assert all(len(peer.asked) > 5 for peer in peers.values()), "the work is shared"


def test_fetching_and_importing_overlap() -> None:
    async def scenario() -> None:
        chain, sync = FakeChain(import_s=0.01), ChainSync()
        source = FakePeers({ALICE: FakePeer(1_280, answer_s=0.5), BOB: FakePeer(1_280, answer_s=0.5)})
        sync.fall_behind(Height(1_280))
        began = asyncio.get_running_loop().time()
        await run_until(sync, source, chain, lambda: chain.decided_height == 1_280)
        took_s = asyncio.get_running_loop().time() - began
        # One after the other it is 12.8 s of import and at least ten answers of half a second.
        assert took_s < 12.8 + 2.0

    play(scenario())


@pytest.mark.parametrize("block_bytes", [500, FULL_BLOCK_BYTES])
def test_what_is_asked_for_and_what_waits_is_bounded(block_bytes: int) -> None:
    chain = FakeChain(import_s=0.02)
    peers = {node_id: FakePeer(3_000, block_bytes=block_bytes) for node_id in (ALICE, BOB, CAROL)}
    source, sync = FakePeers(peers), ChainSync()
    held: list[int] = []
    ahead: list[int] = []
    original = fetching.Window.take

    def watched(self: fetching.Window, tip: Height) -> fetching.Answer | None:
        held.append(self.held_bytes)
        asked = [first + count for peer in peers.values() for first, count in peer.asked]
        ahead.append(max(asked, default=0) - tip)
        return original(self, tip)

    async def scenario() -> None:
        sync.fall_behind(Height(3_000))
        await run_until(sync, source, chain, lambda: chain.decided_height == 3_000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching.Window, "take", watched)
        play(scenario())

    assert source.open_most <= fetching.QUESTIONS_MAX
    assert max(ahead) <= fetching.WINDOW_BLOCKS + 1
    assert max(held) <= fetching.WINDOW_BYTES + fetching.QUESTIONS_MAX * 2**21
    assert chain.imported == list(range(1, 3_001))


def test_a_window_that_moves_block_by_block_asks_for_many_at_once() -> None:
    peers = {node_id: FakePeer(10_000, answer_s=0.3) for node_id in (ALICE, BOB, CAROL)}

    catch_up(peers, to=10_000)

    counts = Counter(count for peer in peers.values() for _, count in peer.asked)
    assert counts.total() <= 100, "ten thousand blocks, 128 in a question"


def test_large_blocks_are_asked_for_a_few_at_a_time() -> None:
    peers = {ALICE: FakePeer(200, block_bytes=FULL_BLOCK_BYTES)}

    catch_up(peers, to=200)

    assert max(count for _, count in peers[ALICE].asked[5:]) == 3, "about a megabyte"


def test_progress_is_told_while_far_behind_and_ends_with_none() -> None:
    told: list[SyncProgress | None] = []
    chain, sync = FakeChain(decided_height=Height(3)), ChainSync(told.append)
    sync.fall_behind(Height(300))

    play(run_until(sync, FakePeers({ALICE: FakePeer(300)}), chain, lambda: bool(told) and told[-1] is None))

    steps = [entry for entry in told if entry is not None]
    assert {(step.starting, step.highest) for step in steps} == {(3, 300)}
    assert [step.current for step in steps] == sorted(step.current for step in steps)
    assert steps[0].current > 3


def test_a_node_that_is_a_few_blocks_behind_is_not_called_syncing() -> None:
    told: list[SyncProgress | None] = []
    chain, sync = FakeChain(), ChainSync(told.append)
    sync.fall_behind(Height(3))

    play(run_until(sync, FakePeers({ALICE: FakePeer(3)}), chain, lambda: chain.decided_height == 3))

    assert [entry for entry in told if entry is not None] == []


def test_a_node_takes_no_part_from_the_first_certified_block_to_the_last() -> None:
    chain, _ = catch_up({ALICE: FakePeer(500)}, to=500)

    assert chain.held_back[0] is True
    assert chain.held_back[-1] is False
    assert False not in chain.held_back[:-1]


@pytest.mark.parametrize("mark", [b"garbage", b"false-certificate"])
@pytest.mark.parametrize("at", [1, 40])
def test_a_peer_whose_blocks_do_not_verify_is_dropped_and_another_one_is_asked(mark: bytes, at: int) -> None:
    def give(first: int, count: int) -> list[bytes]:
        heights = range(first, min(first + count, 501))
        return [encode(height, mark=mark if height >= at else b"good") for height in heights]

    liar, honest = FakePeer(500, answer_s=0.001, give=give), FakePeer(500, answer_s=0.02)

    chain, source = catch_up({ALICE: liar, BOB: honest}, to=500)

    assert chain.imported == list(range(1, 501))
    assert source.reports == {(ALICE, Offence.BAD_BLOCKS): 1}


@pytest.mark.parametrize("shift", [-1, 1, 1_000])
def test_a_peer_that_sends_other_heights_than_it_was_asked_for_is_dropped(shift: int) -> None:
    def give(first: int, count: int) -> list[bytes]:
        return [encode(height + shift) for height in range(first, first + count)]

    liar = FakePeer(500, answer_s=0.001, give=give)

    chain, source = catch_up({ALICE: liar, BOB: FakePeer(500)}, to=500)

    assert chain.imported == list(range(1, 501))
    assert source.reports == {(ALICE, Offence.BAD_BLOCKS): 1}


def test_a_height_that_is_only_claimed_stops_nobody() -> None:
    """The peer has the first hundred blocks and says a billion; it rests between questions, and never counts as ahead for long."""
    boaster = FakePeer(10**9)
    boaster.give = lambda first, count: [encode(h) for h in range(first, min(first + count, 101))]

    chain, source = catch_up({ALICE: boaster, BOB: FakePeer(100)}, to=100)

    assert chain.imported == list(range(1, 101))
    assert chain.is_held_back is False
    assert not source.reports


def test_the_target_falls_with_the_claim_that_made_it() -> None:
    chain, sync = FakeChain(), ChainSync()
    source = FakePeers({ALICE: FakePeer(10**6), BOB: FakePeer(50)})
    told: list[SyncProgress | None] = []
    sync = ChainSync(told.append)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sync.run(source, chain))  # type: ignore[arg-type]
            while chain.decided_height < 20:
                await asyncio.sleep(0.001)
            # p2p drops who lowers its claim; what was asked of it fails.
            del source.peers[ALICE]
            while chain.is_held_back or chain.decided_height < 50:
                await asyncio.sleep(0.01)
            stood_at = chain.decided_height
            await asyncio.sleep(60)
            assert chain.decided_height == stood_at
            assert not chain.is_held_back
            running.cancel()

    play(scenario())
    assert told[-1] is None


def test_claims_alone_start_sync_when_the_tip_stands_still() -> None:
    """No certificate says how far the others are: their validators are others than the ones we know."""
    chain, _ = catch_up({ALICE: FakePeer(700)}, to=700, known=False)

    assert chain.imported == list(range(1, 701))


def test_a_slow_peer_is_overtaken_charged_and_dropped_while_others_are_faster() -> None:
    slow, fast = FakePeer(20_000, answer_s=4.0), FakePeer(20_000, answer_s=0.1)

    chain, source = catch_up({ALICE: slow, BOB: fast}, to=20_000, chain=FakeChain(import_s=0.0001))

    assert chain.imported == list(range(1, 20_001))
    assert source.reports == {(ALICE, Offence.SLOW): 3}
    assert ALICE not in source.peers


def test_a_slow_peer_that_is_the_only_one_is_borne() -> None:
    chain, source = catch_up({ALICE: FakePeer(2_000, answer_s=4.0)}, to=2_000)

    assert chain.imported == list(range(1, 2_001))
    assert not source.reports


def test_peers_that_are_all_slow_are_borne() -> None:
    chain, source = catch_up(
        {ALICE: FakePeer(1_000, answer_s=3.0), BOB: FakePeer(1_000, answer_s=3.0)}, to=1_000
    )

    assert chain.imported == list(range(1, 1_001))
    assert source.peers.keys() == {ALICE, BOB}


def test_short_answers_are_taken_and_the_rest_is_asked_for() -> None:
    peer = FakePeer(60)
    peer.give = lambda first, count: peer.blocks(first, min(count, 3))

    chain, source = catch_up({ALICE: peer}, to=60)

    assert chain.imported == list(range(1, 61))
    assert not source.reports


def test_nobody_to_ask_is_waited_out() -> None:
    chain, sync = FakeChain(), ChainSync()
    peer = FakePeer(10)
    silences = [None] * 5
    peer.give = lambda first, count: [] if silences and not silences.pop() else peer.blocks(first, count)
    source = FakePeers({ALICE: peer})
    sync.fall_behind(Height(10))

    play(run_until(sync, source, chain, lambda: chain.decided_height == 10))

    assert not source.reports
    assert len(peer.asked) <= 8, "not asked all the time"


def test_a_peer_that_leaves_in_the_middle_costs_nothing_but_its_share() -> None:
    chain, sync = FakeChain(import_s=0.01), ChainSync()
    source = FakePeers({ALICE: FakePeer(900, answer_s=0.3), BOB: FakePeer(900, answer_s=0.3)})
    sync.fall_behind(Height(900))

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sync.run(source, chain))  # type: ignore[arg-type]
            while chain.decided_height < 100:
                await asyncio.sleep(0.01)
            del source.peers[ALICE]
            while chain.decided_height < 900:
                await asyncio.sleep(0.01)
            running.cancel()

    play(scenario())
    assert chain.imported == list(range(1, 901))


def test_what_consensus_decides_meanwhile_is_not_waited_for() -> None:
    chain, sync = FakeChain(), ChainSync()
    source = FakePeers({ALICE: FakePeer(400, answer_s=0.5)})
    sync.fall_behind(Height(400))

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sync.run(source, chain))  # type: ignore[arg-type]
            await asyncio.sleep(0.2)
            chain.decided_height = Height(25)
            while chain.decided_height < 400:
                await asyncio.sleep(0.01)
            running.cancel()

    play(scenario())
    assert chain.imported == list(range(26, 401))
    assert not source.reports


def test_a_node_at_the_tip_asks_nothing() -> None:
    chain, sync = FakeChain(decided_height=Height(7)), ChainSync()
    peer = FakePeer(7)
    sync.fall_behind(Height(7))

    async def idle() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sync.run(FakePeers({ALICE: peer}), chain))  # type: ignore[arg-type]
            await asyncio.sleep(100)
            running.cancel()

    play(idle())

    assert peer.asked == []
    assert chain.held_back == []
