"""The benchmark of pages reads what a real chain would have: seals that hold, calls inside, sources. Its table says what its results say."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from benchmarks.answering_node import answers_of
from benchmarks.index_generator import Generator
from benchmarks.page_subjects import find_subjects, kinds
from benchmarks.page_table import BEGIN, END, README, page_tables, written
from benchmarks.pages import READERS
from sqlalchemy import func, select

from sdk.testnet.services.explorer.certificates import ChainRules, view_certificate
from sdk.testnet.services.queries.blocks import get_block
from sdk.testnet.services.queries.consensus import block_consensus, members_of
from sdk.testnet.services.store import Counter, Store, tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

BLOCKS = 1_200
"""One of them was decided after round 0."""
LATE = 997


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("index") / "index.db"
    url = f"sqlite:///{path}"
    store = Store(url)
    Generator(blocks=BLOCKS, transactions=4 * BLOCKS).fill(store)
    store.close()
    return url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


class AnsweringNode:
    """The benchmark's node without its socket."""

    def __init__(self, url: str) -> None:
        self._answers = answers_of(find_subjects(url))

    async def call(self, method: str, *params: Any) -> Any:
        return self._answers[method](list(params))


@pytest.mark.parametrize("number", [1, LATE, BLOCKS - 1])
def test_seals_of_a_generated_block_verify_by_what_the_node_tells(
    url: str, store: Store, number: int
) -> None:
    nodes: Any = AnsweringNode(url)
    rule = asyncio.run(ChainRules(nodes).rule())
    with store.look() as connection:
        block = get_block(connection, number)
        assert block is not None
        view = view_certificate(
            block, block_consensus(connection, number), members_of(connection, number), rule
        )
    assert (view.verdict, view.sealed_count) == ("valid", 3)


def test_a_generated_index_counts_its_calls_and_contracts_right(store: Store) -> None:
    with store.look() as connection:

        def count(table: Any) -> int:
            return connection.scalar(select(func.count()).select_from(table)) or 0

        told = {row.name: row.value for row in connection.execute(select(tables.counters))}
        calls, contracts = count(tables.internal_calls), count(tables.contracts)
        in_feeds = connection.scalar(select(func.sum(tables.accounts.c.internal_count)))
        verified = connection.scalar(select(func.count(tables.contracts.c.match)))
        assert in_feeds == count(tables.account_internal_calls) == 2 * calls > 0
    assert told[Counter.INTERNAL_CALLS] == calls
    assert told[Counter.CONTRACTS] == contracts > 0
    assert told[Counter.VERIFIED_CONTRACTS] == verified > 0


def test_there_is_something_to_ask_for_of_every_kind(url: str) -> None:
    addresses = {make() for make in kinds(find_subjects(url), random.Random(1)).values()}
    assert all(address.startswith("/") and "None" not in address for address in addresses)


def test_the_tables_say_what_the_results_say() -> None:
    kind = "a block"
    measures = {f"{kind}: HTML bytes": 14_000, f"{kind}: HTML bytes, compressed": 4_000}
    times = (f"{kind}: {column} ms, {who}" for who in READERS for column in ("p50", "p95", "longest"))
    measures |= {name: 10 * place for place, name in enumerate(times, 1)}
    measures |= {"blocks in the index": 1_000_000, "memory of the explorer, MB": 139}
    document = {
        "measured_at": "2026-11-23T03:00:00Z",
        "commit": "0123456789ab",
        "rounds": 3,
        "machine": {"cores": 2},
        "figures": [
            {"chain": "sqlite", "measure": name, "median": value} for name, value in measures.items()
        ],
    }
    table = page_tables(document)
    assert "| a block | 10 | 20 | 30 | 40 | 50 | 60 | 14,000 | 4,000 |" in table
    assert "1,000,000 blocks, medians of 3 rounds of 2026-11-23, commit 0123456789ab" in table


def test_tables_replace_those_between_the_marks_only() -> None:
    readme = README.read_text()
    other = written(readme, "new\n")
    assert f"{BEGIN}new\n{END}" in other
    assert written(other, readme.partition(BEGIN)[2].partition(END)[0]) == readme
