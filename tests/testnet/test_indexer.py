"""The index of a real network says what the network's nodes say, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi import encode
from tests.testnet.index_chain import Chain, call_of, word
from tests.testnet.index_database import DATABASES, index_database
from tests.testnet.index_runs import index_to

from metanode.crypto.hashing import keccak256
from metanode.primitives.hexadecimal import encode_data
from sdk.testnet import Testnet
from sdk.testnet.services.indexer.events import TRANSFER, TRANSFER_BATCH, TRANSFER_SINGLE
from sdk.testnet.services.queries import (
    Slice,
    addresses,
    blocks,
    consensus,
    contracts,
    search,
    statistics,
    tokens,
    transactions,
    validators,
)
from sdk.testnet.services.store import CallKind, Direction, Store, TokenKind, Traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

pytestmark = pytest.mark.slow

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b0" * 20
ZERO = "0x" + "00" * 20
HOSTILE_NAME = b"\xe2\x80\xae<img src=x onerror=alert(1)>\x00\x07\xff" + b"A" * 400
FAUCET_NAME = "faucet"


@dataclass(frozen=True)
class Story:
    """What happened on the chain."""

    net: Testnet
    chain: Chain
    coins: str
    things: str
    parts: str
    creation: dict[str, Any]
    payment: dict[str, Any]
    failure: dict[str, Any]
    undone: dict[str, Any]
    twin: dict[str, Any]
    transfer: dict[str, Any]
    last: int


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with (
        Testnet(validators=4, block_time_s=1, in_memory=True) as net,
        Chain(net.rpc_url, net.accounts[0]) as chain,
    ):
        coins = chain.speaker(HOSTILE_NAME, "=1+1", 6)
        things = chain.speaker("Kätzchen".encode(), "CAT", 0)
        parts = chain.speaker(b"", "", 0)
        creation = chain.rpc("eth_getTransactionReceipt", _creation_of(chain, coins))
        for sender, recipient, amount in ((ZERO, ALICE, 1_000), (ALICE, BOB, 300), (BOB, ZERO, 100)):
            chain.send(to=coins, data=_coins_move(sender, recipient, amount))
        for sender, recipient, thing in ((ZERO, ALICE, 7), (ZERO, ALICE, 8), (ALICE, BOB, 7)):
            chain.send(to=things, data=_say4(TRANSFER, word(sender), word(recipient), word(thing), b""))
        batch = encode(["uint256[]", "uint256[]"], [[1, 2, 3], [10, 20, 0]])
        chain.send(to=parts, data=_say4(TRANSFER_BATCH, word(ALICE), word(ZERO), word(ALICE), batch))
        single = word(2) + word(5)
        chain.send(to=parts, data=_say4(TRANSFER_SINGLE, word(ALICE), word(ALICE), word(BOB), single))
        # An event that only looks like a transfer: its addresses are no addresses.
        chain.send(to=coins, data=_say3(TRANSFER, b"\xff" * 32, b"\xff" * 32, word(1)))
        payment = chain.do(to=coins, data=call_of("pay(address,uint256)", BOB, 5), value=5)
        failure = chain.do(to=coins, data=call_of("pay_and_fail(address,uint256)", BOB, 5), value=5)
        undone = chain.do(to=coins, data=call_of("try_to_pay_and_fail(address,uint256)", BOB, 5), value=5)
        twin = chain.do(to=coins, data=call_of("make_twin(address)", coins))
        transfer = chain.do(to=ALICE, value=10**18)
        last = int(transfer["blockNumber"], 16)
        # One more, so that the last one's seals are fixed.
        net.wait_for_block(last + 2)
        yield Story(
            net, chain, coins, things, parts, creation, payment, failure, undone, twin, transfer, last
        )


@pytest.fixture(scope="module", params=DATABASES)
def index(
    request: pytest.FixtureRequest, story: Story, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with index_database(request.param, tmp_path_factory.mktemp("index")) as url:
        store = Store(url)
        names = {_bytes(story.net.accounts[0].address): FAUCET_NAME}
        asyncio.run(index_to(store, story.net.rpc_url, story.last + 1, names=names))
        yield store
        store.close()


@pytest.fixture
def look(index: Store) -> Iterator[Connection]:
    with index.look() as connection:
        yield connection


def test_every_block_and_transaction_is_the_node_s(story: Story, look: Connection) -> None:
    for number in range(story.last + 1):
        said = story.chain.rpc("eth_getBlockByNumber", hex(number), True)
        receipts = story.chain.rpc("eth_getBlockReceipts", hex(number))
        row = blocks.get_block(look, number)
        assert row is not None
        assert (encode_data(row.hash), encode_data(row.parent_hash)) == (said["hash"], said["parentHash"])
        assert (row.timestamp, row.gas_used, row.gas_limit, row.size_bytes, row.base_fee_wei) == tuple(
            int(said[name], 16) for name in ("timestamp", "gasUsed", "gasLimit", "size", "baseFeePerGas")
        )
        assert row.fees_wei == sum(int(r["gasUsed"], 16) * int(r["effectiveGasPrice"], 16) for r in receipts)
        page = transactions.block_transactions(look, number)
        assert [encode_data(one.hash) for one in page.items] == [one["hash"] for one in said["transactions"]]
        for one, transaction, receipt in zip(page.items, said["transactions"], receipts, strict=True):
            assert encode_data(one.sender.address) == transaction["from"]
            assert (encode_data(one.recipient.address) if one.recipient else None) == transaction["to"]
            assert one.value_wei == int(transaction["value"], 16)
            assert one.succeeded == (receipt["status"] == "0x1")
            assert one.gas_used == int(receipt["gasUsed"], 16)
            assert one.cumulative_gas_used == int(receipt["cumulativeGasUsed"], 16)
            assert one.gas_price_wei == int(receipt["effectiveGasPrice"], 16)
            assert (one.nonce, one.type, one.gas_limit) == tuple(
                int(transaction[name], 16) for name in ("nonce", "type", "gas")
            )
            assert encode_data(transactions.transaction_input(look, one)) == transaction["input"]
            logs = transactions.transaction_logs(look, one)
            assert [(log.log_index, encode_data(log.data)) for log in logs] == [
                (int(log["logIndex"], 16), log["data"]) for log in receipt["logs"]
            ]
            assert [[encode_data(topic) for topic in log.topics] for log in logs] == [
                log["topics"] for log in receipt["logs"]
            ]


def test_proposers_and_seals_are_those_of_the_chain(story: Story, look: Connection) -> None:
    members = story.chain.rpc("ibft_getValidatorsByBlockNumber", "latest")
    for number in range(1, story.last + 1):
        row = blocks.get_block(look, number)
        assert row is not None
        assert row.is_canonical
        (said,) = [
            one
            for one in story.chain.rpc("ibft_getSignerMetrics", hex(number), hex(number + 1))
            if one["proposedBlockCount"] == "0x1"
        ]
        assert row.proposer is not None
        assert encode_data(row.proposer.address) == said["address"]
        certificate = story.chain.rpc("ibft_getCommitCertificate", hex(number))
        facts = consensus.block_consensus(look, number)
        assert [
            (encode_data(seal.validator.address), encode_data(seal.signature)) for seal in facts.seals
        ] == [(seal["validator"], seal["signature"]) for seal in certificate["seals"]]
        assert all(seal.is_valid for seal in facts.seals)
        assert (row.seals_count, row.seals_invalid) == (len(certificate["seals"]), 0)
        assert row.round == int(certificate["round"], 16)
        assert len(facts.skips) == row.round
        assert [encode_data(one.address) for one in consensus.members_of(look, number)] == members
    everybody = validators.list_validators(look, members_only=True)
    assert [encode_data(one.account.address) for one in everybody] == members
    assert sum(one.sealed_count for one in everybody) == sum(
        row.seals_count for row in blocks.recent_blocks(look, 1_000) if row.is_canonical
    )
    assert [change.added for change in consensus.list_set_changes(look).items] == [True] * 4


def test_balances_are_what_the_events_add_up_to(story: Story, look: Connection) -> None:
    coins = tokens.get_token(look, _bytes(story.coins))
    assert coins is not None
    assert (coins.kind, coins.supply, coins.holder_count, coins.transfer_count) == (
        TokenKind.ERC20,
        900,
        2,
        3,
    )
    assert coins.is_consistent
    holders = tokens.token_holders(look, _bytes(story.coins)).items
    assert [(encode_data(one.account.address), one.amount) for one in holders] == [(ALICE, 700), (BOB, 200)]

    owners = tokens.token_instances(look, _bytes(story.things)).items
    assert [(one.token_number, encode_data(one.account.address)) for one in owners] == [(7, BOB), (8, ALICE)]

    held = addresses.account_tokens(look, _bytes(ALICE), kinds=[TokenKind.ERC1155]).items
    assert [(one.token_number, one.amount) for one in held] == [(1, 10), (2, 15)]
    alice = addresses.get_address(look, _bytes(ALICE))
    assert alice is not None
    # The coin, one thing, and two of the parts.
    assert alice.token_count == 4


def test_a_hostile_name_is_short_text_without_marks(story: Story, look: Connection) -> None:
    coins = tokens.get_token(look, _bytes(story.coins))
    nameless = tokens.get_token(look, _bytes(story.parts))
    assert coins is not None
    assert nameless is not None
    assert coins.name is not None

    assert coins.name.startswith("<img src=x onerror=alert(1)>")
    assert len(coins.name.encode()) <= 64
    assert coins.name.isprintable()
    assert (coins.symbol, coins.decimals) == ("=1+1", 6)
    assert (nameless.name, nameless.symbol) == (None, None)
    (things,) = tokens.list_tokens(look, kind=TokenKind.ERC721).items
    assert (things.name, things.decimals) == ("Kätzchen", None)


def test_value_that_moves_inside_transactions_is_found(story: Story, look: Connection) -> None:
    def inside(receipt: dict[str, Any]) -> list[tuple[CallKind, str | None, int, bool]]:
        row = transactions.get_transaction(look, _bytes(receipt["transactionHash"]))
        assert row is not None
        return [
            (
                call.kind,
                encode_data(call.recipient.address) if call.recipient else None,
                call.value_wei,
                call.error is None,
            )
            for call in transactions.transaction_internal_calls(look, row)
        ]

    assert inside(story.payment) == [(CallKind.TRANSFER, BOB, 5, True)]
    assert inside(story.failure) == [(CallKind.TRANSFER, BOB, 5, False)]
    assert inside(story.undone) == [
        (CallKind.TRANSFER, story.coins, 5, False),
        (CallKind.TRANSFER, BOB, 5, False),
    ]
    ((kind, twin, _, _),) = inside(story.twin)
    assert kind is CallKind.CREATE
    assert twin is not None
    made = addresses.get_address(look, _bytes(twin))
    assert made is not None
    assert made.creator is not None
    assert (made.is_contract, encode_data(made.creator.address)) == (True, story.coins)
    assert made.creation_transaction == _bytes(story.twin["transactionHash"])
    code = contracts.get_contract(look, _bytes(twin))
    assert code is not None
    assert code.code_hash == keccak256(_bytes(story.chain.rpc("eth_getCode", twin, "latest")))
    feed = addresses.account_internal_calls_page(look, _bytes(BOB)).items
    assert [one.direction for one in feed] == [Direction.IN] * 3


def test_a_failed_transaction_says_why(story: Story, look: Connection) -> None:
    row = transactions.get_transaction(look, _bytes(story.failure["transactionHash"]))

    assert row is not None
    assert not row.succeeded
    assert row.revert is not None
    assert b"not today" in row.revert


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_follow_each_other_without_gap_or_repetition(
    story: Story, look: Connection, limit: int, newest_first: bool
) -> None:
    account = _bytes(story.net.accounts[0].address)
    pages = (
        lambda which: blocks.list_blocks(look, which),
        lambda which: transactions.list_transactions(look, which),
        lambda which: transactions.account_transactions_page(look, account, which),
        lambda which: addresses.account_transfers_page(look, _bytes(ALICE), which),
        lambda which: addresses.account_transfers_page(look, _bytes(ALICE), which, token=_bytes(story.coins)),
        lambda which: addresses.account_internal_calls_page(look, _bytes(BOB), which),
        lambda which: addresses.account_logs(look, _bytes(story.coins), which),
        lambda which: addresses.account_tokens(look, _bytes(ALICE), which),
        lambda which: tokens.list_tokens(look, which),
        lambda which: tokens.token_transfers(look, _bytes(story.parts), which),
        lambda which: tokens.token_holders(look, _bytes(story.parts), which),
        lambda which: tokens.token_instances(look, _bytes(story.parts), which),
        lambda which: contracts.list_contracts(look, which),
        lambda which: consensus.list_set_changes(look, which),
    )
    for page in pages:
        whole = page(Slice(limit=1_000, newest_first=newest_first))
        assert whole.next_cursor is None
        assert whole.items
        found: list[Any] = []
        cursor = None
        while True:
            part = page(Slice(limit=limit, cursor=cursor, newest_first=newest_first))
            assert len(part.items) <= limit
            found += part.items
            cursor = part.next_cursor
            if cursor is None:
                break
        assert tuple(found) == whole.items
        skipped = page(Slice(limit=1_000, newest_first=newest_first, skip=1))
        assert skipped.items == whole.items[1:]


def test_counters_are_what_they_count(story: Story, look: Connection) -> None:
    every_block = blocks.list_blocks(look, Slice(limit=1_000)).items
    every_one = transactions.list_transactions(look, Slice(limit=1_000)).items
    sums = statistics.totals(look)

    assert sums.transactions == len(every_one) == sum(block.transaction_count for block in every_block)
    assert sums.failed_transactions == 1
    assert sums.transfers == sum(block.transfer_count for block in every_block) == 10
    assert sums.tokens == len(tokens.list_tokens(look).items) == 3
    assert sums.contracts == len(contracts.list_contracts(look).items) == 4
    assert sums.untraced_blocks == 0
    assert {block.traces for block in every_block} == {Traces.NOT_NEEDED, Traces.INDEXED}
    hours = statistics.series(look, "hour", every_block[-2].timestamp - 7_200, every_block[0].timestamp)
    assert sum(hour.transaction_count for hour in hours) == len(every_one)
    assert sum(hour.active_account_count for hour in hours) in {1, 2}, "an hour may have ended meanwhile"
    account = addresses.get_address(look, _bytes(story.net.accounts[0].address))
    assert account is not None
    feed = transactions.account_transactions_page(look, account.address, Slice(limit=1_000)).items
    assert (account.transaction_count, account.name) == (len(feed), FAUCET_NAME)


@pytest.mark.parametrize("spelling", ["{}", "  {}  ", "0X{0}", "{0}"])
def test_what_is_typed_is_found_in_any_spelling(story: Story, look: Connection, spelling: str) -> None:
    digits = story.transfer["transactionHash"][2:]
    typed = spelling.format(digits.upper() if spelling.startswith("0X") else digits)

    (found,) = search.search(look, typed)

    assert (found.kind, found.key, found.is_exact) == ("transaction", "0x" + digits, True)


def test_a_search_finds_numbers_addresses_and_names(story: Story, look: Connection) -> None:
    member = story.chain.rpc("ibft_getValidatorsByBlockNumber", "latest")[0]
    block = blocks.get_block(look, 1)
    assert block is not None
    assert block.consensus_hash is not None

    def kinds(text: str) -> list[tuple[str, str]]:
        return [(one.kind, one.key) for one in search.search(look, text)]

    assert (
        kinds("#1")
        == kinds("1")
        == kinds(block.hash.hex())
        == kinds(block.consensus_hash.hex())
        == [("block", "1")]
    )
    assert kinds(member) == [("validator", member)]
    assert kinds(story.coins) == [("token", story.coins)]
    assert kinds("0x" + "77" * 20) == [("address", "0x" + "77" * 20)]
    assert kinds("kätz") == kinds("cat") == [("token", story.things)]
    assert kinds("fauc") == [("address", story.net.accounts[0].address.lower())]
    assert kinds(member[:12]) == [("address", member)]
    assert kinds("' OR 1=1--") == kinds("%") == kinds("\0") == kinds("") == []


def test_a_sender_s_nonce_names_one_transaction(story: Story, look: Connection) -> None:
    row = transactions.get_transaction(look, _bytes(story.transfer["transactionHash"]))
    assert row is not None

    beside = transactions.hashes_of_sender(look, row.sender.address, (row.nonce, row.nonce + 1))
    assert beside == {row.nonce: row.hash}


def test_a_time_names_a_block(look: Connection) -> None:
    first, second = blocks.get_block(look, 1), blocks.get_block(look, 2)
    assert first is not None
    assert second is not None

    assert blocks.block_at(look, second.timestamp - 1) == first
    assert blocks.block_at(look, first.timestamp + 1, before=False) == second


def _creation_of(chain: Chain, contract: str) -> str:
    return chain.rpc("ots_getContractCreator", contract)["hash"]


def _coins_move(sender: str, recipient: str, amount: int) -> bytes:
    return _say3(TRANSFER, word(sender), word(recipient), word(amount))


def _say3(*words: bytes) -> bytes:
    return call_of("say3(bytes32,bytes32,bytes32,bytes)", *words)


def _say4(*words: bytes) -> bytes:
    return call_of("say4(bytes32,bytes32,bytes32,bytes32,bytes)", *words)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
