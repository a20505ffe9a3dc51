"""signer.log: the last thing a validator key signed, in a file of its own.

It survives the loss of node.db, and it is written before any signature leaves. Slots of 128 bytes: the first names the key and the network,
each later one is a signature with a checksum; the last whole slot is the watermark. Slots have one size, so that no damaged length can hide
others. A last slot that is cut off or does not match its checksum was being written when the power went: nothing of it had left, and it is
cut. Any other slot that does not match stops the node: what the key has signed is then not known, and an operator decides.

The file is locked while it is open; a second process that opens it is told the first one's process id.
"""

import contextlib
import errno
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from metanode.consensus.messages import Step
from metanode.consensus.watermark import SignedStep
from metanode.errors import StorageDamaged, StorageFailed
from metanode.primitives.types import Address, Hash32, Height, Round
from metanode.storage.files import Files, OperatingSystemFiles

SLOT_BYTES: Final = 128
SLOTS_MAX: Final = 8_192
"""The file is written anew when it has this many: 1 MiB, an hour of 2 s blocks."""

_SYSTEM: Final = OperatingSystemFiles()
_HEAD_MAGIC: Final = b"metanode signer 1\0"
_SLOT_MAGIC: Final = b"S1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The first slot."""

    address: Address
    genesis_hash: Hash32
    is_after_loss: bool
    """The file was made because the one before could not be found."""

    def encode(self) -> bytes:
        return _checked(_HEAD_MAGIC + bytes((self.is_after_loss,)) + self.address + self.genesis_hash)


class SignerLog:
    """The open file. One task writes it, through the storage thread."""

    def __init__(
        self,
        path: Path,
        descriptor: int,
        head: _Head,
        watermark: SignedStep | None,
        slots: int,
        files: Files,
    ) -> None:
        self._path = path
        self._files = files
        self._descriptor = descriptor
        self._head = head
        self._slots = slots
        self.watermark = watermark
        """The last signature durably written."""

    @property
    def is_watermark_lost(self) -> bool:
        """True when the file had to be made again and nothing was signed since: what the key signed before is not known."""
        return self._head.is_after_loss and self.watermark is None

    @classmethod
    def open(
        cls, path: Path, *, address: Address, genesis_hash: Hash32, files: Files = _SYSTEM
    ) -> "SignerLog":
        """Open the key's file on this network, or make one that says that the former is lost.

        Raises KeyInUse, StorageDamaged for a file that is damaged or of another key or network, StorageFailed.
        """
        with _translated(path):
            if not files.exists(path):
                make_signer_log(
                    path, address=address, genesis_hash=genesis_hash, is_after_loss=True, files=files
                )
            descriptor = _open_locked(path, address, files)
            try:
                head, watermark, slots = _read(path, descriptor, files)
                _check_head(path, head, address, genesis_hash)
            except BaseException:
                files.close(descriptor)
                raise
        return cls(path, descriptor, head, watermark, slots, files)

    def write(self, step: SignedStep) -> None:
        """Write a signature durably; it is the watermark when this returns. Raises StorageFailed: then it is not known whether it is."""
        with _translated(self._path):
            if self._slots >= SLOTS_MAX:
                self._write_anew()
            # At the known end, not by O_APPEND: a failed write before this one may have left half a slot.
            at = self._slots * SLOT_BYTES
            _write_whole(self._descriptor, _encode(step), at, self._files)
        self._slots += 1
        self.watermark = step

    def close(self) -> None:
        """Close the file and so free the lock."""
        self._files.close(self._descriptor)

    def _write_anew(self) -> None:
        """Replace the file by one that has only the watermark; the old one stays until the new one is durable."""
        assert self.watermark is not None, "a full file has signatures"
        descriptor = _replace(self._path, self._head.encode() + _encode(self.watermark), self._files)
        self._files.close(self._descriptor)
        self._descriptor, self._slots = descriptor, 2


def make_signer_log(
    path: Path,
    *,
    address: Address,
    genesis_hash: Hash32,
    is_after_loss: bool = False,
    files: Files = _SYSTEM,
) -> None:
    """Make the file of a key that has signed nothing on this network yet; raises StorageFailed if there is one."""
    head = _Head(address=address, genesis_hash=genesis_hash, is_after_loss=is_after_loss)
    with _translated(path):
        if files.exists(path):
            raise StorageFailed(f"{path}: exists already; what it says about signatures is never overwritten")
        files.close(_replace(path, head.encode(), files))


def read_watermark(data: bytes, path: Path) -> SignedStep | None:
    """Return the last whole signature in the bytes of a signer's log; raises StorageDamaged."""
    return _parse(path, data)[1]


def _open_locked(path: Path, address: Address, files: Files) -> int:
    while True:
        descriptor = files.open(path, anew=False)
        try:
            files.lock(descriptor, f"{path}: the signer's log of 0x{address.hex()}")
            # The process that had the lock may have replaced the file between our open and our lock.
            if files.is_same(descriptor, path):
                return descriptor
        except BaseException:
            files.close(descriptor)
            raise
        files.close(descriptor)


def _check_head(path: Path, head: _Head, address: Address, genesis_hash: Hash32) -> None:
    if head.address != address:
        raise StorageDamaged(f"{path}: belongs to the key 0x{head.address.hex()}, this is 0x{address.hex()}")
    if head.genesis_hash != genesis_hash:
        raise StorageDamaged(
            f"{path}: belongs to the network 0x{head.genesis_hash.hex()}, this one is 0x{genesis_hash.hex()}"
        )


_REMEDY: Final = "If a good copy exists put it back; else remove the file, and the node observes until its height has passed"


def _read(path: Path, descriptor: int, files: Files) -> tuple[_Head, SignedStep | None, int]:
    data = files.read(descriptor, 2 * SLOTS_MAX * SLOT_BYTES)
    head, watermark, whole = _parse(path, data)
    if whole * SLOT_BYTES != len(data):
        files.cut(descriptor, whole * SLOT_BYTES)
        files.sync(descriptor)
    return head, watermark, whole


def _parse(path: Path, data: bytes) -> tuple[_Head, SignedStep | None, int]:
    """Return the head, the watermark and how many slots are whole."""
    head = _decode_head(path, data[:SLOT_BYTES])
    whole = len(data) // SLOT_BYTES
    watermark: SignedStep | None = None
    for index in range(1, whole):
        step = _decode(data[index * SLOT_BYTES : (index + 1) * SLOT_BYTES])
        if step is None:
            if index < whole - 1 or len(data) % SLOT_BYTES:
                raise StorageDamaged(
                    f"{path}: slot {index} of {whole} is damaged, so it is not known what the key has signed. {_REMEDY}"
                )
            whole = index
            break
        if watermark is not None and step.position <= watermark.position:
            raise StorageDamaged(f"{path}: slot {index} is not above the one before it. {_REMEDY}")
        watermark = step
    return head, watermark, whole


def _decode_head(path: Path, slot: bytes) -> _Head:
    if len(slot) != SLOT_BYTES or not slot.startswith(_HEAD_MAGIC) or not _is_whole(slot):
        raise StorageDamaged(f"{path}: the first slot is damaged, or this is no signer's log. {_REMEDY}")
    at = len(_HEAD_MAGIC)
    return _Head(
        is_after_loss=slot[at] == 1,
        address=Address(slot[at + 1 : at + 21]),
        genesis_hash=Hash32(slot[at + 21 : at + 53]),
    )


def _encode(step: SignedStep) -> bytes:
    numbers = step.height.to_bytes(8, "big") + step.round.to_bytes(8, "big") + bytes((step.step,))
    return _checked(_SLOT_MAGIC + numbers + step.digest + step.signature)


def _decode(slot: bytes) -> SignedStep | None:
    if not slot.startswith(_SLOT_MAGIC) or not _is_whole(slot) or slot[18] > max(Step):
        return None
    return SignedStep(
        height=Height(int.from_bytes(slot[2:10], "big")),
        round=Round(int.from_bytes(slot[10:18], "big")),
        step=Step(slot[18]),
        digest=Hash32(slot[19:51]),
        signature=slot[51:116],
    )


def _checked(content: bytes) -> bytes:
    padded = content.ljust(SLOT_BYTES - 4, b"\0")
    return padded + zlib.crc32(padded).to_bytes(4, "big")


def _is_whole(slot: bytes) -> bool:
    return zlib.crc32(slot[:-4]).to_bytes(4, "big") == slot[-4:]


def _replace(path: Path, content: bytes, files: Files) -> int:
    """Put a new file in the place of the old one, durably, and return its locked descriptor."""
    unfinished = path.with_name(path.name + ".new")
    descriptor = files.open(unfinished, anew=True)
    try:
        files.lock(descriptor, str(unfinished))
        _write_whole(descriptor, content, 0, files)
        files.rename(unfinished, path)
        files.sync_folder(path.parent)
    except BaseException:
        files.close(descriptor)
        raise
    return descriptor


def _write_whole(descriptor: int, content: bytes, at: int, files: Files) -> None:
    if files.write(descriptor, content, at) != len(content):
        raise OSError(errno.ENOSPC, "the disk took only a part of it")
    files.sync(descriptor)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"{path}: {error.strerror or error}") from error
