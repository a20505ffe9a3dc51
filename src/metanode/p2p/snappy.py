"""Snappy, with the length looked at before anything is unpacked."""

import cramjam

from metanode.p2p.errors import PeerFault

_LENGTH_BYTES_MAX = 5


def compress(data: bytes) -> bytes:
    """Return the raw snappy block of the data."""
    return bytes(cramjam.snappy.compress_raw(data))


def decompress(data: bytes, bytes_max: int) -> bytes:
    """Return the data of a raw snappy block; raises PeerFault when its header promises more than `bytes_max`, or it is damaged."""
    size = _uncompressed_bytes(data)
    if size > bytes_max:
        raise PeerFault(f"snappy: a message of {size} bytes, expected at most {bytes_max}")
    try:
        return bytes(cramjam.snappy.decompress_raw(data, output_len=size))
    except cramjam.DecompressionError as error:
        raise PeerFault("snappy: the message is damaged") from error


def _uncompressed_bytes(data: bytes) -> int:
    """Return what the header promises: a little-endian base-128 number of 32 bits."""
    size = 0
    for position, byte in enumerate(data[:_LENGTH_BYTES_MAX]):
        size |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return size
    raise PeerFault("snappy: the length of the message is cut off or too long")
