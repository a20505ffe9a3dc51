"""One process to a validator key: a lock on this machine, by the key's address and the network.

signer.log is locked too, but a copied data directory has its own; this lock stands in a place of the user's that all data directories share.
The same key on two machines is found by others, as equivocation.
"""

import os
import tempfile
from pathlib import Path

from metanode.crypto.addresses import format_address
from metanode.errors import StorageFailed
from metanode.primitives.types import Address, Hash32
from metanode.storage.files import lock_descriptor


class KeyLock:
    """Held from construction until `close`, or the end of the process however it ends."""

    def __init__(self, address: Address, genesis_hash: Hash32, *, folder: Path | None = None) -> None:
        folder = folder or _user_folder()
        path = folder / f"{address.hex()}-{genesis_hash[:8].hex()}.lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StorageFailed(f"{path}: {error.strerror}") from error
        try:
            lock_descriptor(self._descriptor, f"the validator key {format_address(address)}")
        except BaseException:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Let another process have the key."""
        os.close(self._descriptor)


def _user_folder() -> Path:
    """Return a folder of this user's for locks; raises StorageFailed when somebody else has made it."""
    folder = Path(tempfile.gettempdir()) / f"metanode-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StorageFailed(f"{folder}: {error.strerror}") from error
    if not folder.is_dir() or folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StorageFailed(f"{folder}: expected a folder that only this user can write")
    return folder
