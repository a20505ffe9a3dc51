"""Pages and files of tokens of each kind, and of who has them: their content, from a real chain."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
from eth_utils.address import to_checksum_address
from tests.testnet.pages.served import CAROL, DAVE, NAME, NOBODY, PARTS_MADE, SYMBOL, THINGS_MOVED, call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.testnet.pages.served import Served

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

PARTS_HELD = [(CAROL, 1, 10), (CAROL, 2, 15), (DAVE, 2, 5)]
THINGS_HELD = [(DAVE, 7, 1), (CAROL, 8, 1)]


def text_of(page: str) -> str:
    """A page without its marks, in one line."""
    words = " ".join(part.partition(">")[2] if at else part for at, part in enumerate(page.split("<")))
    return " ".join(words.split())


def held(items: Sequence[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [
        (one["account"]["address"].lower(), int(one["token_number"]), int(one["amount"])) for one in items
    ]


@pytest.mark.parametrize(
    ("which", "kind", "expected"),
    [("things", "ERC721", THINGS_HELD), ("parts", "ERC1155", PARTS_HELD)],
)
@pytest.mark.parametrize("tab", ["instances", "holders"])
def test_a_numbered_token_shows_who_has_which_number(
    served: Served, which: str, kind: str, expected: list[tuple[str, int, int]], tab: str
) -> None:
    path = f"/token/{getattr(served, which)}/{tab}"
    items = held(served.get(f"{path}.json").json()["items"])
    page = text_of(served.get(path).text)

    if tab == "instances":
        assert [number for _, number, _ in items] == [number for _, number, _ in expected], "in their order"
    assert sorted(items) == sorted(expected)
    assert kind in page
    for who, number, _ in expected:
        assert f"#{number} " in page
        assert to_checksum_address(who) in served.get(path).text
    assert f"Holdings {len(expected)}" in page


def test_coins_show_their_holders_and_shares(served: Served) -> None:
    path = f"/token/{served.token}/holders"
    items = served.get(f"{path}.json").json()["items"]
    page = served.get(path).text

    assert [(one["account"]["address"], one["amount"]) for one in items] == [
        (served.sender.address, "998500000"),
        (served.net.accounts[2].address, "1500000"),
    ]
    assert "998.5" in text_of(page)
    assert "#" not in text_of(page).partition("Holders")[2].partition("Amount")[2][:200]


def test_what_an_account_has_of_each_token_is_on_its_page(served: Served) -> None:
    def tokens(who: str) -> list[tuple[str, int | None, int]]:
        items = served.get(f"/address/{who}/tokens.json").json()["items"]
        numbers = [None if one["token_number"] is None else int(one["token_number"]) for one in items]
        return [
            (one["token"]["contract"]["address"], number, int(one["amount"]))
            for one, number in zip(items, numbers, strict=True)
        ]

    page = text_of(served.get(f"/address/{CAROL}/tokens").text)

    assert sorted(tokens(CAROL), key=str) == sorted(
        [(served.things, 8, 1), (served.parts, 1, 10), (served.parts, 2, 15)], key=str
    )
    assert sorted(tokens(DAVE), key=str) == sorted([(served.things, 7, 1), (served.parts, 2, 5)], key=str)
    assert tokens(served.sender.address) == [(served.token, None, 998_500_000)]
    for words in ("+CAT", "@P", "#1 ", "#2 ", "#8 "):
        assert words in page


def sheet(served: Served, path: str) -> list[dict[str, str]]:
    answer = served.get(path)
    assert answer.status_code == 200, answer.text
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    for row in rows:
        for name, cell in row.items():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (path, name, cell)
    return rows


def test_the_files_of_blocks_and_transactions_have_what_the_node_says(served: Served) -> None:
    rows = {row["number"]: row for row in sheet(served, "/blocks.csv")}
    said = call(served.net.rpc_url, "eth_getBlockByNumber", hex(served.number), False)
    row = rows[str(served.number)]

    assert [int(number) for number in rows] == list(range(max(map(int, rows)), -1, -1))
    assert (row["hash"], int(row["gas_used"]), int(row["transactions"])) == (
        said["hash"], int(said["gasUsed"], 16), len(said["transactions"]),
    )  # fmt: skip
    assert (int(row["gas_limit"]), int(row["base_fee_wei"]), int(row["size_bytes"])) == tuple(
        int(said[name], 16) for name in ("gasLimit", "baseFeePerGas", "size")
    )
    assert row["proposer"] in {
        to_checksum_address(served.net.directory.validator_address(node.name)) for node in served.net.nodes
    }
    assert int(row["seals"]) >= 3

    whole = sheet(served, "/transactions.csv")
    own = sheet(served, f"/address/{served.sender.address}/transactions.csv")
    by_hash = {row["hash"]: row for row in whole}
    assert len(by_hash) == len(whole)
    assert [row for row in whole if row["from"] == served.sender.address] == own
    assert len(own) == served.sender.nonce
    transfer = by_hash[served.transfer]
    receipt = call(served.net.rpc_url, "eth_getTransactionReceipt", served.transfer)
    assert transfer == transfer | {
        "block": str(int(receipt["blockNumber"], 16)), "status": "final", "from": served.sender.address,
        "to": served.net.accounts[1].address, "created": "", "nonce": "0", "value": "1.234567890123456789",
        "method": "", "gas_used": "21000",
    }  # fmt: skip
    assert by_hash[served.reverted]["status"] == "reverted"
    assert (by_hash[served.created]["created"], by_hash[served.created]["to"]) == (served.token, "")


def test_the_files_of_moves_and_holders_have_what_the_events_say(served: Served) -> None:
    def moves(who: str) -> list[tuple[str, ...]]:
        rows = sheet(served, f"/address/{who}/transfers.csv")
        names = ("token", "symbol", "kind", "from", "to", "amount", "token_number")
        return [tuple(row[name] for name in names) for row in rows]

    nobody, carol, dave = map(to_checksum_address, (NOBODY, CAROL, DAVE))
    people = {NOBODY: nobody, CAROL: carol, DAVE: dave}
    given = (served.parts, "'@P", "ERC1155", carol, dave, "5", "2")
    made = [
        (served.parts, "'@P", "ERC1155", nobody, carol, str(amount), str(number))
        for number, amount in PARTS_MADE
    ]
    moved = [
        (served.things, "'+CAT", "ERC721", people[giver], people[getter], "1", str(number))
        for giver, getter, number in THINGS_MOVED
    ]  # fmt: skip

    assert sorted(moves(CAROL)) == sorted([given, *made, *moved])
    assert sorted(moves(DAVE)) == sorted([given, moved[-1]])
    coins = (served.token, f"'{SYMBOL}", "ERC20")
    assert moves(served.sender.address) == [
        (*coins, served.sender.address, served.net.accounts[2].address, "1.5", ""),
        (*coins, nobody, served.sender.address, "1000", ""),
    ]
    assert NAME not in served.get(f"/address/{served.sender.address}/transfers.csv").text

    def holders(token: str) -> list[tuple[str, str, str]]:
        rows = sheet(served, f"/token/{token}/holders.csv")
        return [(row["address"], row["token_number"], row["raw_amount"]) for row in rows]

    assert holders(served.token) == [
        (served.sender.address, "", "998500000"),
        (served.net.accounts[2].address, "", "1500000"),
    ]
    for token, expected in ((served.things, THINGS_HELD), (served.parts, PARTS_HELD)):
        assert sorted(holders(token)) == sorted(
            (people[who], str(number), str(amount)) for who, number, amount in expected
        )
