"""Looks that outlive the process, whatever their archive does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from metanode.errors import StorageFailed
from sdk.testnet.monitoring import TestnetMonitor, archive
from sdk.testnet.monitoring.archive import Keeping, Look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.monitoring.history import History

AT = 1_800_000_000.0


class Drawer:
    """An archive in memory, which fails when it is told to."""

    def __init__(self, looks: Sequence[Look] = ()) -> None:
        self.looks = list(looks)
        self.failure: Exception | None = None
        self.hangs = False

    async def recall(self, history: History) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        for look in self.looks:
            history.append(look.at, look.values, look.lines)

    async def keep(self, looks: Sequence[Look]) -> None:
        if self.failure is not None:
            raise self.failure
        self.looks += looks


def look(index: int) -> Look:
    return Look(AT + 2 * index, {"height": index}, {"cpu_percent": {"validator-1": index}})


@pytest.mark.parametrize("failure", [StorageFailed("the disk is full"), ValueError("a fault of ours")])
def test_a_failure_ends_nothing_and_what_waits_is_kept_once(failure: Exception) -> None:
    drawer = Drawer()
    keeping = Keeping(drawer)

    async def check() -> None:
        keeping.add(look(0))
        drawer.failure = failure
        await keeping.flush()
        drawer.failure = None
        keeping.add(look(1))
        await keeping.flush()
        keeping.add(look(2))
        await keeping.flush()
        await keeping.flush()

    asyncio.run(check())
    # Looks on which our own code failed would fail it again and again.
    lost = 0 if isinstance(failure, StorageFailed) else 1
    assert drawer.looks == [look(index) for index in range(lost, 3)]


def test_the_newest_hour_waits_for_an_archive_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "WAITING_MAX", 5)
    drawer = Drawer()
    keeping = Keeping(drawer)

    async def check() -> None:
        drawer.failure = StorageFailed("away")
        for index in range(8):
            keeping.add(look(index))
            await keeping.flush()
        drawer.failure = None
        await keeping.flush()

    asyncio.run(check())
    assert drawer.looks == [look(index) for index in range(3, 8)]


def test_looks_that_come_while_others_are_kept_are_kept_next() -> None:
    class Busy(Drawer):
        async def keep(self, looks: Sequence[Look]) -> None:
            if not self.looks:
                keeping.add(look(1))
            await super().keep(looks)

    busy = Busy()
    keeping = Keeping(busy)

    async def check() -> None:
        keeping.add(look(0))
        await keeping.flush()
        await keeping.flush()

    asyncio.run(check())
    assert busy.looks == [look(0), look(1)]


def watched(drawer: Drawer, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float | None]]:
    """What charts say after the first look of a monitor with this archive, which nobody answers."""

    async def check() -> dict[str, list[float | None]]:
        watch = TestnetMonitor(["http://127.0.0.1:9"], archive=drawer, now_s=lambda: AT + 10)
        seen = asyncio.Event()
        true_look = watch.look

        async def first() -> None:
            await true_look()
            seen.set()

        monkeypatch.setattr(watch, "look", first)
        async with asyncio.timeout(20), watch:
            await seen.wait()
            return watch.get_history(60)

    return asyncio.run(check())


def test_charts_go_on_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    found = watched(Drawer([look(0), look(1)]), monkeypatch)

    assert found["at"] == [AT, AT + 2, AT + 10]
    assert found["height"] == [0, 1, None], "nobody answered the look of this process"


@pytest.mark.parametrize("is_silent", [True, False])
def test_an_archive_that_is_away_makes_charts_begin_anew_and_no_look_late(
    is_silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "RECALL_S", 0.05)
    drawer = Drawer([look(0)])
    drawer.hangs = is_silent
    drawer.failure = StorageFailed("away")

    assert watched(drawer, monkeypatch)["at"] == [AT + 10]
