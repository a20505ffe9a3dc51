"""Asking peers for blocks: which range of heights from whom, and what has come, within bounds.

Several questions are open at once, to several peers. Answers wait here until sync imports them in order. What a peer claims says whom to ask
and no more: one that does not deliver rests, longer each time, and does not count meanwhile; one that others overtake is charged.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

import structlog

from metanode.errors import Unavailable
from metanode.p2p.reputation import Offence
from metanode.primitives.types import Height

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from metanode.p2p.enode import NodeId

log = structlog.get_logger(__name__)

BATCH_BLOCKS: Final = 128
"""Blocks asked for at once, at most."""
BATCH_BYTES: Final = 1024 * 1024
"""As many blocks are asked for as have about so many bytes, by the mean of those that came last."""
FIRST_BLOCK_BYTES: Final = 64 * 1024
"""What a block is taken to have before any has come: the first question is for 16."""
WINDOW_BLOCKS: Final = 1_024
"""Heights above our own tip that are asked for or have come."""
WINDOW_BYTES: Final = 16 * 1024 * 1024
"""What may wait for import, open questions counted as `BATCH_BYTES`: beyond it only the next block is asked for."""
QUESTIONS_MAX: Final = 6
"""Open at once, over all peers."""
QUESTIONS_A_PEER_MAX: Final = 2
"""One that it answers, and one so that it need not wait for us."""
REST_S: Final = 1.0
REST_S_MAX: Final = 32.0
"""How long a peer that did not deliver is not asked; doubled each time in a row."""
SLOW_AFTER_S: Final = 1.0
SLOW_BYTES_PER_S: Final = 256 * 1024
"""The floor: whoever takes longer for the range that all wait for is asked no more, once another peer has overtaken it."""


class BlockSource(Protocol):
    """The peers."""

    def claims(self) -> Mapping[NodeId, Height]:
        """The height that each connected peer says it has; proves nothing, and may fall."""

    async def request_blocks(self, first: Height, count: int, node_id: NodeId) -> tuple[NodeId, list[bytes]]:
        """Consecutive decided blocks from `first`, at least one. Raises errors.Unavailable when they do not come."""

    def report(self, node_id: NodeId, offence: Offence) -> None:
        """Charge a peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a peer has sent: consecutive blocks, as it says."""

    first: Height
    peer: NodeId
    blocks: list[bytes]

    size_bytes: int = field(init=False, compare=False)
    """All blocks together."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_bytes", sum(map(len, self.blocks)))

    @property
    def end(self) -> int:
        """The height after the last block."""
        return self.first + len(self.blocks)


@dataclass(eq=False, slots=True, kw_only=True)
class _Question:
    """One open request."""

    first: Height
    count: int
    peer: NodeId
    asked_at: float
    task: asyncio.Task[None] | None = None

    @property
    def slow_at(self) -> float:
        return self.asked_at + SLOW_AFTER_S


@dataclass(slots=True)
class _Conduct:
    """How a peer answers."""

    open: int = 0
    failures: int = 0
    """In a row."""
    rests_until: float = float("-inf")
    seconds_a_block: float = 0.0
    has_delivered: bool = False


class Sources:
    """The peers as sources of blocks: who claims what, and how each has answered so far. Owner: sync, over all its runs."""

    def __init__(self, source: BlockSource) -> None:
        self._source = source
        self._conduct: dict[NodeId, _Conduct] = {}

    def of(self, peer: NodeId) -> _Conduct:
        """Return how a peer has answered."""
        return self._conduct.setdefault(peer, _Conduct())

    def forget_gone(self) -> None:
        """Forget peers that are not connected and owe no rest. Called between runs: it keeps the bound of the network."""
        now, claims = asyncio.get_running_loop().time(), self._source.claims()
        self._conduct = {
            peer: conduct
            for peer, conduct in self._conduct.items()
            if peer in claims or conduct.rests_until > now
        }

    def highest_claim(self, *, delivered: bool = False) -> Height:
        """Return the highest claim of those that do not rest; with `delivered`, of those that have made some of it true."""
        now = asyncio.get_running_loop().time()
        heights = [
            height
            for peer, height in self._source.claims().items()
            if self.of(peer).rests_until <= now and (self.of(peer).has_delivered or not delivered)
        ]
        return max(heights, default=Height(0))

    def best(self, first: int, *, besides: NodeId | None = None) -> NodeId | None:
        """Return whom to ask: somebody that claims the height, has little to do, and was fast."""
        now = asyncio.get_running_loop().time()
        able = [
            peer
            for peer, height in self._source.claims().items()
            if height >= first
            and peer != besides
            and self.of(peer).open < QUESTIONS_A_PEER_MAX
            and self.of(peer).rests_until <= now
        ]
        return min(
            able, key=lambda peer: (self.of(peer).open, self.of(peer).seconds_a_block, peer), default=None
        )

    def rest(self, peer: NodeId) -> None:
        """Do not ask a peer for a while."""
        conduct = self.of(peer)
        rest_s = min(REST_S_MAX, REST_S * 2.0**conduct.failures)
        conduct.failures = min(conduct.failures + 1, 16)
        conduct.rests_until = asyncio.get_running_loop().time() + rest_s

    def charge(self, peer: NodeId, offence: Offence) -> None:
        """Charge a peer, and do not ask it for a while."""
        self._source.report(peer, offence)
        self.rest(peer)

    async def request(self, first: Height, count: int, peer: NodeId) -> list[bytes]:
        """Ask a peer for blocks; nothing when it does not deliver."""
        try:
            _, blocks = await self._source.request_blocks(first, count, peer)
        except Unavailable as error:
            log.debug("sync_unanswered", peer=peer.hex()[:16], height=first, reason=str(error)[:200])
            return []
        return blocks


@dataclass(slots=True)
class Window:
    """The heights above our tip that are being fetched. Owner: the task of one run of sync, which enters it as a context."""

    sources: Sources
    start: Height
    """The first height that is missing."""
    _cursor: int = 0
    """The first height never asked for."""
    _again: list[tuple[int, int]] = field(default_factory=list)
    """A heap of (first, count) to be asked for again: nobody answered, or in part."""
    _questions: dict[int, list[_Question]] = field(default_factory=dict)
    """By their first height; two for a range where one peer is about to be overtaken."""
    _answers: dict[int, Answer] = field(default_factory=dict)
    _block_bytes: float = FIRST_BLOCK_BYTES
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)

    def __post_init__(self) -> None:
        self._cursor = self.start

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for question in self._open():
            assert question.task is not None
            question.task.cancel()
        await self._tasks.__aexit__(kind, error, trace)

    @property
    def held_bytes(self) -> int:
        """What has come and waits for import."""
        return sum(answer.size_bytes for answer in self._answers.values())

    @property
    def is_asking(self) -> bool:
        """Whether a question is open."""
        return bool(self._questions)

    def fill(self, tip: Height, goal: Height) -> None:
        """Ask for what is missing up to `goal`, as far as the bounds allow."""
        self._forget_up_to(tip)
        while (piece := self._next_piece(tip, goal)) is not None:
            first, count = piece
            peer = self.sources.best(first)
            if peer is None:
                break
            self._drop_piece(first, count)
            self._ask(Height(first), count, peer)
        self._overtake(tip)

    def take(self, tip: Height) -> Answer | None:
        """Return what has come for the next height; then it is the caller's to import or to `refuse`."""
        answer = self._answers.pop(tip + 1, None)
        if answer is not None:
            self._block_bytes = max(256.0, answer.size_bytes / len(answer.blocks))
        return answer

    def credit(self, answer: Answer) -> None:
        """Note that a part of an answer has verified: what the peer claims is worth telling."""
        self.sources.of(answer.peer).has_delivered = True

    def refuse(self, answer: Answer, tip: Height) -> None:
        """Charge who has sent an answer, and forget what else has come from there."""
        self.sources.charge(answer.peer, Offence.BAD_BLOCKS)
        self._put_back(max(answer.first, tip + 1), answer.end)
        for other in [other for other in self._answers.values() if other.peer == answer.peer]:
            del self._answers[other.first]
            self._put_back(other.first, other.end)
        self._withdraw(answer.peer)

    async def wait(self, within_s: float) -> None:
        """Wait until something has come or was given up, but not longer than a while."""
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    # --- inside ---

    def _open(self) -> list[_Question]:
        return [question for questions in self._questions.values() for question in questions]

    def _next_piece(self, tip: Height, goal: Height) -> tuple[int, int] | None:
        """The lowest missing range that may be asked for now."""
        if len(self._open()) >= QUESTIONS_MAX:
            return None
        count_max = max(1, min(BATCH_BLOCKS, int(BATCH_BYTES / self._block_bytes)))
        if self._again:
            first, count = self._again[0]
        else:
            first, last = self._cursor, min(goal, tip + WINDOW_BLOCKS)
            count = last - first + 1
            if count < count_max and last < goal and first != tip + 1:
                # The window moves by a block for each that is imported: a question for each would be a round trip for each.
                return None
        if count <= 0:
            return None
        held = self.held_bytes + len(self._open()) * BATCH_BYTES
        if held + BATCH_BYTES > WINDOW_BYTES and first != tip + 1:
            return None
        return first, min(count, count_max)

    def _drop_piece(self, first: int, count: int) -> None:
        """Note that a range is being asked for."""
        if self._again and self._again[0][0] == first:
            _, whole = heapq.heappop(self._again)
            self._put_back(first + count, first + whole)
        else:
            self._cursor = first + count

    def _put_back(self, first: int, end: int) -> None:
        if first < end:
            heapq.heappush(self._again, (first, end - first))

    def _ask(self, first: Height, count: int, peer: NodeId) -> None:
        question = _Question(first=first, count=count, peer=peer, asked_at=asyncio.get_running_loop().time())
        self._questions.setdefault(first, []).append(question)
        conduct = self.sources.of(peer)
        conduct.open += 1

        def close(_: asyncio.Task[None]) -> None:
            conduct.open -= 1

        question.task = self._tasks.create_task(self._request(question), name=f"sync from {first}")
        question.task.add_done_callback(close)

    async def _request(self, question: _Question) -> None:
        blocks = await self.sources.request(question.first, question.count, question.peer)
        self._upon_answer(question, blocks)
        self._news.set()

    def _upon_answer(self, question: _Question, blocks: list[bytes]) -> None:
        rivals = self._questions[question.first]
        rivals.remove(question)
        first, end = question.first, question.first + question.count
        if not blocks:
            self.sources.rest(question.peer)
            if not rivals:
                del self._questions[first]
                self._put_back(first, end)
            return
        del self._questions[first]
        for rival in rivals:
            assert rival.task is not None
            rival.task.cancel()
            if rival.asked_at < question.asked_at:
                log.info("sync_overtaken", peer=rival.peer.hex()[:16], height=first)
                self.sources.charge(rival.peer, Offence.SLOW)
                self._withdraw(rival.peer)
        answer = Answer(first=first, peer=question.peer, blocks=blocks)
        conduct = self.sources.of(question.peer)
        conduct.failures = 0
        conduct.seconds_a_block = (asyncio.get_running_loop().time() - question.asked_at) / len(blocks)
        self._answers[first] = answer
        self._put_back(answer.end, end)
        if answer.end < end and answer.size_bytes < BATCH_BYTES:
            # It claims more, there was room for more, and it gave less: somebody else is asked first.
            self.sources.rest(question.peer)

    def _withdraw(self, peer: NodeId) -> None:
        """Wait for nothing more from a peer; what it was asked for is asked for elsewhere."""
        for question in [question for question in self._open() if question.peer == peer]:
            assert question.task is not None
            question.task.cancel()
            rivals = self._questions[question.first]
            rivals.remove(question)
            if not rivals:
                del self._questions[question.first]
                self._put_back(question.first, question.first + question.count)

    def _overtake(self, tip: Height) -> None:
        """Ask a second peer for the range that everything waits for, when the first one is slow."""
        questions = self._questions.get(tip + 1, [])
        if len(questions) != 1 or tip + 1 in self._answers:
            return
        (late,) = questions
        patience_s = late.count * self._block_bytes / SLOW_BYTES_PER_S
        if asyncio.get_running_loop().time() < late.slow_at + patience_s:
            return
        peer = self.sources.best(late.first, besides=late.peer)
        if peer is not None:
            self._ask(late.first, late.count, peer)

    def _forget_up_to(self, tip: Height) -> None:
        """Let go of what consensus has decided by itself meanwhile."""
        for first in [first for first, answer in self._answers.items() if first <= tip]:
            answer = self._answers.pop(first)
            self._put_back(max(first, tip + 1), answer.end)
        while self._again and self._again[0][0] <= tip:
            first, count = heapq.heappop(self._again)
            self._put_back(max(first, tip + 1), first + count)
        self._cursor = max(self._cursor, tip + 1)
