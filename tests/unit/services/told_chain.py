"""A node of a chain without validators, as long as a test wants it: plain transfers to new accounts, and moves of one token."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from metanode.rpc.errors import MethodNotFound
from sdk.testnet.services.indexer import events
from sdk.testnet.services.indexer.node import ChainNode
from sdk.testnet.services.indexer.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sdk.testnet.services.store.store import Store

TOKEN = "0x" + "70" * 20
SENDER = "0x" + "51" * 20
FIRST_TIMESTAMP = 1_700_000_000


def block_hash(number: int) -> str:
    return f"0x{0xB10C:032x}{number:032x}"


def account(serial: int) -> str:
    return f"0x{serial:040x}"


class ToldChain:
    """A chain as a node tells it; `head` may be moved. Every second transaction is a move of the token."""

    def __init__(self, *, head: int = 0, transactions: int = 2, chain_id: int = 1) -> None:
        self.head = head
        self.transactions = transactions
        self.chain_id = chain_id
        self.asked: list[str] = []

    async def call(self, method: str, *params: Any) -> Any:
        answer = self._answer(method, params)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return [self._answer(method, params) for method, params in calls]

    def _answer(self, method: str, params: Sequence[Any]) -> Any:
        self.asked.append(method)
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.head)
            case "eth_getHeaderByNumber":
                return self.block(int(params[0], 16)) and {"gasUsed": hex(21_000 * self.transactions)}
            case "eth_getBlockByNumber":
                return self.block(int(params[0], 16))
            case "eth_getBlockReceipts":
                return self.receipts(int(params[0], 16))
            case "eth_getCode" | "eth_call":
                return "0x"
            case _:
                return MethodNotFound(f"the method {method} does not exist")

    def block(self, number: int) -> dict[str, Any] | None:
        if number > self.head:
            return None
        return {
            "number": hex(number), "hash": block_hash(number), "parentHash": block_hash(number - 1) if number else "0x" + "00" * 32,
            "timestamp": hex(FIRST_TIMESTAMP + 2 * number), "miner": account(0xFEE), "gasUsed": hex(21_000 * self.transactions),
            "gasLimit": hex(60_000_000), "baseFeePerGas": "0x7", "size": "0x300", "extraData": "0x", "stateRoot": "0x" + "23" * 32,
            "withdrawals": [],
            "transactions": [
                {
                    "hash": self._hash(number, index), "from": SENDER, "to": TOKEN if index % 2 else self._new(number, index),
                    "input": "0x", "value": "0x5", "nonce": hex(number * self.transactions + index), "type": "0x2", "gas": "0x5208",
                }
                for index in range(self.transactions if number else 0)
            ],
        }  # fmt: skip

    def receipts(self, number: int) -> list[dict[str, Any]] | None:
        if number > self.head:
            return None
        return [
            {
                "transactionHash": self._hash(number, index), "gasUsed": "0x5208", "effectiveGasPrice": "0x7", "status": "0x1",
                "contractAddress": None,
                "logs": [
                    {
                        "address": TOKEN, "data": f"0x{index:064x}",
                        "topics": [
                            "0x" + events.TRANSFER.hex(), "0x" + "00" * 12 + SENDER[2:], "0x" + "00" * 12 + self._new(number, index)[2:],
                        ],
                    }
                ] if index % 2 else [],
            }
            for index in range(self.transactions if number else 0)
        ]  # fmt: skip

    def _hash(self, number: int, index: int) -> str:
        return f"0x{number:032x}{index:032x}"

    def _new(self, number: int, index: int) -> str:
        return account(2**64 + number * self.transactions + index)


def opening(nodes: dict[str, Any]) -> Callable[..., Any]:
    """What stands for `open_client`, with these nodes by their URLs."""

    @asynccontextmanager
    async def open_client(url: str, **_: Any) -> AsyncIterator[Any]:
        yield nodes[url]

    return open_client


def write_chain(store: Store, chain: Any) -> None:
    """Index what a node tells, as the indexer does, without waiting for anybody."""

    async def run() -> None:
        node = ChainNode(chain)
        writer = Writer(store, {})
        writer.open(await node.identity())
        for numbers in await node.groups(0, chain.head):
            writer.write(await node.fetch(numbers, head=chain.head))

    # A loop of its own, whatever runs beside.
    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    thread.join()
