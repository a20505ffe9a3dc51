"""`metanode node forget-pin`, on the database of a node that is not running."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from metanode.chain.genesis import parse_genesis
from metanode.cli.program import app
from metanode.errors import InvalidInput
from metanode.storage.node_store import NodeStore

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

CONFIG = """
[network]
network = "local"
chain_id = 7
network_id = "mine"
"""


def metanode(*arguments: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(cwd)
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG)
    made = metanode(
        *("genesis", "new", "genesis.json", "--validator", "0x" + "11" * 20, "--chain-id", "7"),
        *("--network", "mine"),
        cwd=tmp_path,
        monkeypatch=monkeypatch,
    )
    assert made.exit_code == 0, made.output
    return tmp_path


def open_store(home: Path) -> NodeStore:
    return NodeStore.open(home / "data" / "node.db", parse_genesis((home / "genesis.json").read_bytes()))


def test_a_pin_is_forgotten_once_and_others_stay(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(home)
    for address in ("a.example:30303", "b.example:30303"):
        asyncio.run(store.save_pin(address, b"\x01" * 64))
    store.close()

    forgot = metanode("node", "forget-pin", "a.example:30303", cwd=home, monkeypatch=monkeypatch)
    again = metanode("node", "forget-pin", "enode://a.example:30303", cwd=home, monkeypatch=monkeypatch)

    assert (forgot.exit_code, again.exit_code) == (0, 1)
    assert "forgot the node id of a.example:30303" in forgot.output
    assert "nothing is pinned" in again.output
    store = open_store(home)
    assert asyncio.run(store.load_pin("a.example:30303")) is None
    assert asyncio.run(store.load_pin("b.example:30303")) == b"\x01" * 64
    store.close()


def test_a_program_is_told_whether_there_was_a_pin(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(home)
    asyncio.run(store.save_pin("a.example:30303", b"\x01" * 64))
    store.close()

    told = [
        metanode("node", "forget-pin", "a.example:30303", "--json", cwd=home, monkeypatch=monkeypatch)
        for _ in range(2)
    ]

    assert [result.exit_code for result in told] == [0, 1]
    assert [json.loads(result.stdout) for result in told] == [
        {"address": "a.example:30303", "was_pinned": was_pinned} for was_pinned in (True, False)
    ]


def test_a_node_without_a_database_has_pinned_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = metanode("node", "forget-pin", "a.example:1", str(home), cwd=home, monkeypatch=monkeypatch)

    assert isinstance(refused.exception, InvalidInput)
    assert "has pinned nothing yet" in str(refused.exception)
    assert not (home / "data").exists()
