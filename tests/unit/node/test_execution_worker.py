"""The worker between consensus and a client that fails: what is asked again, and what ends the node."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from metanode.chain.attributes import PayloadAttributes
from metanode.errors import StorageDamaged, StorageFailed
from metanode.errors import Unavailable as UnavailableError
from metanode.execution.client import ExecutionPayload, Invalid, Verdict
from metanode.execution.fake import FakeExecution, fake_genesis
from metanode.node.execution_worker import BACKLOG_LIMIT, STORAGE_PATIENCE_S, ExecutionWorker
from metanode.node.halt import ConsensusHalted
from metanode.primitives.types import Address, Hash32, Height
from metanode.simulation.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GENESIS = fake_genesis(timestamp=1_700_000_000)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def worker(disturb: Callable[[str], Awaitable[None]], finalized: list[Any]) -> ExecutionWorker:
    return ExecutionWorker(
        client=FakeExecution(GENESIS, disturb=disturb),
        rules=SimpleNamespace(),  # type: ignore[arg-type] # nothing is built here
        clock=SimpleNamespace(),  # type: ignore[arg-type] # the same
        fee_recipient=Address(bytes(20)),
        feed=finalized.append,
        upon_finalized=finalized.append,
        upon_behind=lambda _: None,
        upon_lost=lambda _head, _until: None,
    )


def decided(height: int = 1) -> Any:
    """A decision whose execution block is the fake's genesis block: finalizing it changes nothing, asking about it fails as it is told."""
    rlp = FakeExecution(GENESIS).head_rlp
    return SimpleNamespace(block=SimpleNamespace(height=Height(height), execution_rlp=rlp, requests=()))


async def run_until(worker: ExecutionWorker, done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(worker.run())
        while not done():
            await asyncio.sleep(0.01)
        running.cancel()


@pytest.mark.parametrize("operation", ["validate", "finalize"])
def test_a_passing_fault_is_asked_about_again(operation: str) -> None:
    faults = iter([UnavailableError("syncing"), UnavailableError("the disk is slow")])
    finalized: list[Any] = []

    async def disturb(name: str) -> None:
        if name == operation and (fault := next(faults, None)) is not None:
            raise fault

    async def scenario() -> None:
        held = worker(disturb, finalized)
        held.finalize(decided())
        await run_until(held, lambda: bool(finalized))
        assert (held.head, held.backlog) == (1, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("operation", ["validate", "finalize"])
def test_damage_ends_the_node_for_no_question_mends_it(operation: str) -> None:
    async def disturb(name: str) -> None:
        if name == operation:
            raise StorageDamaged(
                "the engine stopped in the middle of a call; the process has to be started again"
            )

    async def scenario() -> None:
        held = worker(disturb, [])
        held.finalize(decided())
        async with asyncio.timeout(10):
            await held.run()

    with pytest.raises(StorageDamaged, match="has to be started again"):
        asyncio.run(scenario())


def test_decisions_do_not_pile_up_without_end_before_a_client_that_takes_none() -> None:
    async def disturb(_: str) -> None:
        raise UnavailableError("syncing")

    async def scenario() -> None:
        held = worker(disturb, [])
        one = decided()
        for _ in range(BACKLOG_LIMIT):
            held.finalize(one)
        with pytest.raises(
            UnavailableError, match=r"stayed at block 0 while 1024 more were decided.*start the node again"
        ):
            held.finalize(one)

    asyncio.run(scenario())


def test_a_client_that_has_lost_blocks_is_told_of_once_and_gets_them_again() -> None:
    finalized: list[Any] = []
    lost: list[tuple[int, Height]] = []

    async def disturb(name: str) -> None:
        if name == "validate":
            raise UnavailableError("the parent is unknown")

    async def scenario() -> None:
        running = worker(disturb, finalized)
        running._upon_lost = lambda head, until: lost.append((head.number, until))
        running._head = Height(3)  # The client, which is at its genesis block, had three.
        running.finalize(decided(4))
        await run_until(running, lambda: bool(lost))
        assert running.head == 0
        await running._look_for_loss()
        running.end_restoring()
        await running._look_for_loss()

    asyncio.run(scenario())
    assert lost == [(0, Height(3))], "one loss is told once, and none is seen where nothing is missing"


async def chain_of(blocks: int) -> list[Any]:
    """Decisions of so many heights, each execution block on the one before."""
    client = FakeExecution(GENESIS)
    found = []
    for number in range(1, blocks + 1):
        head = await client.head()
        attributes = PayloadAttributes(
            timestamp=head.timestamp + 2, fee_recipient=Address(bytes(20)), prev_randao=Hash32(bytes(32)), withdrawals=(),
            parent_beacon_block_root=Hash32(bytes(32)), gas_limit=30_000_000,
        )  # fmt: skip
        built = await client.take_build(await client.start_build(head.hash, attributes), deadline_s=1.0)
        await client.validate(built)
        await client.finalize(built.hash)
        block = SimpleNamespace(
            height=Height(number), execution_rlp=built.execution_rlp, requests=built.requests,
            header=SimpleNamespace(execution_hash=built.hash),
        )  # fmt: skip
        found.append(SimpleNamespace(block=block))
    return found


def test_decisions_that_wait_are_given_to_the_client_several_at_a_time_and_told_one_by_one() -> None:
    finalized: list[Any] = []
    batches: list[int] = []

    async def scenario() -> None:
        async def undisturbed(_: str) -> None: ...

        held = worker(undisturbed, finalized)
        original = held._client.import_payloads

        async def watched(payloads: Any) -> Any:
            batches.append(len(payloads))
            return await original(payloads)

        held._client.import_payloads = watched  # type: ignore[method-assign]
        for one in await chain_of(40):
            held.finalize(one)
        await run_until(held, lambda: len(finalized) == 40)
        assert (held.head, held.backlog) == (40, 0)

    asyncio.run(scenario())
    assert [one.block.height for one in finalized] == list(range(1, 41))
    assert batches == [16, 16, 8]


@pytest.mark.parametrize("operation", ["validate", "finalize"])
def test_a_batch_that_a_fault_interrupts_goes_on_where_the_client_is(operation: str) -> None:
    finalized: list[Any] = []
    calls = 0

    async def disturb(name: str) -> None:
        nonlocal calls
        calls += name == operation
        if name == operation and calls % 7 == 0:
            raise UnavailableError("the disk is slow")

    async def scenario() -> None:
        held = worker(disturb, finalized)
        for one in await chain_of(20):
            held.finalize(one)
        await run_until(held, lambda: len(finalized) == 20)

    asyncio.run(scenario())
    assert [one.block.height for one in finalized] == list(range(1, 21))


def test_an_invalid_block_in_a_batch_halts_after_those_before_it_are_final() -> None:
    finalized: list[Any] = []

    class Contrary(FakeExecution):
        async def validate(self, payload: ExecutionPayload) -> Verdict:
            if (await self.head()).number == 4:
                return Invalid("I do not like it")
            return await super().validate(payload)

    async def scenario() -> None:
        async def undisturbed(_: str) -> None: ...

        held = worker(undisturbed, finalized)
        held._client = Contrary(GENESIS)
        for one in await chain_of(9):
            held.finalize(one)
        async with asyncio.timeout(10):
            await held.run()

    with pytest.raises(ConsensusHalted, match=r"height 5.*I do not like it"):
        asyncio.run(scenario())
    assert [one.block.height for one in finalized] == [1, 2, 3, 4]


@pytest.mark.parametrize("has_other", [False, True])
def test_a_client_that_is_ahead_is_compared_once_it_answers(has_other: bool) -> None:
    """A fork must not pass because the client was busy in the one moment in which it was asked."""
    finalized: list[Any] = []
    faults = iter([UnavailableError("busy"), UnavailableError("busy")])

    async def scenario() -> None:
        (first,) = await chain_of(1)

        async def disturb(name: str) -> None:
            if name == "payload" and (fault := next(faults, None)) is not None:
                raise fault

        held = worker(disturb, finalized)
        payload = ExecutionPayload(execution_rlp=first.block.execution_rlp, requests=())
        await held._client.validate(payload)
        await held._client.finalize(payload.hash)
        held._head = Height(1)
        if has_other:
            first.block.header.execution_hash = Hash32(b"\x0f" * 32)
            first.block.header.height, first.block.header.hash = 1, Hash32(bytes(32))
        held.finalize(first)
        await run_until(held, lambda: bool(finalized))
        assert held.trouble is None

    if has_other:
        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(scenario())
        assert caught.group_contains(ConsensusHalted, match="the execution client has 0x")
        assert finalized == []
    else:
        asyncio.run(scenario())
        assert next(faults, None) is None


@pytest.mark.parametrize("seconds", [STORAGE_PATIENCE_S / 2, 2 * STORAGE_PATIENCE_S])
def test_a_disk_of_the_client_may_have_a_hiccup_and_one_that_goes_on_failing_ends_the_node(
    seconds: float,
) -> None:
    """An engine that has lost a page in a failed fsync refuses for the rest of its life: the next life looks at what is there."""
    finalized: list[Any] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds

        async def disturb(name: str) -> None:
            if name == "finalize" and loop.time() < ends:
                raise StorageFailed("finalize: storage: sync (block log): Input/output error (os error 5)")

        held = worker(disturb, finalized)
        held.finalize(decided())
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(held.run())
            while not finalized:
                await asyncio.sleep(0.1)
            running.cancel()
        assert held.trouble is None

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        if seconds < STORAGE_PATIENCE_S:
            runner.run(scenario())
        else:
            with pytest.raises(ExceptionGroup) as caught:
                runner.run(scenario())
            assert caught.group_contains(StorageFailed, match="Input/output error")
