"""Consensus headers as node.db keeps them: a third of their size, for they are kept for ever.

Seven of a header's nine hashes stand elsewhere in the file: the parent's hash and its certificate's in the row of that certificate, the
network's and the validators' in the headers before. Deflate with those as its dictionary leaves the hashes that are new. One header in 1,024
is whole and serves the others as a dictionary, so that each is read with two rows beside its own.
"""

import zlib
from typing import Final

from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.errors import InvalidEncoding
from metanode.primitives.types import Height

ANCHOR_EVERY: Final = 1_024
"""A header at a multiple of this is stored whole; a change of the validators makes the others larger until the next one."""
HEADER_BYTES_MAX: Final = 1_024
"""Over any header's encoding: nine hashes, an address, numbers and a vote."""

WINDOW_BITS: Final = 11
"""The smallest window of Deflate that reaches over dictionary and header."""

_PACKED: Final = b"\x01"
"""Begins a packed header; a whole one begins with an RLP list's first byte, over 0xbf."""


def is_whole(stored: bytes) -> bool:
    """Tell whether a stored header is its own encoding: an anchor, or written before there were packed ones."""
    return not stored.startswith(_PACKED)


def anchor_of(height: Height) -> Height:
    """Return the height whose header is this one's dictionary."""
    return Height(height - height % ANCHOR_EVERY)


def pack_header(header: ConsensusHeader, *, anchor: bytes, parent_certificate: Certificate | None) -> bytes:
    """Return what is stored of a header, from the stored anchor and the certificate of its parent that it names."""
    if anchor_of(header.height) == header.height:
        return header.encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS, zdict=_dictionary(anchor, parent_certificate))
    return _PACKED + deflate.compress(header.encode()) + deflate.flush()


def unpack_header(stored: bytes, *, anchor: bytes, parent_certificate: Certificate | None) -> ConsensusHeader:
    """Return the header of a packed one; raises InvalidEncoding."""
    inflate = zlib.decompressobj(-WINDOW_BITS, zdict=_dictionary(anchor, parent_certificate))
    try:
        encoded = inflate.decompress(stored[len(_PACKED) :], HEADER_BYTES_MAX)
    except zlib.error as error:
        raise InvalidEncoding(f"packed header: {error}") from error
    if not inflate.eof or inflate.unused_data:
        raise InvalidEncoding("packed header: cut off, or with bytes after it")
    return ConsensusHeader.decode(encoded)


def _dictionary(anchor: bytes, parent_certificate: Certificate | None) -> bytes:
    parent = b"" if parent_certificate is None else parent_certificate.hash + parent_certificate.block_hash
    return parent + anchor
