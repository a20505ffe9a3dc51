"""What contracts and nodes say is read as it is meant, or not at all."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi import encode
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.services.told_block import IDENTITY, NUMBER, A, B, block, tree

from metanode.errors import InvalidInput, StorageFailed, Unavailable
from metanode.primitives.hexadecimal import encode_data
from sdk.testnet.services.indexer import events, rows
from sdk.testnet.services.indexer.accounts import AccountBatch
from sdk.testnet.services.indexer.configuration import IndexerConfig, websocket_url
from sdk.testnet.services.indexer.names import TEXT_BYTES_MAX, clean_text, decimals_of_answer, text_of_answer
from sdk.testnet.services.indexer.writer import Writer
from sdk.testnet.services.store.meanings import TokenKind
from sdk.testnet.services.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from sdk.testnet.services.indexer.fetched import FetchedBlock

ENDLESS = (64).to_bytes(32, "big") * 2 + (2**255).to_bytes(32, "big")


def moves(*topics: bytes, data: bytes = b"") -> list[tuple[Any, ...]]:
    return [
        tuple(move) for move in events.moves_of([encode_data(topic) for topic in topics], encode_data(data))
    ]


def test_each_standard_s_events_are_moves() -> None:
    a, b = A[12:], B[12:]
    one, two = (1).to_bytes(32, "big"), (2).to_bytes(32, "big")
    batch = encode(["uint256[]", "uint256[]"], [[1, 2], [7, 1]])

    assert moves(events.TRANSFER, A, B, data=NUMBER) == [(TokenKind.ERC20, a, b, NUMBER, None)]
    assert moves(events.TRANSFER, A, B, NUMBER) == [(TokenKind.ERC721, a, b, one, NUMBER)]
    assert moves(events.TRANSFER_SINGLE, A, A, B, data=one + NUMBER) == [
        (TokenKind.ERC1155, a, b, NUMBER, one)
    ]
    assert moves(events.TRANSFER_BATCH, A, A, B, data=batch) == [
        (TokenKind.ERC1155, a, b, NUMBER, one),
        (TokenKind.ERC1155, a, b, one, two),
    ]


@pytest.mark.parametrize(
    ("topics", "data"),
    [
        ((events.TRANSFER,), b""),
        ((events.TRANSFER, A, B), b""),
        ((events.TRANSFER, A, B), NUMBER + b"\0"),
        ((events.TRANSFER, A, B, NUMBER), NUMBER),
        ((events.TRANSFER, b"\xff" * 32, B), NUMBER),
        ((events.TRANSFER, A, b"\1" + B[1:]), NUMBER),
        ((events.TRANSFER_SINGLE, A, A), NUMBER + NUMBER),
        ((events.TRANSFER_SINGLE, A, A, B), NUMBER),
        ((events.TRANSFER_BATCH, A, A, B), b""),
        ((events.TRANSFER_BATCH, A, A, B), encode(["uint256[]", "uint256[]"], [[1], [1, 2]])),
        ((events.TRANSFER_BATCH, A, A, B), (2**256 - 1).to_bytes(32, "big") * 4),
        ((events.TRANSFER_BATCH, A, A, B), ENDLESS),
        ((events.TRANSFER_BATCH, A, A, B), ENDLESS[:40]),
    ],
)
def test_what_only_looks_like_a_transfer_is_none(topics: tuple[bytes, ...], data: bytes) -> None:
    assert moves(*topics, data=data) == []


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=3), st.binary(max_size=400))
def test_no_event_is_too_strange(words: list[bytes], data: bytes) -> None:
    for first in (events.TRANSFER, events.TRANSFER_SINGLE, events.TRANSFER_BATCH):
        moves(first, *words, data=data)


@given(st.binary(max_size=2_000))
@example("\u202e\u2066\u200b\ufeff".encode())
@example(b"\0" * 100)
@example("é".encode() * 200)
@example(b"a\r\nb\tc")
def test_a_name_is_short_printable_text(raw: bytes) -> None:
    text = clean_text(raw)

    assert text is None or (
        0 < len(text.encode()) <= TEXT_BYTES_MAX and text.isprintable() and text == " ".join(text.split())
    )


@pytest.mark.parametrize("unseen", ["\u3164", "\u115f\u1160", "\uffa0", "\u2800 \u2800"])
def test_a_name_that_nobody_sees_is_none(unseen: str) -> None:
    assert clean_text(unseen.encode()) is None


@given(st.binary(max_size=300))
def test_no_answer_of_a_contract_is_too_strange(answer: bytes) -> None:
    text_of_answer(answer)
    decimals_of_answer(answer)


def test_names_are_read_in_both_forms() -> None:
    assert text_of_answer(encode(["string"], ["Gold"])) == "Gold"
    assert text_of_answer(b"MKR".ljust(32, b"\0")) == "MKR"
    assert text_of_answer(encode(["string"], [""])) is None
    assert text_of_answer((2**256 - 1).to_bytes(32, "big") * 2) is None
    assert decimals_of_answer((18).to_bytes(32, "big")) == 18
    assert decimals_of_answer((256).to_bytes(32, "big")) is None


def test_calls_that_move_value_are_found_with_the_fate_of_their_callers() -> None:
    root = tree(
        calls=[
            tree(value="0x1"),
            tree(
                calls=[tree(value="0x2"), tree(type="CREATE2", error="out of gas")],
                error="execution reverted",
            ),
            tree(type="STATICCALL"),
            tree(type="DELEGATECALL", value="0x5", calls=[tree(type="SELFDESTRUCT", value="0x3")]),
        ]
    )

    found = [(path, call["type"], error) for path, call, error in rows._internal_calls(root)]

    assert found == [
        ("0", "CALL", None),
        ("1.0", "CALL", "execution reverted"),
        ("1.1", "CREATE2", "execution reverted"),
        ("3.0", "SELFDESTRUCT", None),
    ]


def test_a_deep_tree_of_calls_is_walked() -> None:
    root = tree()
    here = root
    for _ in range(1_024):
        here["calls"] = [tree(value="0x1")]
        here = here["calls"][0]

    assert len(list(rows._internal_calls(root))) == 1_024


def collect(fetched: FetchedBlock) -> rows.Batch:
    moves_of_logs: rows.MovesOfLogs = {}
    found = dict.fromkeys(rows.addresses_in(fetched, moves_of_logs))
    ids = {address: place for place, address in enumerate(found)}
    accounts = AccountBatch(
        ids=ids, hours=dict.fromkeys(ids.values(), -1), new={v: k for k, v in ids.items()}
    )
    batch = rows.Batch(accounts=accounts, moves_of_logs=moves_of_logs)
    rows.add_block(batch, fetched, parent_timestamp=None)
    return batch


def test_a_contract_that_a_call_is_said_to_have_created_has_no_part_in_the_block() -> None:
    fetched = block()
    fetched.receipts[0]["contractAddress"] = "0x" + "11" * 20

    batch = collect(fetched)

    assert batch.accounts.changes.keys() == batch.accounts.new.keys()
    assert b"\x11" * 20 not in batch.accounts.ids


def test_whoever_gets_a_number_is_in_some_row() -> None:
    batch = collect(block())

    assert batch.accounts.changes.keys() == batch.accounts.new.keys()
    assert (
        len(batch.transactions) == len(batch.logs) == len(batch.transfers) == len(batch.internal_calls) == 1
    )


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


GARBAGE = (
    None,
    "",
    "0x",
    "0xzz",
    "0x" + "ff" * 33,
    "0x" + "f" * 17,
    -1,
    3.5,
    [],
    {},
    [None],
    "\0",
    True,
    "0x" + "11" * 20,
)


class Undone(Exception):  # noqa: N818 - no error
    """Ends a change that was fine, so that the next one finds the index as it was."""


class Undoing:
    """A store that takes everything back."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def change(self) -> Iterator[Connection]:
        with self._store.change() as connection:
            yield connection
            raise Undone


@pytest.mark.parametrize("part", ["block", "receipts", "calls"])
def test_a_node_that_tells_nonsense_is_unavailable_and_never_a_crash(part: str, tmp_path: Path) -> None:
    """Every value of a block in turn is replaced by every kind of garbage; what is left may make sense, or not."""
    store = Store(f"sqlite:///{tmp_path}/index.db")
    undoing: Any = Undoing(store)
    writer = Writer(undoing, {})
    with pytest.raises(Undone):
        writer.open(IDENTITY)
    refused = 0
    for place in places(getattr(block(), part))[1:]:
        for garbage in GARBAGE:
            fetched = block()
            value = getattr(fetched, part)
            for key in place[:-1]:
                value = value[key]
            value[place[-1]] = copy.copy(garbage)
            try:
                writer.write([fetched])
            except StorageFailed as error:
                raise AssertionError(f"{garbage!r} at {place} came to the database: {error}") from error
            except Unavailable:
                refused += 1
            except Undone:
                pass
    store.close()

    assert refused > 50


@pytest.mark.parametrize(
    "config",
    [
        {"rpc_urls": ()},
        {"rpc_urls": ("ftp://x",)},
        {"rpc_urls": ("http://",)},
        {"rpc_urls": ("http://x:0",)},
        {"rpc_urls": ("http://x",), "poll_interval_s": 0},
        {"rpc_urls": ("http://x",), "names": {b"short": "name"}},
        {"rpc_urls": ("http://x",), "names": {bytes(20): ""}},
        {"rpc_urls": ("http://x",), "names": {bytes(20): "a" * 65}},
        {"rpc_urls": ("http://x",), "names": {bytes(20): "\u202ename"}},
    ],
)
def test_a_wrong_configuration_names_its_field(config: dict[str, Any]) -> None:
    field = list(config)[-1]

    with pytest.raises(InvalidInput, match=field):
        IndexerConfig(**config)


def test_a_websocket_is_at_the_same_address() -> None:
    assert websocket_url("http://127.0.0.1:8545/path?x=1") == "ws://127.0.0.1:8545/path?x=1"
    assert websocket_url("https://rpc.example") == "wss://rpc.example"
