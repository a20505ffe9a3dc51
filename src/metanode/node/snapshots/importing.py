"""`metanode snapshot import`: a new node's data from a snapshot, of which nothing is believed that is not proven.

The chain of proof: headers and certificates from genesis on, or a hash that the operator trusts, say which block was decided; its header has
the root of the consensus state and the hash of the execution block, whose header has the root of the state that comes with it. Until all of it
is proven and on the disk, a marker in the directory says that it is not a node's.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from metanode import _engine
from metanode.chain.certificate import verify_certificate
from metanode.chain.header_chain import HeaderChain
from metanode.chain.proposal import validate_block
from metanode.chain.state import next_state
from metanode.consensus.effects import Decided
from metanode.errors import InvalidInput, StorageFailed, Unavailable
from metanode.node.data_directory import IMPORT_MARKER
from metanode.node.home import open_home
from metanode.node.snapshots.contents import (
    ExecutionFrame,
    NetworkFrame,
    TipFrame,
    ValidatorsFrame,
    decode_headers,
)
from metanode.node.snapshots.exporting import SnapshotSummary
from metanode.storage.node_store import NodeStore
from metanode.storage.snapshot_file import Frame, SnapshotReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from metanode.chain.genesis import Genesis
    from metanode.primitives.types import Hash32

_MARKER_TEXT: Final = b"""A snapshot is being imported into this directory, or its import was interrupted.
No node starts here. Run `metanode snapshot import` again: it begins anew.
"""


def read_summary(file: Path) -> NetworkFrame:
    """What a snapshot says of itself; nothing of it is proven. Raises InvalidInput."""
    with SnapshotReader(file) as reader:
        return _read_network(reader.frames())


def import_snapshot(
    file: Path, home: Path, *, trusted: Hash32 | None = None, tell: Callable[[str], None] = lambda _: None
) -> SnapshotSummary:
    """Fill the empty data directory of the node in `home`.

    `trusted` is the consensus hash of the snapshot's block, from a source that the operator trusts: it takes the place of the proof from genesis on.

    Raises:
        MetanodeError: that names what is wrong; the directory is as it was then.
    """
    directory = open_home(home)
    with SnapshotReader(file) as reader:
        frames = reader.frames()
        network = _read_network(frames)
        _check_network(network, directory.genesis, trusted)
        with _being_filled(directory.data):
            filling = _Filling(
                directory.data, directory.genesis, directory.document, network=network, trusted=trusted
            )
            asyncio.run(
                filling.run(
                    frames,
                    lambda what: tell(
                        f"{what}, {reader.bytes_read / 1e6:,.0f} of {reader.size_bytes / 1e6:,.0f} MB"
                    ),
                )
            )
    return SnapshotSummary(height=network.height, block_hash=network.block_hash, size_bytes=reader.size_bytes)


def _read_network(frames: Iterator[tuple[Frame, bytes]]) -> NetworkFrame:
    kind, payload = next(frames, (Frame.END, b""))
    if kind is not Frame.NETWORK:
        raise InvalidInput(f"snapshot: it begins with {kind.name.lower()}, expected network")
    return NetworkFrame.decode(payload)


def _check_network(network: NetworkFrame, genesis: Genesis, trusted: Hash32 | None) -> None:
    if (network.genesis_hash, network.chain_id) != (genesis.hash, genesis.chain_id):
        raise InvalidInput(
            f"the snapshot is of the network {network.network_name!r} with the genesis hash 0x{network.genesis_hash.hex()} and the chain id "
            f"{network.chain_id}; this node's genesis file makes {genesis.network_name!r} with 0x{genesis.hash.hex()} and {genesis.chain_id}"
        )
    if trusted is None and not network.has_headers:
        raise InvalidInput(
            "the snapshot has no headers, so nothing in it can be proven from genesis on; give --trust with the consensus hash of its block "
            f"{network.height}, from a source that you trust (ibft_getCommitCertificate of another node: blockHash)"
        )
    if trusted is not None and trusted != network.block_hash:
        raise InvalidInput(
            f"--trust: the snapshot's block {network.height} has the consensus hash 0x{network.block_hash.hex()}, not 0x{trusted.hex()}"
        )


@contextmanager
def _being_filled(data: Path) -> Iterator[None]:
    """Keep everybody out of the directory until it is whole; on failure, take everything out again."""
    marker = data / IMPORT_MARKER
    if not marker.exists():
        present = [name for name in ("node.db", "engine") if (data / name).exists()]
        if present:
            raise InvalidInput(
                f"{data} is not empty: it holds {' and '.join(present)}. A snapshot begins a new node: move them away first, and never signer.log"
            )
    was_there = data.exists()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(marker, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(f"{data}: another import of a snapshot is running there") from None
        os.pwrite(descriptor, _MARKER_TEXT, 0)
        os.fsync(descriptor)
        _sync_folder(data)
        try:
            # What a killed import has left.
            _remove_data(data)
            yield
        except BaseException:
            _remove_data(data)
            marker.unlink()
            if not was_there:
                with suppress(OSError):
                    data.rmdir()
            raise
        _sync_folder(data)
        marker.unlink()
        _sync_folder(data)
    finally:
        os.close(descriptor)


def _remove_data(data: Path) -> None:
    shutil.rmtree(data / "engine", ignore_errors=True)
    for name in ("node.db", "node.db-wal", "node.db-shm", "node.db-journal"):
        (data / name).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Filling:
    """One import: frames in, in their order."""

    def __init__(
        self, data: Path, genesis: Genesis, document: bytes, *, network: NetworkFrame, trusted: Hash32 | None
    ) -> None:
        self._data = data
        self._genesis = genesis
        self._document = document
        self._network = network
        self._trusted = trusted
        self._chain = HeaderChain(genesis)

    async def run(self, frames: Iterator[tuple[Frame, bytes]], tell: Callable[[str], None]) -> None:
        """Verify and save everything."""
        store = await asyncio.to_thread(NodeStore.open, self._data / "node.db", self._genesis)
        try:
            kind, payload = await self._take_headers(store, frames, tell)
            if kind is not Frame.TIP:
                raise _misplaced(kind, "tip")
            tip = TipFrame.decode(payload)
            decided = self._verify_tip(tip)
            kind, payload = _next(frames)
            if kind is not Frame.EXECUTION:
                raise _misplaced(kind, "execution")
            execution = ExecutionFrame.decode(payload)
            await asyncio.to_thread(self._fill_engine, frames, tip, execution, tell)
            await store.restore_tip(tip.parent, tip.parent_state, decided)
        finally:
            store.close()

    async def _take_headers(
        self, store: NodeStore, frames: Iterator[tuple[Frame, bytes]], tell: Callable[[str], None]
    ) -> tuple[Frame, bytes]:
        """Verify and save headers and changes of validators; return the frame after them."""
        while True:
            kind, payload = _next(frames)
            match kind:
                case Frame.HEADERS:
                    headers = decode_headers(payload)
                    for header in headers:
                        self._chain.extend(header)
                    await store.restore_headers(headers, None, self._chain.validators)
                case Frame.VALIDATORS:
                    change = ValidatorsFrame.decode(payload)
                    self._chain.change_validators(change.validators, change.certificate)
                    await store.restore_headers([], change.certificate, change.validators)
                case _:
                    return kind, payload
            tell(f"headers verified up to {self._chain.tip.height:,}")

    def _verify_tip(self, tip: TipFrame) -> Decided:
        """Check the block with all that it commits to; return the decision with the state after it."""
        block, rules = tip.block, self._genesis.rules
        header = block.header
        if (header.height, header.hash) != (self._network.height, self._network.block_hash):
            raise InvalidInput("snapshot.tip: it is another block than the first frame says")
        if self._network.has_headers or self._trusted is None:
            self._chain.extend(header)
        if self._trusted is not None and header.hash != self._trusted:
            raise InvalidInput("snapshot.tip: it is another block than the trusted one")
        if tip.parent.hash != header.parent_hash:
            raise InvalidInput(
                f"snapshot.tip: the parent is 0x{tip.parent.hash.hex()}, the block names 0x{header.parent_hash.hex()}"
            )
        # The root is in the block's header, so the set is the one that the headers led to, or that the trusted block names.
        validate_block(block, state=tip.parent_state, parent=tip.parent, rules=rules)
        verify_certificate(
            tip.certificate,
            height=header.height,
            block_hash=header.hash,
            validators=tip.parent_state.validators,
            rule=rules.quorum_rule,
            domain=rules.domain,
        )
        return Decided(
            block=block,
            certificate=tip.certificate,
            state=next_state(tip.parent_state, block, rules.parameters),
        )

    def _fill_engine(
        self,
        frames: Iterator[tuple[Frame, bytes]],
        tip: TipFrame,
        execution: ExecutionFrame,
        tell: Callable[[str], None],
    ) -> None:
        """Take the state, and let the engine compare its root with the decided block's."""
        with _explained():
            restoration = _engine.Restoration.begin(self._document, path=str(self._data / "engine"))
            try:
                for kind, payload in frames:
                    if kind is not Frame.STATE:
                        raise _misplaced(kind, "state")
                    restoration.add(payload)
                    tell("state")
                head = restoration.finish(
                    tip.block.execution_rlp, tip.block.requests, execution.receipts_rlp, execution.ancestors
                )
            finally:
                restoration.close()
        assert head.hash == tip.block.header.execution_hash, "a block is its bytes"


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (_engine.StorageError, _engine.Corruption) as error:
        raise StorageFailed(f"engine: {error}") from error
    except _engine.EngineError as error:
        raise InvalidInput(str(error)) from error


def _next(frames: Iterator[tuple[Frame, bytes]]) -> tuple[Frame, bytes]:
    return next(frames, (Frame.END, b""))


def _misplaced(kind: Frame, expected: str) -> InvalidInput:
    return InvalidInput(f"snapshot: a frame of {kind.name.lower()} where {expected} is expected")
