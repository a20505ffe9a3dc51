"""Contracts that run another's code: where that code is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.addresses import format_address
from metanode.crypto.hashing import keccak256
from metanode.errors import MetanodeError
from metanode.primitives.hexadecimal import decode_data
from sdk.testnet.services.explorer.reading import LIVE_TIMEOUT_S

if TYPE_CHECKING:
    from sdk.testnet.services.node_pool import Node


def _before(text: str) -> bytes:
    """The slot before a text's hash, which no compiler gives to a variable (EIP-1967)."""
    return (int.from_bytes(keccak256(text.encode()), "big") - 1).to_bytes(32, "big")


SLOTS: Final = (
    ("EIP-1967", _before("eip1967.proxy.implementation")),
    ("EIP-1822", keccak256(b"PROXIABLE")),
    ("EIP-1967 beacon", _before("eip1967.proxy.beacon")),
)
"""Where proxies keep the address of their code; a beacon is asked for it."""
_IMPLEMENTATION: Final = f"0x{keccak256(b'implementation()')[:4].hex()}"
_DELEGATION: Final = bytes.fromhex("ef0100")
_CLONE: Final = (bytes.fromhex("363d3d373d3d3d363d73"), bytes.fromhex("5af43d82803e903d91602b57fd5bf3"))
"""Around the address in the code of an EIP-1167 clone."""
_NOBODY: Final = bytes(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """The contract whose code another one runs."""

    address: bytes
    standard: str
    """EIP that says so."""


def implementation_in(code: bytes) -> Implementation | None:
    """Return the contract that code itself names: of an EIP-7702 delegation, of an EIP-1167 clone."""
    if len(code) == len(_DELEGATION) + 20 and code.startswith(_DELEGATION):
        return Implementation(address=code[len(_DELEGATION) :], standard="EIP-7702")
    before, after = _CLONE
    if len(code) == len(before) + 20 + len(after) and code.startswith(before) and code.endswith(after):
        return Implementation(address=code[len(before) : len(before) + 20], standard="EIP-1167")
    return None


async def find_implementation(nodes: Node, address: bytes) -> Implementation | None:
    """Return the contract whose code an address runs now; None where it runs its own, and while no node tells."""
    text = format_address(address)
    try:
        async with asyncio.timeout(LIVE_TIMEOUT_S):
            code, *words = await nodes.batch(
                [("eth_getCode", [text, "latest"])]
                + [("eth_getStorageAt", [text, f"0x{slot.hex()}", "latest"]) for _, slot in SLOTS]
            )
            named = implementation_in(decode_data(code))
            if named is not None:
                return named
            for (standard, _), word in zip(SLOTS, words, strict=True):
                found = _address(word)
                if found is None:
                    continue
                if standard == "EIP-1967 beacon":
                    call = {"to": format_address(found), "data": _IMPLEMENTATION}
                    found = _address(await nodes.call("eth_call", call, "latest"))
                if found is not None:
                    return Implementation(address=found, standard=standard)
    except (TimeoutError, MetanodeError, TypeError):
        return None
    return None


def _address(word: Any) -> bytes | None:
    """The address in 32 bytes; None for zero and for what is none."""
    raw = decode_data(word)
    is_address = len(raw) == 32 and raw[:12] == bytes(12) and raw[12:] != _NOBODY
    return raw[12:] if is_address else None
