"""A real node process whose database holds a fork: it comes up, shows both certificates to whoever asks, and decides nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
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
    from collections.abc import Iterator

KEY = PrivateKey(b"\x05" * 32)
SOURCE = Path(__file__).parents[2] / "src"
START_S = 30.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("p2p", "rpc", "metrics")}


@pytest.fixture
def fork(tmp_path: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Fork:
    """A home with a database that holds this fork."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(
        f'[network]\nnetwork = "local"\nchain_id = 7\nnetwork_id = "mine"\n'
        f'[p2p]\nlisten_address = "127.0.0.1:{ports["p2p"]}"\ndiscovery = false\n'
        f"[server]\nrpc_port = {ports['rpc']}\nmetrics_port = {ports['metrics']}\n"
    )
    arguments = ["genesis", "new", "genesis.json", "--validator", format_address(KEY.address)]
    made = CliRunner().invoke(app, [*arguments, "--chain-id", "7", "--network", "mine"])
    assert made.exit_code == 0, made.output
    genesis = parse_genesis((tmp_path / "genesis.json").read_bytes())
    halves = []
    for content in (b"\x0a", b"\x0b"):
        place = {"height": Height(1), "round": Round(0), "block_hash": Hash32(content * 32)}
        seals = {KEY.address: KEY.sign(genesis.rules.domain.commit(**place))}
        halves.append(Certificate.of(**place, seals=seals, validators=genesis.state.validators))
    found = Fork(validators=genesis.state.validators, ours=halves[0], other=halves[1])
    store = NodeStore.open(tmp_path / "data" / "node.db", genesis)
    asyncio.run(store.save_fork(found))
    store.close()
    return found


@pytest.fixture
def node(tmp_path: Path, fork: Fork) -> Iterator[subprocess.Popen[bytes]]:
    assert fork
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with (tmp_path / "node.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "metanode.node", str(tmp_path)], env=environment, stdout=log, stderr=log
        )
    yield process
    process.terminate()
    process.wait(timeout=20)


def test_a_node_with_a_fork_comes_up_and_shows_both_certificates(
    node: subprocess.Popen[bytes], fork: Fork, ports: dict[str, int], tmp_path: Path
) -> None:
    operator = f"http://127.0.0.1:{ports['metrics']}"
    end = time.monotonic() + START_S
    while True:
        assert node.poll() is None, (tmp_path / "node.log").read_text()
        assert time.monotonic() < end, (tmp_path / "node.log").read_text()
        try:
            healthz = httpx.get(operator + "/healthz")
            break
        except httpx.TransportError:
            time.sleep(0.05)
    assert healthz.status_code == 503
    readyz = httpx.get(operator + "/readyz")
    assert readyz.status_code == 503
    for text in (healthz.text, readyz.text, (tmp_path / "node.log").read_text()):
        assert "two blocks are decided at height 1" in text
        assert fork.ours.block_hash.hex() in text
        assert fork.other.block_hash.hex() in text
        assert "metanode node recover" in text
    status = httpx.get(operator + "/api/v1/status").json()
    assert status["state"] == "halted"
    assert 'metanode_sync_state{state="halted"' in httpx.get(operator + "/metrics").text.replace("}", "")
    question = {"jsonrpc": "2.0", "id": 1, "method": "ibft_getConsensusState", "params": []}
    state = httpx.post(f"http://127.0.0.1:{ports['rpc']}", json=question).json()["result"]
    assert state["mode"] == "halted"
    shown = state["halted"]["fork"]
    assert [shown["ours"]["encoded"], shown["other"]["encoded"]] == [
        "0x" + half.encode().hex() for half in fork.certificates
    ]
    assert shown["sealedBoth"] == ["0x" + KEY.address.hex()]
