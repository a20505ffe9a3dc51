"""A single validator whose parts come from different times: rows of the crash table of docs/spec/consensus.md that only a person can end.

Two copies of one chain are written, of 12 blocks and of 20, and a node's directory is put together from their parts.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.long_chain import write_chain
from tests.acceptance.processes import NodeProcess, free_ports, metanode, running, wait_height, wait_until

from metanode.crypto.secp256k1 import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

KEY = PrivateKey(bytes([0x31]) * 32)
ENVIRONMENT = {"KEY": KEY.secret.hex()}
OLD, NEW = 12, 20
SILENT_S = 6
"""Three blocks' time in which a validator that signs would have decided."""


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Path]:
    """The same chain at two heights."""
    genesis_time = int(time.time()) - 2 * NEW - 2
    homes = {blocks: tmp_path_factory.mktemp(f"blocks-{blocks}") for blocks in (OLD, NEW)}
    for blocks, home in homes.items():
        write_chain(home, KEY, blocks=blocks, genesis_time=genesis_time)
    return homes


def put_together(
    home: Path, chains: Mapping[int, Path], *, node_db: int, engine: int, signer_log: int
) -> NodeProcess:
    """A stopped node whose parts are those of these heights."""
    rpc_port, p2p_port = free_ports(2)
    data = home / "data"
    data.mkdir()
    shutil.copy(chains[OLD] / "genesis.json", home)
    for file in (chains[node_db] / "data").glob("node.db*"):
        shutil.copy(file, data)
    shutil.copytree(chains[engine] / "data" / "engine", data / "engine")
    shutil.copy(chains[signer_log] / "data" / "signer.log", data)
    (home / "config.toml").write_text(
        f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
        '[validator]\nenabled = true\nvalidator_key = "${KEY}"\n'
    )
    return NodeProcess(home, rpc_port, environment=ENVIRONMENT)


def recover(home: Path, *arguments: str) -> str:
    return metanode("node", "recover", str(home), *arguments, cwd=home, **ENVIRONMENT).stdout


def stays_silent(node: NodeProcess, *, at: int) -> dict[str, Any]:
    """Its state after three blocks' time in which nothing was signed or decided."""
    signed = (node.home / "data" / "signer.log").read_bytes()

    def state() -> dict[str, Any]:
        found: dict[str, Any] = node.rpc.call("ibft_getConsensusState")
        return found

    wait_until(
        lambda: (state()["upSeconds"] or 0) >= SILENT_S, within_s=60.0, what="it has been up for long enough"
    )
    after = state()
    assert int(after["head"], 16) == at
    assert int(after["height"], 16) == at + 1
    assert (node.home / "data" / "signer.log").read_bytes() == signed
    return after


def test_an_engine_that_is_ahead_signs_nothing_is_rewound_when_asked_and_the_chain_goes_on(
    tmp_path: Path, chains: Mapping[int, Path]
) -> None:
    node = put_together(tmp_path, chains, node_db=OLD, engine=NEW, signer_log=OLD)

    with running([node]):
        state = stays_silent(node, at=OLD)
    assert (state["signs"], state["silence"]) == (False, "observing")
    assert int(state["engine"]["head"], 16) == NEW

    ahead = "the engine is at 20, node.db has certificates up to 12 only: 8 blocks would be forgotten"
    refused = metanode("node", "recover", str(tmp_path), cwd=tmp_path, expect=1, **ENVIRONMENT)
    assert ahead in refused.stdout
    assert ahead in recover(tmp_path, "--yes"), "without the operator's word nothing was done"
    assert recover(tmp_path, "--yes").strip() == (
        "nothing to do: node.db has certificates up to 12, the engine is at 12"
    )

    with running([node]):
        wait_height([node.rpc], OLD + 2, within_s=30.0)
        assert int(node.rpc.block(OLD + 1)["number"], 16) == OLD + 1


def test_a_key_that_has_signed_beyond_the_chain_signs_nothing_again(
    tmp_path: Path, chains: Mapping[int, Path]
) -> None:
    """Node.db and engine are an old copy, its watermark is not: what it signed then may be with others."""
    node = put_together(tmp_path, chains, node_db=OLD, engine=OLD, signer_log=NEW)

    with running([node]):
        state = stays_silent(node, at=OLD)
    assert (state["signs"], state["silence"]) == (False, "observing")
    assert "nothing to do" in recover(tmp_path), "the engine is not what is ahead"
