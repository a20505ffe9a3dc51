"""A validator key that cannot contradict itself: the implementation of node.ports.Signer.

A signature may be computed at any time, but nothing leaves the process before `advance` has written it. What a key may still sign is asked
of `consensus.watermark.permits`, the same rule that the core asks.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from metanode.consensus.watermark import SignedStep, permits
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import SigningRefused
from metanode.primitives.types import Address, Hash32
from metanode.storage.key_lock import KeyLock
from metanode.storage.signer_log import SignerLog
from metanode.storage.threads import OwnThread, StorageThread


class Lock(Protocol):
    """What keeps other processes from the key until it is closed."""

    def close(self) -> None:
        """Let another process have the key."""
        ...


class FileSigner:
    """One key with its log and its lock. `advance` is called by the driver's one task."""

    def __init__(self, key: PrivateKey, log: SignerLog, lock: Lock, thread: StorageThread) -> None:
        self._key = key
        self._log = log
        self._lock = lock
        self._thread = thread

    @classmethod
    def open(
        cls, path: Path, key: PrivateKey, *, genesis_hash: Hash32, lock_folder: Path | None = None
    ) -> "FileSigner":
        """Take the key for this process; raises KeyInUse, StorageDamaged, StorageFailed. Blocks."""
        lock = KeyLock(key.address, genesis_hash, folder=lock_folder)
        try:
            log = SignerLog.open(path, address=key.address, genesis_hash=genesis_hash)
            return cls(key, log, lock, OwnThread("signer"))
        except BaseException:
            lock.close()
            raise

    def close(self) -> None:
        """Finish what is being written and free the key."""
        self._thread.close()
        self._log.close()
        self._lock.close()

    @property
    def address(self) -> Address:
        """The validator's address."""
        return self._key.address

    @property
    def watermark(self) -> SignedStep | None:
        """The last signature durably written; None when there is none yet."""
        return self._log.watermark

    @property
    def is_watermark_lost(self) -> bool:
        """True when the file was not there: nobody knows what the key has signed."""
        return self._log.is_watermark_lost

    def sign(self, digest: Hash32) -> bytes:
        """Return the 65-byte signature, the same for the same digest, always. Nothing leaves this process before `advance` returns."""
        return self._key.sign(digest)

    def sign_proof(self, digest: bytes) -> bytes:
        """Return the signature of a digest in a domain of peers' proofs and records, which no consensus message has."""
        return self._key.sign(digest)

    async def advance(self, steps: Sequence[SignedStep]) -> None:
        """Write these signatures durably, in order; raises SigningRefused, with nothing written, if the watermark forbids one.

        Only the last one is written: it is above the others, and what stands below the mark is refused whatever it was.
        """
        mark = self._log.watermark
        for step in steps:
            if not permits(mark, height=step.height, round=step.round, step=step.step, digest=step.digest):
                raise SigningRefused(_refusal(mark, step))
            mark = step
        if mark is None or mark == self._log.watermark:
            return
        await self._thread.run(partial(self._log.write, mark))


def _refusal(mark: SignedStep | None, step: SignedStep) -> str:
    assert mark is not None, "without a mark everything is permitted"
    return (
        f"the key has signed {mark.step.name} at height {mark.height}, round {mark.round}, digest 0x{mark.digest.hex()}; "
        f"{step.step.name} at height {step.height}, round {step.round}, digest 0x{step.digest.hex()} could contradict it"
    )
