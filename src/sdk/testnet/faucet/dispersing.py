"""Many payouts in one transaction: the contract `Disperse`, where it is, how it is called, and what its receipt says.

The contract has the same address on every chain that has the deterministic deployment factory, ours among them from their first block: the
faucet puts it there when a queue is first long enough for it. Its source is `contracts/Disperse.vy`.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.hashing import keccak256
from metanode.primitives.hexadecimal import decode_data
from metanode.primitives.types import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

FACTORY: Final = Address(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))
"""The deterministic deployment factory: a salt and the init code are its whole input."""
SALT: Final = bytes(32)
RECIPIENTS_MAX: Final = 100
DEPLOYMENT_GAS: Final = 600_000
"""896 bytes at 200 gas each, and everything else, twice over."""
GAS_BASE: Final = 120_000
GAS_A_RECIPIENT: Final = 75_000
"""A cold new account that burns all it is given: 2,600 + 9,000 + 25,000 + 30,000, its calldata, and an event."""
_SELECTOR: Final = keccak256(b"disperse(address[],uint256[])")[:4]
_REFUSED: Final = keccak256(b"Refused(uint256)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """`Disperse` as it was compiled."""

    initcode: bytes
    runtime: bytes
    address: Address


@functools.cache
def load_contract() -> Contract:
    """Return the contract of the package."""
    compiled = json.loads((resources.files(__package__) / "contracts" / "Disperse.json").read_text())
    initcode = decode_data(compiled["initcode"])
    created = keccak256(b"\xff" + FACTORY + SALT + keccak256(initcode))
    return Contract(
        initcode=initcode, runtime=decode_data(compiled["runtime"]), address=Address(created[12:])
    )


def deployment_calldata() -> bytes:
    """Return what the factory is sent."""
    return SALT + load_contract().initcode


def disperse_calldata(recipients: Sequence[bytes], amounts_wei: Sequence[int]) -> bytes:
    """Return the call that pays `amounts_wei[i]` to `recipients[i]`."""
    assert len(recipients) == len(amounts_wei) <= RECIPIENTS_MAX
    words = [2 * 32, (3 + len(recipients)) * 32, len(recipients)]
    words += [int.from_bytes(one, "big") for one in recipients]
    words += [len(amounts_wei), *amounts_wei]
    return _SELECTOR + b"".join(word.to_bytes(32, "big") for word in words)


def gas_of(recipients: int) -> int:
    """Return the gas limit with which even recipients that burn everything are paid in one call."""
    return GAS_BASE + recipients * GAS_A_RECIPIENT


def refused_of(logs: Sequence[dict[str, Any]]) -> frozenset[int]:
    """Return which recipients refused their coins, by their places in the call, from the logs of a receipt."""
    contract = load_contract().address
    return frozenset(
        int.from_bytes(decode_data(log["data"], length=32), "big")
        for log in logs
        if decode_data(log["address"]) == contract
        and [decode_data(one) for one in log["topics"]] == [_REFUSED]
    )
