"""`metanode snapshot export`: a stopped node's state at its decided height, into one file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput, StorageFailed
from metanode.execution.client import ExecutionPayload
from metanode.execution.embedded import EmbeddedOptions, open_embedded
from metanode.node.data_directory import check_no_import
from metanode.node.home import open_home
from metanode.node.snapshots.contents import (
    ANCESTORS,
    HEADERS_A_FRAME,
    ExecutionFrame,
    NetworkFrame,
    TipFrame,
    ValidatorsFrame,
    encode_headers,
)
from metanode.primitives import rlp
from metanode.primitives.types import Height
from metanode.storage.node_store import NodeStore
from metanode.storage.snapshot_file import Frame, SnapshotWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from metanode.chain.genesis import Genesis
    from metanode.chain.header import ConsensusHeader
    from metanode.execution.embedded import EmbeddedExecution
    from metanode.primitives.types import Hash32

STATE_FRAME_BYTES: Final = 4 * 1024 * 1024
"""About so much of the state in one frame: what export and import hold in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSummary:
    """What an export or an import has done."""

    height: int
    block_hash: Hash32
    """The consensus hash: what `--trust` takes."""
    size_bytes: int
    """Of the file."""


def export_snapshot(
    home: Path, file: Path, *, with_headers: bool = True, tell: Callable[[str], None] = lambda _: None
) -> SnapshotSummary:
    """Write the snapshot of the stopped node in `home`.

    Raises:
        MetanodeError: when the node runs, has decided nothing, or a part can't be read. No file is left then.
    """
    directory = open_home(home)
    check_no_import(directory.data)
    if not (directory.data / "node.db").exists():
        raise InvalidInput(
            f"{directory.data} holds no node: node.db does not exist; start the node once, and let it decide a block"
        )
    store = NodeStore.open(directory.data / "node.db", directory.genesis)
    try:
        exporting = _export(
            store, directory.data, directory.genesis, directory.document, file, with_headers, tell
        )
        return asyncio.run(exporting)
    except StorageFailed as error:
        if "Locked" in str(error):  # The store's own word for data that another process has open.
            raise InvalidInput(
                f"{directory.data} is in use: stop the node first; a snapshot is taken of a stopped node"
            ) from None
        raise
    finally:
        store.close()


async def _export(
    store: NodeStore,
    data: Path,
    genesis: Genesis,
    document: bytes,
    file: Path,
    with_headers: bool,  # noqa: FBT001 - handed through
    tell: Callable[[str], None],
) -> SnapshotSummary:
    async with open_embedded(document, EmbeddedOptions(path=data / "engine")) as execution:
        tip, execution_frame = await _read_tip(store, execution, data)
        header = tip.block.header
        with SnapshotWriter(file) as writer:
            network = NetworkFrame(
                genesis_hash=genesis.hash, chain_id=genesis.chain_id, network_name=genesis.network_name,
                height=header.height, block_hash=header.hash, has_headers=with_headers,
            )  # fmt: skip
            writer.add(Frame.NETWORK, network.encode())
            if with_headers:
                await _write_headers(writer, store, header, tell)
            writer.add(Frame.TIP, tip.encode())
            writer.add(Frame.EXECUTION, execution_frame.encode())
            await _write_state(writer, execution, tell)
            writer.finish()
            return SnapshotSummary(
                height=header.height, block_hash=header.hash, size_bytes=writer.bytes_written
            )


async def _read_tip(
    store: NodeStore, execution: EmbeddedExecution, data: Path
) -> tuple[TipFrame, ExecutionFrame]:
    """The decided height, with the engine brought there if it stopped a few blocks before."""
    stored = await store.load()
    height = stored.header.height
    if height == 0:
        raise InvalidInput(f"{data}: the node has decided no block yet; there is nothing to export")
    block, parent = await store.block(height), await store.header(Height(height - 1))
    parent_state = await store.parent_state()
    assert block is not None, "the tip's block is kept"
    assert parent is not None, "the tip stands on a header"
    assert stored.certificate is not None, "the tip has a certificate"
    if parent_state is None:
        raise InvalidInput(
            f"{data / 'node.db'} was last written by an older version; start the node, let it decide a block, stop it, and export again"
        )
    await _bring_to(execution, store, height, data)
    tip = TipFrame(block=block, certificate=stored.certificate, parent=parent, parent_state=parent_state)
    return tip, await _read_execution(execution, height)


async def _bring_to(execution: EmbeddedExecution, store: NodeStore, height: int, data: Path) -> None:
    head = (await execution.head()).number
    if head > height:
        raise InvalidInput(
            f"{data}: the engine is at {head}, node.db has certificates up to {height} only; start the node and let it catch up"
        )
    for number in range(head + 1, height + 1):
        block = await store.block(Height(number))
        if block is None:
            raise InvalidInput(
                f"{data}: the engine is at {head} of {height}, and node.db does not have block {number} any more; start the node and let it catch up"
            )
        await execution.import_payloads(
            [ExecutionPayload(execution_rlp=block.execution_rlp, requests=block.requests)]
        )


async def _read_execution(execution: EmbeddedExecution, height: int) -> ExecutionFrame:
    receipts = await asyncio.to_thread(execution.engine.receipts, height)
    assert receipts is not None, "the head has receipts"
    ancestors = []
    for number in range(max(0, height - ANCESTORS), height):
        payload = await execution.payload(number)
        if payload is None:
            raise InvalidInput(
                f"the engine does not have block {number}: this node began from a snapshot itself, less than {ANCESTORS} blocks ago; export later"
            )
        _, start, _ = rlp.item_span(payload.execution_rlp, 0, len(payload.execution_rlp))
        _, _, end = rlp.item_span(payload.execution_rlp, start, len(payload.execution_rlp))
        ancestors.append(payload.execution_rlp[start:end])
    return ExecutionFrame(receipts_rlp=receipts, ancestors=tuple(ancestors))


async def _write_headers(
    writer: SnapshotWriter, store: NodeStore, tip: ConsensusHeader, tell: Callable[[str], None]
) -> None:
    """Headers 1 to the tip's parent, with the proof of each change of the validators right after the header that announces it."""
    height = Height(1)
    while height < tip.height:
        headers = await store.headers(height, min(HEADERS_A_FRAME, tip.height - height))
        if not headers:
            raise InvalidInput(
                f"node.db does not have the header of height {height}: this node began from a snapshot without headers; give --no-headers"
            )
        end = next(
            (at + 1 for at, header in enumerate(headers) if header.next_validators_hash != header.validators_hash),
            len(headers),
        )  # fmt: skip
        last = headers[end - 1]
        writer.add(Frame.HEADERS, encode_headers(headers[:end]))
        if last.next_validators_hash != last.validators_hash:
            await _write_validators(writer, store, last)
        height = Height(last.height + 1)
        tell(f"headers: {last.height:,} of {tip.height - 1:,}")


async def _write_validators(writer: SnapshotWriter, store: NodeStore, header: ConsensusHeader) -> None:
    certificate = await store.certificate(header.height)
    validators = await store.validators(Height(header.height + 1))
    if certificate is None or validators is None:
        raise InvalidInput(
            f"node.db does not have the proof of the change of validators at height {header.height}; give --no-headers"
        )
    writer.add(Frame.VALIDATORS, ValidatorsFrame(validators=validators, certificate=certificate).encode())


async def _write_state(
    writer: SnapshotWriter, execution: EmbeddedExecution, tell: Callable[[str], None]
) -> None:
    after: bytes | None = b""
    while after is not None:
        entries, after = await asyncio.to_thread(execution.engine.state_chunk, after, STATE_FRAME_BYTES)
        if entries:
            writer.add(Frame.STATE, entries)
        tell(f"state: {writer.bytes_written / 1e6:,.0f} MB written")
