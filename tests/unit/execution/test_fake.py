"""What the fake does beyond the contract: it restarts, announces, and can be disturbed."""

import asyncio

import pytest

from metanode.chain.attributes import PayloadAttributes
from metanode.errors import Unavailable as UnavailableError
from metanode.execution.client import (
    ExecutionPayload,
    HeadChanged,
    TransactionsPending,
    Unavailable,
)
from metanode.execution.fake import FakeExecution, fake_genesis
from metanode.primitives.types import Address, Hash32


async def build(client: FakeExecution) -> ExecutionPayload:
    head = await client.head()
    wanted = PayloadAttributes(
        timestamp=head.timestamp + 2,
        fee_recipient=Address(bytes(20)),
        prev_randao=Hash32(bytes(32)),
        withdrawals=(),
        parent_beacon_block_root=Hash32(bytes(32)),
        gas_limit=30_000_000,
    )
    return await client.take_build(await client.start_build(head.hash, wanted), deadline_s=0.5)


@pytest.fixture
def client() -> FakeExecution:
    return FakeExecution(fake_genesis())


def test_a_restart_keeps_what_was_finalized_and_forgets_the_rest(client: FakeExecution) -> None:
    async def scenario() -> None:
        first = await build(client)
        head = await client.finalize(first.hash)
        await build(client)
        again = FakeExecution(fake_genesis(), decided=client.decided)
        assert await again.head() == head

    asyncio.run(scenario())


def test_transactions_of_the_pool_are_built_and_leave_it(client: FakeExecution) -> None:
    async def scenario() -> None:
        client.submit_local([b"\x02one", b"\x02two"])
        payload = await build(client)
        await client.finalize(payload.hash)
        following = await build(client)
        assert len(following.execution_rlp) < len(payload.execution_rlp)

    asyncio.run(scenario())


def test_local_transactions_and_heads_are_announced(client: FakeExecution) -> None:
    async def scenario() -> None:
        events = client.events()
        reader = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
        client.submit_local([b"\x02one"])
        assert isinstance(await reader, TransactionsPending)
        payload = await build(client)
        await client.finalize(payload.hash)
        assert isinstance(await anext(events), HeadChanged)
        await events.aclose()

    asyncio.run(scenario())


def test_a_disturbed_validation_is_unavailable_and_never_invalid() -> None:
    async def disturb(operation: str) -> None:
        if operation == "validate":
            raise UnavailableError("the disk is full")

    async def scenario() -> None:
        client = FakeExecution(fake_genesis(), disturb=disturb)
        payload = await build(client)
        assert await client.validate(payload) == Unavailable("the disk is full")

    asyncio.run(scenario())
