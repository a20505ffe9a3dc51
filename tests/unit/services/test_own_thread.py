"""A thread of one owner does what it is given in order, and ends with its owner."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sdk.testnet.services import own_thread
from sdk.testnet.services.own_thread import OwnThread


async def test_a_call_waits_for_one_that_nobody_waits_for_any_more() -> None:
    begun, release = threading.Event(), threading.Event()
    done: list[str] = []

    def slow() -> None:
        begun.set()
        release.wait(30)
        done.append("slow")

    async with OwnThread("test") as thread:
        first = asyncio.create_task(thread.call(slow))
        await asyncio.to_thread(begun.wait, 30)
        first.cancel()
        second = asyncio.create_task(thread.call(done.append, "second"))
        await asyncio.sleep(0)
        release.set()
        await second

    assert done == ["slow", "second"]


async def test_what_a_call_raises_is_raised_to_who_asked() -> None:
    def fail() -> None:
        raise ValueError("no")

    async with OwnThread("test") as thread:
        with pytest.raises(ValueError, match="no"):
            await thread.call(fail)


async def test_a_call_that_hangs_does_not_keep_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_thread, "CLOSE_S", 0.01)
    begun, release = threading.Event(), threading.Event()
    later: list[str] = []

    def hang() -> None:
        begun.set()
        release.wait(30)

    async with OwnThread("test") as thread:
        hanging = asyncio.create_task(thread.call(hang))
        waiting = asyncio.create_task(thread.call(later.append, "never"))
        await asyncio.to_thread(begun.wait, 30)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hanging.cancel()
    release.set()

    assert later == []
