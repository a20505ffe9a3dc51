"""Follows a chain's finalized blocks into the index, and recovers alone from whatever stops answering."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import structlog
import websockets
from websockets.asyncio.client import connect

from metanode.errors import InvalidInput, MetanodeError, StorageFailed, Unavailable
from metanode.rpc.client import open_client
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.own_task import in_own_task
from sdk.testnet.services.failures import raise_first
from sdk.testnet.services.indexer.configuration import websocket_url
from sdk.testnet.services.indexer.node import ChainNode
from sdk.testnet.services.indexer.probing import probe
from sdk.testnet.services.indexer.work import IndexWork
from sdk.testnet.services.indexer.writer import Writer
from sdk.testnet.services.own_thread import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk.testnet.services.indexer.configuration import IndexerConfig
    from sdk.testnet.services.indexer.fetched import FetchedBlock, Identity
    from sdk.testnet.services.indexer.work import Failure
    from sdk.testnet.services.store import Store

log = structlog.get_logger()

TIMEOUT_S: Final = 30.0
"""Of one answer: over the node's own limit for the traces of a block."""
LOOK_AHEAD: Final = 100
"""Blocks whose sizes are asked for at once."""
GROUPS_WAITING_MAX: Final = 1
"""Groups that are fetched and not written yet; two more are being fetched and written. One of the longest logs that gas buys has 15 MB."""
RETRY_FIRST_S: Final = 0.25
RETRY_LAST_S: Final = 5.0
"""Waits between two attempts double up to this: who is back is followed again within it."""
PROBE_PAUSE_S: Final = 1.0
PROBE_PATIENCE_S: Final = 5.0
"""A contract that did not answer in time is asked again after this, and so are those that could not be asked."""
OTHERS_TIMEOUT_S: Final = 3.0
"""They have to say their heads in this time."""
HEADS_MESSAGE_BYTES_MAX: Final = 65_536
"""A header's notification has under 2 KB."""

State = Literal[
    "starting", "behind", "live", "node behind", "node unavailable", "database unavailable", "refused"
]


class NodeBehind(Unavailable):
    """Another node of the network is further than the one that is followed."""

    def __init__(self, url: str, head: int, other: str, other_head: int) -> None:
        super().__init__(f"{url} stands at block {head}, while {other} has block {other_head}")
        self.other = other


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexerStatus:
    """What an indexer is doing."""

    state: State
    trouble: str | None = None
    """Why nothing moves, in words; None while it does."""
    indexed: int | None = None
    """Newest block in the index; None before the first."""
    head: int | None = None
    """Newest block of the node; None before it has answered."""
    rpc_url: str | None = None
    """The node that is followed, or was last."""
    changed_at: float = 0.0
    """When the state became what it is, in seconds since 1970."""

    @property
    def lag_blocks(self) -> int | None:
        """Blocks that the node has and the index does not have yet."""
        if self.head is None:
            return None
        return max(0, self.head - (-1 if self.indexed is None else self.indexed))


class Indexer:
    """Writes every finalized block of a chain into a store, in order, once.

    It may be stopped at any moment, by cancellation or by a kill, and goes on where the index ends. Two of them may write to one database.

    Args:
        store: The index.
        config: Which nodes, and what to call accounts.
        upon_blocks: Called on the event loop with the newest number after each transaction; it must not block.
    """

    def __init__(
        self, store: Store, config: IndexerConfig, *, upon_blocks: Callable[[int], None] | None = None
    ) -> None:
        self._store = store
        self._config = config
        self._writer = Writer(store, config.names)
        self._upon_blocks = upon_blocks or (lambda _number: None)
        self._status = IndexerStatus(state="starting", changed_at=time.time())
        self.work = IndexWork()
        """What it has counted."""
        self._moved = asyncio.Event()
        self._turn = 0
        """Which of the nodes is followed."""
        self._database_trouble: str | None = None
        """Why contracts can't be looked at, where it is the database: it is asked for that also while no block comes."""

    @property
    def status(self) -> IndexerStatus:
        """What it is doing now."""
        return self._status

    async def run(self) -> None:
        """Follow the chain until cancelled.

        Raises:
            InvalidInput: when the index is of another chain than the node's; the message says what to do.
        """
        async with OwnThread("indexer") as writing, OwnThread("indexer-contracts") as probing:
            self._writing, self._probing = writing, probing
            wait_s = RETRY_FIRST_S
            while True:
                url = self._config.rpc_urls[self._turn % len(self._config.rpc_urls)]
                before = self._status.indexed
                await self._attempt(url)
                wait_s = RETRY_FIRST_S if self._status.indexed != before else min(RETRY_LAST_S, 2 * wait_s)
                log.warning(
                    "indexer_waits", state=self._status.state, reason=self._status.trouble, retry_s=wait_s
                )
                await asyncio.sleep(wait_s)

    async def _attempt(self, url: str) -> None:
        """Follow one node until something ends that; what it was decides who is followed next."""
        try:
            await in_own_task(self._follow(url), name="indexer: node")
        except StorageFailed as failure:
            self._failed("database", "database unavailable", str(failure))
        except NodeBehind as failure:
            self._failed("node", "node behind", str(failure))
            self._turn = self._config.rpc_urls.index(failure.other)
        except JSONRPCError as refusal:
            self._failed("node", "node unavailable", f"{url} refuses: {refusal.message}")
            self._turn += 1
        except InvalidInput as refusal:
            self._tell("refused", str(refusal))
            log.critical("indexer_refused", reason=str(refusal))
            raise
        except Unavailable as failure:
            self._failed("node", "node unavailable", str(failure))
            self._turn += 1
        except Exception as error:
            # Whatever it is, the services beside this one go on, and the index does when it has passed.
            self._failed("block", "node unavailable", f"what {url} tells cannot be indexed: {error!r:.200}")
            log.exception("indexer_failed", rpc_url=url)
            self._turn += 1

    async def _follow(self, url: str) -> None:
        """Follow one node as long as it answers."""
        async with open_client(url, timeout_s=TIMEOUT_S) as rpc:
            node = ChainNode(rpc)
            identity = await node.identity()
            indexed = await self._writing.call(self._writer.open, identity)
            self._status = replace(self._status, indexed=indexed, rpc_url=url)
            with raise_first():
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._hear(url), name="indexer: new heads")
                    tasks.create_task(self._probe(node), name="indexer: contracts")
                    tasks.create_task(self._index(node, url, identity), name="indexer: blocks")

    async def _index(self, node: ChainNode, url: str, identity: Identity) -> None:
        useful_at = time.monotonic()
        while True:
            self._moved.clear()
            head = await node.head()
            indexed = self._status.indexed
            self._status = replace(self._status, head=head)
            if indexed is not None and head <= indexed:
                if time.monotonic() - useful_at >= self._config.standstill_s:
                    await self._compare(node, url, identity)
                    useful_at = time.monotonic()
                if head < indexed:
                    self._tell("node behind", f"{url} has blocks up to {head}, and the index up to {indexed}")
                elif self._database_trouble is not None:
                    self._tell("database unavailable", self._database_trouble)
                else:
                    self._tell("live", None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._config.poll_interval_s):
                        await self._moved.wait()
                continue
            if indexed is None or head > indexed + 1:
                self._tell("behind", None)
            await self._catch_up(node, 0 if indexed is None else indexed + 1, head)
            useful_at = time.monotonic()

    async def _compare(self, node: ChainNode, url: str, identity: Identity) -> None:
        """Raise NodeBehind if another node of the same chain is further than this one."""
        others = [other for other in self._config.rpc_urls if other != url]
        if not others:
            return
        async with asyncio.TaskGroup() as tasks:
            asked = {other: tasks.create_task(_head_of(other, identity)) for other in others}
        furthest = max(others, key=lambda other: asked[other].result())
        # This one may have been asked a moment before a block, and the other a moment after it.
        head = await node.head()
        if asked[furthest].result() > max(head, self._status.indexed or 0):
            raise NodeBehind(url, head, furthest, asked[furthest].result())

    async def _catch_up(self, node: ChainNode, first: int, head: int) -> None:
        """Fetch and write, one group ahead of the other."""
        waiting: asyncio.Queue[list[FetchedBlock] | None] = asyncio.Queue(GROUPS_WAITING_MAX)
        with raise_first():
            async with asyncio.TaskGroup() as tasks:
                fetching = _fetch(node, first, head, waiting, self.work)
                tasks.create_task(fetching, name="indexer: fetch")
                while (group := await waiting.get()) is not None:
                    begun = time.monotonic()
                    indexed = await self._writing.call(self._writer.write, group)
                    self.work.durations["write"].note(time.monotonic() - begun)
                    self.work.invalid_seals = self._writer.invalid_seals
                    self._status = replace(self._status, indexed=indexed)
                    if indexed is not None:
                        self._upon_blocks(indexed)

    async def _hear(self, url: str) -> None:
        """Wake the indexer when the node announces a block; it asks by itself while nobody does."""
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with connect(
                    websocket_url(url), max_size=HEADS_MESSAGE_BYTES_MAX, proxy=None
                ) as socket:
                    await socket.send(
                        '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'
                    )
                    async for _ in socket:
                        self._moved.set()
            await asyncio.sleep(RETRY_LAST_S)

    async def _probe(self, node: ChainNode) -> None:
        """Look at contracts; what hinders that holds no block up."""
        while True:
            try:
                count, in_time = await probe(node, self._store, self._probing)
            except StorageFailed as failure:
                self._database_trouble = str(failure)
                await asyncio.sleep(RETRY_LAST_S)
                continue
            except MetanodeError as error:
                log.warning("contracts_not_asked", reason=str(error)[:200], retry_s=PROBE_PATIENCE_S)
                await asyncio.sleep(PROBE_PATIENCE_S)
                continue
            self._database_trouble = None
            if not in_time:
                await asyncio.sleep(PROBE_PATIENCE_S)
            elif not count:
                await asyncio.sleep(PROBE_PAUSE_S)

    def _failed(self, what: Failure, state: State, trouble: str) -> None:
        self.work.failures[what] += 1
        self._tell(state, trouble)

    def _tell(self, state: State, trouble: str | None) -> None:
        if (state, trouble) != (self._status.state, self._status.trouble):
            if state == "live" and self._status.state != "behind":
                log.info("indexer_live", number=self._status.indexed)
            self._status = replace(self._status, state=state, trouble=trouble, changed_at=time.time())


async def _head_of(url: str, identity: Identity) -> int:
    """Return another node's head; -1 when it does not say, or is of another chain."""
    with contextlib.suppress(MetanodeError):
        async with open_client(url, timeout_s=OTHERS_TIMEOUT_S) as rpc:
            other = ChainNode(rpc)
            if await other.identity() == identity:
                return await other.head()
    return -1


async def _fetch(
    node: ChainNode,
    first: int,
    head: int,
    waiting: asyncio.Queue[list[FetchedBlock] | None],
    work: IndexWork,
) -> None:
    for start in range(first, head + 1, LOOK_AHEAD):
        for numbers in await node.groups(start, min(head, start + LOOK_AHEAD - 1)):
            begun = time.monotonic()
            fetched = await node.fetch(numbers, head=head)
            work.durations["fetch"].note(time.monotonic() - begun)
            await waiting.put(fetched)
    await waiting.put(None)
