"""Catching up: decided blocks with their certificates from peers, in order, verified before they count.

One batch is fetched while the one before is imported, no more. What a peer claims about its height only says whom to ask;
nothing counts but a certificate that verifies. A peer whose blocks do not is charged, and another one is asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

import structlog

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.errors import InvalidInput, Unavailable
from metanode.p2p.reputation import Offence
from metanode.primitives import rlp
from metanode.primitives.types import Height

if TYPE_CHECKING:
    from collections.abc import Callable

    from metanode.p2p.enode import NodeId

log = structlog.get_logger(__name__)

BATCH_BLOCKS: Final = 128
"""Blocks asked for at once; a peer sends fewer when they are large."""
RETRY_S: Final = 0.5
"""Pause when nobody delivers."""
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
    """The height known to be decided."""


class BlockSource(Protocol):
    """The peers."""

    async def request_blocks(self, first: Height, count: int) -> tuple[NodeId, list[bytes]]:
        """Consecutive decided blocks from `first`, and who sent them. Raises errors.Unavailable when nobody does."""

    def report(self, node_id: NodeId, offence: Offence) -> None:
        """Charge a peer."""


class Importer(Protocol):
    """The driver."""

    @property
    def decided_height(self) -> Height:
        """The height of the latest decided block."""

    async def import_decided(self, block: Block, certificate: Certificate) -> None:
        """Take the next block. Raises InvalidInput when it is not proven or breaks a rule."""


def encode_decided(block: bytes, certificate: Certificate) -> bytes:
    """A decided block as peers send it to each other: RLP [block, certificate]."""
    return rlp.encode([block, certificate.encode()])


def decode_decided(data: bytes) -> tuple[Block, Certificate]:
    """The block and certificate of `encode_decided`'s bytes; raises InvalidInput."""
    fields = rlp.Reader(rlp.decode(data, items_max=4), "decided block")
    block, certificate = Block.decode(fields.bytes("block")), Certificate.decode(fields.bytes("certificate"))
    fields.end()
    return block, certificate


class ChainSync:
    """Fetches what others have decided. Owner: the task of `run`; `fall_behind` is called in the same loop."""

    def __init__(self, upon_progress: Callable[[SyncProgress | None], None] = lambda _: None) -> None:
        """`upon_progress` hears of each batch, and None at the end."""
        self._upon_progress = upon_progress
        self._target = Height(0)
        self._woken = asyncio.Event()

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
        while True:
            self._woken.clear()
            height = importer.decided_height
            if height >= self._target:
                await self._woken.wait()
                continue
            log.info("sync_started", height=height, target=self._target)
            try:
                await self._catch_up(source, importer, starting=height)
                self._upon_progress(None)
            except (InvalidInput, Unavailable) as error:
                log.debug("sync_paused", height=importer.decided_height, reason=str(error)[:200])
                await asyncio.sleep(RETRY_S)

    async def _catch_up(self, source: BlockSource, importer: Importer, *, starting: Height) -> None:
        """Fetch and import until the target is reached; raises when a batch can't be had or is wrong."""
        async with _Fetcher(source) as fetcher:
            while (current := importer.decided_height) < self._target:
                if self._target - current >= REPORTED_BLOCKS:
                    self._upon_progress(
                        SyncProgress(starting=starting, current=current, highest=self._target)
                    )
                if not fetcher.is_fetching:
                    fetcher.begin(Height(importer.decided_height + 1))
                sender, batch = await fetcher.take()
                following = Height(importer.decided_height + len(batch) + 1)
                if following <= self._target:
                    fetcher.begin(following)
                await _import(source, importer, sender, batch)


async def _import(source: BlockSource, importer: Importer, sender: NodeId, batch: list[bytes]) -> None:
    for data in batch:
        try:
            block, certificate = decode_decided(data)
            await importer.import_decided(block, certificate)
        except InvalidInput as error:
            height = importer.decided_height + 1
            log.warning("sync_refused", peer=sender.hex()[:16], height=height, reason=str(error)[:200])
            source.report(sender, Offence.BAD_BLOCKS)
            raise
        if block.height % PROGRESS_BLOCKS == 0:
            log.info("sync_progress", height=block.height)


class _Fetcher:
    """At most one request under way, owned by the block it is used in."""

    def __init__(self, source: BlockSource) -> None:
        self._source = source
        self._tasks = asyncio.TaskGroup()
        self._fetch: asyncio.Task[tuple[NodeId, list[bytes]] | Unavailable] | None = None

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
        await self._tasks.__aexit__(None, None, None)

    @property
    def is_fetching(self) -> bool:
        return self._fetch is not None

    def begin(self, first: Height) -> None:
        assert self._fetch is None, "one request at a time"
        self._fetch = self._tasks.create_task(self._request(first), name=f"sync from {first}")

    async def take(self) -> tuple[NodeId, list[bytes]]:
        assert self._fetch is not None, "begin comes before take"
        result = await self._fetch
        self._fetch = None
        if isinstance(result, Unavailable):
            raise result
        return result

    async def _request(self, first: Height) -> tuple[NodeId, list[bytes]] | Unavailable:
        try:
            return await self._source.request_blocks(first, BATCH_BLOCKS)
        except Unavailable as error:
            # Handed over as a value: a failure here must not cancel the import that runs beside it.
            return error
