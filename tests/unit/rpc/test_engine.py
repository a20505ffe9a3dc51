"""The server in front of the real engine: answers, transactions, subscriptions and filters, over real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from websockets.asyncio.client import ClientConnection, connect

pytest.importorskip("metanode._engine", reason="the engine is not built: run `make setup`")

from metanode.chain.attributes import PayloadAttributes
from metanode.chain.genesis import make_genesis
from metanode.chain.validators import Validator, ValidatorSet
from metanode.execution.embedded import EmbeddedExecution, EmbeddedOptions, open_embedded
from metanode.primitives.types import Address, Hash32
from metanode.rpc.client import JSONRPCClient, open_client
from metanode.rpc.errors import JSONRPCError, RequestTimedOut, ServerBusy, ServerError
from metanode.rpc.server import Listener, RPCServer, RPCServerConfig, open_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHAIN_ID = 1337
SENDER = Account.from_key(b"\x11" * 32)
COINBASE = Address(b"\x0f" * 20)
BALANCE_WEI = 1_000 * 10**18
LOGGING_CODE = "0x602a60006000a100"
"""Emits a log with topic 42 and stops."""


def genesis() -> bytes:
    content = make_genesis(
        network_name="served",
        chain_id=CHAIN_ID,
        genesis_time=1_700_000_000,
        validators=ValidatorSet([Validator(address=COINBASE)]),
        balances={Address(bytes.fromhex(SENDER.address[2:])): BALANCE_WEI},
    )
    return json.dumps(content).encode()


def signed(nonce: int, **fields: Any) -> str:
    transaction = {
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "gas": 100_000,
        "maxFeePerGas": 100 * 10**9,
        "maxPriorityFeePerGas": 10**9,
        "value": 0,
        **fields,
    }
    return "0x" + SENDER.sign_transaction(transaction).raw_transaction.hex().removeprefix("0x")


class Chain:
    """One node's engine and server, and a block whenever a test says so."""

    def __init__(self, engine: EmbeddedExecution, server: RPCServer, client: JSONRPCClient) -> None:
        self.engine = engine
        self.server = server
        self.client = client

    @property
    def url(self) -> str:
        (address, port), *_ = self.server.addresses
        return f"ws://{address}:{port}"

    async def produce(self) -> None:
        head = await self.engine.head()
        attributes = PayloadAttributes(
            timestamp=head.timestamp + 2,
            prev_randao=Hash32(b"\x0a" * 32),
            fee_recipient=COINBASE,
            withdrawals=(),
            parent_beacon_block_root=Hash32(b"\x0b" * 32),
            gas_limit=60_000_000,
        )
        build_id = await self.engine.start_build(head.hash, attributes)
        payload = await self.engine.take_build(build_id, deadline_s=10)
        await self.engine.finalize(payload.hash)


@asynccontextmanager
async def served() -> AsyncIterator[Chain]:
    config = RPCServerConfig(
        listeners=(Listener(port=0),), client_version="Metanode/test", network_id=CHAIN_ID
    )
    async with (
        asyncio.timeout(30),
        open_embedded(genesis(), EmbeddedOptions(threads=2)) as engine,
        open_server(config, {}, engine=engine.engine) as server,
    ):
        (address, port), *_ = server.addresses
        async with open_client(f"http://{address}:{port}") as client:
            yield Chain(engine, server, client)


async def subscribe(socket: ClientConnection, *params: Any) -> str:
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": params}))
    answer = json.loads(await socket.recv())
    return str(answer["result"])


async def notified(socket: ClientConnection, subscription: str) -> Any:
    message = json.loads(await socket.recv())
    assert message["params"]["subscription"] == subscription
    return message["params"]["result"]


def test_the_engine_answers_over_http() -> None:
    async def scenario() -> None:
        async with served() as chain:
            client = chain.client
            assert await client.call("eth_chainId") == hex(CHAIN_ID)
            assert await client.call("net_version") == str(CHAIN_ID)
            assert await client.call("eth_blockNumber") == "0x0"
            assert await client.call("eth_getBalance", SENDER.address, "latest") == hex(BALANCE_WEI)
            call = {"data": "0x602a60005260206000f3"}
            assert int(await client.call("eth_call", call, "latest"), 16) == 42
            assert await client.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}) == []
            await chain.produce()
            assert await client.call("eth_blockNumber") == "0x1"
            chain.server.set_shedding(shedding=True)
            with pytest.raises(ServerBusy):
                await client.call("eth_call", call, "latest")

    asyncio.run(scenario())


def test_transactions_enter_the_pool_alone_and_in_batches() -> None:
    async def scenario() -> None:
        async with served() as chain:
            client = chain.client
            assert len(await client.call("eth_sendRawTransaction", signed(0, to=SENDER.address))) == 66
            rest = [("eth_sendRawTransaction", [signed(nonce, to=SENDER.address)]) for nonce in range(1, 60)]
            answers = await client.batch(
                [*rest, rest[0], ("eth_getTransactionCount", [SENDER.address, "pending"])]
            )
            assert all(isinstance(answer, str) for answer in answers[:59]), answers
            assert isinstance(answers[59], ServerError)
            assert answers[59].message == "already known"
            assert answers[60] == hex(60), "the count is asked after the transactions of its batch"
            await chain.produce()
            block = await client.call("eth_getBlockByNumber", "latest", False)
            assert len(block["transactions"]) == 60
            with pytest.raises(JSONRPCError, match="nonce too low"):
                await client.call("eth_sendRawTransaction", signed(0, to=SENDER.address, value=1))

    asyncio.run(scenario())


def test_a_subscriber_hears_whether_the_node_catches_up() -> None:
    async def scenario() -> None:
        async with served() as chain, connect(chain.url) as socket:
            identifier = await subscribe(socket, "syncing")
            assert await notified(socket, identifier) is False
            chain.engine.set_syncing(starting=3, current=5, highest=9)
            report = await notified(socket, identifier)
            assert report["syncing"] is True
            assert {name: report["status"][name] for name in ("startingBlock", "currentBlock", "highestBlock")} == {
                "startingBlock": "0x3", "currentBlock": "0x5", "highestBlock": "0x9",
            }  # fmt: skip
            chain.engine.set_syncing(starting=0, current=0, highest=None)
            assert await notified(socket, identifier) is False

    asyncio.run(scenario())


def test_subscribers_hear_of_transactions_blocks_and_logs() -> None:
    async def scenario() -> None:
        async with (
            served() as chain,
            connect(chain.url) as heads,
            connect(chain.url) as logs,
            connect(chain.url) as receipts,
            connect(chain.url) as hashes,
            connect(chain.url) as whole,
        ):
            heads_id = await subscribe(heads, "newHeads")
            logs_id = await subscribe(logs, "logs", {"topics": ["0x" + "00" * 31 + "2a"]})
            receipts_id = await subscribe(receipts, "transactionReceipts")
            hashes_id = await subscribe(hashes, "newPendingTransactions")
            whole_id = await subscribe(whole, "newPendingTransactions", True)
            sent = await chain.client.call("eth_sendRawTransaction", signed(0, data=LOGGING_CODE))
            assert await notified(hashes, hashes_id) == sent
            transaction = await notified(whole, whole_id)
            assert (transaction["hash"], transaction["blockHash"]) == (sent, None)
            await chain.produce()
            head = await notified(heads, heads_id)
            log = await notified(logs, logs_id)
            block = await chain.client.call("eth_getBlockByNumber", "latest", False)
            assert head == {name: block[name] for name in head}
            assert set(block) - set(head) == {"transactions", "uncles", "withdrawals", "size"}
            receipt = await chain.client.call("eth_getTransactionReceipt", sent)
            assert [log] == receipt["logs"]
            assert await notified(receipts, receipts_id) == [receipt]
            for _ in range(5):
                await chain.produce()
            numbers = [(await notified(heads, heads_id))["number"] for _ in range(5)]
            assert numbers == [hex(number) for number in range(2, 7)]

    asyncio.run(scenario())


def test_filters_keep_news_and_find_the_past() -> None:
    async def scenario() -> None:
        async with served() as chain:
            client = chain.client
            earlier = await client.call("eth_newPendingTransactionFilter")
            past = await client.call("eth_sendRawTransaction", signed(0, data=LOGGING_CODE))
            earlier_blocks = await client.call("eth_newBlockFilter")
            earlier_logs = await client.call("eth_newFilter", {})
            # News comes a moment after what it tells of: filters made below must not meet the news of the first block.
            assert await changes(client, earlier) == [past]
            await chain.produce()
            assert len(await changes(client, earlier_blocks)) == 1
            assert len(await changes(client, earlier_logs)) == 1
            blocks = await client.call("eth_newBlockFilter")
            logs = await client.call("eth_newFilter", {"fromBlock": "0x0", "toBlock": "latest"})
            pending = await client.call("eth_newPendingTransactionFilter")
            sent = await client.call("eth_sendRawTransaction", signed(1, data=LOGGING_CODE))
            assert await changes(client, pending) == [sent]
            await chain.produce()
            block = await client.call("eth_getBlockByNumber", "latest", False)
            assert await changes(client, blocks) == [block["hash"]]
            (fresh,) = await changes(client, logs)
            assert fresh["blockNumber"] == "0x2"
            past = await client.call("eth_getFilterLogs", logs)
            assert [log["blockNumber"] for log in past] == ["0x1", "0x2"]
            assert past[1] == fresh

    asyncio.run(scenario())


def test_calls_that_never_end_are_stopped_while_reads_go_on() -> None:
    """Row 10 of docs/evidence/bad-inputs.md: as many endless calls as there are threads for them."""

    async def scenario() -> None:
        async with served() as chain, asyncio.TaskGroup() as tasks:
            endless = {"data": "0x5b600056", "gas": hex(2**64 - 1)}
            memory = {"data": "0x600165ffffffffffff52", "gas": hex(2**64 - 1)}
            calls = [tasks.create_task(failed(chain.client, call)) for call in [endless, endless, memory]]
            for _ in range(20):
                assert await chain.client.call("eth_blockNumber") == "0x0"
            for call in calls:
                assert isinstance(await call, JSONRPCError | RequestTimedOut)

    asyncio.run(scenario())


async def failed(client: JSONRPCClient, call: Any) -> Exception:
    with pytest.raises((JSONRPCError, RequestTimedOut)) as raised:
        await client.call("eth_call", call, "latest")
    return raised.value


async def changes(client: JSONRPCClient, filter_id: str) -> list[Any]:
    """What a filter has got as soon as it has got something."""
    while True:
        found: list[Any] = await client.call("eth_getFilterChanges", filter_id)
        if found:
            return found
        await asyncio.sleep(0.01)
