"""What a person says of a new network: a form, and its JSON.

These classes take any value and may be changed until they are used, as a form does: `checks.find_problems` says everything that is wrong
with one at once, and nothing is built before that. Reading a file is strict about its shape (`reading`), so what was loaded has the types
that stand here. Positional arguments are in the order of the fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from metanode.chain.forks import GAS_TARGET_DEFAULT
from metanode.errors import InvalidGenesis
from sdk.testnet.deployment.apply.layout import write_atomic
from sdk.testnet.genesis.reading import parse_document, read_genesis, read_genesis_file

if TYPE_CHECKING:
    from os import PathLike

TOTAL_SUPPLY_DEFAULT: Final = 1_000_000_000
DECIMALS: Final = 18
"""Of the native token, in every Ethereum tool."""


@dataclass(slots=True)
class ValidatorConfig:
    """One validator of the first block."""

    address: str
    """0x and 40 hexadecimal digits."""
    stake: int
    """Whole tokens; with consensus type "pos" the weight of its votes."""
    public_key: str
    """0x and the 64 bytes of the secp256k1 key that `address` is of; 65 with the prefix 04, or compressed 33, are taken too."""
    name: str | None = None
    """For people."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them; a missing name is left out."""
        content = {"address": self.address, "stake": self.stake, "public_key": self.public_key}
        return content if self.name is None else content | {"name": self.name}


@dataclass(slots=True)
class AccountConfig:
    """An account that exists from the first block on."""

    address: str
    balance: int
    """Gwei: 100_000_000_000 are 100 tokens."""
    nonce: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {"address": self.address, "balance": self.balance, "nonce": self.nonce}


@dataclass(slots=True)
class ConsensusConfig:
    """How the network decides."""

    type: str = "pos"
    """"pos" weighs votes and turns by stake, "ibft" gives each validator one."""
    epoch_length: int = 100
    """Blocks."""
    slot_duration: int = 12
    """Seconds from block to block."""
    validator_count: int = 21
    """The largest set."""
    min_stake: int = 1_000_000
    """Whole tokens that a validator has at least."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {
            "type": self.type,
            "epoch_length": self.epoch_length,
            "slot_duration": self.slot_duration,
            "validator_count": self.validator_count,
            "min_stake": self.min_stake,
        }


@dataclass(slots=True)
class NetworkConfig:
    """Where nodes listen and whom they meet."""

    chain_id: int
    network_name: str
    p2p_port: int = 30303
    rpc_port: int = 8545
    max_peers: int = 50
    bootstrap_nodes: list[str] = field(default_factory=list)
    """`enode://` addresses that a node dials first."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them; no bootstrap nodes are left out."""
        content = {
            "chain_id": self.chain_id,
            "network_name": self.network_name,
            "p2p_port": self.p2p_port,
            "rpc_port": self.rpc_port,
            "max_peers": self.max_peers,
        }
        return content | {"bootstrap_nodes": self.bootstrap_nodes} if self.bootstrap_nodes else content


@dataclass(slots=True)
class GenesisConfig:
    """A network before its first block; `genesis.json` is its JSON."""

    chain_id: int
    network_name: str
    genesis_time: str
    """ISO 8601 with its zone, whole seconds: 2026-01-05T00:00:00Z. Slots are counted from it."""
    consensus: ConsensusConfig
    network: NetworkConfig
    initial_validators: list[ValidatorConfig] = field(default_factory=list)
    initial_accounts: list[AccountConfig] = field(default_factory=list)
    total_supply: int = TOTAL_SUPPLY_DEFAULT
    """Whole tokens: stakes and balances together are at most this."""
    decimals: int = DECIMALS
    gas_limit: int = GAS_TARGET_DEFAULT
    """Of the first block, and the target after it."""
    block_reward_gwei: int = 0
    """Paid for each block to the fee recipient that its proposer chose."""

    def to_dict(self) -> dict[str, Any]:
        """The content of `genesis.json`.

        `network` repeats chain id and name only where they contradict the ones above it; gas limit and reward stand there when they
        are not the default.
        """
        network = self.network.to_dict()
        for key, above in (("chain_id", self.chain_id), ("network_name", self.network_name)):
            # Of the same type, as 1 and True are one number.
            if type(network[key]) is type(above) and network[key] == above:
                del network[key]
        content: dict[str, Any] = {
            "chain_id": self.chain_id,
            "network_name": self.network_name,
            "genesis_time": self.genesis_time,
            "consensus": self.consensus.to_dict(),
            "network": network,
            "total_supply": self.total_supply,
            "decimals": self.decimals,
        }
        if self.gas_limit != GAS_TARGET_DEFAULT:
            content["gas_limit"] = self.gas_limit
        if self.block_reward_gwei != 0:
            content["block_reward_gwei"] = self.block_reward_gwei
        content["initial_validators"] = [validator.to_dict() for validator in self.initial_validators]
        content["initial_accounts"] = [account.to_dict() for account in self.initial_accounts]
        return content

    def to_json(self, indent: int | None = 2) -> str:
        """`to_dict` as JSON text; what JSON can't hold stands there as its representation, and is refused when it is read."""
        try:
            return json.dumps(self.to_dict(), indent=indent, default=repr)
        except (ValueError, RecursionError) as error:
            raise InvalidGenesis(f"genesis: can't be written as JSON: {error}") from None

    @classmethod
    def from_dict(cls, data: object) -> GenesisConfig:
        """Return the configuration of a parsed `genesis.json`.

        Values may still be impossible together: `GenesisGenerator.validate_config` says so.

        Raises:
            InvalidGenesis: when a field is missing, unknown or of another type; one line for each.
        """
        content = read_genesis(data)
        network = {
            "chain_id": content["chain_id"],
            "network_name": content["network_name"],
            **content["network"],
        }
        return cls(
            **content
            | {
                "consensus": ConsensusConfig(**content["consensus"]),
                "network": NetworkConfig(**network),
                "initial_validators": [ValidatorConfig(**entry) for entry in content["initial_validators"]],
                "initial_accounts": [AccountConfig(**entry) for entry in content["initial_accounts"]],
            }
        )

    @classmethod
    def from_json(cls, text: bytes | str) -> GenesisConfig:
        """Return the configuration of JSON text; raises InvalidGenesis as `from_dict` does."""
        return cls.from_dict(parse_document(text))

    def save(self, path: str | PathLike[str]) -> None:
        """Write `genesis.json`, whole or not at all; an older file of this name is replaced."""
        write_atomic(Path(path), self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> GenesisConfig:
        """Read a `genesis.json`; raises InvalidGenesis, each line of which names the file."""
        try:
            return cls.from_json(read_genesis_file(Path(path)))
        except InvalidGenesis as error:
            raise InvalidGenesis("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
