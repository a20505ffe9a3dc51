"""Pages of long lists by keyset: a cursor says where the page before ended, so every page costs the same."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sqlalchemy import tuple_

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Connection, Select

LIMIT: Final = 25
"""Rows of a page when nobody says how many."""
LIMIT_MAX: Final = 10_000
"""Rows of one answer at most: what Etherscan's dialect promises. Pages and the API ask for 100 at most."""
INTEGER_MAX: Final = 2**63 - 1
"""The largest number of a block, or of a row."""
_CURSOR_CHARACTERS_MAX: Final = 200

_Item = TypeVar("_Item")
Part = int | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[_Item]):
    """Some of a long list."""

    items: tuple[_Item, ...]
    next_cursor: str | None
    """Where the next page begins; None on the last one. Characters that need no escaping in a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Which page is wanted."""

    cursor: str | None = None
    limit: int = LIMIT
    newest_first: bool = True
    """Otherwise from the beginning. For what is not ordered by age: the highest first."""
    skip: int = 0
    """Rows left out first: only for interfaces that have no cursors; it costs what it skips."""

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LIMIT_MAX:
            raise InvalidInput(f"limit: found {self.limit}; expected 1 to {LIMIT_MAX}")
        if not 0 <= self.skip <= LIMIT_MAX:
            raise InvalidInput(f"skip: found {self.skip}; expected 0 to {LIMIT_MAX}")


FIRST: Final = Slice()
"""The first page of the usual length."""


def format_cursor(parts: Sequence[Part]) -> str:
    """Return the cursor behind a row with this key."""
    return "-".join(f"x{part.hex()}" if isinstance(part, bytes) else str(part) for part in parts)


def parse_cursor(text: str, kinds: Sequence[type[Part]]) -> tuple[Part, ...]:
    """Return the key of a cursor; raises InvalidInput for what `format_cursor` has not made of such a key."""
    words = text.split("-") if len(text) <= _CURSOR_CHARACTERS_MAX else []
    if len(words) == len(kinds):
        with contextlib.suppress(ValueError):
            parts = tuple(_part(word, kind) for word, kind in zip(words, kinds, strict=True))
            if format_cursor(parts) == text and all(
                isinstance(part, bytes) or part <= INTEGER_MAX for part in parts
            ):
                return parts
    raise InvalidInput(f"cursor: found {text[:60]!r}; expected the next_cursor of a page of the same list")


def _part(word: str, kind: type[Part]) -> Part:
    return bytes.fromhex(word.removeprefix("x")) if kind is bytes else int(word if word.isdecimal() else "")


def range_of(
    number: ColumnElement[int], first_block: int | None, last_block: int | None
) -> list[ColumnElement[bool]]:
    """Return the conditions of a range of blocks, ends included; None for an open end."""
    low = [] if first_block is None else [number >= first_block]
    return low + ([] if last_block is None else [number <= last_block])


def bounded(
    statement: Select[Any],
    key: Sequence[ColumnElement[Any]],
    kinds: Sequence[type[Part]],
    which: Slice,
    *,
    is_part: bool = False,
) -> Select[Any]:
    """Return the statement for one row more than the page has, ordered by its key.

    Of a part that is merged with others nothing is skipped yet.
    """
    if which.cursor is not None:
        position = tuple_(*parse_cursor(which.cursor, kinds))
        here = tuple_(*key)
        statement = statement.where(here < position if which.newest_first else here > position)
    statement = statement.order_by(*ordered(which, *key))
    if is_part:
        return statement.limit(which.skip + which.limit + 1)
    statement = statement.limit(which.limit + 1)
    return statement.offset(which.skip) if which.skip else statement


def ordered(which: Slice, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return columns in the direction of a page."""
    return [column.desc() if which.newest_first else column.asc() for column in columns]


def page_of(
    connection: Connection,
    statement: Select[Any],
    which: Slice,
    make: Callable[[Any], _Item],
    key: Callable[[Any], Sequence[Part]],
) -> Page[_Item]:
    """Run a statement of `bounded` and return its page."""
    rows = connection.execute(statement).all()
    more = len(rows) > which.limit
    rows = rows[: which.limit]
    return Page(
        items=tuple(make(row) for row in rows),
        next_cursor=format_cursor(key(rows[-1])) if more else None,
    )


def number_of(value: bytes) -> int:
    """Return the number of a 256-bit column."""
    return int.from_bytes(value, "big")
