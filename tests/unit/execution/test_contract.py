"""What every execution client promises, run on each of them.

To add a client, add its maker to MAKERS: an async context manager of a fresh client at its genesis, and a gas limit that its genesis allows.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from metanode.chain.attributes import PayloadAttributes
from metanode.chain.execution_header import decode_execution_block
from metanode.chain.genesis import make_genesis
from metanode.chain.validators import Validator, ValidatorSet
from metanode.errors import Unavailable as UnavailableError
from metanode.execution.client import (
    ExecutionClient,
    ExecutionPayload,
    Head,
    Invalid,
    Unavailable,
    Valid,
)
from metanode.execution.fake import FakeExecution, fake_genesis
from metanode.primitives import rlp
from metanode.primitives.types import Address, Hash32

FEE_RECIPIENT = Address(b"\x0f" * 20)


def attributes(head: Head, *, gas_limit: int, seconds: int = 2) -> PayloadAttributes:
    return PayloadAttributes(
        timestamp=head.timestamp + seconds,
        fee_recipient=FEE_RECIPIENT,
        prev_randao=Hash32(b"\x0a" * 32),
        withdrawals=(),
        parent_beacon_block_root=Hash32(b"\x0b" * 32),
        gas_limit=gas_limit,
    )


@contextlib.asynccontextmanager
async def make_fake() -> AsyncIterator[ExecutionClient]:
    yield FakeExecution(fake_genesis(gas_limit=30_000_000))


@contextlib.asynccontextmanager
async def make_embedded() -> AsyncIterator[ExecutionClient]:
    embedded = pytest.importorskip(
        "metanode.execution.embedded", reason="the engine is not built: run `make setup`"
    )
    content = make_genesis(
        network_name="contract",
        chain_id=1337,
        genesis_time=1_700_000_000,
        validators=ValidatorSet([Validator(address=FEE_RECIPIENT)]),
        balances={},
    )
    async with embedded.open_embedded(
        json.dumps(content).encode(), embedded.EmbeddedOptions(threads=2)
    ) as client:
        yield client


MAKERS = {"embedded": (make_embedded, 60_000_000), "fake": (make_fake, 30_000_000)}

Scenario = Callable[[ExecutionClient, int], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=sorted(MAKERS))
def run(request: pytest.FixtureRequest) -> Run:
    maker, gas_limit = MAKERS[request.param]

    async def under(scenario: Scenario) -> None:
        async with maker() as client:
            await scenario(client, gas_limit)

    return lambda scenario: asyncio.run(under(scenario))


async def build(client: ExecutionClient, gas_limit: int, seconds: int = 2) -> ExecutionPayload:
    head = await client.head()
    build_id = await client.start_build(head.hash, attributes(head, gas_limit=gas_limit, seconds=seconds))
    return await client.take_build(build_id, deadline_s=10)


def test_a_built_block_is_valid_and_can_be_finalized(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        payload = await build(client, gas_limit)
        assert await client.validate(payload) == Valid()
        head = await client.finalize(payload.hash)
        assert (head.number, head.hash) == (1, payload.hash)
        assert await client.head() == head

    run(scenario)


def test_finalizing_the_head_again_changes_nothing(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        payload = await build(client, gas_limit)
        head = await client.finalize(payload.hash)
        assert await client.finalize(payload.hash) == head

    run(scenario)


def test_a_finalized_block_is_served_byte_for_byte(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        payload = await build(client, gas_limit)
        await client.finalize(payload.hash)
        assert await client.payload(1) == payload
        assert await client.payload(2) is None

    run(scenario)


def test_an_undecided_block_is_not_visible(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        before = await client.head()
        payload = await build(client, gas_limit)
        assert await client.validate(payload) == Valid()
        assert await client.head() == before
        assert await client.payload(1) is None

    run(scenario)


def test_siblings_are_both_valid_until_one_is_final(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        one = await build(client, gas_limit, seconds=2)
        other = await build(client, gas_limit, seconds=3)
        assert one.hash != other.hash
        assert await client.validate(one) == Valid()
        assert await client.validate(other) == Valid()
        await client.finalize(one.hash)
        with pytest.raises(UnavailableError):
            await client.finalize(other.hash)

    run(scenario)


def test_a_block_with_a_changed_state_root_is_invalid(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        payload = await build(client, gas_limit)
        assert isinstance(await client.validate(with_state_root(payload, b"\x66" * 32)), Invalid)

    run(scenario)


def test_a_block_on_an_unknown_parent_gets_no_verdict(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        payload = await build(client, gas_limit)
        assert isinstance(await client.validate(with_parent(payload, b"\x66" * 32)), Unavailable)

    run(scenario)


def test_a_build_on_another_block_than_the_head_is_refused(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        head = await client.head()
        with pytest.raises(UnavailableError):
            await client.start_build(Hash32(b"\x66" * 32), attributes(head, gas_limit=gas_limit))

    run(scenario)


def test_an_unvalidated_block_cannot_be_finalized(run: Run) -> None:
    async def scenario(client: ExecutionClient, _: int) -> None:
        with pytest.raises(UnavailableError):
            await client.finalize(Hash32(b"\x66" * 32))

    run(scenario)


def test_a_build_carries_its_attributes(run: Run) -> None:
    async def scenario(client: ExecutionClient, gas_limit: int) -> None:
        head = await client.head()
        wanted = attributes(head, gas_limit=gas_limit)
        payload = await client.take_build(await client.start_build(head.hash, wanted), deadline_s=10)
        header = decode_execution_block(payload.execution_rlp).header
        assert header.hash == payload.hash
        assert (header.timestamp, header.beneficiary, header.mix_hash, header.gas_limit) == (
            wanted.timestamp,
            wanted.fee_recipient,
            wanted.prev_randao,
            wanted.gas_limit,
        )
        assert header.parent_beacon_block_root == wanted.parent_beacon_block_root

    run(scenario)


def test_nonsense_is_refused_by_the_pool_with_a_reason(run: Run) -> None:
    async def scenario(client: ExecutionClient, _: int) -> None:
        (answer,) = await client.submit([b"\x77\x01\x02"])
        assert answer.reason

    run(scenario)


def test_the_block_number_is_answered_over_rpc(run: Run) -> None:
    async def scenario(client: ExecutionClient, _: int) -> None:
        assert await rpc(client, "eth_blockNumber") == {"result": "0x0"}

    run(scenario)


def test_an_unknown_method_is_an_error_member(run: Run) -> None:
    async def scenario(client: ExecutionClient, _: int) -> None:
        answer = await rpc(client, "eth_nothing")
        assert answer["error"]["code"] == -32601

    run(scenario)


async def rpc(client: ExecutionClient, method: str) -> dict[str, Any]:
    """Return the member that a client answers with, put into an object as the server's envelope does."""
    return json.loads(b"{" + await client.rpc(method, b"[]") + b"}")


def with_state_root(payload: ExecutionPayload, root: bytes) -> ExecutionPayload:
    """Return the block with another state root and so another hash."""
    return _with_header_field(payload, 3, root)


def with_parent(payload: ExecutionPayload, parent: bytes) -> ExecutionPayload:
    return _with_header_field(payload, 0, parent)


def _with_header_field(payload: ExecutionPayload, index: int, value: bytes) -> ExecutionPayload:
    block = rlp.decode(payload.execution_rlp)
    block[0][index] = value
    return ExecutionPayload(execution_rlp=rlp.encode(block), requests=payload.requests)
