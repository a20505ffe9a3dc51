"""Streams are told every block once and in order, or told to load again; and those who tell are woken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.services.told_chain import ToldChain, write_chain

from sdk.testnet.services.api import ApiConfig, events, make_app
from sdk.testnet.services.heads import Heads
from sdk.testnet.services.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.services.api.parts import Parts

HEAD = 40


class Hub:
    """Notes what is published."""

    def __init__(self, clients: int = 1) -> None:
        self.client_count = clients
        self.told: list[Any] = []

    def publish(self, topic: str, data: Any) -> None:
        self.told.append(data["number"] if topic == "block" else topic)

    def resync(self) -> None:
        self.told.append("resync")


@pytest.fixture
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('events')}/index.db")
    write_chain(store, ToldChain(head=HEAD, transactions=0))
    node: Any = None
    app = make_app(
        store=store, node=node, config=ApiConfig(network_name="any", chain_id=1, public_url="http://any")
    )
    app.state.parts.hub = Hub()
    yield app.state.parts
    store.close()


async def test_blocks_that_came_together_are_told_in_steps_that_clients_take(parts: Parts) -> None:
    hub: Any = parts.hub
    seen: int | None = 3
    steps = []
    is_more = True
    while is_more:
        before = len(hub.told)
        seen, is_more = await events._tell(parts, seen)
        steps.append(len(hub.told) - before)

    assert hub.told == list(range(4, HEAD + 1))
    assert max(steps) <= events.STEP_BLOCKS
    assert seen == HEAD


async def test_after_a_long_silence_everybody_loads_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BEHIND_BLOCKS_MAX", 10)
    hub: Any = parts.hub

    assert await events._tell(parts, 3) == (HEAD, False)
    assert hub.told == ["resync"]


async def test_who_comes_first_begins_with_the_next_block(parts: Parts) -> None:
    hub: Any = parts.hub

    assert await events._tell(parts, None) == (HEAD, False)
    assert await events._tell(parts, HEAD) == (HEAD, False)
    assert hub.told == []


async def test_telling_goes_on_whatever_one_look_met(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_EVERY_S", 0.001)
    looks: list[int | None] = []
    again = asyncio.Event()

    async def look(_: Any, seen: int | None) -> tuple[int | None, bool]:
        looks.append(seen)
        if len(looks) == 1:
            raise KeyError("nobody expected this")
        again.set()
        return HEAD, False

    monkeypatch.setattr(events, "_tell", look)
    async with asyncio.timeout(20):
        telling = asyncio.create_task(events.tell_events(parts))
        await again.wait()
        telling.cancel()
        await asyncio.wait([telling])


async def test_nobody_looks_for_nobody(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_EVERY_S", 0.001)
    looks: list[int | None] = []
    asked, enough = [], asyncio.Event()

    class Idle(Hub):
        @property
        def client_count(self) -> int:  # type: ignore[override]
            asked.append(1)
            if len(asked) == 5:
                enough.set()
            return 0

        @client_count.setter
        def client_count(self, count: int) -> None:
            del count

    async def look(_: Any, seen: int | None) -> tuple[int | None, bool]:
        looks.append(seen)
        return seen, False

    monkeypatch.setattr(events, "_tell", look)
    idle: Any = Idle()
    parts.hub = idle
    async with asyncio.timeout(20):
        telling = asyncio.create_task(events.tell_events(parts))
        await enough.wait()
        telling.cancel()
        await asyncio.wait([telling])

    assert looks == []


async def test_a_block_that_is_told_wakes_all_who_wait() -> None:
    heads = Heads()
    heads.is_local = True
    waiting = [asyncio.create_task(heads.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    heads.tell(7)
    async with asyncio.timeout(4):
        await asyncio.wait(waiting)
        # What was told while nobody waited is not missed.
        await heads.wait(60, since=0)
    assert heads.told == 1
    async with asyncio.timeout(20):
        # Nobody may tell here, so it looks by itself.
        await Heads().wait(0.001)
