"""What the embedded engine does beyond the contract: real transactions, real disks, events from its threads."""

import asyncio
import contextlib
import dataclasses
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from metanode.chain.attributes import PayloadAttributes
from metanode.chain.execution_header import Withdrawal
from metanode.chain.genesis import make_genesis, parse_genesis
from metanode.chain.validators import Validator, ValidatorSet
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput, StorageDamaged, StorageFailed, Unavailable
from metanode.execution.client import (
    Accepted,
    ExecutionEvent,
    ExecutionPayload,
    Head,
    HeadChanged,
    Invalid,
    Refused,
    TransactionsPending,
    Valid,
)
from metanode.primitives import rlp
from metanode.primitives.types import Address, Hash32

_embedded = pytest.importorskip(
    "metanode.execution.embedded", reason="the engine is not built: run `make setup`"
)
from metanode.execution.embedded import EmbeddedExecution, EmbeddedOptions, open_embedded  # noqa: E402 - when it is there

CHAIN_ID = 1337
GAS_LIMIT = 60_000_000
SENDER = PrivateKey(b"\x11" * 32)
RECIPIENT = Address(b"\xaa" * 20)
COINBASE = Address(b"\x0f" * 20)
ETHER = 10**18


def genesis() -> bytes:
    content = make_genesis(
        network_name="embedded",
        chain_id=CHAIN_ID,
        genesis_time=1_700_000_000,
        validators=ValidatorSet([Validator(address=COINBASE)]),
        balances={SENDER.address: 1_000 * ETHER},
    )
    return json.dumps(content).encode()


def transfer(nonce: int, value_wei: int, tip_wei: int = 10**9) -> bytes:
    """Return a signed EIP-1559 transfer."""
    fields = [
        rlp.integer(CHAIN_ID),
        rlp.integer(nonce),
        rlp.integer(tip_wei),
        rlp.integer(100 * 10**9),
        rlp.integer(21_000),
        RECIPIENT,
        rlp.integer(value_wei),
        b"",
        [],
    ]
    signature = SENDER.sign(keccak256(b"\x02" + rlp.encode(fields)))
    r, s, v = (
        int.from_bytes(signature[:32]),
        int.from_bytes(signature[32:64]),
        signature[64],
    )
    return b"\x02" + rlp.encode([*fields, rlp.integer(v), rlp.integer(r), rlp.integer(s)])


def attributes(head: Head, withdrawals: tuple[Withdrawal, ...] = ()) -> PayloadAttributes:
    return PayloadAttributes(
        timestamp=head.timestamp + 2,
        prev_randao=Hash32(b"\x0a" * 32),
        fee_recipient=COINBASE,
        withdrawals=withdrawals,
        parent_beacon_block_root=Hash32(b"\x0b" * 32),
        gas_limit=GAS_LIMIT,
    )


async def build(client: EmbeddedExecution, withdrawals: tuple[Withdrawal, ...] = ()) -> ExecutionPayload:
    head = await client.head()
    build_id = await client.start_build(head.hash, attributes(head, withdrawals))
    return await client.take_build(build_id, deadline_s=10)


async def produce(client: EmbeddedExecution) -> ExecutionPayload:
    payload = await build(client)
    await client.finalize(payload.hash)
    return payload


@contextlib.asynccontextmanager
async def opened(path: Path | None = None) -> AsyncIterator[EmbeddedExecution]:
    options = EmbeddedOptions(path=path, threads=2, extra_data=b"metanode")
    async with open_embedded(genesis(), options) as client:
        yield client


async def balance(client: EmbeddedExecution, address: Address) -> int:
    params = json.dumps(["0x" + address.hex(), "latest"]).encode()
    answer = json.loads(b"{%s}" % await client.rpc("eth_getBalance", params))
    return int(answer["result"], 16)


def test_the_engine_and_the_consensus_layer_compute_the_same_genesis() -> None:
    async def scenario() -> None:
        async with opened() as client:
            head = await client.head()
            expected = parse_genesis(genesis()).execution_header
            assert (head.number, head.hash, head.state_root) == (0, expected.hash, expected.state_root)

    asyncio.run(scenario())


def test_a_transfer_and_a_reward_reach_their_accounts() -> None:
    async def scenario() -> None:
        async with opened() as client, opened() as other:
            (accepted,) = await client.submit([transfer(0, 5)])
            assert isinstance(accepted, Accepted)
            reward = Withdrawal(index=0, validator_index=0, address=COINBASE, amount_gwei=2 * 10**9)
            payload = await build(client, (reward,))
            assert await other.validate(payload) == Valid()
            await client.finalize(payload.hash)
            assert await other.finalize(payload.hash) == await client.head()
            assert await balance(other, RECIPIENT) == 5
            assert await balance(other, COINBASE) == 2 * ETHER + 21_000 * 10**9

    asyncio.run(scenario())


def test_blocks_survive_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as client:
            await client.submit([transfer(0, 7)])
            payload = await produce(client)
            head = await client.head()
        async with opened(tmp_path) as client:
            assert await client.head() == head
            assert await client.payload(1) == payload
            assert await balance(client, RECIPIENT) == 7

    asyncio.run(scenario())


def test_an_invalid_block_gets_a_reason_with_its_code() -> None:
    async def scenario() -> None:
        async with opened() as client:
            payload = await build(client)
            block = rlp.decode(payload.execution_rlp)
            block[0][10] = rlp.integer(1)
            changed = ExecutionPayload(execution_rlp=rlp.encode(block), requests=())
            verdict = await client.validate(changed)
            assert isinstance(verdict, Invalid)
            assert verdict.reason.startswith("gas_used: ")
            with_request = ExecutionPayload(execution_rlp=payload.execution_rlp, requests=(b"\x01\x02",))
            verdict = await client.validate(with_request)
            assert isinstance(verdict, Invalid)
            assert verdict.reason.startswith("requests_hash: ")

    asyncio.run(scenario())


def test_the_pool_words_its_refusals_as_geth_does() -> None:
    async def scenario() -> None:
        async with opened() as client:
            answers = await client.submit([transfer(0, 1), transfer(0, 1), b"", transfer(1, 10**30)])
            assert isinstance(answers[0], Accepted)
            assert answers[1] == Refused(code=-32000, reason="already known")
            assert isinstance(answers[2], Refused)
            assert isinstance(answers[3], Refused)
            assert "insufficient funds" in answers[3].reason

    asyncio.run(scenario())


def test_events_tell_of_own_transactions_and_of_heads() -> None:
    async def scenario() -> None:
        async with opened() as client:
            seen: list[ExecutionEvent] = []
            listening = asyncio.Event()

            async def listen() -> None:
                events = client.events()
                first = asyncio.ensure_future(anext(events))  # noqa: TID251 - the subscription begins with the first step
                await asyncio.sleep(0)
                listening.set()
                seen.append(await first)
                async for event in events:
                    seen.append(event)
                    if isinstance(event, HeadChanged):
                        break
                await events.aclose()

            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                group.create_task(listen())
                await listening.wait()
                raw = transfer(0, 1)
                client.engine.add_transaction(raw)
                while not seen:
                    await asyncio.sleep(0.01)
                payload = await produce(client)
            assert seen[0] == TransactionsPending(count=1, transactions_rlp=rlp.encode([raw]))
            assert isinstance(seen[-1], HeadChanged)
            assert seen[-1].head.hash == payload.hash

    asyncio.run(scenario())


def test_transactions_of_peers_are_announced_by_a_follower_only() -> None:
    for relays, expected in ((False, []), (True, [1])):

        async def scenario(relays: bool = relays, expected: list[int] = expected) -> None:
            options = EmbeddedOptions(threads=2, relays_transactions=relays)
            async with open_embedded(genesis(), options) as client:
                events = client.engine.subscribe()
                await client.submit([transfer(0, 1)])
                news = [item for _ in range(3) for item in await asyncio.to_thread(events.wait, 0.1)]
                assert [item.count for item in news] == expected
                events.close()

        asyncio.run(scenario())


def test_importing_catches_up_with_a_chain() -> None:
    async def scenario() -> None:
        async with opened() as client, opened() as late:
            payloads = []
            for nonce in range(3):
                await client.submit([transfer(nonce, 1)])
                payloads.append(await produce(client))
            assert await late.import_payloads(payloads) == await client.head()
            assert await late.rewind(1) == await _head_at(late, 1)
            assert await late.import_payloads(payloads) == await client.head()
            broken = ExecutionPayload(execution_rlp=payloads[0].execution_rlp, requests=(b"\x01\x02",))
            async with opened() as other:
                with pytest.raises(InvalidInput, match="requests_hash"):
                    await other.import_payloads([broken])

    asyncio.run(scenario())


async def _head_at(client: EmbeddedExecution, number: int) -> Head:
    head = await client.head()
    assert head.number == number
    return head


def test_a_build_is_gone_when_its_parent_is_no_longer_the_head() -> None:
    async def scenario() -> None:
        async with opened() as client:
            head = await client.head()
            build_id = await client.start_build(head.hash, attributes(head))
            await produce(client)
            with pytest.raises(Unavailable, match="no longer the head"):
                await client.take_build(build_id, deadline_s=1)

    asyncio.run(scenario())


def test_a_build_that_is_not_done_in_time_is_unavailable() -> None:
    async def scenario() -> None:
        async with opened() as client:
            head = await client.head()
            free = threading.Event()
            client._building.submit(free.wait)
            build_id = await client.start_build(head.hash, attributes(head))
            with pytest.raises(Unavailable, match="not done"):
                await client.take_build(build_id, deadline_s=0.01)
            free.set()
            assert (await client.take_build(build_id, deadline_s=10)).execution_rlp

    asyncio.run(scenario())


def test_a_build_that_was_done_in_time_is_taken_by_a_loop_that_is_late() -> None:
    async def scenario() -> None:
        async with opened() as client:
            head = await client.head()
            free = threading.Event()
            client._building.submit(free.wait)
            build_id = await client.start_build(head.hash, attributes(head))
            loop = asyncio.get_running_loop()

            def hold_the_loop_until_the_build_is_done() -> None:
                free.set()
                client._builds[build_id].result(timeout=10)
                while loop.time() < begun + 0.05:
                    pass

            begun = loop.time()
            loop.call_soon(hold_the_loop_until_the_build_is_done)
            assert (await client.take_build(build_id, deadline_s=0.05)).execution_rlp

    asyncio.run(scenario())


def test_wrong_attributes_make_a_build_unavailable() -> None:
    async def scenario() -> None:
        async with opened() as client:
            head = await client.head()
            wrong = PayloadAttributes(
                timestamp=head.timestamp,
                prev_randao=Hash32(bytes(32)),
                fee_recipient=COINBASE,
                withdrawals=(),
                parent_beacon_block_root=Hash32(bytes(32)),
                gas_limit=GAS_LIMIT,
            )
            build_id = await client.start_build(head.hash, wrong)
            with pytest.raises(Unavailable, match="timestamp"):
                await client.take_build(build_id, deadline_s=10)

    asyncio.run(scenario())


def put_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("where", "damage"),
    [
        ("blocks/*.log", Path.unlink),
        ("blocks/*.log", put_directory),
        ("state/*.jnl", put_directory),
        ("state/keyspaces/*/current", lambda file: os.truncate(file, 0)),
    ],
    ids=["no block log", "a directory as block log", "a directory as journal", "an empty table list"],
)
def test_a_damaged_directory_is_named_with_what_to_do(
    tmp_path: Path, where: str, damage: Callable[[Path], None]
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as client:
            await client.submit([transfer(0, 7)])
            await produce(client)
        for file in list(tmp_path.glob(where)):
            damage(file)
        with pytest.raises(
            (StorageDamaged, StorageFailed), match=rf"^{tmp_path}: .*move this directory away"
        ):
            async with opened(tmp_path):
                pass

    asyncio.run(scenario())


def test_another_genesis_is_refused_with_both_hashes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as client:
            first = (await client.head()).hash
        other = json.loads(genesis())
        other["extraData"] = "0x01"
        with pytest.raises(InvalidInput, match=first.hex()):
            async with open_embedded(json.dumps(other).encode(), EmbeddedOptions(path=tmp_path)):
                pass

    asyncio.run(scenario())


def test_an_rpc_error_comes_as_its_member() -> None:
    async def scenario() -> None:
        async with opened() as client:
            answer = json.loads(b"{%s}" % await client.rpc("eth_noSuchMethod", b"[]"))
            assert answer["error"]["code"] == -32601
            answer = json.loads(b"{%s}" % await client.rpc("eth_getBalance", b"["))
            assert answer["error"]["code"] == -32700

    asyncio.run(scenario())


def test_the_loop_keeps_running_while_the_engine_works() -> None:
    async def scenario() -> None:
        async with opened() as client:
            raws = [transfer(nonce, 1) for nonce in range(1_000)]
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    await asyncio.sleep(0.001)
                    ticks += 1

            async with asyncio.TaskGroup() as group:
                ticking = group.create_task(tick())
                answers = await client.submit(raws)
                await produce(client)
                ticking.cancel()
            assert all(isinstance(answer, Accepted) for answer in answers)
            assert ticks > 5
            assert await balance(client, RECIPIENT) == 1_000

    asyncio.run(scenario())


def test_syncing_is_answered_as_it_was_told() -> None:
    async def scenario() -> None:
        async def syncing() -> object:
            return json.loads(b"{%s}" % await client.rpc("eth_syncing", b"[]"))["result"]

        async with opened() as client:
            assert await syncing() is False
            client.set_syncing(starting=1, current=5, highest=16)
            progress = await syncing()
            assert isinstance(progress, dict)
            assert (progress["startingBlock"], progress["currentBlock"], progress["highestBlock"]) == (
                "0x1",
                "0x5",
                "0x10",
            )
            client.set_syncing(starting=0, current=0, highest=None)
            assert await syncing() is False

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "said",
    [
        'FjallError: Storage(Io(Os { code: 28, kind: StorageFull, message: "No space left on device" }))',
        'FjallError: Io(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
        'Os { code: 28, kind: StorageFull, message: "No space left on device" }',
        "No space left on device",
    ],
)
def test_what_the_system_said_is_told_without_the_words_of_a_library(said: str) -> None:
    with (
        pytest.raises(StorageFailed, match=r"^close: write of the key-value store: No space left on device$"),
        _embedded._mapped("close"),
    ):
        raise _embedded._engine.StorageError(f"write of the key-value store: {said}")


def test_what_the_store_finds_by_itself_is_told_as_its_finding() -> None:
    with (
        pytest.raises(
            StorageFailed, match=r"^open: open of the key-value store: fjall says InvalidVersion\(None\)$"
        ),
        _embedded._mapped("open"),
    ):
        raise _embedded._engine.StorageError("open of the key-value store: FjallError: InvalidVersion(None)")


def test_a_place_in_the_block_log_is_told_in_words() -> None:
    said = "the block log ends at Position { segment: 0, offset: 12 }, before Location { segment: 1, offset: 294, length: 7 }"

    with pytest.raises(StorageDamaged, match=r"ends at byte 12 of segment 0, before byte 294 of segment 1$"):  # noqa: SIM117 - what is raised inside comes out mapped
        with _embedded._mapped("open"):
            raise _embedded._engine.Corruption(said)


def test_the_reason_of_an_end_is_not_replaced_by_a_close_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def close(_: EmbeddedExecution) -> None:
        raise StorageFailed("the last flush does not fit either")

    async def end_by(reason: BaseException) -> None:
        async with open_embedded(genesis()):
            raise reason

    monkeypatch.setattr(EmbeddedExecution, "close", close)
    with pytest.raises(StorageFailed, match="the watermark"):
        asyncio.run(end_by(StorageFailed("the watermark does not fit")))
    # A node that is told to stop and can't write what it still had says so.
    with pytest.raises(StorageFailed, match="the last flush"):
        asyncio.run(end_by(asyncio.CancelledError()))


def test_a_node_runs_no_chain_from_before_the_merge() -> None:
    """The engine can import such chains; the way by which every node opens it cannot ask for that."""

    async def scenario() -> None:
        other = json.loads(genesis())
        del other["config"]["terminalTotalDifficulty"]
        other["difficulty"] = "0x20000"
        with pytest.raises(InvalidInput, match="the chain starts before the merge"):
            async with open_embedded(json.dumps(other).encode(), EmbeddedOptions(threads=1)):
                raise AssertionError

    asyncio.run(scenario())
    assert "chain_import" not in {field.name for field in dataclasses.fields(EmbeddedOptions)}
