"""The worker between consensus and a client that fails: what is asked again, and what ends the node."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from metanode.errors import StorageDamaged
from metanode.errors import Unavailable as UnavailableError
from metanode.execution.fake import FakeExecution, fake_genesis
from metanode.node.execution_worker import BACKLOG_LIMIT, ExecutionWorker
from metanode.primitives.types import Address, Height

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
