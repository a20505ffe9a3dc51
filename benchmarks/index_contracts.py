"""The contracts of a generated index: tokens, some of them with sources as somebody has verified them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.hashing import keccak256

if TYPE_CHECKING:
    from collections.abc import Sequence

VERIFIED_EACH: Final = 2
"""Of two contracts one is verified."""
CODES: Final = 3
"""Different codes: who is not verified has a twin with the same code that is."""
CODE: Final = b"\x60\x80\x60\x40" + bytes(3_000)
"""What every contract has, as long as a usual token's."""
TRANSFER: Final = keccak256(b"transfer(address,uint256)")[:4]
SOURCE: Final = "contracts/Token.sol"
"""The file of a verified contract."""
_COMPILER: Final = "0.8.28+commit.7893614a"
_LINES: Final = 600
"""Of all files together: a token with the libraries that it is made of."""


def contract_row(number: int, created_at: int, verified_at: int) -> tuple[Any, ...]:
    """Return the row of `contracts` of an account."""
    code_hash = keccak256(CODE + bytes([number % CODES]))
    base = (number, code_hash, len(CODE), created_at)
    if number % VERIFIED_EACH:
        return (*base, *[None] * 13)
    return (
        *base, "match", verified_at, "Token", _COMPILER, "Solidity", _ABI, _STANDARD_JSON, _METADATA, b"", "match", "match",
        SOURCE, "{}",
    )  # fmt: skip


def transfer_input(recipient: bytes, amount: bytes) -> bytes:
    """Return the input of a token's transfer; both are words of 32 bytes."""
    return TRANSFER + recipient + amount


def _function(name: str, inputs: Sequence[str], outputs: Sequence[str], *, is_view: bool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "stateMutability": "view" if is_view else "nonpayable",
        "inputs": [{"name": f"_{place}", "type": kind} for place, kind in enumerate(inputs)],
        "outputs": [{"name": "", "type": kind} for kind in outputs],
    }


def _event(name: str) -> dict[str, Any]:
    inputs = [("from", "address", True), ("to", "address", True), ("value", "uint256", False)]
    return {
        "type": "event",
        "name": name,
        "anonymous": False,
        "inputs": [{"name": each, "type": kind, "indexed": indexed} for each, kind, indexed in inputs],
    }


def _file(name: str, first: int) -> str:
    """Some lines of Solidity, as long as code with its comments is."""
    lines = [
        "// SPDX-License-Identifier: MIT",
        "pragma solidity ^0.8.28;",
        "",
        f"abstract contract {name} {{",
    ]
    for number in range(first, first + _LINES // 3 // 5):
        lines += [
            f"    /// @notice Gives what the holder of place {number} may move, and says so by an event.",
            f"    function _move{number}(address from, address to, uint256 value) internal virtual {{",
            f"        if (balances[from] < value) revert Insufficient(from, {number}, value);",
            "        unchecked { balances[from] -= value; balances[to] += value; }",
            "    }",
        ]
    return "\n".join([*lines, "}", ""])


_ABI: Final = json.dumps(
    [
        _function("name", (), ("string",), is_view=True),
        _function("symbol", (), ("string",), is_view=True),
        _function("decimals", (), ("uint8",), is_view=True),
        _function("totalSupply", (), ("uint256",), is_view=True),
        _function("balanceOf", ("address",), ("uint256",), is_view=True),
        _function("allowance", ("address", "address"), ("uint256",), is_view=True),
        _function("transfer", ("address", "uint256"), ("bool",), is_view=False),
        _function("approve", ("address", "uint256"), ("bool",), is_view=False),
        _function("transferFrom", ("address", "address", "uint256"), ("bool",), is_view=False),
        _event("Transfer"),
        _event("Approval"),
    ]
)
_STANDARD_JSON: Final = json.dumps(
    {
        "language": "Solidity",
        "sources": {
            path: {"content": _file(name, place * 1_000)}
            for place, (path, name) in enumerate(
                ((SOURCE, "Token"), ("contracts/Ownable.sol", "Ownable"), ("contracts/Ledger.sol", "Ledger"))
            )
        },
        "settings": {"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "cancun"},
    }
)
_METADATA: Final = json.dumps(
    {"compiler": {"version": _COMPILER}, "language": "Solidity", "output": {"abi": json.loads(_ABI)}}
)
