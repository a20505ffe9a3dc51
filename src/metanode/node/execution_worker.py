"""Asks the execution client, one question at a time: finalize before validate, in order of height.

Verdicts are kept by hash, also those of abandoned rounds. "Unavailable" is no verdict: the question is asked again while it matters. A
client that has damaged data, or stopped in the middle of a call, mends by no question, nor does one whose disk goes on failing: after a
failed fsync nobody knows what is on the disk. That ends the node, to be started again, and to look at what is there. A decided block that the client calls invalid stops the node.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from typing import Final

import structlog

from metanode.chain.attributes import calculate_attributes
from metanode.chain.block import Block
from metanode.chain.header import ConsensusHeader
from metanode.chain.parameters import ChainRules
from metanode.chain.timing import calculate_due, calculate_timestamp
from metanode.consensus.effects import Decided
from metanode.consensus.inputs import Input, PayloadBuilt, PayloadMissed, VerdictGiven
from metanode.consensus.tip import Tip
from metanode.errors import InvalidInput, StorageDamaged, StorageFailed
from metanode.errors import Unavailable as UnavailableError
from metanode.execution.client import (
    BuildId,
    ExecutionClient,
    ExecutionPayload,
    Head,
    Invalid,
    Unavailable,
    Valid,
    Verdict,
)
from metanode.node.halt import ConsensusHalted
from metanode.node.ports import Clock, ConsensusStore
from metanode.primitives.types import Address, Hash32, Height, Round

log = structlog.get_logger(__name__)

VERDICTS_MAX: Final = 256
"""A height that takes a hundred rounds asks about at most as many blocks."""
RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 1.0
"""Between two questions to a client that is unavailable: soon at first, so that a hiccup costs no round."""
STORAGE_PATIENCE_S: Final = 15.0
"""How long a client's own disk may fail before the node ends and says so: a hiccup passes, a lost page does not come back."""
REBUILD_BEFORE_DUE_S: Final = 0.4
"""An early build is made again this long before its slot, with the transactions that have come."""
TAKE_AT_SLOT_S: Final = 0.2
"""How long an early build may still take when its slot has come."""
TAKE_SHARE: Final = 0.4
"""Share of the period, or of half the first deadline, that building in a later round may take."""
BACKLOG_MAX: Final = 2
"""Decided blocks waiting for the client, above which the node counts as catching up."""
BACKLOG_LIMIT: Final = 1_024
"""Decided blocks that may wait in memory: as many as the store keeps whole, so that a new life goes on from there."""
IMPORT_BLOCKS: Final = 16
IMPORT_BYTES: Final = 1024 * 1024
"""Decided blocks that are given to the client in one go: enough to keep its stages busy, few enough that they are visible soon."""


class ExecutionWorker:
    """The only caller of one client's validate and finalize. Owner: the task of `run`; builds run beside it."""

    def __init__(
        self,
        *,
        client: ExecutionClient,
        rules: ChainRules,
        clock: Clock,
        fee_recipient: Address,
        feed: Callable[[Input], None],
        upon_finalized: Callable[[Decided], None],
        upon_behind: Callable[[bool], None],
        upon_lost: Callable[[Head, Height], None],
    ) -> None:
        """`upon_lost`: the client has no block above this head any more, and had them up to this height; give them to `replay`."""
        self._client = client
        self._rules = rules
        self._clock = clock
        self._fee_recipient = fee_recipient
        self._feed = feed
        self._upon_finalized = upon_finalized
        self._upon_behind = upon_behind
        self._upon_lost = upon_lost
        self._is_restoring = False
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()
        self._decided: deque[Decided] = deque()
        self._to_check: deque[Block] = deque()
        self._news = asyncio.Event()
        self._head_moved = asyncio.Event()
        self._head = Height(0)
        self._is_behind = False
        self._trouble: str | None = None
        self._disk_fails_since: float | None = None
        self._height = Height(0)
        self._early: tuple[Height, int, BuildId] | None = None

    @property
    def head(self) -> Height:
        """Number of the client's latest finalized block."""
        return self._head

    @property
    def backlog(self) -> int:
        """Decided blocks that the client does not have yet."""
        return len(self._decided)

    @property
    def trouble(self) -> str | None:
        """Why the client does not do what it was asked last; None when it does."""
        return self._trouble

    def finalize(self, decided: Decided) -> None:
        """Queue a durable decision. Raises Unavailable when the client has not taken any of the last `BACKLOG_LIMIT`."""
        if len(self._decided) >= BACKLOG_LIMIT:
            raise UnavailableError(
                f"the execution client has stayed at block {self._head} while {len(self._decided)} more were decided; the log "
                "says why (execution_unavailable). Repair that and start the node again"
            )
        self._decided.append(decided)
        if len(self._decided) > BACKLOG_MAX:
            self._set_behind(is_behind=True)
        self._news.set()

    def check(self, block: Block) -> None:
        """Queue the question whether an undecided block is valid."""
        self._to_check.append(block)
        self._news.set()

    def enter_height(self, height: Height) -> None:
        """Drop questions about blocks of earlier heights."""
        self._height = height
        self._to_check = deque(block for block in self._to_check if block.height >= height)
        self._early = None

    # --- start -------------------------------------------------------------------------------------------------------------------------

    async def recover(self, tip: ConsensusHeader, store: ConsensusStore) -> Height:
        """Bring the client to the decided tip from our own store, and return its head; see docs/spec/consensus.md, Starting again.

        A client that is ahead stays ahead: whoever signs must wait until the chain has passed its head. Blocks that the store has no longer
        are fetched by sync; then the head stays below the tip. Raises ConsensusHalted when client and chain hold different blocks.
        """
        head = await self._client.head()
        common = min(head.number, tip.height)
        header = await store.header(Height(common))
        if header is None:
            raise ConsensusHalted(f"the store has no header of height {common}, which it has decided")
        if head.number <= tip.height:
            found = head.hash
        else:
            payload = await self._client.payload(common) if common else None
            found = payload.hash if payload else header.execution_hash
        check_block(header, found)
        number = head.number
        while number < tip.height:
            block = await store.block(Height(number + 1))
            if block is None:
                log.warning("execution_replay_incomplete", head=number, tip=tip.height)
                break
            payload = ExecutionPayload(execution_rlp=block.execution_rlp, requests=block.requests)
            if not await self._ask_until_finalized(payload, Height(number + 1)):
                break
            number += 1
        self._head = Height(number)
        return self._head

    async def replay(self, block: Block) -> None:
        """Give the client a decided block that sync has fetched again, the next one after its head."""
        payload = ExecutionPayload(execution_rlp=block.execution_rlp, requests=block.requests)
        while not await self._ask_until_finalized(payload, block.height):  # noqa: ASYNC110 - the client tells nobody when it is back
            await asyncio.sleep(RETRY_MAX_S)
        self._set_head(block.height)

    def end_restoring(self) -> None:
        """Note that the blocks which the client had lost are there again."""
        self._is_restoring = False
        self._set_behind(is_behind=len(self._decided) > BACKLOG_MAX)

    async def _look_for_loss(self) -> None:
        """Find out whether a client that does not do its work has restarted without its last blocks: then nothing works until it has them."""
        if self._is_restoring:
            return
        known = self._head
        try:
            head = await self._client.head()
        except StorageDamaged:
            raise
        except UnavailableError:
            return
        if head.number >= known:
            return
        log.warning("execution_blocks_lost", head=head.number, was=known)
        self._is_restoring = True
        self._head = Height(head.number)
        self._early = None
        self._set_behind(is_behind=True)
        self._upon_lost(head, known)

    async def _ask_until_finalized(self, payload: ExecutionPayload, height: Height) -> bool:
        """Validate and finalize a decided block once; tell whether the client did."""
        try:
            verdict = await self._verdict(payload)
            match verdict:
                case Valid():
                    await self._client.finalize(payload.hash)
                case Invalid():
                    raise ConsensusHalted(
                        f"height {height}: the decided execution block 0x{payload.hash.hex()} is invalid for this client: {verdict.reason}"
                    )
                case Unavailable():
                    return self._note_unavailable(height, verdict.reason)
        except StorageDamaged:
            raise
        except StorageFailed as error:
            now = asyncio.get_running_loop().time()
            self._disk_fails_since = self._disk_fails_since or now
            if now - self._disk_fails_since > STORAGE_PATIENCE_S:
                raise
            return self._note_unavailable(height, str(error))
        except UnavailableError as error:
            return self._note_unavailable(height, str(error))
        self._trouble = self._disk_fails_since = None
        return True

    def _note_unavailable(self, height: Height, reason: str) -> bool:
        self._trouble = reason
        log.warning("execution_unavailable", height=height, reason=reason)
        return False

    # --- decided and undecided blocks --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the two queues until cancelled."""
        pause_s = RETRY_FIRST_S
        while True:
            self._news.clear()
            done = True
            if self._decided:
                done = await self._finalize_next()
            elif self._to_check:
                done = await self._check_next()
            else:
                await self._news.wait()
                continue
            if done:
                pause_s = RETRY_FIRST_S
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_MAX_S)

    async def _finalize_next(self) -> bool:
        if await self._finalize_many():
            return True
        decided = self._decided[0]
        block = decided.block
        if block.height <= self._head:
            if not await self._compare(block):
                return False
        else:
            payload = ExecutionPayload(execution_rlp=block.execution_rlp, requests=block.requests)
            if block.height != self._head + 1 or not await self._ask_until_finalized(payload, block.height):
                self._set_behind(is_behind=True)
                await self._look_for_loss()
                return False
        self._decided.popleft()
        self._set_head(max(self._head, block.height))
        if not self._decided:
            self._set_behind(is_behind=False)
        self._upon_finalized(decided)
        return True

    async def _finalize_many(self) -> bool:
        """Give the client the next few blocks that wait, if there are some; tell whether it took any."""
        batch: list[Decided] = []
        size = 0
        for decided in islice(self._decided, IMPORT_BLOCKS):
            size += len(decided.block.execution_rlp)
            if decided.block.height != self._head + 1 + len(batch) or (batch and size > IMPORT_BYTES):
                break
            batch.append(decided)
        if len(batch) < 2:
            return False
        payloads = [
            ExecutionPayload(execution_rlp=decided.block.execution_rlp, requests=decided.block.requests)
            for decided in batch
        ]
        try:
            reached = (await self._client.import_payloads(payloads)).number
        except StorageDamaged:
            raise
        except (UnavailableError, InvalidInput) as error:
            # Those before the block at fault are final. That one is asked about alone, which tells what is wrong.
            log.debug("import_interrupted", height=batch[0].block.height, reason=str(error)[:200])
            try:
                reached = (await self._client.head()).number
            except StorageDamaged:
                raise
            except UnavailableError:
                return False
        taken = [decided for decided in batch if decided.block.height <= reached]
        for decided in taken:
            self._decided.popleft()
            self._set_head(decided.block.height)
            if not self._decided:
                self._set_behind(is_behind=False)
            self._upon_finalized(decided)
        return bool(taken)

    async def _compare(self, block: Block) -> bool:
        """Halt if the client, which was ahead, has another block at a height that is now decided; tell whether it could be asked."""
        try:
            payload = await self._client.payload(block.height)
        except StorageDamaged:
            raise
        except UnavailableError as error:
            return self._note_unavailable(block.height, str(error))
        if payload is not None and payload.hash != block.header.execution_hash:
            raise _other_block(block.header, payload.hash)
        self._trouble = None
        return True

    async def _check_next(self) -> bool:
        block = self._to_check[0]
        payload = ExecutionPayload(execution_rlp=block.execution_rlp, requests=block.requests)
        verdict: Verdict = Unavailable("the parent is not finalized yet")
        if self._head == block.height - 1:
            verdict = await self._verdict(payload)
        # The queue may have changed while we waited; enter_height drops what no longer matters.
        if not self._to_check or self._to_check[0] is not block:
            return True
        match verdict:
            case Unavailable():
                log.debug("verdict_unavailable", height=block.height, reason=verdict.reason)
                self._to_check.rotate(-1)
                await self._look_for_loss()
                return False
            case Invalid():
                log.warning("block_invalid", height=block.height, reason=verdict.reason[:200])
            case Valid():
                pass
        self._to_check.popleft()
        self._feed(VerdictGiven(block_hash=block.hash, is_valid=isinstance(verdict, Valid)))
        return True

    async def _verdict(self, payload: ExecutionPayload) -> Verdict:
        known = self._verdicts.get(payload.hash)
        if isinstance(known, Invalid):
            return known
        verdict = await self._client.validate(payload)
        if not isinstance(verdict, Unavailable):
            self._verdicts[payload.hash] = verdict
            while len(self._verdicts) > VERDICTS_MAX:
                self._verdicts.popitem(last=False)
        return verdict

    def _set_head(self, head: Height) -> None:
        self._head = head
        self._head_moved.set()
        self._head_moved = asyncio.Event()
        self._news.set()

    def _set_behind(self, *, is_behind: bool) -> None:
        if is_behind != self._is_behind:
            self._is_behind = is_behind
            self._upon_behind(is_behind)

    # --- building ----------------------------------------------------------------------------------------------------------------------

    async def build_early(self, tip: Tip) -> None:
        """Begin the block of the next slot right after its parent is final, and again shortly before the slot."""
        parameters = self._rules.parameters
        due_s = calculate_due(
            parent_timestamp=tip.header.timestamp,
            genesis_time=parameters.genesis_time,
            period_s=parameters.period_s,
        )
        try:
            await self._wait_head(Height(tip.header.height))
            await self._start(tip, Round(0))
            wait_s = due_s - REBUILD_BEFORE_DUE_S - self._clock.wall_ms() / 1000
            if 0 < wait_s <= parameters.period_s:
                await asyncio.sleep(wait_s)
                await self._start(tip, Round(0))
        except UnavailableError as error:
            log.warning("build_failed", height=tip.header.height + 1, reason=str(error))

    async def build(self, tip: Tip, round_: Round, within_s: float) -> None:
        """Build the fresh block of a round, and feed it or that it was missed."""
        height = Height(tip.header.height + 1)
        try:
            async with asyncio.timeout(within_s):
                payload = await self._build(tip, round_, within_s)
        except (TimeoutError, UnavailableError) as error:
            log.warning("build_failed", height=height, round=round_, reason=str(error) or "no time left")
            await self._look_for_loss()
            self._feed(PayloadMissed(height=height, round=round_))
            return
        self._feed(
            PayloadBuilt(
                height=height,
                round=round_,
                execution_rlp=payload.execution_rlp,
                requests=payload.requests,
            )
        )

    async def _build(self, tip: Tip, round_: Round, within_s: float) -> ExecutionPayload:
        await self._wait_head(Height(tip.header.height))
        period_s = self._rules.parameters.period_s
        early = self._early
        if early is not None and early[:2] == (tip.header.height + 1, self._timestamp(tip, round_)):
            build_id, deadline_s = early[2], TAKE_AT_SLOT_S
        else:
            build_id = await self._start(tip, round_)
            deadline_s = min(TAKE_SHARE * period_s, within_s / 2)
        payload = await self._client.take_build(build_id, deadline_s=deadline_s)
        # A block that was not validated must not be proposed: with an external client, building is not importing.
        verdict = await self._verdict(payload)
        if not isinstance(verdict, Valid):
            raise UnavailableError(f"the client does not accept its own block: {verdict.reason}")
        return payload

    async def _start(self, tip: Tip, round_: Round) -> BuildId:
        timestamp = self._timestamp(tip, round_)
        attributes = calculate_attributes(
            tip.state, tip.header, self._rules, timestamp=timestamp, fee_recipient=self._fee_recipient
        )
        build_id = await self._client.start_build(tip.header.execution_hash, attributes)
        if round_ == 0:
            self._early = (Height(tip.header.height + 1), timestamp, build_id)
        return build_id

    def _timestamp(self, tip: Tip, round_: Round) -> int:
        parameters = self._rules.parameters
        return calculate_timestamp(
            parent_timestamp=tip.header.timestamp,
            genesis_time=parameters.genesis_time,
            period_s=parameters.period_s,
            round=round_,
            now_ms=self._clock.wall_ms(),
        )

    async def _wait_head(self, height: Height) -> None:
        while self._head < height:
            await self._head_moved.wait()


def check_block(header: ConsensusHeader, found: Hash32) -> None:
    """Raise ConsensusHalted unless this is the execution block of a decided header."""
    if found != header.execution_hash:
        raise _other_block(header, found)


def _other_block(header: ConsensusHeader, found: Hash32) -> ConsensusHalted:
    """The halt when client and chain hold different blocks; ours has a certificate, the client's has only been finalized."""
    return ConsensusHalted(
        f"height {header.height}: decided is 0x{header.hash.hex()} with the execution block 0x{header.execution_hash.hex()}, the execution "
        f"client has 0x{found.hex()}. Either the client's data is of another life of this chain, or two blocks are decided at this height, "
        "for which a third or more of the voting power must have signed twice. This node has stopped consensus and signs nothing. What to do: "
        "compare with the other operators (ibft_getCommitCertificate shows this node's proof); if they have decided the same block, stop this "
        "node, remove engine/ of its data directory, and start it: node.db and peers fill it again. If they have decided the client's block, "
        "remove node.db too, and never signer.log"
    )
