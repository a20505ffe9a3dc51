"""What pages stand on: the index read on threads, the head of the chain, and the parts of an address that people type."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, MetanodeError, Unavailable
from metanode.primitives.hexadecimal import decode_data, decode_quantity
from sdk.testnet.services.explorer.kept import OfHead
from sdk.testnet.services.queries import Slice
from sdk.testnet.services.queries.statistics import IndexStatus, index_status
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.node_pool import NodePool
    from sdk.testnet.services.store import Store
    from sdk.testnet.services.web.site import Site

PAGE_ROWS: Final = 25
NEWEST: Final = Slice(limit=PAGE_ROWS)
"""What a list shows first."""
PAGE_ROWS_MAX: Final = PAGE_ROWS
"""What `?limit=` may ask of a page: a row is up to 2 kB, and a page has 60."""
TWIN_ROWS_MAX: Final = 100
"""What it may ask of the page's JSON."""
HEAD_AGE_S: Final = 1.0
"""How long a node's head is believed: any number of viewers cost one call a second."""
LOOK_THREADS: Final = 8
"""Looks at the index at the same time; threads of their own, so that a slow ledger of the faucet holds no page up."""
LOOKS_WAITING_MAX: Final = 200
"""Looks that wait for a thread: two seconds of pages. More are told to come again."""
LIVE_TIMEOUT_S: Final = 1.5
"""A page waits no longer for what it can do without."""
STILL_S: Final = 10.0
"""An index that is behind gets several blocks a second, while nothing holds it up."""
LAG_BLOCKS_SHOWN: Final = 3
"""An index this far behind says so on its pages; one block is what a page's own way takes."""
_NUMBER_DIGITS_MAX: Final = 18

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """How far what a page shows goes."""

    block: int
    """Newest indexed block; -1 of an empty index."""
    indexed_at: int
    """Seconds since 1970; 0 of an empty index."""
    chain_head: int | None
    """The node's newest block; None while no node answers."""

    @property
    def lag_blocks(self) -> int:
        """Blocks that the chain has and the index has not."""
        return 0 if self.chain_head is None else max(0, self.chain_head - self.block)

    @property
    def is_behind(self) -> bool:
        """Whether a reader should be told."""
        return self.lag_blocks > LAG_BLOCKS_SHOWN

    @property
    def stands_still(self) -> bool:
        """Whether an index that is behind has got no block for a while: it does not catch up."""
        return self.is_behind and self.block >= 0 and time.time() - self.indexed_at > STILL_S


@dataclass(slots=True, kw_only=True)
class Reading:
    """The index and the nodes of one explorer. Owned by its event loop."""

    store: Store
    nodes: NodePool
    site: Site
    of_head: OfHead = field(default_factory=OfHead)
    """What only a block changes, for the looks of all readers."""
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(LOOK_THREADS, thread_name_prefix="index"), init=False
    )
    _looks: int = field(default=0, init=False)
    _head: int | None = field(default=None, init=False)
    _head_at_s: float = field(default=-HEAD_AGE_S, init=False)

    async def look(self, ask: Callable[[Connection], _Answer]) -> _Answer:
        """Return what the queries of `ask` say, all from one state; raises StorageFailed, and Unavailable when too many wait."""
        if self._looks >= LOOK_THREADS + LOOKS_WAITING_MAX:
            raise Unavailable("more is asked of the index than it can answer soon")

        def read() -> _Answer:
            with self.store.look() as connection:
                return ask(connection)

        loop = asyncio.get_running_loop()

        def count_down() -> None:
            self._looks -= 1

        def done(_: object) -> None:
            # Of a program that ends there is nothing to count.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(count_down)

        self._looks += 1
        # Counted until the thread is done, also for a reader who has gone meanwhile.
        work = self._threads.submit(read)
        work.add_done_callback(done)
        return await asyncio.wrap_future(work)

    async def chain_head(self) -> int | None:
        """Return the number of the nodes' newest block; None while none answers."""
        now_s = time.monotonic()
        if now_s - self._head_at_s >= HEAD_AGE_S:
            # Said first, so that those who come meanwhile take the last answer instead of asking too.
            self._head_at_s = now_s
            try:
                async with asyncio.timeout(LIVE_TIMEOUT_S):
                    self._head = decode_quantity(await self.nodes.call("eth_blockNumber"), bits=63)
            except (TimeoutError, MetanodeError, TypeError):
                self._head = None
        return self._head

    async def as_of(self, status: IndexStatus | None) -> AsOf:
        """Return how far an index's status goes."""
        return AsOf(
            block=-1 if status is None else status.number,
            indexed_at=0 if status is None else status.indexed_at,
            chain_head=await self.chain_head(),
        )

    async def now(self) -> AsOf:
        """Return how far the index is."""
        return await self.as_of(await self.look(index_status))


def slice_of(request: Request, *, newest_first: bool = True) -> Slice:
    """Return the page that `?cursor=` and `?limit=` ask for; raises InvalidInput."""
    return Slice(
        cursor=request.query_params.get("cursor") or None,
        limit=limit_of(request),
        newest_first=newest_first,
    )


def limit_of(request: Request) -> int:
    """Return `?limit=`; raises InvalidInput out of its range, which is wider for programs."""
    maximum = TWIN_ROWS_MAX if is_twin(request) else PAGE_ROWS_MAX
    text = request.query_params.get("limit", "")
    if not text:
        return PAGE_ROWS
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or not 1 <= int(text) <= maximum:
        more = f"; the same page as .json takes {TWIN_ROWS_MAX}" if maximum < TWIN_ROWS_MAX else ""
        raise InvalidInput(f"limit: expected 1 to {maximum}, found {text!r:.40}{more}")
    return int(text)


def is_twin(request: Request) -> bool:
    """Return whether a page is asked for as JSON, which has room for all that a row says."""
    return request.url.path.endswith(".json")


def place_of(request: Request, length: int) -> int:
    """Return where the page of a list begins that is at hand as a whole: its cursor is a place; raises InvalidInput for one behind its end."""
    text = request.query_params.get("cursor") or "0"
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or int(text) > max(0, length - 1):
        raise InvalidInput(f"cursor: expected the next of a page of the same list, found {text!r:.40}")
    return int(text)


def is_newest(request: Request) -> bool:
    """Return whether a list is the one that everybody sees first: without filter and cursor it is live."""
    return not request.query_params


def next_url(request: Request, cursor: str | None) -> str:
    """Return the address of the next page with every filter of this one; nothing after the last."""
    if cursor is None:
        return ""
    return str(request.url.include_query_params(cursor=cursor)).removeprefix(_origin(request))


def first_url(request: Request) -> str:
    """Return the address of the first page, from another one; nothing on it."""
    if not request.query_params.get("cursor"):
        return ""
    return str(request.url.remove_query_params("cursor")).removeprefix(_origin(request))


def _origin(request: Request) -> str:
    # Links stay relative: a Host header is the caller's word.
    return f"{request.url.scheme}://{request.url.netloc}"


def address_in(text: str) -> bytes:
    """Return the address of a path; raises NotFound, for a page of no address is no page."""
    try:
        return parse_address(text if text[:2].lower() != "0x" else "0x" + text[2:])
    except InvalidInput as error:
        raise NotFound(str(error), "An address is 0x and 40 hexadecimal digits.") from None


def hash_in(text: str, what: str) -> bytes:
    """Return the hash of a path; raises NotFound."""
    try:
        return decode_data(text, field=what, length=32)
    except InvalidInput as error:
        raise NotFound(str(error), f"A {what} hash is 0x and 64 hexadecimal digits.") from None


def number_in(text: str) -> int | None:
    """Return the block number of a path; None for what is none."""
    plain = text.replace(",", "").replace("_", "")
    if plain.isascii() and plain.isdecimal() and len(plain) <= _NUMBER_DIGITS_MAX:
        return int(plain)
    return None


def flag_in(request: Request, name: str) -> bool:
    """Return whether a filter is switched on."""
    value: Any = request.query_params.get(name, "")
    if value not in {"", "0", "1"}:
        raise InvalidInput(f"{name}: expected 0 or 1, found {value!r:.40}")
    return bool(value == "1")
