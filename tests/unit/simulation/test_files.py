"""Simulated files are as good as a disk whose power is cut at any moment, and no better."""

import random
from pathlib import Path

import pytest

from metanode.consensus.messages import Step
from metanode.consensus.watermark import SignedStep
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Height, Round
from metanode.simulation.files import SimulatedFiles
from metanode.storage import signer_log
from metanode.storage.signer_log import SignerLog, make_signer_log

FILE, OTHER = Path("/simulated/file"), Path("/simulated/other")
KEY, GENESIS = PrivateKey(b"\1" * 32), keccak256(b"genesis")


def after_cut(files: SimulatedFiles, seed: int) -> bytes | None:
    files.cut_power(random.Random(seed))
    return files.durable(FILE)


def written(*, is_synced: bool) -> SimulatedFiles:
    files = SimulatedFiles()
    descriptor = files.open(FILE, anew=True)
    files.write(descriptor, b"first", 0)
    files.sync(descriptor)
    files.sync_folder(FILE.parent)
    files.write(descriptor, b"second", 5)
    if is_synced:
        files.sync(descriptor)
    return files


def test_what_was_synced_survives() -> None:
    assert {after_cut(written(is_synced=True), seed) for seed in range(50)} == {b"firstsecond"}


def test_what_was_not_synced_is_lost_or_torn_at_any_length() -> None:
    found = {after_cut(written(is_synced=False), seed) for seed in range(400)}
    assert found == {b"first" + b"second"[:length] for length in range(7)}


def test_a_new_name_is_lost_until_its_folder_is_synced() -> None:
    found = set()
    for seed in range(60):
        files = written(is_synced=True)
        descriptor = files.open(OTHER, anew=True)
        files.write(descriptor, b"new", 0)
        files.sync(descriptor)
        files.rename(OTHER, FILE)
        assert files.read(files.open(FILE, anew=False), 100) == b"new"
        found.add(after_cut(files, seed))
    assert found == {b"firstsecond", b"new"}

    files = written(is_synced=True)
    descriptor = files.open(OTHER, anew=True)
    files.write(descriptor, b"new", 0)
    files.sync(descriptor)
    files.rename(OTHER, FILE)
    files.sync_folder(FILE.parent)
    assert {after_cut(files, seed) for seed in range(20)} == {b"new"}


def step(height: int) -> SignedStep:
    digest = keccak256(bytes([height]))
    return SignedStep(
        height=Height(height), round=Round(0), step=Step.COMMIT, digest=digest, signature=KEY.sign(digest)
    )


class Cut(BaseException):
    pass


@pytest.mark.parametrize("seed", range(40))
def test_the_signers_log_keeps_what_it_has_told_over_a_cut_at_any_write(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signer_log, "SLOTS_MAX", 4)
    files, draws = SimulatedFiles(), random.Random(seed)
    make_signer_log(FILE, address=KEY.address, genesis_hash=GENESIS, files=files)
    told = 0
    for _ in range(8):
        log = SignerLog.open(FILE, address=KEY.address, genesis_hash=GENESIS, files=files)
        found = log.watermark.height if log.watermark else 0
        assert found >= told
        assert not log.is_watermark_lost
        left = draws.randint(0, 12)

        def cut() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Cut

        files.before_sync = files.before_write = cut
        try:
            for height in range(found + 1, 200):
                log.write(step(height))
                told = height
        except Cut:
            files.cut_power(draws)
