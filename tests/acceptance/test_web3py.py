"""web3.py, unmodified, against four real validators."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractLogicError
from web3.middleware import SignAndSendRawMiddlewareBuilder

if TYPE_CHECKING:
    from tests.conftest import RunningNetwork

pytestmark = pytest.mark.timeout(300)
RECIPIENT = Web3.to_checksum_address("0x" + "e3" * 20)


@pytest.fixture
def web3(network: RunningNetwork) -> Web3:
    return Web3(Web3.HTTPProvider(network.http_url))


@pytest.fixture
def sender(accounts) -> Any:
    return Account.from_key(accounts[3].private_key)


def transact(web3: Web3, sender: Any, transaction: dict[str, Any]) -> Any:
    """Fill in, sign, send, and wait for the receipt."""
    filled = {
        "chainId": web3.eth.chain_id,
        "nonce": web3.eth.get_transaction_count(sender.address, "pending"),
        "maxFeePerGas": 2 * web3.eth.gas_price,
        "maxPriorityFeePerGas": web3.eth.max_priority_fee,
        **transaction,
    }
    if "gas" not in filled:
        filled["gas"] = web3.eth.estimate_gas({**transaction, "from": sender.address})
    raw = sender.sign_transaction(filled).raw_transaction
    return web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(raw), timeout=30)


def deploy(web3: Web3, sender: Any, counter: dict[str, Any]) -> Any:
    factory = web3.eth.contract(abi=counter["abi"], bytecode=counter["bytecode"])
    receipt = transact(web3, sender, {"data": factory.constructor().data_in_transaction})
    assert receipt["status"] == 1
    return web3.eth.contract(address=receipt["contractAddress"], abi=counter["abi"])


def test_a_block_is_read_without_proof_of_authority_middleware(web3: Web3) -> None:
    block = web3.eth.get_block("latest")

    assert len(block["extraData"]) <= 32
    assert block["hash"] == web3.eth.get_block(block["number"])["hash"]


def test_latest_safe_and_finalized_are_one_block(web3: Web3) -> None:
    numbers = [web3.eth.get_block(tag)["number"] for tag in ("finalized", "safe", "latest")]

    assert numbers[-1] - numbers[0] <= 1  # A block may be finalized between two of the calls.


def test_a_transfer_arrives(web3: Web3, sender: Any) -> None:
    before = web3.eth.get_balance(RECIPIENT)

    receipt = transact(web3, sender, {"to": RECIPIENT, "value": 10**18})

    assert (receipt["status"], receipt["gasUsed"]) == (1, 21000)
    assert web3.eth.get_balance(RECIPIENT) == before + 10**18


def test_a_vyper_contract_is_deployed_called_and_its_logs_read(web3: Web3, sender: Any, counter) -> None:
    contract = deploy(web3, sender, counter)

    call = contract.functions.add(21)
    receipt = transact(web3, sender, {"to": contract.address, "data": call._encode_transaction_data()})

    assert receipt["status"] == 1
    assert contract.functions.doubled().call() == 42
    (log,) = contract.events.Changed().get_logs(from_block=receipt["blockNumber"])
    assert (log["args"]["by"], log["args"]["value"]) == (sender.address, 21)


def test_a_revert_reason_is_decoded(web3: Web3, sender: Any, counter) -> None:
    contract = deploy(web3, sender, counter)

    with pytest.raises(ContractLogicError, match="amount too large"):
        contract.functions.add(100).call()
    with pytest.raises(ContractLogicError, match="amount too large"):
        contract.functions.add(100).estimate_gas()


def test_logs_and_heads_arrive_by_subscription(
    network: RunningNetwork, web3: Web3, sender: Any, counter
) -> None:
    contract = deploy(web3, sender, counter)
    call = contract.functions.add(7)

    async def watch() -> tuple[int, int]:
        async with AsyncWeb3(WebSocketProvider(network.ws_url)) as sockets:
            logs = await sockets.eth.subscribe("logs", {"address": contract.address})
            heads = await sockets.eth.subscribe("newHeads")
            await asyncio.to_thread(
                transact, web3, sender, {"to": contract.address, "data": call._encode_transaction_data()}
            )
            seen: dict[str, Any] = {}
            async for message in sockets.socket.process_subscriptions():
                seen.setdefault(message["subscription"], message["result"])
                if logs in seen and heads in seen:
                    break
            value = contract.events.Changed().process_log(seen[logs])["args"]["value"]
            return value, seen[heads]["number"]

    value, number = asyncio.run(asyncio.wait_for(watch(), timeout=60))  # noqa: TID251 - outside of any task group

    assert value == 7
    assert number >= 1


def test_fees_are_estimated_from_history(web3: Web3) -> None:
    history = web3.eth.fee_history(2, "latest", [25, 75])

    assert len(history["baseFeePerGas"]) == 3
    assert all(len(reward) == 2 for reward in history["reward"])
    assert web3.eth.gas_price >= history["baseFeePerGas"][-1] > 0
    assert web3.eth.max_priority_fee > 0


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (0, {}),
        (1, {"accessList": [{"address": RECIPIENT, "storageKeys": ["0x" + "00" * 32]}]}),
        (2, {"accessList": [{"address": RECIPIENT, "storageKeys": ["0x" + "00" * 32]}]}),
    ],
)
def test_each_kind_of_transaction_is_included(
    web3: Web3, sender: Any, kind: int, fields: dict[str, Any]
) -> None:
    fees = {"type": 2, "maxFeePerGas": 2 * web3.eth.gas_price, "maxPriorityFeePerGas": 1}
    price = {"gasPrice": web3.eth.gas_price} | ({"type": 1} if kind == 1 else {})
    filled = {
        "chainId": web3.eth.chain_id, "nonce": web3.eth.get_transaction_count(sender.address, "pending"),
        "to": RECIPIENT, "value": 1, "gas": 50_000, **(fees if kind == 2 else price), **fields,
    }  # fmt: skip

    sent = web3.eth.send_raw_transaction(sender.sign_transaction(filled).raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=30)

    assert (receipt["status"], receipt["type"]) == (1, kind)
    assert web3.eth.get_transaction(sent)["type"] == kind


def test_an_account_is_delegated(web3: Web3, sender: Any, counter) -> None:
    """EIP-7702: somebody else pays for it, and calls the code in the same transaction."""
    contract = deploy(web3, sender, counter)
    authority = Account.create()
    authorization = authority.sign_authorization({"chainId": 1337, "address": contract.address, "nonce": 0})
    data = contract.functions.add(7)._encode_transaction_data()

    receipt = transact(
        web3, sender,
        {"type": 4, "to": authority.address, "value": 0, "data": data, "gas": 200_000, "authorizationList": [authorization]},
    )  # fmt: skip

    assert (receipt["status"], receipt["type"]) == (1, 4)
    assert web3.eth.get_code(authority.address) == bytes.fromhex("ef0100" + contract.address[2:])
    assert web3.eth.contract(address=authority.address, abi=counter["abi"]).functions.doubled().call() == 14


def test_twenty_transactions_whose_nonces_web3_asks_for_are_all_included(web3: Web3, sender: Any) -> None:
    """web3.py counts no nonces itself: it asks the node for the pending one at each send.

    So the pool has to know what it took a moment ago; senders of one account take turns at this, and all are in the pool beside each other.
    """
    web3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(sender), layer=0)
    turn = Lock()

    def send(_: int) -> Any:
        with turn:
            return web3.eth.send_transaction(
                {"from": sender.address, "to": RECIPIENT, "value": 1, "gas": 21000}
            )

    first = web3.eth.get_transaction_count(sender.address, "pending")
    with ThreadPoolExecutor(max_workers=20) as threads:
        hashes = list(threads.map(send, range(20)))
    receipts = [web3.eth.wait_for_transaction_receipt(found, timeout=30) for found in hashes]

    assert [receipt["status"] for receipt in receipts] == [1] * 20
    nonces = sorted(web3.eth.get_transaction(found)["nonce"] for found in hashes)
    assert nonces == list(range(first, first + 20))


def test_twenty_transactions_in_parallel_are_all_included(web3: Web3, sender: Any) -> None:
    """At the same moment, in any order: their nonces are counted here, for web3.py has nothing that does."""
    nonce = web3.eth.get_transaction_count(sender.address, "pending")
    fees = {"maxFeePerGas": 2 * web3.eth.gas_price, "maxPriorityFeePerGas": web3.eth.max_priority_fee}
    raws = [
        sender.sign_transaction(
            {"chainId": 1337, "nonce": nonce + i, "to": RECIPIENT, "value": 1, "gas": 21000, **fees}
        ).raw_transaction
        for i in range(20)
    ]

    with ThreadPoolExecutor(max_workers=20) as threads:
        hashes = list(threads.map(web3.eth.send_raw_transaction, raws))

    assert all(web3.eth.wait_for_transaction_receipt(found, timeout=30)["status"] == 1 for found in hashes)
