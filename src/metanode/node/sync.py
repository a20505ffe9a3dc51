"""Catching up: decided blocks with their certificates from peers, in order, verified before they count.

Fetching, verifying, storing and executing overlap: `fetching.Window` has the next ranges under way from several peers, the driver's core
verifies a block's certificate while those before it go to the disk and the execution client, and each stage is bounded. What a peer claims
about its height only says whom to ask; nothing counts but a certificate that verifies. A peer whose blocks do not is charged, and
another one is asked. Everything imported is durable, so a new life goes on where the last one ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.errors import InvalidInput
from metanode.node.fetching import Answer, BlockSource, Sources, Window
from metanode.primitives import rlp
from metanode.primitives.types import Height

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

RETRY_S: Final = 0.5
"""Pause when nobody delivers."""
LOOK_S: Final = 1.0
"""A claim above our tip counts once the tip has stood still for so long: in a live network everybody is behind for a moment."""
WAKE_S: Final = 0.25
"""A run looks at least so often whether a claim has fallen or a peer is slow."""
PROGRESS_BLOCKS: Final = 1_000
"""A line in the log after so many."""
REPORTED_BLOCKS: Final = 4
"""A node closer to the target than this is not called syncing: it is there before a caller has read the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncProgress:
    """How far catching up is, for `eth_syncing`."""

    starting: Height
    """Where it began."""
    current: Height
    highest: Height
    """The height known to be decided, or claimed by a peer that has proven a part of it."""


class Importer(Protocol):
    """The driver."""

    @property
    def decided_height(self) -> Height:
        """The height of the latest decided block."""

    async def import_decided(self, block: Block, certificate: Certificate) -> None:
        """Take the next block. Raises InvalidInput when it is not proven or breaks a rule."""

    def hold_back(self, *, is_behind: bool) -> None:
        """Take no part in consensus while certified blocks are coming in that others have decided."""


def encode_decided(block: bytes, certificate: Certificate) -> bytes:
    """A decided block as peers send it to each other: RLP [block, certificate]."""
    return rlp.encode([block, certificate.encode()])


def decode_decided(data: bytes) -> tuple[Block, Certificate]:
    """The block and certificate of `encode_decided`'s bytes; raises InvalidInput."""
    fields = rlp.Reader(rlp.decode(data, items_max=4), "decided block")
    block, certificate = Block.decode(fields.bytes("block")), Certificate.decode(fields.bytes("certificate"))
    fields.end()
    return block, certificate


def _check_height(block: Block, expected: Height) -> None:
    if block.height != expected:
        raise InvalidInput(f"decided block: height {expected} was asked for, found {block.height}")


class ChainSync:
    """Fetches what others have decided. Owner: the task of `run`; `fall_behind` is called in the same loop."""

    def __init__(self, upon_progress: Callable[[SyncProgress | None], None] = lambda _: None) -> None:
        """`upon_progress` hears of each batch, and None at the end."""
        self._upon_progress = upon_progress
        self._target = Height(0)
        self._woken = asyncio.Event()
        self._stood_at: tuple[Height, float] = (Height(0), float("-inf"))

    @property
    def target(self) -> Height:
        """The height known to be decided; more may be."""
        return self._target

    def fall_behind(self, height: Height) -> None:
        """Others have decided this height: fetch from our own tip on."""
        self._target = max(self._target, height)
        self._woken.set()

    async def run(self, source: BlockSource, importer: Importer) -> None:
        """Catch up whenever the node falls behind, until cancelled."""
        sources = Sources(source)
        while True:
            self._woken.clear()
            height = importer.decided_height
            if height >= self._target and not self._is_left_behind(sources, height):
                await self._wait_woken()
                continue
            sources.forget_gone()
            try:
                await self._catch_up(sources, importer, starting=height)
            finally:
                importer.hold_back(is_behind=False)
            if importer.decided_height >= self._target:
                self._upon_progress(None)
            if importer.decided_height < self._target or importer.decided_height == height:
                await asyncio.sleep(RETRY_S)

    def _is_left_behind(self, sources: Sources, height: Height) -> bool:
        """Whether peers claim to be ahead, and our tip has stood still for a while."""
        now = asyncio.get_running_loop().time()
        if self._stood_at[0] != height:
            self._stood_at = (height, now)
        if now - self._stood_at[1] < LOOK_S:
            return False
        return sources.highest_claim() > height

    async def _wait_woken(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _catch_up(self, sources: Sources, importer: Importer, *, starting: Height) -> None:
        """Fetch and import until what is known to be decided is reached and nobody who delivers is ahead, or nobody delivers."""
        has_begun = False
        async with Window(sources, Height(starting + 1)) as window:
            while True:
                tip = importer.decided_height
                # Claims fall and peers go: the goal is that of this moment.
                goal = max(self._target, sources.highest_claim())
                if tip >= goal:
                    break
                window.fill(tip, goal)
                answer = window.take(tip)
                if answer is None:
                    if not window.is_asking:
                        break
                    await window.wait(WAKE_S)
                    continue
                imported = await self._import(window, importer, answer)
                if imported and not has_begun:
                    has_begun = True
                    log.info("sync_started", height=starting, target=goal)
                if imported:
                    self._tell(window, importer, starting)
        if importer.decided_height < self._target:
            log.debug("sync_paused", height=importer.decided_height, reason="no peer gives the next blocks")

    async def _import(self, window: Window, importer: Importer, answer: Answer) -> bool:
        """Import what has come, in order; return whether any of it was good. Who has sent something else is charged."""
        expected = answer.first
        for data in answer.blocks:
            try:
                block, certificate = decode_decided(data)
                _check_height(block, expected)
                await importer.import_decided(block, certificate)
            except InvalidInput as error:
                log.warning(
                    "sync_refused", peer=answer.peer.hex()[:16], height=expected, reason=str(error)[:200]
                )
                window.refuse(answer, importer.decided_height)
                return expected > answer.first
            if expected == answer.first:
                window.credit(answer)
                importer.hold_back(is_behind=True)
            if block.height % PROGRESS_BLOCKS == 0:
                log.info("sync_progress", height=block.height)
            expected = Height(expected + 1)
            # What comes meanwhile makes room for the next question.
            window.fill(importer.decided_height, max(self._target, window.sources.highest_claim()))
        return True

    def _tell(self, window: Window, importer: Importer, starting: Height) -> None:
        current = importer.decided_height
        highest = max(self._target, window.sources.highest_claim(delivered=True))
        if highest - current >= REPORTED_BLOCKS:
            self._upon_progress(SyncProgress(starting=starting, current=current, highest=highest))
