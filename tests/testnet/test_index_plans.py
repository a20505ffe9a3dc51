"""How PostgreSQL finds what pages ask of a large index: what it reads is of the page, not of the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.index_generator import Generator
from sqlalchemy import event, func, select, text, update
from tests.testnet.postgresql import PostgreSQLAbsent, postgresql

from sdk.testnet.services.queries import Slice
from sdk.testnet.services.queries.addresses import account_transfers_page
from sdk.testnet.services.queries.blocks import list_blocks
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import account_transfers, accounts, blocks, transfers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

ROWS = 25
"""Of one page."""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """20,000 blocks, and 10,000 transfers of a hundred tokens: enough that looking up a page's rows is cheaper than reading all."""
    try:
        with postgresql() as url:
            store = Store(url)
            Generator(blocks=20_000, transactions=100_000).fill(store)
            yield store
            store.close()
    except PostgreSQLAbsent as absent:
        pytest.skip(str(absent))


def rows_read(store: Store, ask: Callable[[Connection], Any]) -> dict[str, int]:
    """By table the rows that the server looked at for a question."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    found: dict[str, int] = {}

    def walk(node: dict[str, Any]) -> None:
        if "Relation Name" in node:
            each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            table = node["Relation Name"]
            found[table] = found.get(table, 0) + round(each * node["Actual Loops"])
        for part in node.get("Plans", ()):
            walk(part)

    with store.look() as connection:
        event.listen(connection, "before_cursor_execute", note)
        ask(connection)
        event.remove(connection, "before_cursor_execute", note)
        for statement, parameters in asked:
            (plan,) = connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
            ).scalar_one()
            walk(plan["Plan"])
    return found


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_all_transfers_those_of_an_account_s_page_are_read(store: Store, *, newest_first: bool) -> None:
    with store.look() as connection:
        busy, count = connection.execute(
            select(accounts.c.address, func.count())
            .join(account_transfers, account_transfers.c.account_id == accounts.c.id)
            .group_by(accounts.c.address)
            .order_by(func.count().desc())
            .limit(1)
        ).one()
        everything = connection.scalar(select(func.count()).select_from(transfers))
    assert everything > 5 * count > 100 * ROWS

    which = Slice(limit=ROWS, newest_first=newest_first)
    found = rows_read(store, lambda connection: account_transfers_page(connection, bytes(busy), which))

    # One more than the page has says whether there is another.
    assert found["transfers"] == found["account_transfers"] == ROWS + 1


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Slice(limit=ROWS), range(9_999, 9_899, -4)),
        (Slice(limit=ROWS, cursor="8000"), range(7_999, 7_899, -4)),
        (Slice(limit=ROWS, newest_first=False), range(3, 103, 4)),
        (Slice(limit=ROWS, newest_first=False, cursor="8000"), range(8_003, 8_103, 4)),
    ],
)
def test_the_blocks_of_a_validator_that_left_are_found_without_a_walk_through_all_since(
    store: Store, which: Slice, expected: range
) -> None:
    with store.change() as connection:
        connection.execute(
            update(blocks).where(blocks.c.proposer_id == 4, blocks.c.number > 10_000).values(proposer_id=1)
        )
        connection.execute(text("ANALYZE blocks"))
    with store.look() as connection:
        left = bytes(connection.execute(select(accounts.c.address).where(accounts.c.id == 4)).scalar_one())
        page = list_blocks(connection, which, proposer=left)

    assert [block.number for block in page.items] == list(expected)
    found = rows_read(store, lambda connection: list_blocks(connection, which, proposer=left))
    assert found["blocks"] == ROWS + 1
