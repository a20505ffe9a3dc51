"""Traces have a price that nobody drives up: what is too much for one answer is traced in part, and the block says so."""

from __future__ import annotations

from typing import Any

import pytest

from metanode.errors import Unavailable
from metanode.rpc.errors import JSONRPCError, MethodNotFound, NodeUnreachable, ServerError
from sdk.testnet.services.indexer import tracing
from sdk.testnet.services.indexer.tracing import ALONE_MAX, Tracer
from sdk.testnet.services.store.meanings import Traces

TREE = {"type": "CALL", "input": "0x01", "output": "0x02", "calls": [{"type": "CREATE", "input": "0x03", "output": "0x04"}]}  # fmt: skip
TOO_LARGE = JSONRPCError("response too large", code=-32003)


class Node:
    """Says of a whole block what it is given, in turn, and of each transaction its tree."""

    def __init__(self, *whole: Any, alone: Any = TREE) -> None:
        self._whole = list(whole)
        self._alone = alone
        self.asked: list[str] = []

    async def call(self, method: str, *_: Any) -> Any:
        self.asked.append(method)
        answer = self._whole.pop(0) if method.endswith("BlockByNumber") else self._alone
        if isinstance(answer, Exception):
            raise answer
        return (
            {**answer, "calls": [dict(one) for one in answer["calls"]]}
            if isinstance(answer, dict)
            else answer
        )


def block(count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return (
        [{"hash": f"0x{place:064x}", "input": "0x12", "to": "0x" + "52" * 20} for place in range(count)],
        [{"gasUsed": "0x9999"}] * count,
    )


async def trace(node: Any, count: int = 2) -> tuple[list[Any], Traces]:
    return await Tracer(node).trees_of(7, *block(count))


async def test_transactions_are_traced_alone_up_to_a_number_and_the_rest_is_missing() -> None:
    node = Node(TOO_LARGE)

    trees, traces = await trace(node, ALONE_MAX + 30)

    assert node.asked.count("debug_traceTransaction") == ALONE_MAX
    assert [tree is not None for tree in trees] == [True] * ALONE_MAX + [False] * 30
    assert traces is Traces.UNAVAILABLE


async def test_traces_alone_end_after_their_time_but_not_before_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "ALONE_S", -1.0)
    node = Node(TOO_LARGE)

    trees, traces = await trace(node, 5)

    assert (sum(tree is not None for tree in trees), traces) == (1, Traces.UNAVAILABLE)


async def test_of_trees_that_were_too_large_together_only_what_is_indexed_is_kept() -> None:
    trees, traces = await trace(Node(TOO_LARGE), 2)

    assert traces is Traces.INDEXED
    assert trees == [{"type": "CALL", "output": "0x02", "calls": [{"type": "CREATE"}]}] * 2


async def test_calls_nested_too_deep_to_be_read_are_missing_and_the_index_goes_on() -> None:
    unreadable = NodeUnreachable("answers 200: '[[[['", has_answered=True)

    assert await trace(Node(unreadable, alone=unreadable)) == ([None, None], Traces.UNAVAILABLE)
    trees, traces = await trace(Node(unreadable))
    assert (trees[0] and trees[0]["type"], traces) == ("CALL", Traces.INDEXED)


async def test_a_node_that_is_gone_is_not_one_without_traces() -> None:
    with pytest.raises(Unavailable):
        await trace(Node(NodeUnreachable("does not answer")))


@pytest.mark.parametrize(
    ("answers", "asked", "traces"),
    [
        ([ServerError("busy with another thing"), [{"result": TREE}, {"result": TREE}]], 2, Traces.INDEXED),
        ([ServerError("no state"), ServerError("no state")], 2, Traces.UNAVAILABLE),
        ([MethodNotFound("no such method")], 1, Traces.UNAVAILABLE),
    ],
)
async def test_a_refusal_is_asked_about_once_more(answers: list[Any], asked: int, traces: Traces) -> None:
    node = Node(*answers)

    assert (await trace(node))[1] is traces
    assert len(node.asked) == asked


async def test_a_node_without_tracers_is_not_asked_again() -> None:
    node = Node(MethodNotFound("no such method"))
    tracer = Tracer(node)  # type: ignore[arg-type]

    for _ in range(2):
        assert (await tracer.trees_of(7, *block(1)))[1] is Traces.UNAVAILABLE
    assert len(node.asked) == 1
