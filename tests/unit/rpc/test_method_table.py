"""Every method that wallets, libraries, explorers and tools ask for is answered, and says of itself what it takes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

pytest.importorskip("metanode._engine", reason="the engine is not built: run `make setup`")

from metanode.chain.genesis import make_genesis
from metanode.chain.validators import Validator, ValidatorSet
from metanode.execution.embedded import EmbeddedOptions, open_embedded
from metanode.primitives.types import Address
from metanode.rpc.client import JSONRPCClient, open_client
from metanode.rpc.errors import InternalError, JSONRPCError, MethodNotFound, NodeFault
from metanode.rpc.server import Listener, RPCServerConfig, open_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from metanode._engine import Engine

CHAIN_ID = 1337
ADDRESS = "0x" + "0f" * 20
HASH = "0x" + "0a" * 32
CALL = {"to": ADDRESS}
NAMESPACES = ("eth", "net", "web3", "rpc", "debug", "txpool", "trace", "ots", "erigon", "testing")
SENDER = Account.from_key(b"\x11" * 32)
TRANSACTION = "the hash of the transaction"
BLOCK = "the hash of block 1"
NEXT = "a signed transaction that was not sent"

TABLE: dict[str, list[Any]] = {
    "eth_chainId": [],
    "net_version": [],
    "web3_clientVersion": [],
    "web3_sha3": ["0x"],
    "net_listening": [],
    "net_peerCount": [],
    "eth_blockNumber": [],
    "eth_getBlockByNumber": ["latest", False],
    "eth_getBlockByHash": [HASH, False],
    "eth_getHeaderByNumber": ["latest"],
    "eth_getHeaderByHash": [HASH],
    "eth_getTransactionByHash": [HASH],
    "eth_getTransactionByBlockHashAndIndex": [HASH, "0x0"],
    "eth_getTransactionByBlockNumberAndIndex": ["latest", "0x0"],
    "eth_getTransactionReceipt": [HASH],
    "eth_getBlockReceipts": ["latest"],
    "eth_getLogs": [{}],
    "eth_call": [CALL, "latest"],
    "eth_estimateGas": [CALL],
    "eth_createAccessList": [CALL],
    "eth_gasPrice": [],
    "eth_maxPriorityFeePerGas": [],
    "eth_feeHistory": ["0x1", "latest", [50]],
    "eth_blobBaseFee": [],
    "eth_baseFee": [],
    "eth_getBalance": [ADDRESS, "latest"],
    "eth_getCode": [ADDRESS, "latest"],
    "eth_getStorageAt": [ADDRESS, "0x0", "latest"],
    "eth_getTransactionCount": [ADDRESS, "pending"],
    "eth_getProof": [ADDRESS, [], "latest"],
    "eth_syncing": [],
    "eth_accounts": [],
    "eth_newFilter": [{}],
    "eth_newBlockFilter": [],
    "eth_newPendingTransactionFilter": [],
    "eth_uninstallFilter": ["0x1"],
    "eth_getBlockTransactionCountByHash": [HASH],
    "eth_getBlockTransactionCountByNumber": ["latest"],
    "eth_getUncleCountByBlockHash": [HASH],
    "eth_getUncleCountByBlockNumber": ["latest"],
    "eth_getUncleByBlockHashAndIndex": [HASH, "0x0"],
    "eth_getUncleByBlockNumberAndIndex": ["latest", "0x0"],
    "eth_getRawTransactionByHash": [HASH],
    "debug_getRawBlock": ["latest"],
    "debug_getRawHeader": ["latest"],
    "debug_getRawReceipts": ["latest"],
    "debug_getRawTransaction": [HASH],
    "eth_simulateV1": [{"blockStateCalls": [{"calls": [CALL]}]}, "latest"],
    "eth_config": [],
    "eth_capabilities": [],
    "eth_getStorageValues": [{ADDRESS: [HASH]}, "latest"],
    "debug_traceTransaction": [TRANSACTION, {"tracer": "callTracer"}],
    "debug_traceCall": [CALL, "latest", {}],
    "debug_traceBlockByNumber": ["latest", {"tracer": "prestateTracer"}],
    "debug_traceBlockByHash": [BLOCK, {}],
    "trace_block": ["latest"],
    "trace_transaction": [TRANSACTION],
    "trace_get": [TRANSACTION, []],
    "trace_filter": [{"fromBlock": "0x1", "toBlock": "latest", "count": 10}],
    "trace_call": [CALL, ["trace", "vmTrace", "stateDiff"], "latest"],
    "trace_callMany": [[[CALL, ["trace"]], [CALL, ["stateDiff"]]], "latest"],
    "trace_rawTransaction": [NEXT, ["trace"]],
    "trace_replayTransaction": [TRANSACTION, ["trace", "stateDiff"]],
    "trace_replayBlockTransactions": ["latest", ["trace"]],
    "ots_getApiLevel": [],
    "ots_getBlockDetails": [1],
    "ots_getBlockDetailsByHash": [BLOCK],
    "ots_getBlockTransactions": [1, 0, 25],
    "ots_getContractCreator": [ADDRESS],
    "ots_getInternalOperations": [TRANSACTION],
    "ots_getTransactionBySenderAndNonce": [SENDER.address, 0],
    "ots_getTransactionError": [TRANSACTION],
    "ots_hasCode": [ADDRESS, "latest"],
    "ots_searchTransactionsAfter": [ADDRESS, 0, 25],
    "ots_searchTransactionsBefore": [ADDRESS, 0, 25],
    "ots_traceTransaction": [TRANSACTION],
    "erigon_getHeaderByNumber": [1],
    "txpool_content": [],
    "txpool_contentFrom": [ADDRESS],
    "txpool_inspect": [],
    "txpool_status": [],
    "rpc_modules": [],
    "rpc_discover": [],
}
"""Answered with a result. The methods that trace speak of the one transaction of block 1."""

REFUSED: dict[str, tuple[list[Any], int]] = {
    "eth_sendRawTransaction": (["0x01"], -32000),
    "eth_sendRawTransactionSync": (["0x01", 1_000], -32000),
    "eth_getFilterChanges": (["0x1"], -32000),
    "eth_getFilterLogs": (["0x1"], -32000),
    "testing_buildBlockV1": ([], -32602),
}
"""Answered with an error of their own: what they are asked for is not there."""

NOT_OURS = (
    "anvil_mine", "hardhat_reset", "evm_mine", "personal_sign", "miner_start", "eth_mining", "eth_sign",
    "admin_peers", "engine_newPayloadV4", "nothing",
)  # fmt: skip


@asynccontextmanager
async def asked() -> AsyncIterator[JSONRPCClient]:
    genesis = make_genesis(
        network_name="table",
        chain_id=CHAIN_ID,
        genesis_time=1_700_000_000,
        validators=ValidatorSet([Validator(address=Address(b"\x0f" * 20))]),
        balances={Address(bytes.fromhex(SENDER.address[2:])): 10**20},
    )
    config = RPCServerConfig(
        listeners=(Listener(port=0, namespaces=NAMESPACES),),
        client_version="metanode/test",
        network_id=CHAIN_ID,
    )
    async with (
        asyncio.timeout(60),
        open_embedded(json.dumps(genesis).encode(), EmbeddedOptions(threads=1)) as engine,
        open_server(config, {}, engine=engine.engine) as server,
    ):
        make_block(engine.engine)
        (address, port), *_ = server.addresses
        async with open_client(f"http://{address}:{port}") as client:
            yield client


def make_block(engine: Engine) -> None:
    """Decide a block with a transaction."""
    engine.add_transaction(signed(0))
    head = engine.head()
    built = engine.build(
        head.hash,
        timestamp=head.timestamp + 2,
        fee_recipient=b"\x0f" * 20,
        prev_randao=b"\x0a" * 32,
        withdrawals=[],
        parent_beacon_block_root=b"\x0b" * 32,
        gas_limit=60_000_000,
        extra_data=b"",
        deadline_s=10.0,
    )
    engine.finalize(built.hash)


def signed(nonce: int) -> bytes:
    """A transfer of a wei."""
    transfer = {
        "chainId": CHAIN_ID, "nonce": nonce, "gas": 21_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
        "to": bytes.fromhex(ADDRESS[2:]), "value": 1, "data": b"",
    }  # fmt: skip
    return bytes(SENDER.sign_transaction(transfer).raw_transaction)


def test_every_method_that_tools_need_is_answered() -> None:
    async def scenario() -> None:
        async with asked() as client:
            names = {
                TRANSACTION: (await client.call("eth_getBlockByNumber", "0x1", False))["transactions"][0],
                BLOCK: (await client.call("eth_getBlockByNumber", "0x1", False))["hash"],
                NEXT: "0x" + signed(1).hex(),
            }
            for method, params in TABLE.items():
                answer = await client.call(method, *(names.get(str(param), param) for param in params))
                about_it = {TRANSACTION, BLOCK} & {str(param) for param in params}
                assert answer not in (None, []) or not about_it or method == "ots_getInternalOperations", (
                    method
                )
            for method, (params, code) in REFUSED.items():
                with pytest.raises(JSONRPCError) as raised:
                    await client.call(method, *params)
                assert raised.value.code == code, method
            for method in NOT_OURS:
                with pytest.raises(MethodNotFound):
                    await client.call(method)

    asyncio.run(scenario())


def test_what_a_listener_offers_it_describes_and_answers() -> None:
    async def scenario() -> None:
        async with asked() as client:
            document = await client.call("rpc_discover")
            methods = {method["name"]: method for method in document["methods"]}
            assert set(methods) >= {*TABLE, *REFUSED, "eth_subscribe", "eth_unsubscribe"}
            for name, method in methods.items():
                answer = await answered(client, name, [])
                assert not isinstance(answer, InternalError), name
                assert isinstance(answer, MethodNotFound) == (name in {"eth_subscribe", "eth_unsubscribe"})
                needs = any(parameter["required"] for parameter in method["params"])
                if needs and name not in {"eth_subscribe", "eth_unsubscribe"}:
                    assert isinstance(answer, JSONRPCError), name
                    assert answer.code == -32602, name

    asyncio.run(scenario())


async def answered(client: JSONRPCClient, method: str, params: list[Any]) -> Any:
    """The result, or the error. Subscriptions need a WebSocket, and are told so as unknown methods are."""
    try:
        return await client.call(method, *params)
    except (JSONRPCError, NodeFault) as error:
        return error
