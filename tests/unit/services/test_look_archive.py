"""The archive of looks in the index's database."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from metanode.errors import StorageDamaged
from sdk.testnet.monitoring.archive import Look
from sdk.testnet.monitoring.history import NAMES, History
from sdk.testnet.monitoring.line_columns import CHARTS
from sdk.testnet.services.look_archive import LookArchive, decode, encode
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import looks as table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

AT = 1_800_000_000.0
DAY_S = 86_400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/index.db")
    yield store
    store.close()


def look(at: float, height: float | None = 7) -> Look:
    return Look(at, {"height": height, "tps": None}, {"cpu_percent": {"validator-1": 12.5}})


def kept(store: Store, *batches: Sequence[Look]) -> History:
    """What a process recalls after another has kept these."""

    async def check() -> History:
        async with LookArchive(store) as archive:
            for batch in batches:
                await archive.keep(batch)
        history = History()
        async with LookArchive(store) as archive:
            await archive.recall(history)
        return history

    return asyncio.run(check())


def test_what_one_process_keeps_the_next_recalls_in_order(store: Store) -> None:
    history = kept(store, [look(AT, 1), look(AT + 2, None)], [look(AT + 4, 3)])

    found = history.read(since=0)
    assert found["at"] == [AT, AT + 2, AT + 4]
    assert found["height"] == [1, None, 3]
    assert found["tps"] == [None] * 3
    assert history.read_lines(since=0)["cpu_percent"] == {"validator-1": [12.5] * 3}


def test_nothing_is_recalled_of_an_empty_archive(store: Store) -> None:
    assert len(kept(store)) == 0


def test_a_day_is_kept_and_no_more(store: Store) -> None:
    # More rows than are read at once.
    history = kept(store, *([look(AT + 60 * minute, minute)] for minute in range(1_500)))

    found = history.read(since=0, points_max=2_000)["height"]
    assert found == list(range(60, 1_500))
    with store.look() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 1_440


def test_a_clock_that_was_set_back_and_a_second_explorer_lose_nobody_else_s_looks(store: Store) -> None:
    history = kept(store, [look(AT, 1)], [look(AT + 2, 2)], [look(AT - 5, 3)], [look(AT + 2, 4)])

    assert history.read(since=0)["height"] == [3, 1, 4]


def test_a_row_that_is_damaged_costs_its_own_looks_only(store: Store) -> None:
    kept(store, [look(AT, 1)], [look(AT + 2, 2)], [look(AT + 4, 3)])
    with store.change() as connection:
        connection.execute(
            update(table).where(table.c.at_ms == round(1000 * (AT + 2))).values(content=b"\x00")
        )

    assert kept(store).read(since=0)["height"] == [1, 3]


NUMBERS = st.floats(allow_nan=False, width=32)


@given(
    st.lists(
        st.builds(
            Look,
            st.floats(0, 4e9).map(lambda at: round(at, 3)),
            st.dictionaries(st.sampled_from(NAMES), st.none() | NUMBERS),
            st.dictionaries(st.sampled_from(sorted(CHARTS)), st.dictionaries(st.text(max_size=20), NUMBERS)),
        ),
        max_size=4,
    )
)
def test_looks_are_read_as_they_were_written(looks: list[Look]) -> None:
    assert decode(encode(looks)) == looks


@given(st.binary(max_size=60))
def test_what_is_no_row_of_looks_is_damage_and_never_anything_else(content: bytes) -> None:
    with pytest.raises(StorageDamaged, match=r"looks\.content"):
        decode(content)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "{}x",
        "[1]",
        "[[1, 2, 3]]",
        '[["x", {}, {}]]',
        '[[1, {"a": []}, {}]]',
        '[[1, {}, {"a": 1}]]',
        "null",
    ],
)
def test_other_json_is_damage_too(text: str) -> None:
    with pytest.raises(StorageDamaged, match=r"looks\.content"):
        decode(zlib.compress(text.encode()))
