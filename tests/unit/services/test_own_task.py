"""Work in a task of its own: who waits for it is cancelled, whatever the work does meanwhile."""

from __future__ import annotations

import asyncio
import warnings

import pytest

from sdk.testnet.own_task import in_own_task


async def _fails_when_it_ends(begun: asyncio.Event) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("Bad file descriptor")


async def _group(begun: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_fails_when_it_ends(begun))


def test_what_the_work_returns_or_raises_comes_out() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    async def refuse() -> int:
        raise ValueError("no")

    assert asyncio.run(in_own_task(answer(), name="answer")) == 7
    with pytest.raises(ValueError, match="no"):
        asyncio.run(in_own_task(refuse(), name="refuse"))


def test_a_cancellation_is_raised_once_the_work_has_ended_though_that_failed() -> None:
    async def check() -> None:
        begun = asyncio.Event()
        caught: list[Exception] = []

        async def loop() -> None:
            while True:
                try:
                    await in_own_task(_group(begun), name="work")
                except Exception as error:  # noqa: BLE001 - as loops do that go on after a failure
                    caught.append(error)
                await asyncio.sleep(0)

        task = asyncio.get_running_loop().create_task(loop())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)

        assert task.cancelled()
        assert caught == []
        assert len(asyncio.all_tasks()) == 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(check())


def test_each_further_cancellation_reaches_work_that_has_not_ended_after_the_first() -> None:
    """Such as what cleans up, and waits while it does."""

    async def check() -> None:
        places = ("at work", "cleaning up")
        waits, cancelled = ({place: asyncio.Event() for place in places} for _ in range(2))
        may_end, ended = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            try:
                for place in places:
                    try:
                        waits[place].set()
                        await asyncio.Event().wait()
                    except asyncio.CancelledError:
                        cancelled[place].set()
                await may_end.wait()
            finally:
                ended.set()

        task = asyncio.get_running_loop().create_task(in_own_task(work(), name="work"))
        for place in places:
            await waits[place].wait()
            task.cancel()
            await cancelled[place].wait()
            assert not task.done()
        may_end.set()
        await asyncio.wait([task], timeout=5)

        assert task.cancelled()
        assert ended.is_set()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(check())


def test_a_time_limit_around_it_ends_the_work() -> None:
    ended = False

    async def forever() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async def check() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_own_task(forever(), name="forever")

    asyncio.run(check())
    assert ended
