"""`metanode node recover`, on the data of a node that is not running: two decided blocks."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from metanode.chain.certificate import Certificate
from metanode.chain.genesis import parse_genesis
from metanode.cli.program import app
from metanode.consensus.fork import Fork
from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Hash32, Height, Round
from metanode.storage.node_store import NodeStore

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.chain.genesis import Genesis

KEY = PrivateKey(b"\x05" * 32)
CONFIG = '[network]\nnetwork = "local"\nchain_id = 7\nnetwork_id = "mine"\n'


def make_fork(genesis: Genesis) -> Fork:
    """Two blocks of height 1, both sealed by the only validator."""
    certificates = []
    for content in (b"\x0a", b"\x0b"):
        place = {"height": Height(1), "round": Round(0), "block_hash": Hash32(content * 32)}
        seals = {KEY.address: KEY.sign(genesis.rules.domain.commit(**place))}
        certificates.append(Certificate.of(**place, seals=seals, validators=genesis.state.validators))
    return Fork(validators=genesis.state.validators, ours=certificates[0], other=certificates[1])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG)
    arguments = ["genesis", "new", "genesis.json", "--validator", format_address(KEY.address)]
    made = CliRunner().invoke(app, [*arguments, "--chain-id", "7", "--network", "mine"])
    assert made.exit_code == 0, made.output
    return tmp_path


def stored_fork(home: Path, genesis: Genesis, fork: Fork | None = None) -> Fork | None:
    store = NodeStore.open(home / "data" / "node.db", genesis)
    try:
        if fork is not None:
            asyncio.run(store.save_fork(fork))
        return asyncio.run(store.load()).fork
    finally:
        store.close()


def test_a_fork_is_shown_and_set_aside_only_when_the_operator_says_so(home: Path) -> None:
    genesis = parse_genesis((home / "genesis.json").read_bytes())
    fork = make_fork(genesis)
    stored_fork(home, genesis, fork)

    refused = CliRunner().invoke(app, ["node", "recover", str(home)], input="n\n")
    assert refused.exit_code == 1
    assert "two blocks are decided at height 1" in refused.output
    assert fork.ours.block_hash.hex() in refused.output
    assert fork.other.block_hash.hex() in refused.output
    assert stored_fork(home, genesis) == fork

    done = CliRunner().invoke(app, ["node", "recover", str(home), "--yes"])
    assert done.exit_code == 0, done.output
    assert stored_fork(home, genesis) is None
    again = CliRunner().invoke(app, ["node", "recover", str(home), "--yes"])
    assert "nothing to do" in again.output


def test_a_program_is_told_what_was_done_and_asked_beside_it(home: Path) -> None:
    genesis = parse_genesis((home / "genesis.json").read_bytes())
    stored_fork(home, genesis, make_fork(genesis))
    heights = {"decided_height": 0, "engine_height": 0}

    for answer, is_needed, is_done, code in (
        ("n\n", True, False, 1),
        ("y\n", True, True, 0),
        ("", False, False, 0),
    ):
        told = CliRunner().invoke(app, ["node", "recover", str(home), "--json"], input=answer)

        assert told.exit_code == code
        # The runner shows what is typed as a terminal would, on stdout.
        assert json.loads(told.stdout.removeprefix(f" {answer}")) == {
            **heights, "fork_height": 1 if is_needed else None, "is_needed": is_needed, "is_done": is_done,
        }  # fmt: skip
