"""`TestnetExplorer`: blocks to look at, fed by hand or from a node's RPC; bounded, in memory.

It is for scripts and tests. The explorer that people open in a browser is `sdk.testnet.services`, which indexes the whole chain.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from metanode.errors import InvalidInput, Unavailable
from metanode.primitives.hexadecimal import decode_quantity
from metanode.rpc.client import open_client
from metanode.rpc.errors import JSONRPCError, NodeFault
from sdk.testnet.diagnosis.collect import check_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metanode.rpc.client import JSONRPCClient

CAPACITY: Final = 10_000
"""Blocks that are kept; of more the lowest are dropped. Some hundred megabytes if every block is full, a few if they are quiet."""
CAPACITY_MAX: Final = 1_000_000
HEIGHT_MAX: Final = 2**63 - 1
BATCH_BLOCKS: Final = 50
"""Blocks of one request; a node takes a batch of a hundred calls."""
BATCH_WHOLE_BLOCKS: Final = 3
"""The same with whole transactions: a full block has some megabytes, and a node's answer at most ten."""
COUNT_MAX: Final = 1_000
"""Blocks of one answer."""
TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Over what a node answers at most."""
TEXT_MAX: Final = 200


class TestnetExplorer:
    """Blocks by height.

    `TestnetExplorer()` is empty, and takes what `add_block` is given. With `rpc_url`, `update` fetches what a node has; everything else reads
    memory, and waits for nobody.

    Args:
        rpc_url: A node's JSON-RPC.
        capacity: How many blocks are kept; of more the lowest are dropped.

    Raises:
        InvalidInput: when an argument is out of its range; the sentence names it.
    """

    __test__ = False  # pytest collects no tests here

    def __init__(self, rpc_url: str | None = None, *, capacity: int = CAPACITY) -> None:
        if rpc_url is not None:
            check_url(rpc_url)
        if not 1 <= capacity <= CAPACITY_MAX:
            raise InvalidInput(f"capacity: found {capacity!r}; expected 1 to {CAPACITY_MAX}")
        self.rpc_url = rpc_url
        self.capacity = capacity
        self._heights: list[int] = []
        self._blocks: dict[int, dict[str, Any]] = {}
        self._by_hash: dict[str, int] = {}
        self._transactions: dict[str, int] = {}

    def __repr__(self) -> str:
        span = f"{self._heights[0]} to {self._heights[-1]}" if self._heights else "none yet"
        return f"<TestnetExplorer of {len(self._heights)} blocks: {span}>"

    def __len__(self) -> int:
        return len(self._heights)

    # -- feeding -------------------------------------------------------------------------------------------------------------------------

    def add_block(self, block: Mapping[str, Any]) -> None:
        """Take in a block: any mapping with its `height` or `number`, a whole number or a hexadecimal quantity.

        One of the same height replaces the one before. Of the rest, `hash` and `transactions` (hashes, or mappings that have one) are what
        `search` looks for.

        Raises:
            InvalidInput: when the block has no height.
        """
        height = _height(block)
        kept = dict(block)
        kept["height"] = height
        if height in self._blocks:
            self._forget(height)
        elif len(self._heights) >= self.capacity and height < self._heights[0]:
            return
        bisect.insort(self._heights, height)
        self._blocks[height] = kept
        if isinstance(kept.get("hash"), str):
            self._by_hash[kept["hash"].lower()] = height
        for found in _transaction_hashes(kept):
            self._transactions[found] = height
        if len(self._heights) > self.capacity:
            self._forget(self._heights[0])

    def _forget(self, height: int) -> None:
        block = self._blocks.pop(height)
        del self._heights[bisect.bisect_left(self._heights, height)]
        if isinstance(block.get("hash"), str):
            self._by_hash.pop(block["hash"].lower(), None)
        for found in _transaction_hashes(block):
            if self._transactions.get(found) == height:
                del self._transactions[found]

    async def update(self, *, whole: bool = False) -> int:
        """Fetch from the node what is new, as far back as there is room; returns how many blocks came.

        `whole` fetches transactions too, not only their hashes.

        Raises:
            InvalidInput: when there is no node to ask.
            Unavailable: when it does not answer, or not as a node does. What has come stays.
        """
        if self.rpc_url is None:
            raise InvalidInput("this explorer is fed by hand: give it rpc_url to ask a node")
        count = 0
        async with open_client(self.rpc_url, timeout_s=TIMEOUT_S, bytes_max=ANSWER_BYTES_MAX) as client:
            try:
                head = decode_quantity(await client.call("eth_blockNumber"), bits=63)
            except (TypeError, InvalidInput) as error:
                raise Unavailable(f"{self.rpc_url}: eth_blockNumber: {error}") from None
            if await self._is_of_another_chain(client, head):
                self._forget_all()
            first = max(0, head - self.capacity + 1)
            if self._heights and self._heights[-1] <= head:
                first = max(first, self._heights[-1] + 1)
            step = BATCH_WHOLE_BLOCKS if whole else BATCH_BLOCKS
            for low in range(first, head + 1, step):
                calls: list[tuple[str, Sequence[Any]]] = [
                    ("eth_getBlockByNumber", [hex(number), whole])
                    for number in range(low, min(low + step, head + 1))
                ]
                for block in await client.batch(calls):
                    if isinstance(block, JSONRPCError | NodeFault):
                        raise Unavailable(f"{self.rpc_url}: {block}")
                    if isinstance(block, dict):
                        self.add_block(_from_node(block))
                        count += 1
        return count

    async def _is_of_another_chain(self, client: JSONRPCClient, head: int) -> bool:
        """Whether the node has not the highest block that is kept: its network was reset."""
        if not self._heights:
            return False
        kept = self._blocks[self._heights[-1]].get("hash")
        if self._heights[-1] > head:
            return True
        if not isinstance(kept, str):
            return False
        found = await client.call("eth_getBlockByNumber", hex(self._heights[-1]), False)  # noqa: FBT003 - JSON-RPC
        return isinstance(found, dict) and str(found.get("hash")).lower() != kept.lower()

    def _forget_all(self) -> None:
        for kept in (self._blocks, self._by_hash, self._transactions):
            kept.clear()
        self._heights.clear()

    async def __aenter__(self) -> Self:
        await self.update()
        return self

    async def __aexit__(self, *details: object) -> None:
        """Nothing is held open."""

    # -- reading -------------------------------------------------------------------------------------------------------------------------

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """All that are kept, the lowest first."""
        return [self._blocks[height] for height in self._heights]

    @property
    def height(self) -> int | None:
        """The highest block's; None when there is none."""
        return self._heights[-1] if self._heights else None

    def get_block(self, height: int) -> dict[str, Any] | None:
        """The block at a height; None when it is not here."""
        return self._blocks.get(height)

    def get_block_by_hash(self, block_hash: str) -> dict[str, Any] | None:
        """The block with a hash; None when it is not here."""
        height = self._by_hash.get(block_hash.lower())
        return None if height is None else self._blocks[height]

    def get_latest_blocks(self, count: int = 10) -> list[dict[str, Any]]:
        """The highest blocks, the newest first; raises InvalidInput for a count that is not 1 to 1,000."""
        found: object = count
        if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= COUNT_MAX:
            raise InvalidInput(f"count: found {count!r:.80}; expected 1 to {COUNT_MAX}")
        return [self._blocks[height] for height in reversed(self._heights[-count:])]

    def get_transaction(self, transaction_hash: str) -> dict[str, Any] | None:
        """`hash`, the `block_height` that holds it, its `index`, and whatever else was given of it; None when it is not here."""
        wanted = transaction_hash.lower()
        height = self._transactions.get(wanted)
        if height is None:
            return None
        for index, found in enumerate(self._blocks[height]["transactions"]):
            details = dict(found) if isinstance(found, dict) else {}
            if _hash_of(found) == wanted:
                return details | {"hash": wanted, "block_height": height, "index": index}
        return None

    def search(self, query: str) -> dict[str, Any] | None:
        """What a height, a block's hash or a transaction's hash leads to: `kind` and `found`; None when nothing is here."""
        text = query.strip().lower()[:TEXT_MAX]
        number = text.removeprefix("#").replace(",", "")
        if number.isascii() and number.isdigit() and len(number) < 20:
            block = self.get_block(int(number))
            return None if block is None else {"kind": "block", "found": block}
        block = self.get_block_by_hash(text)
        if block is not None:
            return {"kind": "block", "found": block}
        transaction = self.get_transaction(text)
        return None if transaction is None else {"kind": "transaction", "found": transaction}

    def get_stats(self) -> dict[str, Any]:
        """`total_blocks` that are kept, `latest_height`, `total_transactions` in them, `avg_block_time` in seconds where they have a `timestamp`."""
        times = [
            (height, float(block["timestamp"]))
            for height, block in ((height, self._blocks[height]) for height in self._heights)
            if isinstance(block.get("timestamp"), int | float)
        ]
        average = None
        if len(times) > 1:
            (low, began), (high, ended) = times[0], times[-1]
            average = (ended - began) / (high - low)
        return {
            "total_blocks": len(self._heights),
            "latest_height": self.height,
            "total_transactions": sum(_transaction_count(block) for block in self._blocks.values()),
            "avg_block_time": average,
        }


def _height(block: Mapping[str, Any]) -> int:
    if not isinstance(block, Mapping):
        raise InvalidInput(f"block: found {type(block).__name__}; expected a mapping with height or number")
    found = block.get("height", block.get("number"))
    try:
        height = decode_quantity(found) if isinstance(found, str) else found
    except InvalidInput:
        height = None
    if isinstance(height, bool) or not isinstance(height, int) or not 0 <= height <= HEIGHT_MAX:
        raise InvalidInput(
            f"height: found {found!r:.80}; expected a whole number from 0, or a hexadecimal quantity such as 0x1f"
        )
    return height


def _from_node(block: dict[str, Any]) -> dict[str, Any]:
    """A node's block with its height and timestamp as numbers."""
    try:
        return block | {
            "height": decode_quantity(block["number"], bits=63),
            "timestamp": decode_quantity(block["timestamp"], bits=63),
        }
    except (KeyError, TypeError, InvalidInput) as error:
        raise Unavailable(
            f"the node gave a block of an unknown shape: {type(error).__name__} {error}"
        ) from None


def _hash_of(transaction: Any) -> str | None:
    found = transaction.get("hash") if isinstance(transaction, dict) else transaction
    return found.lower() if isinstance(found, str) else None


def _transaction_hashes(block: Mapping[str, Any]) -> list[str]:
    found = block.get("transactions")
    if not isinstance(found, list | tuple):
        return []
    return [text for transaction in found if (text := _hash_of(transaction)) is not None]


def _transaction_count(block: Mapping[str, Any]) -> int:
    found = block.get("transactions")
    if isinstance(found, list | tuple):
        return len(found)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0
