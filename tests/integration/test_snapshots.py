"""Snapshots of a real chain (engine, node.db, changes of validators): out of one node's directory and into another's, and every bad one refused."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.long_chain import write_chain
from tests.acceptance.processes import wait_until

from metanode.chain.genesis import make_genesis, parse_genesis
from metanode.chain.header_chain import HeaderChain
from metanode.chain.validators import ValidatorSet
from metanode.chain.voting import Vote
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput, MetanodeError
from metanode.execution.embedded import EmbeddedOptions, open_embedded
from metanode.node.data_directory import IMPORT_MARKER, check_no_import
from metanode.node.snapshots import exporting
from metanode.node.snapshots.contents import ExecutionFrame, NetworkFrame, TipFrame, ValidatorsFrame
from metanode.node.snapshots.exporting import export_snapshot
from metanode.node.snapshots.importing import import_snapshot, read_summary
from metanode.primitives.types import Hash32, Height
from metanode.storage.node_store import NodeStore
from metanode.storage.snapshot_file import Frame, SnapshotReader, SnapshotWriter
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from metanode.chain.certificate import Certificate
    from metanode.consensus.stored import Stored

pytestmark = pytest.mark.timeout(300)

FIRST, SECOND = PrivateKey(b"\x11" * 32), PrivateKey(b"\x22" * 32)
BLOCKS = 1_100
"""Over an anchor of node.db's headers, and over what it keeps whole."""
JOINS, LEAVES = 5, 400
"""The first validator lets the second one in, and both drop the first: the set at the tip shares nobody with that of genesis."""


def transfers(height: int) -> Sequence[bytes]:
    if height % 100:
        return ()
    to = keccak256(b"%d" % height)[-20:]
    return [signed_transfer(FIRST, chain_id=1337, nonce=height // 100 - 1, to=to, value_wei=10**15)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped node's directory."""
    home = tmp_path_factory.mktemp("source")
    drop = Vote(subject=FIRST.address, add=False)
    write_chain(
        home, FIRST, blocks=BLOCKS, genesis_time=int(time.time()) - 2 * BLOCKS - 2, others=[SECOND],
        votes={JOINS: Vote(subject=SECOND.address, add=True), LEAVES: drop, LEAVES + 1: drop}, transactions=transfers,
    )  # fmt: skip
    (home / "config.toml").write_text("[server]\n")
    return home


@pytest.fixture(scope="module")
def snapshot(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("snapshots") / "chain.snapshot"
    told: list[str] = []
    done = export_snapshot(source, file, tell=told.append)
    assert (done.height, done.size_bytes) == (BLOCKS, file.stat().st_size)
    assert told[0].startswith("headers: ")
    assert told[-1].startswith("state: ")
    return file


@pytest.fixture
def home(tmp_path: Path, source: Path) -> Path:
    """A new node of the same network."""
    home = tmp_path / "new"
    home.mkdir()
    shutil.copy(source / "genesis.json", home)
    (home / "config.toml").write_text("[server]\n")
    return home


def look(home: Path) -> tuple[Stored, tuple[int, Hash32, Hash32]]:
    """What a node that starts there finds: its store's tip, and its engine's head."""
    document = (home / "genesis.json").read_bytes()

    async def read() -> tuple[Stored, tuple[int, Hash32, Hash32]]:
        store = NodeStore.open(home / "data" / "node.db", parse_genesis(document))
        try:
            stored = await store.load()
        finally:
            store.close()
        async with open_embedded(document, EmbeddedOptions(path=home / "data" / "engine")) as engine:
            head = await engine.head()
        return stored, (head.number, head.hash, head.state_root)

    return asyncio.run(read())


def is_untouched(home: Path) -> bool:
    return not (home / "data").exists()


def frames_of(file: Path) -> list[tuple[Frame, bytes]]:
    with SnapshotReader(file) as reader:
        return list(reader.frames())


def forge(frames: Sequence[tuple[Frame, bytes]], file: Path) -> Path:
    """A snapshot whose container is in order, whatever its content is."""
    with SnapshotWriter(file) as writer:
        for kind, payload in frames:
            writer.add(kind, payload)
        writer.finish()
    return file


def place_of(frames: Sequence[tuple[Frame, bytes]], kind: Frame, nth: int = 0) -> int:
    return [at for at, (found, _) in enumerate(frames) if found is kind][nth]


def test_an_import_begins_where_the_export_was(source: Path, snapshot: Path, home: Path) -> None:
    done = import_snapshot(snapshot, home)

    stored, head = look(home)
    original, original_head = look(source)
    assert done.height == stored.header.height == BLOCKS
    assert stored.header == original.header
    assert stored.state == original.state
    assert stored.certificate == original.certificate
    assert head == original_head
    assert head[0] == BLOCKS
    assert not (home / "data" / IMPORT_MARKER).exists()


def test_an_imported_store_has_every_header_and_the_sets_of_the_past(
    source: Path, snapshot: Path, home: Path
) -> None:
    import_snapshot(snapshot, home)
    genesis = parse_genesis((home / "genesis.json").read_bytes())

    async def compare() -> None:
        ours, theirs = (
            NodeStore.open(directory / "data" / "node.db", genesis) for directory in (home, source)
        )
        try:
            for first in range(0, BLOCKS + 1, 500):
                assert await ours.headers(Height(first), 500) == await theirs.headers(Height(first), 500)
            for height in (1, JOINS, JOINS + 1, LEAVES + 2, BLOCKS, BLOCKS + 1):
                assert await ours.validators(Height(height)) == await theirs.validators(Height(height))
            assert await ours.certificate(Height(JOINS)) == await theirs.certificate(Height(JOINS))
            assert await ours.certificate(Height(JOINS + 1)) is None
            assert await ours.heights(Height(1), 10, bytes_max=10**6) == []
            assert len(await ours.heights(Height(BLOCKS), 10, bytes_max=10**6)) == 1
        finally:
            ours.close()
            theirs.close()

    asyncio.run(compare())


def test_a_snapshot_without_headers_is_imported_on_the_operator_s_word_alone(
    source: Path, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "short.snapshot"
    done = export_snapshot(source, file, with_headers=False)

    with pytest.raises(InvalidInput, match="nothing in it can be proven from genesis on; give --trust"):
        import_snapshot(file, home)
    with pytest.raises(InvalidInput, match="--trust: the snapshot's block 1100 has the consensus hash"):
        import_snapshot(file, home, trusted=Hash32(b"\x01" * 32))
    assert is_untouched(home)

    import_snapshot(file, home, trusted=done.block_hash)
    assert look(home)[0].header.hash == done.block_hash


def test_a_trusted_hash_is_held_against_a_snapshot_with_headers_too(snapshot: Path, home: Path) -> None:
    with pytest.raises(InvalidInput, match="--trust"):
        import_snapshot(snapshot, home, trusted=Hash32(b"\x01" * 32))
    assert is_untouched(home)


def test_a_snapshot_of_another_network_is_named(snapshot: Path, home: Path) -> None:
    document = make_genesis(
        network_name="elsewhere", chain_id=4242, genesis_time=1_700_000_000,
        validators=ValidatorSet.of_addresses([FIRST.address]), balances={},
    )  # fmt: skip
    (home / "genesis.json").write_text(json.dumps(document))

    with pytest.raises(
        InvalidInput, match=r"is of the network 'long-chain'.*1337; this node's.*'elsewhere'.*4242"
    ):
        import_snapshot(snapshot, home)
    assert is_untouched(home)


@pytest.mark.parametrize("name", ["node.db", "engine"])
def test_a_directory_that_is_not_empty_is_left_as_it_is(name: str, snapshot: Path, home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / name).write_text("precious")

    with pytest.raises(InvalidInput, match=f"is not empty: it holds {name}"):
        import_snapshot(snapshot, home)

    assert (home / "data" / name).read_text() == "precious"
    assert not (home / "data" / IMPORT_MARKER).exists()


def test_the_watermark_of_a_validator_is_kept(snapshot: Path, home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "signer.log").write_text("what was signed")

    import_snapshot(snapshot, home)

    assert (home / "data" / "signer.log").read_text() == "what was signed"


def cut(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
    return frames[:-1]


def without(kind: Frame, nth: int = 0) -> Callable[[list[tuple[Frame, bytes]]], list[tuple[Frame, bytes]]]:
    def change(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
        at = place_of(frames, kind, nth)
        return frames[:at] + frames[at + 1 :]

    return change


def state_changed(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
    """A token more for somebody: the last byte of the last slot."""
    at = place_of(frames, Frame.STATE, -1)
    data = bytearray(frames[at][1])
    data[-1] ^= 2
    return [*frames[:at], (Frame.STATE, bytes(data)), *frames[at + 1 :]]


def tip_changed(**changes: Callable[[TipFrame], object]) -> Callable[..., list[tuple[Frame, bytes]]]:
    def change(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
        at = place_of(frames, Frame.TIP)
        tip = TipFrame.decode(frames[at][1])
        tip = replace(tip, **{name: make(tip) for name, make in changes.items()})  # type: ignore[arg-type]
        return [*frames[:at], (Frame.TIP, tip.encode()), *frames[at + 1 :]]

    return change


def unsealed(tip: TipFrame) -> Certificate:
    """Sealed by the validator that has left."""
    rules_digest = keccak256(b"anything")
    return replace(tip.certificate, seals=(FIRST.sign(rules_digest),))


def ancestors_changed(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
    at = place_of(frames, Frame.EXECUTION)
    execution = ExecutionFrame.decode(frames[at][1])
    shorter = ExecutionFrame(receipts_rlp=execution.receipts_rlp, ancestors=execution.ancestors[1:])
    return [*frames[:at], (Frame.EXECUTION, shorter.encode()), *frames[at + 1 :]]


def change_forged(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
    """The second validator's entry, sealed by itself."""
    at = place_of(frames, Frame.VALIDATORS)
    change = ValidatorsFrame.decode(frames[at][1])
    certificate = replace(change.certificate, seals=(SECOND.sign(keccak256(b"me")),))
    forged = ValidatorsFrame(validators=change.validators, certificate=certificate)
    return [*frames[:at], (Frame.VALIDATORS, forged.encode()), *frames[at + 1 :]]


def set_forged(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
    at = place_of(frames, Frame.VALIDATORS)
    change = ValidatorsFrame.decode(frames[at][1])
    own = ValidatorSet.of_addresses([PrivateKey(b"\x33" * 32).address])
    forged = ValidatorsFrame(validators=own, certificate=change.certificate)
    return [*frames[:at], (Frame.VALIDATORS, forged.encode()), *frames[at + 1 :]]


def height_changed(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
    network = NetworkFrame.decode(frames[0][1])
    return [(Frame.NETWORK, replace(network, height=network.height - 1).encode()), *frames[1:]]


def swapped(frames: list[tuple[Frame, bytes]]) -> list[tuple[Frame, bytes]]:
    at = place_of(frames, Frame.HEADERS)
    return [*frames[:at], frames[at + 2], frames[at + 1], frames[at], *frames[at + 3 :]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (cut, "the state has the root"),
        (without(Frame.STATE), "the state has the root"),
        (state_changed, "the state has the root|has no valid value"),
        (without(Frame.NETWORK), "begins with headers, expected network"),
        (without(Frame.HEADERS), r"does not announce other validators"),
        (without(Frame.HEADERS, -1), r"header \d+.height: expected"),
        (without(Frame.VALIDATORS), "announces other validators, who must come before"),
        (change_forged, "the seal of 0x"),
        (set_forged, "next_validators_hash: it is 0x"),
        (swapped, "header 1.height: expected 1, found|does not announce"),
        (without(Frame.TIP), "a frame of execution where tip is expected"),
        (without(Frame.EXECUTION), "a frame of state where execution is expected"),
        (tip_changed(certificate=unsealed), "the seal of 0x"),
        (tip_changed(parent=lambda tip: tip.block.header), "the parent is 0x"),
        (
            tip_changed(parent_state=lambda tip: replace(tip.parent_state, gas_limit=1)),
            "consensus_state_root",
        ),
        (ancestors_changed, "255 headers before block 1100, expected 256"),
        (height_changed, "another block than the first frame says"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_not_proven_is_refused_by_name_and_leaves_nothing(
    change: Callable[[list[tuple[Frame, bytes]]], list[tuple[Frame, bytes]]],
    reason: str, snapshot: Path, home: Path, tmp_path: Path,
) -> None:  # fmt: skip
    file = forge(change(frames_of(snapshot)), tmp_path / "forged.snapshot")

    with pytest.raises(MetanodeError, match=reason):
        import_snapshot(file, home)

    assert is_untouched(home)


def test_a_name_that_would_command_a_terminal_is_refused_before_it_is_shown(
    snapshot: Path, tmp_path: Path
) -> None:
    frames = frames_of(snapshot)
    network = replace(NetworkFrame.decode(frames[0][1]), network_name="net\x1b[2J\nblock_hash: 0x00")
    file = forge([(Frame.NETWORK, network.encode()), *frames[1:]], tmp_path / "forged.snapshot")
    with pytest.raises(InvalidInput, match="network_name: holds characters that cannot be shown"):
        read_summary(file)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.999])
def test_a_snapshot_that_is_cut_off_or_flipped_is_refused_and_leaves_nothing(
    share: float, snapshot: Path, home: Path, tmp_path: Path
) -> None:
    whole = snapshot.read_bytes()
    at = int(share * len(whole))
    bad = tmp_path / "bad.snapshot"
    bad.write_bytes(whole[:at])
    with pytest.raises(InvalidInput, match=r"is cut off|is not a snapshot"):
        import_snapshot(bad, home)
    bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(InvalidInput, match=r"is damaged|is cut off|is not a snapshot"):
        import_snapshot(bad, home)
    assert is_untouched(home)


def test_a_killed_import_says_so_and_can_be_done_again(snapshot: Path, home: Path) -> None:
    command = [sys.executable, "-m", "metanode"]
    environment = {**os.environ}
    for _ in range(3):
        importing = subprocess.Popen(
            [*command, "snapshot", "import", str(snapshot), str(home)], env=environment, cwd=home,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(
                lambda process=importing: (home / "data" / "node.db").exists() or process.poll() is not None,
                within_s=60, what="the import has begun",
            )  # fmt: skip
        finally:
            importing.send_signal(signal.SIGKILL)
            importing.wait(timeout=30)
        assert (home / "data" / IMPORT_MARKER).exists(), "killed before it was done"
        with pytest.raises(InvalidInput, match="was interrupted here; run `metanode snapshot import` again"):
            check_no_import(home / "data")
        started = subprocess.run(
            [*command, "node", str(home)], env=environment, cwd=home, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert started.returncode == 1
        assert "an import of a snapshot was interrupted here" in started.stderr

    import_snapshot(snapshot, home)
    assert look(home)[0].header.height == BLOCKS


def test_an_import_that_fails_after_a_killed_one_leaves_nothing_either(
    snapshot: Path, home: Path, tmp_path: Path
) -> None:
    (home / "data").mkdir()
    (home / "data" / IMPORT_MARKER).write_text("")
    (home / "data" / "node.db").write_text("half")
    bad = forge(cut(frames_of(snapshot)), tmp_path / "bad.snapshot")

    with pytest.raises(InvalidInput, match="the state has the root"):
        import_snapshot(bad, home)

    assert list((home / "data").iterdir()) == []


def test_an_export_of_a_running_node_is_refused(source: Path, tmp_path: Path) -> None:
    document = (source / "genesis.json").read_bytes()

    async def export() -> None:
        async with open_embedded(document, EmbeddedOptions(path=source / "data" / "engine")):
            with pytest.raises(InvalidInput, match="is in use: stop the node first"):
                await asyncio.to_thread(export_snapshot, source, tmp_path / "snapshot")

    asyncio.run(export())
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_has_decided_nothing_or_is_none_has_nothing_to_export(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no node"):
        export_snapshot(home, tmp_path / "snapshot")
    NodeStore.open(home / "data" / "node.db", parse_genesis((home / "genesis.json").read_bytes())).close()
    with pytest.raises(InvalidInput, match="has decided no block yet"):
        export_snapshot(home, tmp_path / "snapshot")
    assert not (tmp_path / "snapshot").exists()


def test_an_imported_node_exports_once_it_has_blocks_enough_of_its_own(
    snapshot: Path, home: Path, tmp_path: Path
) -> None:
    import_snapshot(snapshot, home)
    with pytest.raises(InvalidInput, match="began from a snapshot itself, less than 256 blocks ago"):
        export_snapshot(home, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_an_export_brings_an_engine_that_stopped_early_to_the_decided_height(
    source: Path, snapshot: Path, tmp_path: Path
) -> None:
    behind = tmp_path / "behind"
    shutil.copytree(source, behind)
    document = (behind / "genesis.json").read_bytes()

    async def rewind() -> None:
        async with open_embedded(document, EmbeddedOptions(path=behind / "data" / "engine")) as engine:
            await engine.rewind(BLOCKS - 3)

    asyncio.run(rewind())
    export_snapshot(behind, tmp_path / "again")
    assert frames_of(tmp_path / "again") == frames_of(snapshot)


def test_a_large_state_travels_in_parts(
    source: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "STATE_FRAME_BYTES", 300)
    file = tmp_path / "parts"
    export_snapshot(source, file)
    assert sum(kind is Frame.STATE for kind, _ in frames_of(file)) > 100

    import_snapshot(file, home)

    assert look(home)[1] == look(source)[1]


def test_headers_alone_do_not_move_a_chain(snapshot: Path, source: Path) -> None:
    """A chain that was refused a header is as it was: the right one still fits."""
    genesis = parse_genesis((source / "genesis.json").read_bytes())
    chain = HeaderChain(genesis)
    tip = TipFrame.decode(next(payload for kind, payload in frames_of(snapshot) if kind is Frame.TIP))
    with pytest.raises(InvalidInput, match=r"header 1.height"):
        chain.extend(tip.block.header)
    assert chain.tip == genesis.header
