"""A deterministic execution client in memory, for the simulator and for tests. It passes the contract of the real ones.

Its blocks are real execution blocks by encoding: every field that consensus reads is there and is checked. What it leaves out is the
EVM: a transaction is any EIP-2718-like byte string that uses 21,000 gas, and the state root is a hash over everything before.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from metanode.chain.attributes import PayloadAttributes
from metanode.chain.execution_header import (
    EMPTY_REQUESTS_HASH,
    EXTRA_DATA_BYTES_MAX,
    ExecutionBlock,
    ExecutionHeader,
    Withdrawal,
    decode_execution_block,
    encode_execution_block,
    requests_hash,
    transactions_root,
    withdrawals_root,
)
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput, StorageDamaged
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
    import_one_by_one,
)
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_ADDRESS, Hash32

TRANSACTION_GAS: Final = 21_000
GAS_LIMIT_DIVISOR: Final = 1024
"""A block's gas limit differs from its parent's by less than this fraction."""
TRANSACTION_BYTES_MAX: Final = 131_072
POOL_TRANSACTIONS_MAX: Final = 10_000
EVENTS_MAX: Final = 1_024
BUILDS_MAX: Final = 16


async def _undisturbed(operation: str) -> None:
    """Let every operation go on at once."""
    del operation


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A block that was built or found valid."""

    payload: ExecutionPayload
    header: ExecutionHeader
    transactions: tuple[bytes, ...]


class FakeExecution:
    """One in-memory client. Owner: the event loop's one driver task, and tests.

    `disturb` is awaited at the start of each operation with its name; the simulator delays and fails operations there.
    """

    def __init__(
        self,
        genesis: ExecutionHeader,
        *,
        decided: Sequence[ExecutionPayload] = (),
        disturb: Callable[[str], Awaitable[None]] = _undisturbed,
    ) -> None:
        self._disturb = disturb
        self._chain = [_Kept(payload=_genesis_payload(genesis), header=genesis, transactions=())]
        self._kept: dict[Hash32, _Kept] = {}
        self._builds: dict[BuildId, tuple[Hash32, PayloadAttributes]] = {}
        self._pool: dict[bytes, None] = {}
        self._readers: list[deque[ExecutionEvent]] = []
        self._wakers: list[Callable[[], None]] = []
        for payload in decided:
            verdict = self._validate(payload)
            assert verdict == Valid(), verdict
            self._finalize(payload.hash)

    @property
    def decided(self) -> list[ExecutionPayload]:
        """The finalized blocks from number 1 on: what a restart of this client finds on its disk."""
        return [kept.payload for kept in self._chain[1:]]

    def finalized(self, number: int) -> ExecutionPayload:
        """Return one of them, at once."""
        return self._chain[number].payload

    @property
    def head_rlp(self) -> bytes:
        """The latest finalized block's bytes, the genesis block's included."""
        return self._chain[-1].payload.execution_rlp

    async def head(self) -> Head:
        """See ExecutionClient."""
        await self._disturb("head")
        return self._head()

    async def start_build(self, parent: Hash32, attributes: PayloadAttributes) -> BuildId:
        """See ExecutionClient."""
        await self._disturb("start_build")
        if parent != self._chain[-1].header.hash:
            raise UnavailableError(f"build: the parent 0x{parent.hex()} is not the head")
        material = repr((parent, attributes)).encode()
        build_id = BuildId(keccak256(material)[:8])
        self._builds[build_id] = (parent, attributes)
        while len(self._builds) > BUILDS_MAX:
            del self._builds[next(iter(self._builds))]
        return build_id

    async def take_build(self, build_id: BuildId, *, deadline_s: float) -> ExecutionPayload:
        """See ExecutionClient."""
        del deadline_s
        await self._disturb("take_build")
        if build_id not in self._builds:
            raise UnavailableError(
                f"build: 0x{build_id.hex()} is unknown or its parent is no longer the head"
            )
        parent_hash, attributes = self._builds[build_id]
        parent = self._chain[-1].header
        if parent.hash != parent_hash or attributes.timestamp <= parent.timestamp:
            raise UnavailableError("build: the attributes do not fit the head")
        transactions = list(self._pool)[: attributes.gas_limit // TRANSACTION_GAS]
        header = execute_block(parent, attributes, transactions)
        payload = ExecutionPayload(
            execution_rlp=encode_execution_block(header, transactions, attributes.withdrawals)
        )
        self._kept[payload.hash] = _Kept(payload=payload, header=header, transactions=tuple(transactions))
        return payload

    async def validate(self, payload: ExecutionPayload) -> Verdict:
        """See ExecutionClient."""
        try:
            await self._disturb("validate")
        except StorageDamaged:
            raise
        except UnavailableError as error:
            return Unavailable(str(error))
        return self._validate(payload)

    async def finalize(self, execution_hash: Hash32) -> Head:
        """See ExecutionClient."""
        await self._disturb("finalize")
        return self._finalize(execution_hash)

    async def import_payloads(self, payloads: Sequence[ExecutionPayload]) -> Head:
        """See ExecutionClient."""
        return await import_one_by_one(self, payloads)

    async def payload(self, number: int) -> ExecutionPayload | None:
        """See ExecutionClient."""
        await self._disturb("payload")
        return self._chain[number].payload if 0 < number < len(self._chain) else None

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        """See ExecutionClient."""
        await self._disturb("submit")
        return self._submit(raws)

    def submit_local(self, raws: Sequence[bytes]) -> list[Submission]:
        """Offer transactions as this node's own RPC does; they are announced for gossip."""
        fresh = [raw for raw in raws if raw not in self._pool]
        answers = self._submit(raws)
        taken = [raw for raw in fresh if raw in self._pool]
        if taken:
            self._announce(TransactionsPending(count=len(taken), transactions_rlp=rlp.encode(taken)))
        return answers

    async def events(self) -> AsyncIterator[ExecutionEvent]:
        """See ExecutionClient."""
        import asyncio  # noqa: PLC0415 - the only use; the fake is otherwise independent of the loop

        waiting: deque[ExecutionEvent] = deque(maxlen=EVENTS_MAX)
        news = asyncio.Event()
        self._readers.append(waiting)
        self._wakers.append(news.set)
        try:
            while True:
                while waiting:
                    yield waiting.popleft()
                news.clear()
                await news.wait()
        finally:
            self._readers.remove(waiting)
            self._wakers.remove(news.set)

    async def rpc(self, method: str, params: bytes) -> bytes:
        """See ExecutionClient; knows eth_blockNumber only."""
        del params
        await self._disturb("rpc")
        if method == "eth_blockNumber":
            return b'"result":"%s"' % hex(self._head().number).encode()
        return b'"error":{"code":-32601,"message":"the method %s does not exist"}' % method.encode()

    def _head(self) -> Head:
        header = self._chain[-1].header
        return Head(
            number=header.number, hash=header.hash, state_root=header.state_root, timestamp=header.timestamp
        )

    def _validate(self, payload: ExecutionPayload) -> Verdict:
        if payload.hash in self._kept or payload.hash == self._chain[-1].header.hash:
            return Valid()
        try:
            block = decode_execution_block(payload.execution_rlp)
        except InvalidInput as error:
            return Invalid(str(error))
        parent = self._header(block.header.parent_hash)
        if parent is None:
            return Unavailable(f"the parent 0x{block.header.parent_hash.hex()} is unknown")
        transactions = _transactions(payload.execution_rlp)
        reason = _wrong(parent, block, transactions, payload.requests)
        if reason is not None:
            return Invalid(reason)
        self._kept[payload.hash] = _Kept(
            payload=payload, header=block.header, transactions=tuple(transactions)
        )
        return Valid()

    def _header(self, execution_hash: Hash32) -> ExecutionHeader | None:
        head = self._chain[-1].header
        if execution_hash == head.hash:
            return head
        kept = self._kept.get(execution_hash)
        return kept.header if kept else None

    def _finalize(self, execution_hash: Hash32) -> Head:
        head = self._chain[-1].header
        if execution_hash == head.hash:
            return self._head()
        kept = self._kept.get(execution_hash)
        if kept is None:
            raise UnavailableError(f"finalize: the block 0x{execution_hash.hex()} was not validated")
        if kept.header.parent_hash != head.hash:
            raise UnavailableError(
                f"finalize: the block 0x{execution_hash.hex()} is not on the head {head.number}"
            )
        self._chain.append(kept)
        del self._kept[execution_hash]
        alive = {execution_hash}
        for other in sorted(self._kept.values(), key=lambda entry: entry.header.number):
            if other.header.parent_hash in alive:
                alive.add(other.header.hash)
            else:
                del self._kept[other.header.hash]
        self._builds.clear()
        for transaction in kept.transactions:
            self._pool.pop(transaction, None)
        self._announce(HeadChanged(head=self._head()))
        return self._head()

    def _submit(self, raws: Sequence[bytes]) -> list[Submission]:
        answers: list[Submission] = []
        for raw in raws:
            if not 2 <= len(raw) <= TRANSACTION_BYTES_MAX or not (raw[0] >= 0xC0 or raw[0] in {1, 2, 4}):
                answers.append(Refused(code=-32000, reason="transaction type not supported"))
            elif len(self._pool) >= POOL_TRANSACTIONS_MAX and raw not in self._pool:
                answers.append(Refused(code=-32000, reason="txpool is full"))
            else:
                self._pool[raw] = None
                answers.append(Accepted(hash=keccak256(raw)))
        return answers

    def _announce(self, event: ExecutionEvent) -> None:
        for waiting in self._readers:
            waiting.append(event)
        for wake in self._wakers:
            wake()


def fake_genesis(*, timestamp: int = 0, gas_limit: int = 30_000_000) -> ExecutionHeader:
    """Return the header of an empty execution genesis."""
    return ExecutionHeader(
        parent_hash=Hash32(bytes(32)),
        beneficiary=ZERO_ADDRESS,
        state_root=keccak256(b"genesis"),
        number=0,
        gas_limit=gas_limit,
        timestamp=timestamp,
        base_fee_per_gas=1_000_000_000,
        requests_hash=EMPTY_REQUESTS_HASH,
    )


def next_base_fee(parent: ExecutionHeader) -> int:
    """Return the base fee of the next block. Source: EIP-1559."""
    target = parent.gas_limit // 2
    fee = parent.base_fee_per_gas
    if parent.gas_used == target:
        return fee
    change = fee * abs(parent.gas_used - target) // target // 8
    return fee + max(change, 1) if parent.gas_used > target else fee - change


def execute_block(
    parent: ExecutionHeader, attributes: PayloadAttributes, transactions: Sequence[bytes]
) -> ExecutionHeader:
    """Return the header that these attributes and transactions give on this parent."""
    return ExecutionHeader(
        parent_hash=parent.hash,
        beneficiary=attributes.fee_recipient,
        state_root=_state_root(parent, transactions, attributes.withdrawals),
        transactions_root=transactions_root(transactions),
        number=parent.number + 1,
        gas_limit=attributes.gas_limit,
        gas_used=TRANSACTION_GAS * len(transactions),
        timestamp=attributes.timestamp,
        mix_hash=attributes.prev_randao,
        base_fee_per_gas=next_base_fee(parent),
        withdrawals_root=withdrawals_root(attributes.withdrawals),
        parent_beacon_block_root=attributes.parent_beacon_block_root,
        requests_hash=EMPTY_REQUESTS_HASH,
    )


def _state_root(
    parent: ExecutionHeader, transactions: Sequence[bytes], withdrawals: Sequence[Withdrawal]
) -> Hash32:
    credits_ = [withdrawal.to_item() for withdrawal in withdrawals]
    return keccak256(rlp.encode([parent.state_root, list(transactions), credits_]))


def _wrong(
    parent: ExecutionHeader, block: ExecutionBlock, transactions: Sequence[bytes], requests: Sequence[bytes]
) -> str | None:
    """Return the first rule that a block on this parent breaks."""
    header = block.header
    limit_change = abs(header.gas_limit - parent.gas_limit)
    checks = (
        (header.number == parent.number + 1, "number: not the parent's next"),
        (header.timestamp > parent.timestamp, "timestamp: not after the parent's"),
        (header.parent_hash == parent.hash, "parent hash: another parent"),
        (limit_change < max(parent.gas_limit // GAS_LIMIT_DIVISOR, 1), "gas limit: the step is too large"),
        (header.gas_used == TRANSACTION_GAS * len(transactions), "gas used: invalid"),
        (header.gas_used <= header.gas_limit, "gas used: over the gas limit"),
        (header.base_fee_per_gas == next_base_fee(parent), "base fee: invalid"),
        (len(header.extra_data) <= EXTRA_DATA_BYTES_MAX, "extra data: too long"),
        (header.requests_hash == requests_hash(requests), "requests hash: invalid"),
        (not requests, "requests: the fake has none"),
        (header.state_root == _state_root(parent, transactions, block.withdrawals), "state root: invalid"),
    )
    return next((reason for holds, reason in checks if not holds), None)


def _transactions(execution_rlp: bytes) -> list[bytes]:
    """Return the EIP-2718 bytes of a checked block's transactions."""
    items = rlp.decode(execution_rlp)
    assert not isinstance(items, bytes)
    assert not isinstance(items[1], bytes)
    return [item if isinstance(item, bytes) else rlp.encode(item) for item in items[1]]


def _genesis_payload(genesis: ExecutionHeader) -> ExecutionPayload:
    return ExecutionPayload(execution_rlp=encode_execution_block(genesis, (), ()))
