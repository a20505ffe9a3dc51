"""The container of a snapshot: frames with checksums in one file, written as a whole or not at all.

    magic, version (2 bytes)
    frame: kind (1), length of the payload (4), CRC-32 of the three others (4), payload
    ...
    the last frame, of kind END: number of frames before it (8), BLAKE2b-256 of all bytes before it

Numbers are big-endian. What the frames hold is the business of `node.snapshots`; memory is bounded by one frame.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

MAGIC: Final = b"METANODE-SNAPSHOT\n"
VERSION: Final = 1
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""Over the receipts of the largest block, and far over everything else."""
_HEAD_BYTES: Final = 9


class Frame(IntEnum):
    """What a frame holds."""

    NETWORK = 1
    HEADERS = 2
    VALIDATORS = 3
    TIP = 4
    EXECUTION = 5
    STATE = 6
    END = 7


class SnapshotWriter:
    """A snapshot that is being written beside its final name, which it gets when it is whole. A context: whoever leaves it early leaves nothing."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidInput when there is such a file already."""
        if path.exists():
            raise InvalidInput(f"{path} exists already; a snapshot is never overwritten")
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._hash = hashlib.blake2b(digest_size=32)
        self._frames = 0
        self._is_finished = False
        self.bytes_written = 0
        self._file: BinaryIO = self._partial.open("wb")
        self._write(MAGIC + VERSION.to_bytes(2))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._is_finished:
            self._partial.unlink(missing_ok=True)

    def add(self, kind: Frame, payload: bytes) -> None:
        """Write a frame."""
        assert len(payload) <= FRAME_BYTES_MAX, (kind, len(payload))
        self._write(_head(kind, payload) + payload)
        self._frames += 1

    def finish(self) -> None:
        """Write the end, and give the file its name once the disk has it."""
        digest = self._hash.digest()
        self.add(Frame.END, self._frames.to_bytes(8) + digest)
        self._file.flush()
        os.fsync(self._file.fileno())
        os.rename(self._partial, self._path)  # noqa: PTH104 - the same on every system we run on, and never a copy
        self._is_finished = True
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.bytes_written += len(data)


class SnapshotReader:
    """A snapshot file, frame by frame; raises InvalidInput that says where it is wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        self._hash = hashlib.blake2b(digest_size=32)
        self.size_bytes = os.fstat(self._file.fileno()).st_size
        self.bytes_read = 0
        try:
            self._check_magic()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def frames(self) -> Iterator[tuple[Frame, bytes]]:
        """Iterate over all frames but the last, whose checksum is compared at the end."""
        count = 0
        while True:
            digest = self._hash.digest()
            kind, payload = self._next(count)
            if kind is Frame.END:
                self._check_end(payload, count, digest)
                return
            yield kind, payload
            count += 1

    def _check_magic(self) -> None:
        found = self._file.read(len(MAGIC) + 2)
        if not found.startswith(MAGIC) or len(found) < len(MAGIC) + 2:
            raise InvalidInput(f"{self._path} is not a snapshot of Metanode")
        version = int.from_bytes(found[len(MAGIC) :])
        if version != VERSION:
            raise InvalidInput(
                f"{self._path} is a snapshot of version {version}; this software reads version {VERSION}"
            )
        self._note(found)

    def _next(self, number: int) -> tuple[Frame, bytes]:
        at = self.bytes_read
        head = self._read(_HEAD_BYTES, number)
        size = int.from_bytes(head[1:5])
        if size > FRAME_BYTES_MAX:
            raise self._damaged(number, at)
        payload = self._read(size, number)
        try:
            kind = Frame(head[0])
        except ValueError:
            raise self._damaged(number, at) from None
        if _head(kind, payload) != head:
            raise self._damaged(number, at)
        self._note(head)
        self._note(payload)
        return kind, payload

    def _read(self, size: int, number: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise InvalidInput(
                f"{self._path} is cut off: it ends at byte {self.size_bytes}, in the middle of frame {number} or without its last frame"
            )
        return data

    def _note(self, data: bytes) -> None:
        self._hash.update(data)
        self.bytes_read += len(data)

    def _damaged(self, number: int, at: int) -> InvalidInput:
        return InvalidInput(
            f"{self._path} is damaged: frame {number}, which begins at byte {at}, does not have its checksum"
        )

    def _check_end(self, payload: bytes, count: int, digest: bytes) -> None:
        if payload != count.to_bytes(8) + digest:
            raise InvalidInput(
                f"{self._path} is damaged: its frames do not have the checksum of the whole file"
            )
        if self._file.read(1):
            raise InvalidInput(f"{self._path} is damaged: bytes follow its end")


def _head(kind: Frame, payload: bytes) -> bytes:
    front = kind.to_bytes(1) + len(payload).to_bytes(4)
    return front + zlib.crc32(payload, zlib.crc32(front)).to_bytes(4)
