"""The watermark: what was signed is never contradicted, whatever happens to the process or the disk."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanode.consensus.messages import Step
from metanode.consensus.watermark import SignedStep
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import KeyInUse, SigningRefused, StorageDamaged, StorageFailed
from metanode.primitives.types import Hash32, Height, Round
from metanode.storage import signer_log
from metanode.storage.key_lock import KeyLock
from metanode.storage.signer import FileSigner
from metanode.storage.signer_log import SLOT_BYTES, SignerLog, make_signer_log

KEY = PrivateKey(b"\3" * 32)
GENESIS = keccak256(b"genesis")


def step(height: int, round: int = 0, kind: Step = Step.PREPARE, content: bytes = b"x") -> SignedStep:
    digest = keccak256(b"%d %d %d %s" % (height, round, kind, content))
    return SignedStep(
        height=Height(height), round=Round(round), step=kind, digest=digest, signature=KEY.sign(digest)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "signer.log"


@pytest.fixture
def open_signer(path: Path, tmp_path: Path) -> Iterator[Callable[..., FileSigner]]:
    opened: list[FileSigner] = []

    def open_again(key: PrivateKey = KEY, genesis_hash: Hash32 = GENESIS) -> FileSigner:
        while opened:
            opened.pop().close()
        opened.append(FileSigner.open(path, key, genesis_hash=genesis_hash, lock_folder=tmp_path))
        return opened[-1]

    yield open_again
    for signer in opened:
        signer.close()


def advance(signer: FileSigner, *steps: SignedStep) -> None:
    asyncio.run(signer.advance(steps))


def test_a_new_key_has_no_watermark_and_has_lost_none(
    path: Path, open_signer: Callable[..., FileSigner]
) -> None:
    make_signer_log(path, address=KEY.address, genesis_hash=GENESIS)
    assert path.stat().st_mode & 0o777 == 0o600
    signer = open_signer()
    assert (signer.watermark, signer.is_watermark_lost, signer.address) == (None, False, KEY.address)


def test_a_missing_file_is_a_lost_watermark_until_something_is_signed(
    open_signer: Callable[..., FileSigner],
) -> None:
    assert open_signer().is_watermark_lost
    assert open_signer().is_watermark_lost, "a second start does not forget the loss"
    signer = open_signer()
    advance(signer, step(9))
    assert not signer.is_watermark_lost
    assert not open_signer().is_watermark_lost


def test_the_watermark_survives_a_restart_with_its_signature(open_signer: Callable[..., FileSigner]) -> None:
    signer = open_signer()
    advance(signer, step(1), step(1, kind=Step.COMMIT))
    advance(signer, step(2, round=3, kind=Step.ROUND_CHANGE))
    signer = open_signer()
    assert signer.watermark == step(2, round=3, kind=Step.ROUND_CHANGE)
    assert signer.sign(signer.watermark.digest) == signer.watermark.signature


@pytest.mark.parametrize(
    ("desc", "wanted"),
    [
        ("another digest at the mark", step(5, 2, Step.PREPARE, b"other")),
        ("an earlier step of the round", step(5, 2, Step.PROPOSAL)),
        ("leaving for the round we are in", step(5, 2, Step.ROUND_CHANGE)),
        ("an earlier round", step(5, 1, Step.COMMIT)),
        ("an earlier height", step(4, 9, Step.COMMIT)),
    ],
)
def test_below_the_mark_nothing_is_signed(
    open_signer: Callable[..., FileSigner], desc: str, wanted: SignedStep
) -> None:
    advance(open_signer(), step(5, 2, Step.PREPARE))
    for _ in range(2):
        signer = open_signer()
        with pytest.raises(SigningRefused, match="could contradict it"):
            advance(signer, wanted)
        assert signer.watermark == step(5, 2, Step.PREPARE), desc


def test_the_same_digest_at_the_mark_is_allowed_and_writes_nothing(
    open_signer: Callable[..., FileSigner], path: Path
) -> None:
    advance(open_signer(), step(5))
    size = path.stat().st_size
    advance(open_signer(), step(5))
    assert path.stat().st_size == size


def test_a_refused_step_leaves_those_before_it_unwritten(open_signer: Callable[..., FileSigner]) -> None:
    signer = open_signer()
    advance(signer, step(5))
    with pytest.raises(SigningRefused):
        advance(signer, step(6), step(4))
    assert signer.watermark == step(5)
    assert open_signer().watermark == step(5)


positions = st.tuples(
    st.integers(1, 4), st.integers(0, 2), st.sampled_from(Step), st.sampled_from([b"x", b"y"])
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(st.one_of(positions, st.just("restart")), max_size=12))
def test_no_history_signs_two_digests_at_one_position(
    tmp_path_factory: pytest.TempPathFactory, history: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("signer")

    def start() -> FileSigner:
        return FileSigner.open(folder / "signer.log", KEY, genesis_hash=GENESIS, lock_folder=folder)

    signer = start()
    signed: dict[tuple[int, int, int], Hash32] = {}
    try:
        for event in history:
            if event == "restart":
                signer.close()
                signer = start()
                continue
            wanted = step(*event)
            try:
                advance(signer, wanted)
            except SigningRefused:
                continue
            assert signed.setdefault(wanted.position, wanted.digest) == wanted.digest
    finally:
        signer.close()


def write_steps(path: Path, *steps: SignedStep) -> bytes:
    make_signer_log(path, address=KEY.address, genesis_hash=GENESIS)
    log = SignerLog.open(path, address=KEY.address, genesis_hash=GENESIS)
    for wanted in steps:
        log.write(wanted)
    log.close()
    return path.read_bytes()


def read_watermark(path: Path) -> SignedStep | None:
    log = SignerLog.open(path, address=KEY.address, genesis_hash=GENESIS)
    try:
        return log.watermark
    finally:
        log.close()


def test_a_torn_last_slot_is_cut_at_every_length(path: Path) -> None:
    data = write_steps(path, step(1), step(2), step(3))
    for cut in range(1, SLOT_BYTES + 1):
        path.write_bytes(data[: len(data) - cut])
        assert read_watermark(path) == step(2)
        assert path.stat().st_size == len(data) - SLOT_BYTES, "what was torn is gone"


def test_a_last_slot_of_zeros_or_half_written_is_cut(path: Path) -> None:
    data = write_steps(path, step(1), step(2))
    for tail in (bytes(SLOT_BYTES), data[-SLOT_BYTES:-60] + bytes(60), bytes(60) + data[-SLOT_BYTES + 60 :]):
        path.write_bytes(data[:-SLOT_BYTES] + tail)
        assert read_watermark(path) == step(1)


def test_writing_goes_on_after_a_cut(path: Path) -> None:
    data = write_steps(path, step(1), step(2))
    path.write_bytes(data[:-7])
    log = SignerLog.open(path, address=KEY.address, genesis_hash=GENESIS)
    log.write(step(7))
    log.close()
    assert read_watermark(path) == step(7)


@pytest.mark.parametrize("position", [*range(0, 3 * SLOT_BYTES, 11)])
def test_damage_before_the_last_slot_is_refused(path: Path, position: int) -> None:
    data = bytearray(write_steps(path, step(1), step(2), step(3)))
    data[position] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(StorageDamaged, match=r"signer\.log"):
        read_watermark(path)
    assert path.read_bytes() == data, "a damaged file is left for the operator"


def test_a_missing_middle_slot_is_seen(path: Path) -> None:
    data = write_steps(path, step(1), step(2), step(3))
    swapped = (
        data[:SLOT_BYTES]
        + data[2 * SLOT_BYTES : 3 * SLOT_BYTES]
        + data[SLOT_BYTES : 2 * SLOT_BYTES]
        + data[-SLOT_BYTES:]
    )
    path.write_bytes(swapped)
    with pytest.raises(StorageDamaged, match="not above the one before"):
        read_watermark(path)


def test_the_file_of_another_key_or_network_is_refused(open_signer: Callable[..., FileSigner]) -> None:
    open_signer()
    with pytest.raises(StorageDamaged, match="belongs to the key"):
        open_signer(key=PrivateKey(b"\4" * 32))
    with pytest.raises(StorageDamaged, match="belongs to the network"):
        open_signer(genesis_hash=keccak256(b"other"))


def test_an_existing_file_is_never_made_again(path: Path) -> None:
    write_steps(path, step(1))
    with pytest.raises(StorageFailed, match="never overwritten"):
        make_signer_log(path, address=KEY.address, genesis_hash=GENESIS)
    assert read_watermark(path) == step(1)


def test_a_full_file_is_written_anew_with_its_watermark(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signer_log, "SLOTS_MAX", 8)
    write_steps(path, *(step(height) for height in range(1, 31)))
    assert path.stat().st_size <= 8 * SLOT_BYTES
    assert read_watermark(path) == step(30)
    assert [entry.name for entry in path.parent.iterdir()] == ["signer.log"]


@pytest.mark.parametrize("call", ["pwrite", "fsync", "rename"])
def test_a_kill_at_any_point_of_a_write_keeps_a_watermark_at_or_above_the_last_one_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The process ends before the n-th system call of its life, for every n, over a history with compactions."""
    monkeypatch.setattr(signer_log, "SLOTS_MAX", 4)

    class Killed(BaseException):
        pass

    real = {"pwrite": os.pwrite, "fsync": os.fsync, "rename": Path.rename}[call]
    for life in range(25):
        path.unlink(missing_ok=True)
        make_signer_log(path, address=KEY.address, genesis_hash=GENESIS)
        left = life

        def end_here(*args: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*args)

        told: SignedStep | None = None
        with monkeypatch.context() as patch:
            log = SignerLog.open(path, address=KEY.address, genesis_hash=GENESIS)
            patch.setattr(Path if call == "rename" else os, call, end_here)
            try:
                for height in range(1, 12):
                    log.write(step(height))
                    told = step(height)
            except Killed:
                pass
            log.close()
        found = read_watermark(path)
        if told is not None:
            assert found is not None
            assert found.position >= told.position


def test_a_full_disk_is_no_signature(
    open_signer: Callable[..., FileSigner], monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = open_signer()
    advance(signer, step(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: 50)
        with pytest.raises(StorageFailed, match="only a part"):
            advance(signer, step(2))
    assert signer.watermark == step(1)
    advance(signer, step(2))
    assert open_signer().watermark == step(2)


HOLD = """
import sys, time
from pathlib import Path
from metanode.crypto.secp256k1 import PrivateKey
from metanode.storage.signer import FileSigner
signer = FileSigner.open(Path(sys.argv[1]), PrivateKey(bytes([3]) * 32), genesis_hash=bytes.fromhex(sys.argv[2]), lock_folder=Path(sys.argv[3]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_has_the_key(tmp_path: Path) -> None:
    """Row 35 of docs/evidence/bad-inputs.md: the same directory, and a copy of it."""
    folder, elsewhere = tmp_path / "a", tmp_path / "b"
    folder.mkdir()
    command = [sys.executable, "-c", HOLD, str(folder / "signer.log"), GENESIS.hex(), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        expected = f"in use by process {process.pid}"
        # The same data directory, a copy of it elsewhere, and the same directory under another lock folder.
        for path, locks in ((folder, tmp_path), (elsewhere, tmp_path), (folder, elsewhere)):
            locks.mkdir(exist_ok=True)
            with pytest.raises(KeyInUse, match=expected):
                FileSigner.open(path / "signer.log", KEY, genesis_hash=GENESIS, lock_folder=locks)
        process.kill()
        process.wait()
    FileSigner.open(folder / "signer.log", KEY, genesis_hash=GENESIS, lock_folder=tmp_path).close()


def test_one_key_may_serve_two_networks(tmp_path: Path) -> None:
    one = KeyLock(KEY.address, GENESIS, folder=tmp_path)
    KeyLock(KEY.address, keccak256(b"other"), folder=tmp_path).close()
    with pytest.raises(KeyInUse, match=f"process {os.getpid()}"):
        KeyLock(KEY.address, GENESIS, folder=tmp_path)
    one.close()
    KeyLock(KEY.address, GENESIS, folder=tmp_path).close()


def test_the_usual_folder_is_this_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    KeyLock(KEY.address, GENESIS).close()
    folder = tmp_path / f"metanode-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(StorageFailed, match="only this user can write"):
        KeyLock(KEY.address, GENESIS)
