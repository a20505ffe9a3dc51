"""The pool on a page: asked once for everybody, never read whole when it is huge."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metanode.errors import Unavailable
from metanode.rpc.errors import NodeUnreachable
from sdk.testnet.services.explorer import pending, traces
from sdk.testnet.services.explorer.pending import SHOWN, PoolWatch, read_pool
from sdk.testnet.services.explorer.traces import TRACES_MAX, CallTrees

SENDER, RECIPIENT = "0x" + "11" * 20, "0x" + "22" * 20
STATUS = {"pending": hex(3), "queued": hex(1)}


def transaction(nonce: int, **more: Any) -> dict[str, Any]:
    return {
        "hash": "0x" + nonce.to_bytes(32).hex(), "from": SENDER, "to": RECIPIENT, "nonce": hex(nonce), "value": "0x5",
        "maxFeePerGas": "0x7", "input": "0xa9059cbb00",
    } | more  # fmt: skip


def content(count: int) -> dict[str, Any]:
    return {
        "pending": {SENDER: {str(nonce): transaction(nonce) for nonce in range(count)}},
        "queued": {RECIPIENT: {"9": transaction(9, to=None, input="0x6000")}},
    }


SUMMARY = {
    "pending": {SENDER: {"0": f"{RECIPIENT}: 5 wei + 21000 gas \u00d7 7 wei"}},
    "queued": {SENDER: {"9": "contract creation: 0 wei + 90000 gas \u00d7 1 wei"}},
}


class Nodes:
    """Answers of a node, and how often it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []
        self.goes = asyncio.Event()
        self.goes.set()

    def within(self, _: int) -> Nodes:
        return self

    async def batch(self, calls: Any) -> list[Any]:
        self.asked.append([name for name, _ in calls])
        return await self._next()

    async def call(self, method: str, *_: Any) -> Any:
        self.asked.append([method])
        return await self._next()

    async def _next(self) -> Any:
        await self.goes.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def watch(nodes: Any) -> PoolWatch:
    return PoolWatch(nodes)


async def test_a_hundred_readers_are_one_question() -> None:
    nodes = Nodes([STATUS, content(3)])
    pool = watch(nodes)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(pool.now(), name=str(number)) for number in range(100)]
    assert {len(task.result().items) for task in asked} == {4}
    assert len(nodes.asked) == 1
    first, last = asked[0].result().items[0], asked[0].result().items[-1]
    assert (first.recipient, first.method_id, first.is_executable) == (
        "0x" + "22" * 20,
        b"\xa9\x05\x9c\xbb",
        True,
    )
    assert (last.recipient, last.method_id, last.is_executable) == ("", None, False)


async def test_a_pool_that_is_too_long_to_read_is_shown_by_its_summary() -> None:
    nodes = Nodes(NodeUnreachable("more than 4194304 bytes", has_answered=True), [STATUS, SUMMARY])
    found = await watch(nodes).now()

    assert nodes.asked[1] == ["txpool_status", "txpool_inspect"]
    assert found.is_summary
    assert [(item.hash, item.nonce, item.value_wei, item.fee_cap_wei) for item in found.items] == [
        ("", 0, 5, 7),
        ("", 9, 0, 1),
    ]


async def test_a_node_that_is_away_is_not_asked_by_every_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(pending.time, "monotonic", lambda: now_s[0])
    nodes = Nodes(NodeUnreachable("away"))
    pool = watch(nodes)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await pool.now()
    assert len(nodes.asked) == 1
    now_s[0] += pending.FAILURE_AGE_S
    with pytest.raises(Unavailable):
        await pool.now()
    assert len(nodes.asked) == 2


@pytest.mark.parametrize("told", [None, [], {}, {"pending": 5, "queued": {}}, {"pending": {SENDER: {"0": None}}, "queued": {}}])  # fmt: skip
def test_nonsense_is_a_node_that_is_away(told: Any) -> None:
    for is_summary in (True, False):
        with pytest.raises(Unavailable, match="can't be read"):
            read_pool(STATUS, told, is_summary=is_summary)


def test_no_more_lines_are_shown_than_a_page_has() -> None:
    assert len(read_pool(STATUS, content(3 * SHOWN)).items) == SHOWN


TREE = {"type": "CALL", "from": SENDER, "to": RECIPIENT, "value": "0x0", "gasUsed": "0x1", "input": "0x"}


def trees_of(nodes: Any) -> CallTrees:
    return CallTrees(nodes)


async def test_a_call_tree_is_made_once_for_all_and_few_at_a_time() -> None:
    nodes = Nodes(TREE)
    nodes.goes.clear()
    trees = trees_of(nodes)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(trees.tree(f"0x{number % 5:064x}"), name="tree") for number in range(20)]
        while len(nodes.asked) < TRACES_MAX:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(nodes.asked) == TRACES_MAX
        nodes.goes.set()
    assert len(nodes.asked) == 5
    assert all(task.result().calls for task in asked)


async def test_a_trace_that_no_node_makes_is_not_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(traces.time, "monotonic", lambda: now_s[0])
    nodes = Nodes(NodeUnreachable("more than 8388608 bytes", has_answered=True), TREE)
    trees = trees_of(nodes)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await trees.tree("0x" + "01" * 32)
    assert len(nodes.asked) == 1
    now_s[0] += traces.FAILURE_AGE_S
    assert (await trees.tree("0x" + "01" * 32)).is_whole
