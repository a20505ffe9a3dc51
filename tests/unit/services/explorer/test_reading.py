"""What people type into addresses of pages, and what pages answer programs."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from enum import IntEnum

import pytest
from starlette.requests import Request

from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.reading import (
    address_in,
    first_url,
    flag_in,
    hash_in,
    limit_of,
    next_url,
    number_in,
    slice_of,
)
from sdk.testnet.services.explorer.twins import plain
from sdk.testnet.services.web.problems import NotFound
from sdk.testnet.services.web.sheets import line


def request(query: str = "", host: str = "evil.example", path: str = "/blocks") -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", host.encode())],
            "server": ("127.0.0.1", 3000),
        }
    )


@pytest.mark.parametrize("text", ["0", "101", "-1", "1.5", "abc", "٣", "9" * 30, "1 "])
def test_a_limit_out_of_its_range_is_refused_not_cut(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"limit: expected 1 to 25, .*; the same page as \.json takes 100"):
        limit_of(request(f"limit={text}"))
    with pytest.raises(InvalidInput, match=r"limit: expected 1 to 100, found '[^']*'$"):
        limit_of(request(f"limit={text}", path="/blocks.json"))


def test_programs_get_more_rows_than_a_page_has_room_for() -> None:
    assert limit_of(request("limit=100", path="/blocks.json")) == 100
    with pytest.raises(InvalidInput):
        limit_of(request("limit=26"))
    assert limit_of(request()) == limit_of(request("limit=25")) == 25


def test_links_to_other_pages_keep_every_filter_and_believe_no_host() -> None:
    asked = request("late=1&limit=10")

    assert next_url(asked, "50-2") == "/blocks?late=1&limit=10&cursor=50-2"
    assert next_url(asked, None) == ""
    assert first_url(request("late=1&cursor=50-2")) == "/blocks?late=1"
    assert first_url(asked) == ""
    assert slice_of(request("cursor=5&limit=3")).limit == 3


def test_a_flag_is_0_or_1() -> None:
    assert flag_in(request("late=1"), "late")
    assert not flag_in(request("late=0"), "late")
    with pytest.raises(InvalidInput, match="late: expected 0 or 1"):
        flag_in(request("late=yes"), "late")


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("1,234", 1234), ("12_000", 12_000), ("0x12", None), ("", None), ("9" * 19, None), ("-1", None), ("²", None)],
)  # fmt: skip
def test_block_numbers_are_plain_numbers(text: str, number: int | None) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(
    "text", ["", "0x", "742d35cc6634c0532925a3b8d4c0b7c5c8c8b8b8", "0x12", "..%2f", "0x" + "g" * 40]
)
def test_what_is_no_address_has_no_page(text: str) -> None:
    with pytest.raises(NotFound):
        address_in(text)


def test_an_address_is_one_in_any_spelling() -> None:
    lower = "0x742d35cc6634c0532925a3b8d4c0b7c5c8c8b8b8"

    assert address_in(lower) == address_in("0x" + lower[2:].upper()) == address_in("0X" + lower[2:])
    with pytest.raises(NotFound, match="transaction: expected 32 bytes"):
        hash_in("0x12", "transaction")


@dataclass(frozen=True)
class Model:
    value_wei: int
    number: int
    huge: int
    address: bytes
    hash: bytes
    kind: IntEnum
    children: tuple[int, ...]


class Kind(IntEnum):
    ERC20 = 20


def test_a_twin_says_amounts_as_text_and_addresses_with_their_checksum() -> None:
    model = Model(
        value_wei=1, number=7, huge=2**60, address=bytes.fromhex("742d35cc6634c0532925a3b8d4c0b7c5c8c8b8b8"),
        hash=b"\x01" * 32, kind=Kind.ERC20, children=(1, 2),
    )  # fmt: skip

    assert plain(model) == {
        "value_wei": "1",
        "number": 7,
        "huge": str(2**60),
        "address": "0x742D35CC6634C0532925a3b8d4c0b7c5C8C8b8b8",
        "hash": "0x" + "01" * 32,
        "kind": "erc20",
        "children": [1, 2],
    }


@pytest.mark.parametrize(
    "cell",
    ['=HYPERLINK("http://x")', "+1", "-1", "@x", "\tx", "\rx", "\n=1", " =1", "\u00a0=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", "\ufeff=1"],
)  # fmt: skip
def test_a_cell_that_a_spreadsheet_would_run_is_text(cell: str) -> None:
    (row,) = csv.reader(io.StringIO(line(["plain", cell, None, 5]), newline=""))

    assert row == ["plain", f"'{cell}", "", "5"]


def test_a_cell_ends_where_it_ends_for_every_separator() -> None:
    assert line(["x;=1", 5]) == '"x;=1","5"\r\n'
