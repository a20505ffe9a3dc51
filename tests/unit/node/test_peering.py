"""What peers are given of the chain: consecutive blocks, as many as an answer may hold."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from metanode.node import peering
from metanode.node.peering import PeerHandlers
from metanode.primitives.types import Height

BLOCK = b"b" * 1_000


class Store:
    """Blocks up to `head`; those below `kept_from` are the engine's."""

    def __init__(self, head: int, kept_from: int) -> None:
        self.head, self.kept_from = head, kept_from

    async def heights(self, first: Height, count: int, *, bytes_max: int) -> list[Any]:
        del bytes_max
        return [
            SimpleNamespace(
                header=SimpleNamespace(height=Height(height)),
                certificate=None,
                block=BLOCK if height >= self.kept_from else None,
            )
            for height in range(first, min(first + count, self.head + 1))
        ]

    async def old_block(self, height: Height, execution_rlp: bytes) -> bytes:
        assert execution_rlp == b"%d" % height
        return BLOCK


class Engine:
    """Payloads from `first` on."""

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self.asked = 0

    async def payload(self, number: int) -> Any:
        self.asked += 1
        return SimpleNamespace(execution_rlp=b"%d" % number) if number >= self.first else None


def served(store: Store, engine: Engine, *, first: int, count: int, bytes_max: int) -> int:
    handlers = PeerHandlers(driver=None, store=store, execution=engine, is_validator=False)  # type: ignore[arg-type]
    return len(asyncio.run(handlers.blocks(Height(first), count, bytes_max)))


@pytest.fixture(autouse=True)
def encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peering, "encode_decided", lambda block, _: block)


@pytest.mark.parametrize("kept_from", [1, 50, 10_000], ids=["node.db", "half and half", "the engine"])
def test_an_answer_takes_no_further_block_once_it_is_full_wherever_the_blocks_are(kept_from: int) -> None:
    engine = Engine()

    assert served(Store(2_000, kept_from), engine, first=40, count=500, bytes_max=20_000) == 20
    assert engine.asked <= 20


def test_an_answer_ends_where_the_chain_or_the_question_does() -> None:
    assert served(Store(100, 1), Engine(), first=91, count=500, bytes_max=10**6) == 10
    assert served(Store(100, 1), Engine(), first=10, count=5, bytes_max=10**6) == 5
    assert served(Store(100, 1), Engine(), first=101, count=5, bytes_max=10**6) == 0


def test_an_answer_ends_where_the_engine_has_no_payload() -> None:
    assert served(Store(100, 90), Engine(first=50), first=40, count=20, bytes_max=10**6) == 0
