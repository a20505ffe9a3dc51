"""What the frames of a snapshot hold, as RLP; the container is `storage.snapshot_file`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.state import ConsensusState
from metanode.chain.validators import ValidatorSet
from metanode.errors import InvalidInput
from metanode.primitives import rlp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metanode.primitives.types import Hash32

HEADERS_A_FRAME: Final = 1_024
_HEADERS_BYTES_MAX: Final = 1_024 * HEADERS_A_FRAME
ANCESTORS: Final = 256
"""Execution headers before the tip that the EVM can ask for by number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFrame:
    """Whose state it is; the first frame."""

    genesis_hash: Hash32
    chain_id: int
    network_name: str
    height: int
    block_hash: Hash32
    """Consensus hash of the block of that height: what `--trust` compares."""
    has_headers: bool

    def encode(self) -> bytes:
        """Return the payload."""
        return rlp.encode(
            [
                self.genesis_hash,
                rlp.integer(self.chain_id),
                self.network_name.encode(),
                rlp.integer(self.height),
                self.block_hash,
                rlp.integer(int(self.has_headers)),
            ]
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Return the frame; raises InvalidInput."""
        fields = rlp.Reader(rlp.decode(payload), "snapshot.network")
        frame = cls(
            genesis_hash=fields.hash32("genesis_hash"),
            chain_id=fields.integer("chain_id"),
            network_name=_text(fields.bytes("network_name", length_max=256)),
            height=fields.integer("height"),
            block_hash=fields.hash32("block_hash"),
            has_headers=bool(fields.integer("has_headers", bits=1)),
        )
        fields.end()
        return frame


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"snapshot.network_name: {error}") from None
    if not text.isprintable():
        # It is shown before anything is proven, and a terminal obeys some characters.
        raise InvalidInput("snapshot.network_name: holds characters that cannot be shown")
    return text


def encode_headers(headers: Sequence[ConsensusHeader]) -> bytes:
    """Return the payload of a HEADERS frame; consecutive headers share most of their hashes."""
    assert len(headers) <= HEADERS_A_FRAME, len(headers)
    return zlib.compress(rlp.encode([header.to_item() for header in headers]))


def decode_headers(payload: bytes) -> list[ConsensusHeader]:
    """Return the headers of a HEADERS frame; raises InvalidInput."""
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(payload, _HEADERS_BYTES_MAX)
    except zlib.error as error:
        raise InvalidInput(f"snapshot.headers: {error}") from None
    if not inflate.eof or inflate.unused_data:
        raise InvalidInput("snapshot.headers: cut off, too long, or with bytes after it")
    items = rlp.decode(data, items_max=24 * HEADERS_A_FRAME)
    if not isinstance(items, list) or not 1 <= len(items) <= HEADERS_A_FRAME:
        raise InvalidInput(f"snapshot.headers: expected 1 to {HEADERS_A_FRAME} headers")
    return [ConsensusHeader.from_item(item) for item in items]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorsFrame:
    """A change of the set, announced by the header before this frame."""

    validators: ValidatorSet
    certificate: Certificate
    """Of that header's height."""

    def encode(self) -> bytes:
        """Return the payload."""
        return rlp.encode([self.validators.to_item(), self.certificate.encode()])

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Return the frame; raises InvalidInput."""
        fields = rlp.Reader(rlp.decode(payload), "snapshot.validators")
        frame = cls(
            validators=ValidatorSet.from_item(fields.item("validators"), "snapshot.validators"),
            certificate=Certificate.decode(fields.bytes("certificate")),
        )
        fields.end()
        return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class TipFrame:
    """The block that the node goes on from, and what it takes to derive the consensus state after it."""

    block: Block
    certificate: Certificate
    parent: ConsensusHeader
    parent_state: ConsensusState
    """After the parent; its root is in the block's header."""

    def encode(self) -> bytes:
        """Return the payload."""
        return rlp.encode(
            [
                self.block.encode(),
                self.certificate.encode(),
                self.parent.encode(),
                self.parent_state.encode(),
            ]
        )

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Return the frame; raises InvalidInput."""
        fields = rlp.Reader(rlp.decode(payload, items_max=8), "snapshot.tip")
        frame = cls(
            block=Block.decode(fields.bytes("block")),
            certificate=Certificate.decode(fields.bytes("certificate")),
            parent=ConsensusHeader.decode(fields.bytes("parent")),
            parent_state=ConsensusState.decode(fields.bytes("parent_state")),
        )
        fields.end()
        return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFrame:
    """What the execution client needs beside the block and the state."""

    receipts_rlp: bytes
    """The RLP list of the tip's receipts."""
    ancestors: tuple[bytes, ...]
    """Execution headers right before the tip, ascending: 256, or all there are."""

    def encode(self) -> bytes:
        """Return the payload."""
        return rlp.encode([self.receipts_rlp, list(self.ancestors)])

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Return the frame; raises InvalidInput."""
        fields = rlp.Reader(rlp.decode(payload), "snapshot.execution")
        receipts = fields.bytes("receipts")
        headers = rlp.Reader(fields.list("ancestors", length_max=ANCESTORS), "snapshot.ancestors")
        ancestors = tuple(headers.bytes(str(index)) for index in range(len(headers)))
        fields.end()
        return cls(receipts_rlp=receipts, ancestors=ancestors)
