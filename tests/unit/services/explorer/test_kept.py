"""What only a block changes is asked of the index once a block, however many read; what changes without one is not kept with it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, update
from tests.unit.services.explorer.test_kept_pages import HEAD, browsing
from tests.unit.services.explorer.test_kept_pages import store as store  # noqa: PLC0414 - the fixture
from tests.unit.services.told_chain import ToldChain, write_chain

from sdk.testnet.services.explorer.kept import KEPT_S, NAMES_MAX, OfHead
from sdk.testnet.services.explorer.views import validators
from sdk.testnet.services.queries.statistics import IndexStatus
from sdk.testnet.services.store.tables import accounts, blocks, counters, index_state, round_skips

if TYPE_CHECKING:
    from sdk.testnet.services.store import Store

STATUS = IndexStatus(chain_id=1, genesis_hash=b"g", number=5, hash=b"h", indexed_at=1)
HTML_BYTES_MAX = 60 * 1024


class Clock:
    """A clock that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    "other",
    [replace(STATUS, number=6), replace(STATUS, hash=b"i"), replace(STATUS, genesis_hash=b"k"), None],
    ids=["the next block", "another block", "another chain", "an empty index"],
)
def test_an_answer_is_of_one_head(other: IndexStatus | None) -> None:
    kept, told = OfHead(Clock()), iter(range(9))

    first = [kept.get("list", STATUS, lambda: next(told)) for _ in range(3)]
    second = [kept.get("list", other, lambda: next(told)) for _ in range(3)]

    assert (first, second) == ([0, 0, 0], [1, 1, 1])


def test_an_answer_is_of_one_question() -> None:
    kept = OfHead(Clock())

    assert [kept.get(name, STATUS, lambda name=name: name) for name in "aba"] == ["a", "b", "a"]
    for serial in range(NAMES_MAX - 2):
        kept.get(f"list {serial}", STATUS, lambda: None)
    with pytest.raises(AssertionError, match="names are of questions"):
        kept.get("one too many", STATUS, lambda: None)


def test_while_no_block_comes_an_answer_is_given_for_seconds() -> None:
    clock, told = Clock(), iter(range(9))
    kept = OfHead(clock)
    found = []
    for now_s in (0, KEPT_S - 0.01, KEPT_S, KEPT_S + 1, 3 * KEPT_S):
        clock.now_s = now_s
        found.append(kept.get("list", STATUS, lambda: next(told)))

    assert found == [0, 0, 1, 1, 2]


def test_a_failure_is_kept_by_nobody() -> None:
    kept = OfHead(Clock())

    with pytest.raises(ZeroDivisionError):
        kept.get("list", STATUS, lambda: 1 // 0)
    assert kept.get("list", STATUS, lambda: 7) == 7


def test_of_many_who_come_at_once_one_asks() -> None:
    kept, entered, asked = OfHead(Clock()), threading.Barrier(8), []

    def make() -> int:
        asked.append(1)
        return 7

    def come(_: int) -> int:
        entered.wait(20)
        return kept.get("list", STATUS, make)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(come, range(8))) == [7] * 8
    assert len(asked) == 1


@pytest.mark.parametrize("path", ["/", "/blocks", "/transactions", "/rounds"])
async def test_a_second_reader_costs_the_index_some_rows(store: Store, path: str) -> None:
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    async with browsing(store) as http:
        first = await http.get(f"{path.rstrip('/') or '/index'}.json")
        with store.look() as connection:
            engine = connection.engine
        event.listen(engine, "before_cursor_execute", note)
        again = await http.get(f"{path.rstrip('/') or '/index'}.json")
        event.remove(engine, "before_cursor_execute", note)
        write_chain(store, ToldChain(head=HEAD + 1, transactions=2))
        later = await http.get(f"{path.rstrip('/') or '/index'}.json")

    assert first.json() == again.json()
    tables = [statement for statement in asked if "FROM" in statement]
    assert tables, "the index was asked how far it is"
    assert all("FROM index_state" in one or "FROM counters" in one for one in tables), tables
    assert later.json()["as_of"]["block"] == HEAD + 1
    if path != "/rounds":
        assert later.json() != first.json()


async def test_a_count_that_changes_without_a_block_is_not_kept(store: Store) -> None:
    with store.change() as connection:
        connection.execute(counters.delete().where(counters.c.name == "verified_contracts"))
        connection.execute(insert(counters).values(name="verified_contracts", value=1))
    async with browsing(store) as http:
        before = (await http.get("/index.json")).json()["totals"]["verified_contracts"]
        with store.change() as connection:
            connection.execute(
                update(counters).where(counters.c.name == "verified_contracts").values(value=2)
            )
        after = (await http.get("/index.json")).json()["totals"]["verified_contracts"]

    assert (before, after) == (1, 2)


async def test_a_bad_day_s_rounds_fit_the_budget_of_a_page(store: Store) -> None:
    """A page of blocks that each needed nine rounds, with numbers as long as a chain of years has, under the longest strip."""
    far = 98_765_432
    with store.change() as connection:
        example = connection.execute(blocks.select().where(blocks.c.number == HEAD)).mappings().one()
        someone = example["fee_recipient_id"]
        connection.execute(update(accounts).values(name=None))
        rows = [
            dict(example)
            | {
                "number": far + serial,
                "hash": serial.to_bytes(32, "big"),
                "proposer_id": someone,
                "round": 9,
                "transaction_count": 1_234,
                "seals_count": 67,
                "validators_count": 100,
            }
            for serial in range(validators.STRIP_BLOCKS + 1)
        ]
        connection.execute(insert(blocks), rows)
        skips = [
            {"number": row["number"], "round": round_, "validator_id": someone}
            for row in rows
            for round_ in range(9)
        ]
        connection.execute(insert(round_skips), skips)
        connection.execute(update(index_state).values(number=rows[-1]["number"]))
    async with browsing(store) as http:
        page = await http.get("/rounds", headers={"accept": "text/html"})

    assert page.status_code == 200
    assert page.text.count("6 more</a>") == 25
    assert len(page.content) <= HTML_BYTES_MAX
