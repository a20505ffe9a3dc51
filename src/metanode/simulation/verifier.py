"""A second opinion on certificates: written from docs/spec/chain.md, it reads bytes and shares no code with `metanode.chain`."""

from collections.abc import Sequence
from typing import Final

import coincurve
from Crypto.Hash import keccak

SEAL_BYTES: Final = 65
RECOVERED_MAX: Final = 20_000
"""Recovering is most of a simulation's time, and certificates of one height share seals."""


class Verifier:
    """Knows one network. Owner: the checker."""

    def __init__(self, *, chain_id: int, genesis_hash: bytes, needs_more_than_two_thirds: bool) -> None:
        domain = b"EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)"
        words = [_hash(domain), _hash(b"Metanode IBFT"), _hash(b"1"), _word(chain_id), genesis_hash]
        self._separator = _hash(b"".join(words))
        self._type = _hash(b"Commit(uint64 height,uint64 round,bytes32 blockHash)")
        self._needs_more = needs_more_than_two_thirds
        self._recovered: dict[tuple[bytes, bytes], bytes] = {}

    def find_fault(
        self, certificate: bytes, *, height: int, header: bytes, validators: Sequence[tuple[bytes, int]]
    ) -> str | None:
        """Return why these bytes do not prove that the block with this header was decided at a height; None if they do.

        `validators`: addresses and powers of the height's set, in address order.
        """
        fields = _strings(certificate)
        if fields is None or len(fields) != 5:
            return "it is no list of five strings"
        if [_number(fields[0]), fields[2]] != [height, _hash(header)]:
            return "it is of another height or block"
        bits, seals = int.from_bytes(fields[3], "little"), fields[4]
        if len(fields[3]) != (len(validators) + 7) // 8 or bits >> len(validators):
            return "its signers are not of this set"
        signers = [entry for place, entry in enumerate(validators) if bits >> place & 1]
        if len(seals) != SEAL_BYTES * len(signers):
            return f"it has {len(seals)} bytes of seals for {len(signers)} signers"
        content = self._type + _word(height) + _word(_number(fields[1])) + fields[2]
        digest = _hash(b"\x19\x01" + self._separator + _hash(content))
        for place, (address, _) in enumerate(signers):
            if self._recover(digest, seals[SEAL_BYTES * place : SEAL_BYTES * (place + 1)]) != address:
                return f"seal {place} is not its signer's"
        weight, total = sum(power for _, power in signers), sum(power for _, power in validators)
        if 3 * weight < 2 * total or (self._needs_more and 3 * weight == 2 * total):
            return f"its weight is {weight} of {total}"
        return None

    def _recover(self, digest: bytes, seal: bytes) -> bytes:
        known = self._recovered.get((digest, seal))
        if known is None:
            if len(self._recovered) >= RECOVERED_MAX:
                self._recovered.clear()
            try:
                key = coincurve.PublicKey.from_signature_and_message(seal, digest, hasher=None)
            except ValueError:
                return b""
            known = self._recovered[digest, seal] = _hash(key.format(compressed=False)[1:])[12:]
        return known


def _strings(data: bytes) -> list[bytes] | None:
    """Return the strings of an RLP list of strings, None for anything else."""
    found: list[bytes] = []
    at, end = _span(data, 0, 0xC0)
    if end != len(data):
        return None
    while at < end:
        if data[at] >= 0xC0:
            return None
        start, after = (at, at + 1) if data[at] < 0x80 else _span(data, at, 0x80)
        if after > end:
            return None
        found.append(data[start:after])
        at = after
    return found


def _span(data: bytes, at: int, offset: int) -> tuple[int, int]:
    """Return where the content of an item begins and ends; an end beyond the data when it is cut off."""
    length = data[at] - offset if at < len(data) else -1
    if not 0 <= length < 0x40:
        return at, len(data) + 1
    if length < 56:
        return at + 1, at + 1 + length
    start = at + 1 + length - 55
    return start, start + int.from_bytes(data[at + 1 : start], "big")


def _hash(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
