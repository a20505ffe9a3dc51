"""keccak256, the hash of everything on the chain: half a microsecond for a short input."""

from metanode._engine import keccak256

__all__ = ["keccak256"]
