"""The contracts that every network of ours starts with.

Four system contracts, without which Osaka blocks are invalid or the EVM lacks history; and the two that tools expect at their addresses
everywhere: the deterministic deployment factory and Multicall3. Runtime codes and hashes are in predeploys.json.
"""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Final

from metanode.crypto.addresses import parse_address
from metanode.crypto.hashing import keccak256
from metanode.primitives import hexadecimal
from metanode.primitives.types import Address

SYSTEM_CONTRACTS: Final = 4
"""The first entries of the table are those that the protocol itself calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predeploy:
    """One contract of the genesis state, with nonce 1 and no balance."""

    name: str
    address: Address
    code: bytes
    """Runtime code."""


@functools.cache
def load_predeploys() -> tuple[Predeploy, ...]:
    """Return the contracts of the package's table, each checked against the hash of its code."""
    found = []
    for entry in json.loads(resources.files(__package__).joinpath("predeploys.json").read_text()):
        code = hexadecimal.decode_data(entry["code"])
        assert keccak256(code) == hexadecimal.decode_data(entry["code_hash"]), entry["name"]
        found.append(Predeploy(name=entry["name"], address=parse_address(entry["address"]), code=code))
    return tuple(found)
