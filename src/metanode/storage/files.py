"""What signer.log asks of the operating system, so that the simulator can stand in its place with files that lose what was not synced."""

import fcntl
import os
from pathlib import Path
from typing import Protocol

from metanode.errors import KeyInUse


class Files(Protocol):
    """Files by descriptor, as POSIX has them; raises OSError. Nothing is durable before `sync`, no name before `sync_folder`."""

    def exists(self, path: Path) -> bool:
        """Tell whether there is a file."""
        ...

    def open(self, path: Path, *, anew: bool) -> int:
        """Open a file to read and write; `anew` makes it, or empties the one that is there."""
        ...

    def lock(self, descriptor: int, what: str) -> None:
        """Lock an open file for this process; raises KeyInUse."""
        ...

    def is_same(self, descriptor: int, path: Path) -> bool:
        """Tell whether an open file is the one that has this name now."""
        ...

    def read(self, descriptor: int, bytes_max: int) -> bytes:
        """Return the file's first bytes."""
        ...

    def write(self, descriptor: int, content: bytes, at: int) -> int:
        """Write bytes at a place, and return how many were taken."""
        ...

    def cut(self, descriptor: int, size: int) -> None:
        """Drop what is beyond a size."""
        ...

    def sync(self, descriptor: int) -> None:
        """Make the file's content durable."""
        ...

    def rename(self, path: Path, target: Path) -> None:
        """Give a file another name, in the place of the file that had it."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        ...

    def close(self, descriptor: int) -> None:
        """Close a file."""
        ...


class OperatingSystemFiles:
    """The real ones."""

    def exists(self, path: Path) -> bool:
        """See Files."""
        return path.exists()

    def open(self, path: Path, *, anew: bool) -> int:
        """See Files; makes the folder too."""
        if not anew:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def lock(self, descriptor: int, what: str) -> None:
        """See Files."""
        lock_descriptor(descriptor, what)

    def is_same(self, descriptor: int, path: Path) -> bool:
        """See Files."""
        return os.path.samestat(os.fstat(descriptor), path.stat())

    def read(self, descriptor: int, bytes_max: int) -> bytes:
        """See Files."""
        return os.pread(descriptor, bytes_max, 0)

    def write(self, descriptor: int, content: bytes, at: int) -> int:
        """See Files."""
        return os.pwrite(descriptor, content, at)

    def cut(self, descriptor: int, size: int) -> None:
        """See Files."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """See Files."""
        os.fsync(descriptor)

    def rename(self, path: Path, target: Path) -> None:
        """See Files."""
        path.rename(target)

    def sync_folder(self, folder: Path) -> None:
        """See Files."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        """See Files."""
        os.close(descriptor)


def lock_descriptor(descriptor: int, what: str) -> None:
    """Lock an open file for this process or raise KeyInUse that names the process which has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = find_lock_holder(descriptor)
        raise KeyInUse(
            f"{what} is in use by {f'process {holder}' if holder else 'another process'}; stop it first"
        ) from None


def find_lock_holder(descriptor: int) -> int | None:
    """Return the process that holds the flock of this file, as Linux tells it; None where it does not."""
    status = os.fstat(descriptor)
    inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if "FLOCK" in fields and inode in fields:
            # 0 stands for a process outside this container.
            return int(fields[fields.index(inode) - 1]) or None
    return None
