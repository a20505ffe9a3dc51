"""Which node an indexer follows: one that stands still is left for one that is further, and nothing beside the blocks holds them up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.services.told_chain import ToldChain, opening

from metanode.errors import Unavailable
from metanode.rpc.errors import InvalidRequest, NodeUnreachable
from sdk.testnet.services.indexer import indexer as following
from sdk.testnet.services.indexer.configuration import IndexerConfig
from sdk.testnet.services.indexer.indexer import Indexer
from sdk.testnet.services.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

ONE, TWO, THREE = "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"
"""Nobody listens there; the nodes stand for what would."""
DEADLINE_S = 30.0


@asynccontextmanager
async def running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: dict[str, Any], *, standstill_s: float = 0.0
) -> AsyncIterator[Indexer]:
    monkeypatch.setattr(following, "open_client", opening(nodes))
    monkeypatch.setattr(following, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(following, "RETRY_LAST_S", 0.02)
    store = Store(f"sqlite:///{tmp_path}/index.db")
    config = IndexerConfig(rpc_urls=tuple(nodes), poll_interval_s=0.01, standstill_s=standstill_s)
    indexer = Indexer(store, config)
    task = asyncio.create_task(indexer.run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield indexer
    finally:
        task.cancel()
        await asyncio.wait([task])
        store.close()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.005)


async def test_a_node_that_stands_still_is_left_for_the_furthest_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {ONE: ToldChain(head=3), TWO: ToldChain(head=5), THREE: ToldChain(head=9)}

    async with running(tmp_path, monkeypatch, nodes) as indexer:
        await until(lambda: indexer.status.indexed == 9 and indexer.status.state == "live")

    assert indexer.status.rpc_url == THREE
    assert "eth_getBlockReceipts" not in nodes[TWO].asked, "the one between is not followed"


async def test_a_node_that_lost_blocks_is_behind_and_not_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = ToldChain(head=6)

    async with running(tmp_path, monkeypatch, {ONE: node}) as indexer:
        await until(lambda: indexer.status.state == "live")
        node.head = 2
        await until(lambda: indexer.status.state == "node behind")
        assert "blocks up to 2, and the index up to 6" in (indexer.status.trouble or "")
        node.head = 8
        await until(lambda: indexer.status.state == "live" and indexer.status.indexed == 8)

    assert indexer.status.trouble is None


async def test_a_node_of_another_chain_or_one_that_is_silent_is_not_turned_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(ToldChain):
        async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
            self.asked += [method for method, _ in calls]
            raise NodeUnreachable("it does not answer")

    silent = Silent(head=99)
    nodes = {ONE: ToldChain(head=3), TWO: ToldChain(head=50, chain_id=2), THREE: silent}

    async with running(tmp_path, monkeypatch, nodes) as indexer:
        await until(lambda: silent.asked.count("eth_chainId") >= 3)
        assert indexer.status.rpc_url == ONE
        await until(lambda: indexer.status.state == "live")

    assert indexer.status.indexed == 3


async def test_a_node_that_refuses_is_not_asked_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(ToldChain):
        """Takes shorter batches than ours."""

        async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
            if len(calls) > 3:
                raise InvalidRequest("batch too large")
            return await super().batch(calls)

    async with running(tmp_path, monkeypatch, {ONE: Small(head=7), TWO: ToldChain(head=7)}) as indexer:
        await until(lambda: indexer.status.indexed == 7)

    assert indexer.status.rpc_url == TWO


@pytest.mark.parametrize("failure", [Unavailable("no answer"), InvalidRequest("refused")])
async def test_contracts_that_cannot_be_asked_hold_no_block_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    tried = asyncio.Event()

    async def probe(*_: Any) -> tuple[int, bool]:
        tried.set()
        raise failure

    monkeypatch.setattr(following, "probe", probe)
    node = ToldChain(head=2)
    async with running(tmp_path, monkeypatch, {ONE: node}) as indexer:
        await tried.wait()
        await until(lambda: indexer.status.indexed == 2)
        node.head = 4
        await until(lambda: indexer.status.indexed == 4 and indexer.status.state == "live")

    assert node.asked.count("eth_chainId") == 1, "it was followed all the time"


async def test_blocks_are_written_while_every_thread_of_the_requests_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading  # noqa: PLC0415 - of this test alone
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - the same

    release = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    waiting = [asyncio.create_task(asyncio.to_thread(release.wait)) for _ in range(4)]
    try:
        async with running(tmp_path, monkeypatch, {ONE: ToldChain(head=4)}) as indexer:
            await until(lambda: indexer.status.indexed == 4)
    finally:
        release.set()
        await asyncio.wait(waiting)
