"""Token transfers as contracts' events tell them: ERC-20, ERC-721, ERC-1155. What does not look exactly like one is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from metanode.crypto.hashing import keccak256
from sdk.testnet.services.store.meanings import TokenKind

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH_MAX: Final = 10_000
"""Moves of one ERC-1155 batch that are indexed: two words each are 5 million gas, a tenth of a block."""
TRANSFER: Final = keccak256(b"Transfer(address,address,uint256)")
TRANSFER_SINGLE: Final = keccak256(b"TransferSingle(address,address,address,uint256,uint256)")
TRANSFER_BATCH: Final = keccak256(b"TransferBatch(address,address,address,uint256[],uint256[])")
TOPICS: Final = frozenset({"0x" + topic.hex() for topic in (TRANSFER, TRANSFER_SINGLE, TRANSFER_BATCH)})
_ZEROS: Final = bytes(12)
_WORD: Final = 32
ONE: Final = (1).to_bytes(_WORD, "big")


class Move(NamedTuple):
    """One move of tokens."""

    kind: TokenKind
    sender: bytes
    recipient: bytes
    amount: bytes
    """32 bytes."""
    ref: bytes | None
    """32 bytes: which token; None for ERC-20."""


def moves_of(topics: Sequence[str], data: str) -> Sequence[Move]:
    """Return the moves that an event of one of `TOPICS` tells; none when it is of another kind after all.

    Raises ValueError for topics that are no hex.
    """
    words = [bytes.fromhex(topic[2:]) for topic in topics]
    signature = words[0]
    if signature == TRANSFER:
        if len(words) == 3 and len(data) == 66:
            parties = _parties(words[1], words[2])
            return (
                () if parties is None else (Move(TokenKind.ERC20, *parties, bytes.fromhex(data[2:]), None),)
            )
        if len(words) == 4 and data == "0x":
            parties = _parties(words[1], words[2])
            return () if parties is None else (Move(TokenKind.ERC721, *parties, ONE, words[3]),)
        return ()
    if len(words) != 4:
        return ()
    parties = _parties(words[2], words[3])
    if parties is None:
        return ()
    payload = bytes.fromhex(data[2:])
    if signature == TRANSFER_SINGLE:
        if len(payload) != 2 * _WORD:
            return ()
        return (Move(TokenKind.ERC1155, *parties, payload[_WORD:], payload[:_WORD]),)
    return tuple(Move(TokenKind.ERC1155, *parties, amount, ref) for ref, amount in _pairs(payload))


def _parties(first: bytes, second: bytes) -> tuple[bytes, bytes] | None:
    """Two addresses; None when their padding says that they are something else."""
    if len(first) != _WORD or len(second) != _WORD or first[:12] != _ZEROS or second[:12] != _ZEROS:
        return None
    return first[12:], second[12:]


def _pairs(payload: bytes) -> list[tuple[bytes, bytes]]:
    """The two arrays of a batch; empty when they are not encoded as they should, or have different lengths."""
    refs, amounts = _array(payload, 0), _array(payload, 1)
    if refs is None or amounts is None or len(refs) != len(amounts):
        return []
    return list(zip(refs, amounts, strict=True))


def _array(payload: bytes, place: int) -> list[bytes] | None:
    offset = int.from_bytes(payload[place * _WORD : (place + 1) * _WORD], "big")
    if len(payload) < 2 * _WORD or offset > len(payload) - _WORD:
        return None
    count = int.from_bytes(payload[offset : offset + _WORD], "big")
    start = offset + _WORD
    if count > BATCH_MAX or start + count * _WORD > len(payload):
        return None
    return [payload[start + i * _WORD : start + (i + 1) * _WORD] for i in range(count)]
