"""What pages ask of the index is a range of an index, and says the same whichever index is the shorter way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select, text, update
from tests.unit.services.told_chain import SENDER, TOKEN, ToldChain, account, write_chain

from sdk.testnet.services.queries import (
    Slice,
    addresses,
    consensus,
    search,
    statistics,
    tokens,
    transactions,
    validators,
)
from sdk.testnet.services.queries import blocks as blocks_queries
from sdk.testnet.services.store.meanings import search_key
from sdk.testnet.services.store.store import Store
from sdk.testnet.services.store.tables import accounts, blocks, counters, round_skips
from sdk.testnet.services.store.tables import tokens as tokens_table
from sdk.testnet.services.store.tables import validators as validators_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

HEAD, EACH = 5, 6


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('queries')}/index.db")
    write_chain(store, ToldChain(head=HEAD, transactions=EACH))
    yield store
    store.close()


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def plans_of(store: Store, ask: Callable[[Connection], Any]) -> str:
    """How SQLite finds what a query asks for."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    with store.look() as connection:
        event.listen(connection, "before_cursor_execute", note)
        ask(connection)
        event.remove(connection, "before_cursor_execute", note)
        found = []
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            found += [row[3] for row in rows]
    return "\n".join(found)


@pytest.mark.parametrize("newest_first", [True, False])
def test_tokens_of_all_kinds_are_read_in_the_order_of_an_index(store: Store, *, newest_first: bool) -> None:
    plan = plans_of(
        store, lambda connection: tokens.list_tokens(connection, Slice(newest_first=newest_first))
    )

    assert "tokens_by_popularity" in plan
    assert "TEMP B-TREE" not in plan


def test_events_of_a_topic_are_searched_by_it(store: Store) -> None:
    plan = plans_of(
        store, lambda connection: addresses.account_logs(connection, raw(TOKEN), topics=[b"\1" * 32])
    )

    assert "logs_by_topic (account_id=? AND topic0=?" in plan


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_proposer_s_blocks_are_a_range_of_an_index_at_any_depth(
    store: Store, *, newest_first: bool
) -> None:
    who = raw(account(0xFEE))
    with store.change() as connection:
        found = connection.execute(select(accounts.c.id).where(accounts.c.address == who)).scalar_one()
        connection.execute(update(blocks).where(blocks.c.number.in_((1, 2, 4))).values(proposer_id=found))
    numbers: list[int] = []
    cursor = None
    while not numbers or cursor is not None:
        which = Slice(limit=1, newest_first=newest_first, cursor=cursor)

        def ask(connection: Connection, which: Slice = which) -> Any:
            return blocks_queries.list_blocks(connection, which, proposer=who, first_block=2)

        plan = plans_of(store, ask)
        assert "blocks_by_proposer (proposer_id=? AND number" in plan
        assert "SCAN blocks" not in plan
        with store.look() as connection:
            page = ask(connection)
        numbers += [block.number for block in page.items]
        cursor = page.next_cursor

    assert numbers == ([4, 2] if newest_first else [2, 4])


@pytest.mark.parametrize("newest_first", [True, False])
def test_an_account_s_moves_of_one_token_are_the_same_by_either_list(
    store: Store, monkeypatch: pytest.MonkeyPatch, *, newest_first: bool
) -> None:
    who, token = raw(SENDER), raw(TOKEN)
    which = Slice(limit=4, newest_first=newest_first)

    def walk() -> list[Any]:
        found: list[Any] = []
        cursor = None
        with store.look() as connection:
            while True:
                page = addresses.account_transfers_page(
                    connection, who, Slice(limit=4, newest_first=newest_first, cursor=cursor), token=token,
                    first_block=2,
                )  # fmt: skip
                found += page.items
                cursor = page.next_cursor
                if cursor is None:
                    return found

    walks = []
    for by_token in (False, True):
        monkeypatch.setattr(addresses, "_has_fewer_transfers", lambda *_, by_token=by_token: by_token)
        walks.append(walk())

    assert walks[0] == walks[1]
    assert len(walks[0]) == (HEAD - 1) * EACH // 2
    assert which.limit < len(walks[0])


def test_moves_of_a_token_that_is_none_are_none_and_cost_nothing(store: Store) -> None:
    def ask(connection: Connection) -> None:
        assert addresses.account_transfers_page(connection, raw(SENDER), token=b"\x99" * 20).items == ()

    assert "account_transfers" not in plans_of(store, ask)


@pytest.mark.parametrize("typed", ["KÄT", "kät", " Kä ", "straße", "STRASSE"])
def test_a_name_is_found_however_it_is_typed(store: Store, typed: str) -> None:
    name = "Kätzchen" if typed.strip().lower().startswith("k") else "Straße"
    with store.change() as connection:
        connection.execute(
            update(tokens_table).values(name=name, name_key=search_key(name), symbol="X", symbol_key="x")
        )
        connection.execute(
            update(accounts).where(accounts.c.address == raw(account(0xFEE))).values(name=name)
        )

    with store.look() as connection:
        found = search.search(connection, typed)

    assert [(one.kind, one.title) for one in found] == [("address", name), ("token", name)]
    assert "tokens_by_name (name_key>? AND name_key<?" in plans_of(
        store, lambda connection: search.search(connection, typed)
    )


def test_the_time_before_a_network_was_started_is_no_block_time(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    class Late(ToldChain):
        def block(self, number: int) -> dict[str, Any] | None:
            found = super().block(number)
            # Genesis was written half an hour before.
            return found and {
                **found,
                "timestamp": hex(int(found["timestamp"], 16) - (0 if number else 1_800)),
            }

    store = Store(f"sqlite:///{tmp_path_factory.mktemp('late')}/index.db")
    write_chain(store, Late(head=4))
    with store.look() as connection:
        first = connection.execute(text("SELECT min(timestamp) FROM blocks")).scalar_one()
        rows = statistics.series(connection, "day", first // 86_400 * 86_400, first + 86_400)
        count = connection.execute(blocks.select()).all()
    store.close()

    assert (rows[0].block_count, len(count), rows[0].block_time_s) == (5, 5, 2.0)


@pytest.mark.parametrize(
    "ask",
    [consensus.current_members, validators.list_validators, lambda found: validators.get_validator(found, raw(SENDER))],
    ids=["members", "validators", "one validator"],
)  # fmt: skip
def test_validators_are_found_without_a_walk_over_all_accounts(
    store: Store, ask: Callable[[Connection], Any]
) -> None:
    assert "SCAN accounts" not in plans_of(store, ask)


def test_validators_have_their_accounts_and_come_by_address(store: Store) -> None:
    with store.change() as connection:
        numbers = connection.execute(select(accounts.c.id, accounts.c.address)).all()[:5]
        rows = [
            {column.name: 0 for column in validators_table.c}
            | {"account_id": number, "is_member": place != 2}
            for place, (number, _) in enumerate(numbers)
        ]
        connection.execute(validators_table.insert(), rows)
    members = sorted(bytes(address) for place, (_, address) in enumerate(numbers) if place != 2)

    with store.look() as connection:
        assert [one.address for one in consensus.current_members(connection)] == members
        listed = validators.list_validators(connection)
        former = validators.get_validator(connection, bytes(numbers[2][1]))
    assert [one.account.address for one in listed] == [*members, bytes(numbers[2][1])]
    assert former is not None
    assert not former.is_member


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("late", [{3}, {0, 1, 2, 4, 5}, set()], ids=["few", "most", "none"])
def test_late_blocks_are_the_same_by_walk_and_by_index(
    store: Store, late: set[int], *, newest_first: bool
) -> None:
    def walk(counted: int) -> tuple[list[int], str]:
        with store.change() as connection:
            connection.execute(update(blocks).values(round=0))
            connection.execute(update(blocks).where(blocks.c.number.in_(late)).values(round=1))
            connection.execute(update(counters).where(counters.c.name == "late_blocks").values(value=counted))
        found, cursor = [], None
        with store.look() as connection:
            while True:
                which = Slice(limit=2, cursor=cursor, newest_first=newest_first)
                page = blocks_queries.list_blocks(connection, which, late_only=True)
                found += [block.number for block in page.items]
                if (cursor := page.next_cursor) is None:
                    break
        plan = plans_of(store, lambda found: blocks_queries.list_blocks(found, late_only=True))
        return found, plan

    with store.change() as connection:
        connection.execute(counters.delete().where(counters.c.name == "late_blocks"))
        connection.execute(counters.insert().values(name="late_blocks", value=0))
    rare, by_index = walk(0)
    frequent, by_walk = walk(1_000_000)

    assert rare == frequent == sorted(late, reverse=newest_first)
    assert "blocks_by_round" in by_index
    assert "blocks_by_round" not in by_walk


def test_times_and_failed_rounds_of_blocks_are_asked_for_at_once(store: Store) -> None:
    with store.change() as connection:
        who = connection.execute(select(accounts.c.id).limit(1)).scalar_one()
        rows = [
            {"number": number, "round": round_, "validator_id": who}
            for number in (1, 2, 4)
            for round_ in (0, 1)
        ]
        connection.execute(round_skips.insert(), rows)

    with store.look() as connection:
        skips = consensus.skips_among(connection, [4, 1])
        times = blocks_queries.timestamps_of(connection, [0, 3, 99])
        each = {n: blocks_queries.get_block(connection, n) for n in (0, 3)}
    assert [(skip.number, skip.round) for skip in skips] == [(1, 0), (1, 1), (4, 0), (4, 1)]
    assert times == {number: block.timestamp for number, block in each.items() if block}


def test_a_question_does_not_describe_the_table_of_accounts_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new alias makes all of its columns anew, which was half of what a page took to ask."""

    def ask(connection: Connection) -> None:
        block = blocks_queries.get_block(connection, HEAD)
        assert block is not None
        consensus.block_consensus(connection, HEAD)
        page = transactions.block_transactions(connection, HEAD)
        transactions.transaction_transfers(connection, page.items[0])
        addresses.get_address(connection, raw(SENDER))

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("an alias is made anew")

    with store.look() as connection:
        ask(connection)
        monkeypatch.setattr(type(accounts), "alias", fail)
        ask(connection)
