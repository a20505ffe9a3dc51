"""The chain that a faucet pays on, by JSON-RPC: what it needs to know before it pays, and where it sends."""

from __future__ import annotations

import contextlib
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidEncoding, InvalidInput, Unavailable
from metanode.primitives.hexadecimal import decode_data, decode_quantity, encode_data, encode_quantity
from metanode.rpc.client import open_client
from metanode.rpc.errors import ExecutionReverted, JSONRPCError, NodeFault
from sdk.testnet.faucet.dispersing import refused_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from metanode.primitives.types import Address
    from metanode.rpc.client import JSONRPCClient

TIMEOUT_S: Final = 5.0
TIP_WEI: Final = 1_000_000_000
SENT_TO_MAX: Final = 1
"""Nodes beside the asked one that a transaction is given to: one that dies with it does not hold it up."""
RETRY_FIRST_S: Final = 30.0
"""A node that did not answer is asked last for so long: each try of it costs `TIMEOUT_S`."""
BATCH_MAX: Final = 50
"""Questions in one batch: what public endpoints allow."""
TRANSFER_GAS: Final = 21_000
"""What every transfer costs."""
GAS_MAX: Final = 51_000
"""A recipient that wants more than this for its coins is not a wallet: 21,000 that every transfer costs and 30,000 for its code, which is
less than `Disperse` wants before it pays anybody. A recipient that could call it would make it write events into our transaction."""
DELEGATION: Final = bytes.fromhex("ef0100")
"""What the code of an account begins with that only delegates. Source: EIP-7702."""


class RecipientRefuses(InvalidInput):
    """This recipient takes no coins, whenever it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The paying account and the chain's head, all in one finalized state."""

    head: int
    timestamp_ms: int
    """When the head was made, as its header says; milliseconds since 1970."""
    base_fee_wei: int
    nonce: int
    balance_wei: int

    @property
    def max_fee_wei(self) -> int:
        """A fee that six full blocks in a row do not outgrow."""
        return 2 * self.base_fee_wei + TIP_WEI


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a transaction in a finalized block."""

    transaction_hash: bytes
    succeeded: bool
    refused: frozenset[int] = frozenset()
    """Places of the recipients, in a transaction that pays many, who did not take their coins."""


class PayingNode:
    """A connection to a node, and to others that are only sent to; `open_node` makes it.

    Everything that is asked is asked of one node: what two nodes say at the same moment is of two moments.
    """

    def __init__(self, rpc: JSONRPCClient, others: Sequence[JSONRPCClient] = ()) -> None:
        self._rpc = rpc
        self._others = others

    async def identity(self) -> tuple[int, bytes]:
        """Return the chain's id and the hash of its first block."""
        chain_id, genesis = await self._ask(("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False)))
        with _readable():
            return decode_quantity(chain_id), decode_data(genesis["hash"], length=32)

    async def standing(self, payer: Address) -> Standing:
        """Return where the chain and the account are."""
        block = (await self._ask(("eth_getBlockByNumber", ("latest", False))))[0]
        # The same state for both, whatever is decided between two questions.
        with _readable():
            number = encode_quantity(decode_quantity(block["number"]))
        nonce, balance = await self._ask(
            ("eth_getTransactionCount", (encode_data(payer), number)),
            ("eth_getBalance", (encode_data(payer), number)),
        )
        with _readable():
            return Standing(
                head=decode_quantity(number),
                timestamp_ms=decode_quantity(block["timestamp"]) * 1000,
                base_fee_wei=decode_quantity(block["baseFeePerGas"]),
                nonce=decode_quantity(nonce),
                balance_wei=decode_quantity(balance),
            )

    async def recipient(self, address: Address) -> tuple[int, bytes]:
        """Return balance in wei and code of an account."""
        balance, code = await self._ask(
            ("eth_getBalance", (encode_data(address), "latest")),
            ("eth_getCode", (encode_data(address), "latest")),
        )
        with _readable():
            return decode_quantity(balance), decode_data(code)

    async def codes(self, addresses: Sequence[Address]) -> list[bytes]:
        """Return the codes of accounts."""
        found: list[Any] = []
        for start in range(0, len(addresses), BATCH_MAX):
            part = addresses[start : start + BATCH_MAX]
            found += await self._ask(*(("eth_getCode", (encode_data(one), "latest")) for one in part))
        with _readable():
            return [decode_data(code) for code in found]

    async def validators(self) -> frozenset[bytes]:
        """Return the addresses of the validators; nobody where the chain has no such method."""
        try:
            found = await self._rpc.call("ibft_getValidatorsByBlockNumber", "latest")
        except JSONRPCError:
            return frozenset()
        with _readable():
            return frozenset(decode_data(one, length=20) for one in found)

    async def gas_of_transfer(self, payer: Address, to: Address, value_wei: int) -> int:
        """Return the gas limit for a transfer: a quarter more than it takes now.

        Raises:
            RecipientRefuses: when the recipient refuses coins, or wants more gas than any wallet.
            Unavailable: when the node refuses to say: it catches up, or stands behind a proxy that does not let this through.
        """
        try:
            estimate = await self._estimate(payer, to, value_wei)
        except ExecutionReverted as error:
            raise RecipientRefuses(f"the recipient does not take coins: {error.message}") from None
        except JSONRPCError as error:
            # Code may end without a revert: out of gas, an invalid opcode, a precompile. A node that is not well says as little of a
            # payment to the payer; one that is well refuses this one again.
            try:
                await self._estimate(payer, payer, value_wei)
            except JSONRPCError:
                raise Unavailable(f"the node does not estimate a transfer: {error.message}") from None
            try:
                estimate = await self._estimate(payer, to, value_wei)
            except JSONRPCError as again:
                raise RecipientRefuses(f"the recipient does not take coins: {again.message}") from None
        if estimate > GAS_MAX:
            raise RecipientRefuses(
                f"the recipient wants {estimate:,} gas for its coins; {GAS_MAX:,} at most are paid"
            )
        return min(estimate if estimate == TRANSFER_GAS else estimate * 5 // 4, GAS_MAX)

    async def _estimate(self, payer: Address, to: Address, value_wei: int) -> int:
        call = {"from": encode_data(payer), "to": encode_data(to), "value": encode_quantity(value_wei)}
        with _readable():
            return decode_quantity(await self._rpc.call("eth_estimateGas", call))

    async def send(self, raw: bytes) -> str | None:
        """Give the nodes a transaction; None when the asked one has it now, else why it refused it. Raises Unavailable."""
        for other in self._others[:SENT_TO_MAX]:
            with contextlib.suppress(JSONRPCError, Unavailable):
                await other.call("eth_sendRawTransaction", encode_data(raw))
        try:
            await self._rpc.call("eth_sendRawTransaction", encode_data(raw))
        except JSONRPCError as error:
            known = "already known" in error.message.lower()
            return None if known else error.message
        return None

    async def receipts(self, hashes: Sequence[bytes]) -> dict[bytes, Receipt]:
        """Return the receipts of those that are in finalized blocks."""
        found = await self._ask(*(("eth_getTransactionReceipt", (encode_data(one),)) for one in hashes))
        with _readable():
            return {
                one: Receipt(
                    transaction_hash=one,
                    succeeded=decode_quantity(receipt["status"]) == 1,
                    refused=refused_of(receipt["logs"]),
                )
                for one, receipt in zip(hashes, found, strict=True)
                if receipt is not None
            }

    async def _ask(self, *calls: tuple[str, Sequence[Any]]) -> list[Any]:
        answers = await self._rpc.batch(calls) if calls else []
        for answer in answers:
            if isinstance(answer, JSONRPCError):
                raise Unavailable(f"the node refuses what a faucet has to know: {answer.message}")
            if isinstance(answer, NodeFault):
                raise answer
        return answers


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """What a node answers and nobody can read is a node that is away: another may do better, and so may this one later."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, InvalidEncoding) as error:
        raise Unavailable(f"the node answers what can't be read: {error!r:.200}") from None


def transaction_hash(raw: bytes) -> bytes:
    """Return the hash by which nodes know a transaction."""
    return keccak256(raw)


@dataclass(slots=True)
class NodeOrder:
    """Which of several nodes is asked first: one that did not answer is asked last for a while."""

    _silent_since_s: dict[int, float] = field(default_factory=dict)

    def of(self, count: int) -> list[int]:
        """Return the places of `count` nodes, in the order to ask them."""
        now_s = time.monotonic()
        return sorted(
            range(count),
            key=lambda place: now_s - self._silent_since_s.get(place, -RETRY_FIRST_S) < RETRY_FIRST_S,
        )

    def did_not_answer(self, place: int) -> None:
        """Ask others first for `RETRY_FIRST_S`."""
        self._silent_since_s[place] = time.monotonic()


@asynccontextmanager
async def open_node(
    url: str,
    backup_urls: Sequence[str] = (),
    *,
    genesis_hash: bytes | None = None,
    silent: NodeOrder | None = None,
) -> AsyncIterator[PayingNode]:
    """Open connections for the length of the block: to the first of the nodes that answers and is of the chain.

    `silent` remembers between two calls which did not answer: those are asked last.

    Raises:
        Unavailable: when there are several and none is so. Of one nothing is asked here.
    """
    async with AsyncExitStack() as stack:
        order = silent or NodeOrder()
        urls = (url, *backup_urls)
        clients = [await stack.enter_async_context(open_client(one, timeout_s=TIMEOUT_S)) for one in urls]
        if not backup_urls:
            yield PayingNode(clients[0])
            return
        reasons = []
        for place in order.of(len(urls)):
            client = clients[place]
            node = PayingNode(client, [*clients[:place], *clients[place + 1 :]])
            try:
                _, found = await node.identity()
            except Unavailable as error:
                order.did_not_answer(place)
                reasons.append(str(error))
                continue
            if genesis_hash is None or found == genesis_hash:
                break
            order.did_not_answer(place)
            reasons.append(f"{urls[place]} is of another chain")
        else:
            raise Unavailable(f"no node can be asked: {'; '.join(reasons)}")
        yield node
