"""The newest block's seals are one node's, and named as such; those of a block with a child are everybody's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.unit.services.explorer.sealed_chain import (
    HEAD,
    KEYS,
    MEMBERS,
    NAMES,
    Nodes,
    browsing,
    write_sealed_chain,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sdk.testnet.services.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = write_sealed_chain(tmp_path)
    yield found
    found.close()


def recorded(page: str) -> list[str]:
    return re.findall(r"As recorded by (?:<strong>)?([^<:]+)", page)


async def test_the_newest_block_is_shown_as_the_named_node_recorded_it(store: Store) -> None:
    nodes = Nodes()
    async with browsing(store, nodes) as http:
        page = (await http.get(f"/block/{HEAD}")).text
        twin = (await http.get(f"/block/{HEAD}.json")).json()

    assert recorded(page) == ["beta"]
    assert "another node may have recorded others" in page
    certificate = twin["certificate"]
    assert (certificate["recorded_by"], certificate["verdict"]) == ("beta", "valid")
    sealed = {seal["validator"]["name"] for seal in certificate["seals"] if seal["is_valid"]}
    assert sealed == {NAMES[key.address] for key in nodes.recorded}, "its seals, and not those of the index"
    assert len(twin["consensus"]["seals"]) == 3, "which are beside them"


async def test_a_block_with_a_child_is_no_node_s_record(store: Store) -> None:
    async with browsing(store, Nodes()) as http:
        page = (await http.get(f"/block/{HEAD - 1}")).text
        certificate = (await http.get(f"/block/{HEAD - 1}.json")).json()["certificate"]

    assert recorded(page) == []
    assert (certificate["recorded_by"], certificate["verdict"]) == (None, "valid")
    sealed = {seal["validator"]["name"] for seal in certificate["seals"] if seal["is_valid"]}
    assert sealed == {NAMES[key.address] for key in MEMBERS[:3]}, "those that the child fixed"


async def test_a_node_without_a_name_is_called_by_its_place(store: Store) -> None:
    nodes = Nodes()
    nodes.place = 2
    async with browsing(store, nodes) as http:
        assert recorded((await http.get(f"/block/{HEAD}")).text) == ["node-3"]


@pytest.mark.parametrize("is_away", [True, False])
async def test_where_no_node_tells_of_this_decision_the_index_s_seals_are_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch, is_away: bool
) -> None:
    nodes = Nodes()
    nodes.is_away = is_away
    if not is_away:
        # It is of another decision: a lie, or a node of another chain.
        monkeypatch.setattr(
            "tests.unit.services.explorer.sealed_chain.consensus_hash", lambda _: b"\x66" * 32
        )
    async with browsing(store, nodes) as http:
        page = (await http.get(f"/block/{HEAD}")).text
        certificate = (await http.get(f"/block/{HEAD}.json")).json()["certificate"]

    assert recorded(page) == ["the node that the index asked"]
    assert certificate["recorded_by"] is None
    sealed = [seal["validator"]["name"] for seal in certificate["seals"] if seal["signature"]]
    assert sorted(sealed) == sorted(NAMES[key.address] for key in KEYS[:3])
