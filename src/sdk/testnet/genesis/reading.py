"""`genesis.json` read strictly: its shape, its types and its size; what the values mean is judged by `checks`.

The file may come from a stranger. All problems are found at once, each in a sentence that names its field, and nothing grows beyond a
bound: not the file, not its lists, not the list of problems.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from metanode.chain.validators import VALIDATORS_MAX
from metanode.errors import InvalidGenesis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
"""100,000 accounts take 12 MB."""
ACCOUNTS_MAX: Final = 100_000
"""The state root of so many takes 5 s."""
BOOTSTRAP_NODES_MAX: Final = 100
"""A node needs one that answers."""
PROBLEMS_MAX: Final = 50
"""A file with more is not a genesis configuration."""

NESTING_MAX: Final = 16
"""A configuration has four levels. The parser recurses, and in a process that has raised Python's own limit it would overflow the stack."""

_SHOWN_CHARACTERS: Final = 80
_TEXT_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_KINDS: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a whole number",
    dict: "an object",
    list: "a list",
}
_ROOT: Final[Mapping[str, type]] = {
    "chain_id": int,
    "network_name": str,
    "genesis_time": str,
    "consensus": dict,
    "network": dict,
    "total_supply": int,
    "decimals": int,
    "gas_limit": int,
    "block_reward_gwei": int,
    "initial_validators": list,
    "initial_accounts": list,
}
_CONSENSUS: Final[Mapping[str, type]] = {
    "type": str,
    "epoch_length": int,
    "slot_duration": int,
    "validator_count": int,
    "min_stake": int,
}
_NETWORK: Final[Mapping[str, type]] = {
    "chain_id": int,
    "network_name": str,
    "p2p_port": int,
    "rpc_port": int,
    "max_peers": int,
    "bootstrap_nodes": list,
}
_VALIDATOR: Final[Mapping[str, type]] = {"address": str, "stake": int, "public_key": str, "name": str}
_ACCOUNT: Final[Mapping[str, type]] = {"address": str, "balance": int, "nonce": int}


def read_genesis_file(path: Path) -> bytes:
    """Return the content of a file of bounded size; raises InvalidGenesis."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidGenesis(f"can't be read: {error.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise InvalidGenesis(f"expected at most {FILE_BYTES_MAX} bytes, found more")
    return content


def parse_document(text: bytes | str) -> object:
    """Return parsed JSON; raises InvalidGenesis, also for a key that stands twice, which two readers would read differently."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        _check_nesting(text)
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidGenesis(f"genesis: expected JSON: {error}") from None


def read_genesis(data: object) -> dict[str, Any]:
    """Return the fields of a `genesis.json` with the right names and types; raises InvalidGenesis with a line for each problem."""
    found = _Reading()
    root = found.read_object(
        data, _ROOT, "genesis", "chain_id", "network_name", "genesis_time", "consensus", "network"
    )
    consensus = found.read_object(root.get("consensus"), _CONSENSUS, "consensus")
    network = found.read_object(root.get("network"), _NETWORK, "network")
    bootstrap_nodes = found.read_list(
        network.get("bootstrap_nodes", []), BOOTSTRAP_NODES_MAX, "network.bootstrap_nodes"
    )
    for index, enode in enumerate(bootstrap_nodes):
        found.is_kind(enode, str, f"network.bootstrap_nodes[{index}]")
    validators = found.read_entries(
        root.get("initial_validators", []),
        VALIDATORS_MAX,
        "initial_validators",
        lambda entry, where: found.read_object(entry, _VALIDATOR, where, "address", "stake", "public_key"),
    )
    accounts = found.read_entries(
        root.get("initial_accounts", []),
        ACCOUNTS_MAX,
        "initial_accounts",
        lambda entry, where: found.read_object(entry, _ACCOUNT, where, "address", "balance"),
    )
    if found.problems:
        raise InvalidGenesis("\n".join(found.problems))
    return root | {
        "consensus": consensus,
        "network": network,
        "initial_validators": validators,
        "initial_accounts": accounts,
    }


def shown(value: object) -> str:
    """Return a value as a sentence shows it: on one line, and not too long."""
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a number of over 4,300 digits, or whatever an object of the caller raises
        return f"something of the type {type(value).__name__} that can't be shown"
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


class _Reading:
    """Collects a sentence for each field that is wrong; what it returns then is a harmless stand-in."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def add(self, sentence: str) -> None:
        """Keep a sentence; ends the reading when there are too many."""
        self.problems.append(sentence)
        if len(self.problems) >= PROBLEMS_MAX:
            raise InvalidGenesis(
                "\n".join([*self.problems, f"and perhaps more: reading ended after {PROBLEMS_MAX} problems"])
            )

    def is_kind(self, value: object, kind: type, where: str) -> bool:
        """Whether a value has the type, to the letter: True is no number."""
        if type(value) is kind:
            return True
        self.add(f"{where}: expected {_KINDS[kind]}, found {shown(value)}")
        return False

    def read_object(
        self, value: object, fields: Mapping[str, type], where: str, *required: str
    ) -> dict[str, Any]:
        """Return the known fields that have the right type."""
        if not isinstance(value, dict):
            if value is not None or where == "genesis":
                self.is_kind(value, dict, where)
            return {}
        prefix = "" if where == "genesis" else f"{where}."
        content: dict[str, Any] = {}
        for key, entry in value.items():
            if key not in fields:
                near = difflib.get_close_matches(str(key)[:_SHOWN_CHARACTERS], fields, n=1)
                self.add(
                    f"{prefix}{shown(key)[1:-1]}: unknown field"
                    + (f", did you mean {near[0]!r}?" if near else "")
                )
            elif self.is_kind(entry, fields[key], f"{prefix}{key}"):
                content[key] = entry
        for key in required:
            if key not in value:
                self.add(f"{prefix}{key}: missing; expected {_KINDS[fields[key]]}")
        return content

    def read_list(self, value: list[object], entries_max: int, where: str) -> list[object]:
        """Return the list when it is not too long."""
        if len(value) <= entries_max:
            return value
        self.add(f"{where}: expected at most {entries_max} entries, found {len(value)}")
        return []

    def read_entries(
        self,
        value: list[object],
        entries_max: int,
        where: str,
        read: Callable[[object, str], dict[str, Any]],
    ) -> list[dict[str, Any]]:
        """Return what `read` makes of each entry."""
        entries = self.read_list(value, entries_max, where)
        return [
            read(entry, f"{where}[{index}]") if self.is_kind(entry, dict, f"{where}[{index}]") else {}
            for index, entry in enumerate(entries)
        ]


def _check_nesting(text: str) -> None:
    depth = 0
    for token in _TEXT_OR_BRACKET.finditer(text):
        first = token.group()[0]
        if first in "[{":
            depth += 1
            if depth > NESTING_MAX:
                raise ValueError(f"objects and lists are nested deeper than {NESTING_MAX}")
        elif first in "]}":
            depth -= 1


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {shown(key)} stands twice in one object")
        content[key] = value
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
