"""One run of the fuzzer as data: accounts, blocks, transactions; and its file, which a person can read, change and play again."""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.fuzz.transactions import Transaction


class Way(StrEnum):
    """Who makes the blocks."""

    GIVEN = "given"
    """The specification makes them, and our engine judges them."""
    BUILT = "built"
    """Our engine builds them from its pool, and the specification must come to the same bytes."""
    TRANSITION = "transition"
    """There are none: transactions run on a state, in surroundings that no chain need have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account before the first block."""

    address: bytes
    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One withdrawal of EIP-4895."""

    index: int
    validator: int
    address: bytes
    amount_gwei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What a block is made from."""

    seconds_after: int
    """After its parent's timestamp."""
    gas_limit_change: int
    coinbase: bytes
    prev_randao: bytes
    beacon_root: bytes
    extra_data: bytes
    withdrawals: tuple[Withdrawal, ...]
    transactions: tuple[Transaction, ...]
    """Good ones and bad ones; the specification says which are which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A chain from its genesis on; or, without a chain, what surrounds the transactions of its only block."""

    seed: int
    run: int
    fork: str
    """As the official tests write it: "Osaka"."""
    way: Way
    chain_id: int
    timestamp: int
    gas_limit: int
    base_fee: int
    excess_blob_gas: int
    number: int = 0
    """Of the block, where there is no chain."""
    difficulty: int = 0
    """The same."""
    accounts: tuple[Account, ...]
    blocks: tuple[Block, ...]


def save(scenario: Scenario, path: Path, *, finding: str) -> None:
    """Write a scenario with the sentence that says what went wrong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"finding": finding, "scenario": _to_json(scenario)}
    path.write_text(json.dumps(content, indent=1) + "\n")


def load(path: Path) -> Scenario:
    """Read a scenario that `save` wrote, perhaps changed by a person since."""
    scenario = _from_json(Scenario, json.loads(path.read_text())["scenario"])
    assert isinstance(scenario, Scenario)
    return scenario


def _to_json(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: _to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def _from_json(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _from_json(next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return tuple(_from_json(arguments[0], item) for item in value)
        return tuple(_from_json(each, item) for each, item in zip(arguments, value, strict=True))
    if kind is bytes:
        return bytes.fromhex(value.removeprefix("0x"))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _from_json(hints[name], item) for name, item in value.items()})
    return kind(value)
