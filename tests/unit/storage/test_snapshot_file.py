"""The container of a snapshot: whole or not there, and every damage is seen where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from metanode.errors import InvalidInput
from metanode.storage.snapshot_file import FRAME_BYTES_MAX, MAGIC, Frame, SnapshotReader, SnapshotWriter

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = [(Frame.NETWORK, b"network"), (Frame.STATE, b""), (Frame.STATE, bytes(range(256)) * 4)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot"
    with SnapshotWriter(path) as writer:
        for kind, payload in FRAMES:
            writer.add(kind, payload)
        writer.finish()
        assert writer.bytes_written == path.stat().st_size
    return path


def read(path: Path) -> list[tuple[Frame, bytes]]:
    with SnapshotReader(path) as reader:
        return list(reader.frames())


def test_what_is_written_is_read(file: Path) -> None:
    assert read(file) == FRAMES
    assert sorted(file.parent.iterdir()) == [file]


def test_a_snapshot_that_is_not_finished_leaves_no_file(tmp_path: Path) -> None:
    def write_half() -> None:
        with SnapshotWriter(tmp_path / "snapshot") as writer:
            writer.add(Frame.STATE, b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_never_replaced(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(InvalidInput, match="exists already"):
        SnapshotWriter(file)
    assert file.read_bytes() == before


def test_a_snapshot_cut_at_any_byte_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(InvalidInput, match=r"is cut off|is not a snapshot"):
            read(file)


def test_a_flip_of_any_bit_is_seen(file: Path) -> None:
    whole = file.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        file.write_bytes(damaged)
        with pytest.raises(InvalidInput, match=r"is damaged|is cut off|is not a snapshot|of version"):
            read(file)


def test_bytes_after_the_end_are_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(InvalidInput, match="bytes follow its end"):
        read(file)


def test_a_frame_that_was_taken_out_is_missed(file: Path) -> None:
    whole = file.read_bytes()
    first, second = len(MAGIC) + 2, len(MAGIC) + 2 + 9 + len(b"network")
    file.write_bytes(whole[:first] + whole[second:])
    with pytest.raises(InvalidInput, match="checksum of the whole file"):
        read(file)


def test_another_version_is_named(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    whole[len(MAGIC) + 1] = 7
    file.write_bytes(whole)
    with pytest.raises(InvalidInput, match="a snapshot of version 7; this software reads version 1"):
        read(file)


def test_a_length_without_bounds_is_not_believed(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    at = len(MAGIC) + 2 + 1
    whole[at : at + 4] = (FRAME_BYTES_MAX + 1).to_bytes(4)
    file.write_bytes(whole)
    with pytest.raises(InvalidInput, match="frame 0, which begins at byte 20"):
        read(file)


def test_any_other_file_is_no_snapshot(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    with pytest.raises(InvalidInput, match="photo is not a snapshot of Metanode"):
        SnapshotReader(tmp_path / "photo")
