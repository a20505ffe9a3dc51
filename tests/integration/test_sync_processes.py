"""Catching up between real processes: a node killed again and again while it syncs, and one that begins from a snapshot."""

from __future__ import annotations

import shutil
import time
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.long_chain import write_chain
from tests.acceptance.processes import (
    NodeProcess,
    RPCError,
    check_same_chain,
    free_ports,
    metanode,
    running,
    wait_height,
    wait_until,
)

from metanode.chain.voting import Vote
from metanode.crypto.keystore import write_secret_file
from metanode.crypto.secp256k1 import PrivateKey

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

FIRST, SECOND = PrivateKey(b"\x11" * 32), PrivateKey(b"\x22" * 32)
BLOCKS = 3_000


def rotated(home: Path, blocks: int) -> None:
    """A chain whose one validator of genesis has let another one in, and been dropped."""
    home.mkdir()
    drop = Vote(subject=FIRST.address, add=False)
    write_chain(
        home, FIRST, blocks=blocks, genesis_time=int(time.time()) - 2 * blocks - 2, others=[SECOND],
        votes={5: Vote(subject=SECOND.address, add=True), 40: drop, 41: drop},
    )  # fmt: skip
    # It was signed with the first one's watermark beside it; whoever signs from here on begins anew.
    (home / "data" / "signer.log").unlink()


def node(
    home: Path, *, number: int, knows: str = "", validator: PrivateKey | None = None
) -> tuple[NodeProcess, str]:
    """A node in a directory that has a genesis file, and its address for others."""
    rpc_port, p2p_port = free_ports(2)
    secret = bytes([number]) * 32
    write_secret_file(home / "nodekey", secret.hex().encode())
    peers = f'bootstrap_nodes = ["{knows}"]\n' if knows else ""
    signs = '[validator]\nenabled = true\nvalidator_key = "${KEY}"\n' if validator else ""
    (home / "config.toml").write_text(
        f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n{peers}{signs}'
    )
    enode = f"enode://{PrivateKey(secret).public_key.hex()}@127.0.0.1:{p2p_port}"
    environment = {"KEY": validator.secret.hex()} if validator else {}
    arguments = (str(home), "--sign-without-watermark") if validator else ()
    return NodeProcess(home, rpc_port, arguments=arguments, environment=environment), enode


def sync_with_kills(late: NodeProcess, *, to: int) -> int:
    """Kill -9 the node in the middle of its sync, again and again; returns how often."""
    random, reached, kills = Random(7), 0, 0
    for goal in (100, 500, 1_000, 1_500, 2_000):
        with running([late]):
            assert (late.rpc.height() or 0) >= reached, "what was visible is there after kill -9"
            wait_until(
                lambda goal=goal: (late.rpc.height() or 0) >= goal,
                within_s=60.0, what=lambda: f"syncs; it is at {late.rpc.height()}",
            )  # fmt: skip
            time.sleep(random.uniform(0.0, 0.1))
            reached = late.rpc.height() or 0
            late.kill()
            kills += reached < to
    return kills


def test_a_node_that_is_killed_while_it_syncs_goes_on_where_it_was(tmp_path: Path) -> None:
    """No certificate of today verifies with the set of genesis, which is all that it has at first."""
    rotated(tmp_path / "source", BLOCKS)
    late = tmp_path / "late"
    late.mkdir()
    shutil.copy(tmp_path / "source" / "genesis.json", late)
    source, enode = node(tmp_path / "source", number=1)
    follower, _ = node(late, number=2, knows=enode)
    with running([source]):
        assert source.rpc.height() == BLOCKS
        assert sync_with_kills(follower, to=BLOCKS) >= 3
        with running([follower]):
            wait_height([follower.rpc], BLOCKS, within_s=60.0)
            check_same_chain([follower.rpc, source.rpc])
            for height in (1, 41, 700, 1_999, BLOCKS):
                assert follower.rpc.block_hash(height) == source.rpc.block_hash(height)


def test_a_validator_that_syncs_signs_nothing_before_it_has_caught_up(tmp_path: Path) -> None:
    """It has lost everything but signer.log; a follower has the chain, which cannot go on without it."""
    source_home, late = tmp_path / "source", tmp_path / "late"
    for home in (source_home, late / "data"):
        home.mkdir(parents=True)
    write_chain(source_home, FIRST, blocks=BLOCKS, genesis_time=int(time.time()) - 2 * BLOCKS - 2)
    shutil.copy(source_home / "genesis.json", late)
    shutil.move(source_home / "data" / "signer.log", late / "data")
    signed = (late / "data" / "signer.log").read_bytes()
    source, enode = node(source_home, number=1)
    validator, _ = node(late, number=2, knows=enode, validator=FIRST)
    validator.arguments = (str(late),)
    with running([source]):
        assert sync_with_kills(validator, to=BLOCKS) >= 3
        assert (late / "data" / "signer.log").read_bytes() == signed
        with running([validator]):
            # Then it is live, and the chain goes on.
            wait_height([validator.rpc, source.rpc], BLOCKS + 2, within_s=90.0)
            check_same_chain([validator.rpc, source.rpc])
            assert validator.rpc.block_hash(BLOCKS) == source.rpc.block_hash(BLOCKS)
        assert (late / "data" / "signer.log").read_bytes() != signed


def test_a_node_that_begins_from_a_snapshot_syncs_the_rest_and_serves_what_it_has(tmp_path: Path) -> None:
    blocks = 300
    rotated(tmp_path / "source", blocks)
    file, late = tmp_path / "chain.snapshot", tmp_path / "late"
    late.mkdir()
    shutil.copy(tmp_path / "source" / "genesis.json", late)
    validator, enode = node(tmp_path / "source", number=1, validator=SECOND)
    follower, _ = node(late, number=2, knows=enode)
    with running([validator]):
        wait_height([validator.rpc], blocks + 2, within_s=30.0)
        refused = metanode(
            "snapshot",
            "export",
            str(tmp_path / "source"),
            str(file),
            cwd=tmp_path,
            expect=1,
            KEY=SECOND.secret.hex(),
        )
        assert "is in use: stop the node first" in refused.stderr
    exported = metanode(
        "snapshot", "export", str(tmp_path / "source"), str(file), cwd=tmp_path, KEY=SECOND.secret.hex()
    ).stdout
    height = int(exported.split("height ")[1].split(",")[0])
    assert height > blocks
    shown = metanode("snapshot", "show", str(file), cwd=tmp_path).stdout
    assert f"height: {height}" in shown
    assert "network: long-chain" in shown
    imported = metanode("snapshot", "import", str(file), str(late), cwd=tmp_path).stdout
    assert imported.startswith(f"imported height {height} ")
    again = metanode("snapshot", "import", str(file), str(late), cwd=tmp_path, expect=1).stderr
    assert "is not empty: it holds node.db and engine" in again
    with running([validator, follower]):
        assert (follower.rpc.height() or 0) >= height
        wait_height([validator.rpc, follower.rpc], height + 4, within_s=40.0)
        check_same_chain([validator.rpc, follower.rpc])
        assert follower.rpc.block(height) == validator.rpc.block(height)
        assert follower.rpc.block(0) == validator.rpc.block(0)
        for method, *params in (
            ("eth_getBlockByNumber", hex(height - 1), False),
            ("eth_getBalance", "0x" + FIRST.address.hex(), hex(7)),
            ("eth_getLogs", {"fromBlock": "0x1", "toBlock": hex(height)}),
        ):
            with pytest.raises(
                RPCError, match=f"this node began from a snapshot, its first block is {height}"
            ) as error:
                follower.rpc.call(method, *params)
            assert error.value.code == 4444
        for address in (FIRST.address, SECOND.address):
            balance = ("eth_getBalance", "0x" + address.hex(), hex(height + 3))
            assert follower.rpc.call(*balance) == validator.rpc.call(*balance)
        assert follower.rpc.call("ibft_getCommitCertificate", hex(height))["seals"]
        assert follower.rpc.call("ibft_getCommitCertificate", hex(height - 9)) is None
        validators = follower.rpc.call("ibft_getValidatorsByBlockNumber", hex(20))
        assert validators == validator.rpc.call("ibft_getValidatorsByBlockNumber", hex(20))
    with running([validator]), running([follower]):
        # A restart finds the same.
        assert (follower.rpc.height() or 0) >= height + 4
