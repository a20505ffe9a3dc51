"""What only a BFT chain has, on a chain where something happened: open votes, turns that were missed, a validator that left."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.services.explorer.sealed_chain import (
    CANDIDATE,
    KEYS,
    LEFT,
    MEMBERS,
    NAMES,
    Nodes,
    browsing,
    write_sealed_chain,
)

from metanode.crypto.addresses import format_address
from sdk.testnet.services.explorer.ballot import Told, tally
from sdk.testnet.services.explorer.views import validators as views
from sdk.testnet.services.queries.consensus import SetChangeRow, VoteRow
from sdk.testnet.services.queries.parties import Party

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from sdk.testnet.services.queries.validators import ValidatorRow
    from sdk.testnet.services.store import Store

HTML_BYTES_MAX = 60 * 1024
UNKNOWN = "\u2013"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = write_sealed_chain(tmp_path)
    yield found
    found.close()


def words(page: httpx.Response) -> str:
    """What a reader reads."""
    assert page.status_code == 200, page.text
    assert len(page.content) <= HTML_BYTES_MAX
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def party(number: int) -> Party:
    return Party(address=bytes([number]) * 20, is_contract=False, name=None)


def vote(number: int, voter: int, subject: int, *, add: bool = True) -> VoteRow:
    return VoteRow(number=number, voter=party(voter), subject=party(subject), add=add)


NOBODY = Told(epoch=None, wishes=())
FOUR = [party(number) for number in range(1, 5)]


async def test_votes_shows_what_is_open_with_its_tally_and_the_epoch(store: Store) -> None:
    nodes = Nodes()
    nodes.wishes = [{f"0x{CANDIDATE.hex()}": True}, {f"0x{CANDIDATE.hex()}": True}, None]
    async with browsing(store, nodes) as http:
        page = await http.get("/votes")
        twin = (await http.get("/votes.json")).json()
    text = words(page)

    assert "Epoch 0 since block 0" in text
    assert "Open votes end in 92 blocks: each epoch of 100 begins with none" in text
    assert "Change the set 3 votes of validators" in text
    assert "admit 2 of 3 needed validator-1 validator-2 2 of 2 that answer" in text
    (found,) = twin["open"]
    assert (found["subject"]["address"], found["add"]) == (format_address(CANDIDATE), True)
    assert "validator-5 left" in re.sub(r"\d+ (?=validator)", "", text), "and what came of the votes before"
    assert "Votes in blocks" in text


async def test_without_a_node_nothing_is_claimed_to_be_open(store: Store) -> None:
    nodes = Nodes()
    nodes.is_away, nodes.wishes = True, [None, None]
    async with browsing(store, nodes) as http:
        text = words(await http.get("/votes"))

    assert "Epoch unknown no node answers" in text
    assert "Not known now" in text
    assert "2 of 3 needed" not in text


def test_a_vote_is_open_until_the_set_has_changed() -> None:
    cast = [vote(10, 1, 9), vote(11, 2, 9), vote(12, 3, 9)]
    came = SetChangeRow(number=13, validator=party(9), added=True)

    assert [len(each.voters) for each in tally(cast[:2], [], FOUR, NOBODY)] == [2]
    assert tally(cast, [came], [*FOUR, party(9)], NOBODY) == ()
    # A vote to remove it again, after it came.
    (again,) = tally([*cast, vote(14, 1, 9, add=False)], [came], [*FOUR, party(9)], NOBODY)
    assert (again.add, len(again.voters)) == (False, 1)


def test_who_voted_and_left_or_changed_its_mind_is_not_counted() -> None:
    left = SetChangeRow(number=12, validator=party(4), added=False)
    (found,) = tally([vote(10, 1, 9), vote(11, 4, 9)], [left], FOUR[:3], NOBODY)
    assert [voter.address for voter in found.voters] == [party(1).address]

    cast = [vote(10, 1, 9), vote(11, 2, 9), vote(12, 2, 9, add=False)]
    assert [(each.add, len(each.voters)) for each in tally(cast, [], FOUR, NOBODY)] == [(False, 1), (True, 1)]


def test_a_wish_that_is_met_is_none_and_others_are_counted_by_nodes() -> None:
    told = Told(
        epoch=None,
        wishes=(
            frozenset({(party(1).address, True), (party(9).address, True)}),
            frozenset({(party(9).address, True), (party(2).address, False)}),
        ),
    )
    found = tally([], [], FOUR, told)
    assert [(each.subject.address[0], each.add, each.wishing_nodes) for each in found] == [
        (9, True, 2),
        (2, False, 1),
    ]


async def test_validators_shows_who_is_late_who_missed_a_turn_and_who_left(store: Store) -> None:
    async with browsing(store, Nodes()) as http:
        page = await http.get("/validators")
    text = words(page)

    assert "In the set 4 3 decide a block" in text
    assert "Heard lately 3 of 4" in text
    assert "validator-4 Offline" in text
    members, former = page.text.split("Former validators")
    assert NAMES[LEFT.address] not in members
    assert NAMES[LEFT.address] in former
    row = next(row for row in re.findall(r"<tr>.*?</tr>", page.text, re.DOTALL) if "validator-2" in row)
    assert re.search(r'data-label="Missed turns"><span class="number">1</span>', row)


class Monitor:
    """One that has looked once, and hears of two of the validators; it counts how often it is asked."""

    looks, data_age_s, stale_after_s = 1, 1.0, 8.0
    head, alerts = 8, ()

    def __init__(self) -> None:
        self.asked = 0

    def get_validators(self) -> list[dict[str, Any]]:
        self.asked += 1
        return [
            {"address": f"0x{MEMBERS[0].address.hex()}", "late_commits_30m": 217, "peers": 7},
            {"address": f"0x{MEMBERS[3].address.hex()}", "late_commits_30m": None, "peers": None},
        ]


def row_of(page: httpx.Response, name: str) -> str:
    return next(row for row in re.findall(r"<tr>.*?</tr>", page.text, re.DOTALL) if f">{name}<" in row)


async def test_validators_shows_late_commits_and_peers_where_the_monitor_knows_them(store: Store) -> None:
    monitor = Monitor()
    async with browsing(store, Nodes(), monitor=monitor) as http:
        page = await http.get("/validators")
        twin = (await http.get("/validators.json")).json()
        monitor.data_age_s = 9.0
        old = await http.get("/validators")

    cells = 'data-label="Late commits">{}</td>', 'data-label="Peers">{}</td>'
    for shown, name, numbers in (
        (page, "validator-1", ("217", "7")), (page, "validator-2", (UNKNOWN, UNKNOWN)), (page, "validator-4", (UNKNOWN, UNKNOWN)), (old, "validator-1", (UNKNOWN, UNKNOWN)),
    ):  # fmt: skip
        row = row_of(shown, name)
        assert all(cell.format(number) in row for cell, number in zip(cells, numbers, strict=True)), name
    assert twin["watched"][format_address(MEMBERS[0].address)] == {"late_commits_30m": 217, "peers": 7}
    assert monitor.asked == 1, "once a look, however many read"


@pytest.mark.parametrize("count", [4, 30, 31, 100])
async def test_however_many_validators_there_are_a_page_has_room_for_them(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The longest names and numbers, on every page of the list; each is on one of them, and the twin has all."""
    from_index = views.list_validators

    def many(connection: Any) -> tuple[ValidatorRow, ...]:
        one = next(row for row in from_index(connection) if row.is_member)
        long = {"proposed_count": 10**8, "missed_turns": 10**6, "last_proposed": 10**9, "since_number": 10**9}
        return tuple(
            replace(
                one,
                account=replace(one.account, address=number.to_bytes(20), name=f"{number:032}"),
                **long,
                is_member=is_member,
            )
            for number in range(1, count + 1)
            for is_member in (True, False)
        )

    monkeypatch.setattr(views, "list_validators", many)
    names: list[str] = []
    url = "/validators"
    async with browsing(store, Nodes(), monitor=Monitor()) as http:
        while url:
            page = await http.get(url)
            words(page)
            members = page.text.split("Former validators")[0]
            names += re.findall(r'<span class="name">(\d{32})</span>', members)
            url = html.unescape("".join(re.findall(r'rel="next" href="([^"]*)"', page.text)))
        twin = (await http.get("/validators.json")).json()
        beyond = await http.get(f"/validators?cursor={count}")

    assert names == [f"{number:032}" for number in range(1, count + 1)]
    assert len(twin["items"]) == 2 * count
    assert beyond.status_code == 400


async def test_a_validator_s_page_shows_its_missed_turns_and_votes(store: Store) -> None:
    async with browsing(store, Nodes()) as http:
        text = words(await http.get(f"/validator/{format_address(MEMBERS[1].address)}"))

    assert "Missed turns 1 last: block 3" in text
    assert "Turns missed Block Round 3 0" in text
    assert "votes to remove validator-5" in text
    assert "Online" in text


async def test_a_validator_that_left_has_its_page_and_says_so(store: Store) -> None:
    async with browsing(store, Nodes()) as http:
        page = await http.get(f"/validator/{format_address(LEFT.address)}")
    text = words(page)

    assert "not in the set any more" in text
    assert "Last message \u2013 nobody waits for one" in text, "and no node is said to be silent about it"
    assert "Its turn comes" not in text
    assert "5 left the set" in text
    assert "1 came into the set" in text
    assert "Turns missed Block Round 3 1" in text
    assert [
        name
        for name in ("validator-1", "validator-2", "validator-3")
        if f"{name} votes to remove it" not in text
    ] == []
    assert all(format_address(key.address) in page.text for key in KEYS[:1])
