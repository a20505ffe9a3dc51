"""What is wrong with the disk below a data directory that has refused a read or a write, and what an operator does about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from metanode.errors import StorageFailed

if TYPE_CHECKING:
    from pathlib import Path

ROOM_MIN_BYTES: Final = 64 * 1024
"""With less the next write of a database may not fit, although a smaller one does."""

_FULL: Final = ("no space left", "disk is full", "quota exceeded")
_READ_ONLY: Final = ("read-only file system", "readonly database")
_BROKEN: Final = ("input/output error", "disk i/o error")

_SAFE: Final = "The node has stopped; all that it had decided is on the disk"


def explain_disk_fault(error: StorageFailed, data: Path) -> StorageFailed:
    """Return the error with the directory, the state of its disk, and the action in one sentence; the same error when nothing is known beside it."""
    try:
        disk = os.statvfs(data)
    except OSError:
        return error
    said = str(error).lower()
    free_bytes = disk.f_bavail * disk.f_frsize
    has_no_files = disk.f_files > 0 and disk.f_favail == 0
    if any(word in said for word in _READ_ONLY) or disk.f_flag & os.ST_RDONLY:
        return StorageFailed(
            f"the disk of {data} is mounted read-only ({error}). {_SAFE}. Find out why (a kernel does that after errors of the disk: "
            "`dmesg`), mount it for writing, and start the node again"
        )
    if any(word in said for word in _FULL) or free_bytes < ROOM_MIN_BYTES or has_no_files:
        total_bytes = disk.f_blocks * disk.f_frsize
        room = (
            "no file is left to make" if has_no_files else f"{_size(free_bytes)} of {_size(total_bytes)} free"
        )
        return StorageFailed(
            f"the disk of {data} is full: {room} ({error}). {_SAFE}. Make room there, or move the directory to a larger disk and name it in "
            "storage.directory, and start the node again"
        )
    if any(word in said for word in _BROKEN):
        return StorageFailed(
            f"the disk of {data} does not read or write any more ({error}). The node has stopped. Look at the disk (`dmesg`); if it is broken, "
            "copy signer.log to a good one and start the node there: it fetches the rest from its peers"
        )
    return error


def _size(count: int) -> str:
    """Bytes as operators say them."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
