"""The execution client in this process: the Rust engine behind the port of `client.py`.

It converts and schedules, nothing else. A call that may take more than microseconds runs on a thread of its own kind: deciding (serial by
contract), building, and reading; the event loop never waits for the engine, and the engine never waits for the event loop.
Everything it raises is a `MetanodeError`; what the engine calls an invalid block comes out of `validate` alone.
"""

import asyncio
import contextlib
import re
import threading
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from metanode import _engine
from metanode.chain.attributes import PayloadAttributes
from metanode.errors import InvalidInput, StorageDamaged, StorageFailed
from metanode.errors import Unavailable as UnavailableError
from metanode.execution.client import (
    Accepted,
    BuildId,
    ExecutionEvent,
    ExecutionPayload,
    Head,
    HeadChanged,
    Invalid,
    Refused,
    Submission,
    TransactionsPending,
    Unavailable,
    Valid,
    Verdict,
)
from metanode.primitives.types import Hash32

T = TypeVar("T")

BUILD_TIME_S: Final = 0.35
"""A build stops adding transactions in time to be done by then: it is restarted 400 ms before a block is due."""
BUILDS_MAX: Final = 8
"""Builds not taken yet; a height has two, and one more for each round."""
EVENTS_MAX: Final = 1_024
"""Events that wait for one reader, as in the fake."""
EVENT_WAIT_S: Final = 5.0
"""How long the event thread sleeps at most in one call; closing wakes it at once."""


_SYSTEM_ERROR: Final = re.compile(
    r"(?:FjallError: )?(?:\w+\()*Os \{ code: \d+, kind: \w+, message: \"([^\"]*)\" \}\)*"
)
"""An error of the operating system as Rust prints it for its own developers, with the layers around it."""
_POSITION: Final = re.compile(r"(?:Position|Location) \{ segment: (\d+), offset: (\d+)[^}]*\}")
"""A place in the block log, printed in the same way."""

_REMEDY: Final = (
    "If the disk has room and the files may be read and written, they are damaged: move this directory away and start the node, "
    "which makes it again from node.db and its peers"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedOptions:
    """How to open the embedded engine; None takes the engine's own default."""

    path: Path | None = None
    """Directory of its data; None keeps everything in memory."""
    cache_bytes: int | None = None
    threads: int | None = None
    """Threads for blocks, and as many again for transactions that arrive; None: one of each per processor."""
    history_blocks: int | None = None
    """Blocks whose state can be asked for; None keeps all."""
    sync_every_blocks: int = 1
    """The block log is synced at every n-th decided block."""
    gas_ceiling: int | None = None
    """Most gas that a call over RPC may use."""
    pool_pending_max: int | None = None
    """Executable transactions that the pool keeps."""
    pool_queued_max: int | None = None
    """Transactions that the pool keeps although one before them is missing."""
    pool_tip_min_wei: int | None = None
    """Transactions that pay the proposer less a gas are refused."""
    client_version: str = "Metanode"
    extra_data: bytes = b""
    """Goes into the header of the blocks built here; at most 32 bytes."""
    relays_transactions: bool = False
    """Whether transactions of peers are announced again: a follower does, a validator does not."""


class EmbeddedExecution:
    """One chain in the embedded engine. Owner: the node's event loop; made by `open_embedded`."""

    def __init__(self, engine: _engine.Engine, options: EmbeddedOptions) -> None:
        self.engine: Final = engine
        """For the RPC server, which answers from it without the event loop."""
        self._options = options
        self._deciding = ThreadPoolExecutor(1, thread_name_prefix="engine-decide")
        self._building = ThreadPoolExecutor(1, thread_name_prefix="engine-build")
        self._reading = ThreadPoolExecutor(2, thread_name_prefix="engine-read")
        self._builds: OrderedDict[BuildId, Future[_engine.Built]] = OrderedDict()
        self._builds_begun = 0

    async def head(self) -> Head:
        """See ExecutionClient."""
        return _head(self.engine.head())

    async def start_build(self, parent: Hash32, attributes: PayloadAttributes) -> BuildId:
        """See ExecutionClient."""
        if parent != self.engine.head().hash:
            raise UnavailableError(f"build: the parent 0x{parent.hex()} is not the head")
        self._builds_begun += 1
        build_id = BuildId(self._builds_begun.to_bytes(8))
        self._builds[build_id] = self._building.submit(self._build, parent, attributes)
        while len(self._builds) > BUILDS_MAX:
            self._builds.popitem(last=False)[1].cancel()
        return build_id

    async def take_build(self, build_id: BuildId, *, deadline_s: float) -> ExecutionPayload:
        """See ExecutionClient."""
        build = self._builds.get(build_id)
        if build is None:
            raise UnavailableError(
                f"build: 0x{build_id.hex()} is unknown or its parent is no longer the head"
            )
        with _mapped("build"):
            try:
                async with asyncio.timeout(deadline_s):
                    # Shielded: a taker that gives up does not take the block from the next one.
                    built = await asyncio.shield(asyncio.wrap_future(build))
            except TimeoutError as error:
                # A loop that is late finds the deadline over and the block there.
                if not build.done():
                    raise UnavailableError(f"build: not done within {deadline_s} s") from error
                built = build.result()
        return ExecutionPayload(execution_rlp=built.rlp, requests=tuple(built.requests))

    async def validate(self, payload: ExecutionPayload) -> Verdict:
        """See ExecutionClient."""
        try:
            await self._on(
                self._deciding,
                "validate",
                lambda: self.engine.validate(payload.execution_rlp, payload.requests),
            )
        except _InvalidBlock as error:
            return Invalid(str(error))
        except StorageDamaged:
            raise
        except UnavailableError as error:
            return Unavailable(str(error))
        return Valid()

    async def finalize(self, execution_hash: Hash32) -> Head:
        """See ExecutionClient."""
        head = await self._on(self._deciding, "finalize", lambda: self.engine.finalize(execution_hash))
        for build in self._builds.values():
            build.cancel()
        self._builds.clear()
        return _head(head)

    async def import_payloads(self, payloads: Sequence[ExecutionPayload]) -> Head:
        """See ExecutionClient. Faster than one by one: a block's signatures are recovered while the one before it runs."""
        blocks = [(payload.execution_rlp, payload.requests) for payload in payloads]
        return _head(await self._on(self._deciding, "import", lambda: self.engine.import_blocks(blocks)))

    async def payload(self, number: int) -> ExecutionPayload | None:
        """See ExecutionClient."""
        found = await self._on(self._reading, "payload", lambda: self.engine.payload(number))
        return found and ExecutionPayload(execution_rlp=found[0], requests=tuple(found[1]))

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        """See ExecutionClient."""
        relay = self._options.relays_transactions
        answers = await self._on(self._reading, "submit", lambda: self.engine.submit(raws, relay=relay))
        return [_submission(answer) for answer in answers]

    async def submit_batch(self, transactions_rlp: bytes, *, relay: bool) -> int:
        """Offer a peer's batch, one RLP list, to the pool; `relay` if others have to hear of them from us. Returns how many were taken.

        Raises errors.InvalidInput for a malformed list.
        """
        return await self._on(
            self._reading, "submit", lambda: self.engine.submit_batch(transactions_rlp, relay=relay)
        )

    async def events(self) -> AsyncIterator[ExecutionEvent]:
        """See ExecutionClient."""
        async with contextlib.aclosing(self._events()) as events:
            async for event in events:
                yield event

    async def rpc(self, method: str, params: bytes) -> bytes:
        """See ExecutionClient."""
        return await self._on(self._reading, "rpc", lambda: self.engine.rpc(method, params))

    def set_syncing(self, *, starting: int, current: int, highest: int | None) -> None:
        """Answer `eth_syncing` with this progress from now on; with false when `highest` is None."""
        with _mapped("syncing"):
            self.engine.set_syncing(starting, current, highest)

    async def rewind(self, number: int) -> Head:
        """Forget the blocks above `number`: an operator's recovery. Raises errors.Unavailable."""
        return _head(await self._on(self._deciding, "rewind", lambda: self.engine.rewind(number)))

    async def close(self) -> None:
        """Let running calls end and write everything to disk."""
        self._builds.clear()
        await self._on(self._deciding, "close", self.engine.close)
        for executor in (self._building, self._reading, self._deciding):
            executor.shutdown(wait=False, cancel_futures=True)

    def _build(self, parent: Hash32, attributes: PayloadAttributes) -> _engine.Built:
        return self.engine.build(
            parent,
            timestamp=attributes.timestamp,
            fee_recipient=attributes.fee_recipient,
            prev_randao=attributes.prev_randao,
            withdrawals=[
                (entry.index, entry.validator_index, entry.address, entry.amount_gwei)
                for entry in attributes.withdrawals
            ],
            parent_beacon_block_root=attributes.parent_beacon_block_root,
            gas_limit=attributes.gas_limit,
            extra_data=self._options.extra_data,
            deadline_s=BUILD_TIME_S,
        )

    async def _events(self) -> AsyncGenerator[ExecutionEvent, None]:
        loop = asyncio.get_running_loop()
        waiting: deque[ExecutionEvent] = deque(maxlen=EVENTS_MAX)
        news = asyncio.Event()
        subscription = self.engine.subscribe()

        def deliver(events: list[ExecutionEvent]) -> None:
            waiting.extend(events)
            news.set()

        def pump() -> None:
            while not subscription.closed:
                events = [_event(item) for item in subscription.wait(EVENT_WAIT_S)]
                if events:
                    # The loop may be gone when the process ends.
                    with contextlib.suppress(RuntimeError):
                        loop.call_soon_threadsafe(deliver, events)

        thread = threading.Thread(target=pump, name="engine-events", daemon=True)
        thread.start()
        try:
            while True:
                while waiting:
                    yield waiting.popleft()
                news.clear()
                await news.wait()
        finally:
            subscription.close()

    async def _on(self, executor: Executor, operation: str, work: Callable[[], T]) -> T:
        with _mapped(operation):
            return await asyncio.get_running_loop().run_in_executor(executor, work)


@contextlib.asynccontextmanager
async def open_embedded(
    genesis: bytes, options: EmbeddedOptions | None = None
) -> AsyncIterator[EmbeddedExecution]:
    """Open the engine of a geth-format genesis file, and close it at the end.

    Raises errors.InvalidInput for a genesis that cannot be followed or that is not the data's, errors.StorageDamaged and
    errors.StorageFailed for the disk.
    """
    options = options or EmbeddedOptions()
    with _explained(options.path), _mapped("open"):
        engine = await asyncio.to_thread(
            _engine.Engine.open,
            genesis,
            path=None if options.path is None else str(options.path),
            cache_bytes=options.cache_bytes,
            threads=options.threads,
            history_blocks=options.history_blocks,
            sync_every_blocks=options.sync_every_blocks,
            gas_ceiling=options.gas_ceiling,
            pool_pending_max=options.pool_pending_max,
            pool_queued_max=options.pool_queued_max,
            pool_tip_min_wei=options.pool_tip_min_wei,
            client_version=options.client_version,
        )
    client = EmbeddedExecution(engine, options)
    try:
        yield client
    except Exception:
        # What ends the node is its reason; that the same disk does not take the last flush either is not.
        with contextlib.suppress(UnavailableError):
            await client.close()
        raise
    except BaseException:
        await client.close()
        raise
    else:
        await client.close()


@contextlib.contextmanager
def _explained(path: Path | None) -> Iterator[None]:
    """Say which directory cannot be opened, and what an operator can do about it."""
    try:
        yield
    except (StorageDamaged, StorageFailed) as error:
        if path is None or "Locked" in str(
            error
        ):  # The store's own word for data that another process has open.
            raise
        raise type(error)(f"{path}: {error}. {_REMEDY}") from error
    except BaseException as error:
        # The store's library panics when it finds what it never writes, such as a directory in the place of a file.
        if path is None or type(error).__name__ != "PanicException":
            raise
        raise StorageDamaged(f"{path}: open: {error}. {_REMEDY}") from error


class _InvalidBlock(InvalidInput):
    """The engine found a rule that a block breaks."""


@contextlib.contextmanager
def _mapped(operation: str) -> Iterator[None]:
    """Turn the engine's exceptions into the project's: whose fault it is decides."""
    try:
        yield
    except _engine.InvalidBlock as error:
        raise _InvalidBlock(str(error)) from error
    except _engine.InvalidTransaction as error:
        raise InvalidInput(f"{operation}: {error}") from error
    except _engine.Corruption as error:
        raise StorageDamaged(f"{operation}: {_plain(error)}") from error
    except _engine.StorageError as error:
        raise StorageFailed(f"{operation}: {_plain(error)}") from error
    except _engine.InvalidInput as error:
        if operation in {"finalize", "build"}:
            # The attributes or the hash do not fit the head any more: for the caller the same as not yet.
            raise UnavailableError(f"{operation}: {error}") from error
        raise InvalidInput(f"{operation}: {error}") from error
    except _engine.EngineError as error:
        raise UnavailableError(f"{operation}: {error}") from error


def _plain(error: Exception) -> str:
    """The engine's sentence, with what the system has said in place of how the store's library prints it."""
    said = _SYSTEM_ERROR.sub(r"\1", str(error)).replace("FjallError: ", "fjall says ")
    return _POSITION.sub(r"byte \2 of segment \1", said)


def _head(head: _engine.Head) -> Head:
    return Head(
        number=head.number,
        hash=Hash32(head.hash),
        state_root=Hash32(head.state_root),
        timestamp=head.timestamp,
    )


def _event(item: _engine.Head | _engine.Transactions) -> ExecutionEvent:
    if isinstance(item, _engine.Head):
        return HeadChanged(head=_head(item))
    return TransactionsPending(count=item.count, transactions_rlp=item.transactions_rlp)


def _submission(answer: bytes | tuple[int, str]) -> Submission:
    if isinstance(answer, bytes):
        return Accepted(hash=Hash32(answer))
    code, reason = answer
    return Refused(code=code, reason=reason)
