"""The first block itself, and the chain specification that nodes start from, of a configuration without problems. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from metanode.chain.genesis import make_genesis, parse_genesis
from metanode.chain.quorum import QuorumRule
from metanode.chain.validators import Validator, ValidatorSet
from metanode.crypto.addresses import format_address, parse_address
from metanode.primitives import hexadecimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metanode.chain.genesis import Genesis
    from metanode.primitives.types import Hash32
    from sdk.testnet.genesis.configuration import GenesisConfig

QUORUM_RULES: Final[Mapping[str, QuorumRule]] = {"pos": QuorumRule.STAKE, "ibft": QuorumRule.AUTHORITY}
"""By the consensus type of a configuration."""
WEI_PER_GWEI: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisHeader:
    """The header of the first block: what consensus signs below, and what Ethereum tools show."""

    height: int
    hash: Hash32
    """Consensus hash: nodes with another one are another network."""
    previous_hash: Hash32
    """32 zero bytes."""
    timestamp: int
    """Seconds since the Unix epoch."""
    chain_tag: Hash32
    """Hash of the consensus parameters."""
    execution_hash: Hash32
    """What `eth_getBlockByNumber` shows as the hash of block 0."""
    state_root: Hash32
    """Of the accounts."""
    gas_limit: int
    validators_hash: Hash32
    consensus_state_root: Hash32

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them: hashes with 0x, numbers as numbers."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: hexadecimal.encode_data(value) if isinstance(value, bytes) else value
            for name, value in values.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisBlock:
    """The first block of a network, the very one that its nodes start from."""

    header: GenesisHeader
    transactions: list[bytes] = field(default_factory=list)
    """None: what exists from the start stands in the state."""
    chain_id: int
    network_name: str
    genesis: Genesis = field(repr=False)
    """All that a node derives from the chain specification."""
    specification: bytes = field(repr=False)
    """The chain specification, as `export_config` writes it."""

    @property
    def hash(self) -> Hash32:
        """The header's."""
        return self.header.hash

    def to_dict(self) -> dict[str, Any]:
        """The content of `genesis_block.json`."""
        return {
            "hash": hexadecimal.encode_data(self.hash),
            "chain_id": self.chain_id,
            "network_name": self.network_name,
            "header": self.header.to_dict(),
            "transactions": self.transactions,
        }


def make_block(config: GenesisConfig) -> GenesisBlock:
    """Return the first block of a configuration that `checks.find_problems` finds nothing wrong with."""
    specification = (json.dumps(make_specification(config), indent=2) + "\n").encode()
    genesis = parse_genesis(specification)
    header, execution = genesis.header, genesis.execution_header
    return GenesisBlock(
        header=GenesisHeader(
            height=header.height,
            hash=header.hash,
            previous_hash=header.parent_hash,
            timestamp=header.timestamp,
            chain_tag=header.chain_tag,
            execution_hash=header.execution_hash,
            state_root=execution.state_root,
            gas_limit=execution.gas_limit,
            validators_hash=header.validators_hash,
            consensus_state_root=header.consensus_state_root,
        ),
        chain_id=genesis.chain_id,
        network_name=genesis.network_name,
        genesis=genesis,
        specification=specification,
    )


def make_specification(config: GenesisConfig) -> dict[str, Any]:
    """Return the chain specification, geth's format, of a configuration without problems."""
    rule = QUORUM_RULES[config.consensus.type]
    content = make_genesis(
        network_name=config.network_name,
        chain_id=config.chain_id,
        genesis_time=parse_time(config.genesis_time),
        validators=ValidatorSet.of(
            Validator(
                address=parse_address(validator.address),
                power=validator.stake if rule is QuorumRule.STAKE else 1,
            )
            for validator in config.initial_validators
        ),
        balances={
            parse_address(account.address): account.balance * WEI_PER_GWEI
            for account in config.initial_accounts
            # An account with neither is one that does not exist; clients disagree about writing it down.
            if account.balance or account.nonce
        },
        quorum_rule=rule,
        period_s=config.consensus.slot_duration,
        epoch_length=config.consensus.epoch_length,
        reward_gwei=config.block_reward_gwei,
        gas_limit=config.gas_limit,
        validators_max=config.consensus.validator_count,
    )
    for account in config.initial_accounts:
        if account.nonce:
            entry = content["alloc"][format_address(parse_address(account.address))]
            entry["nonce"] = hexadecimal.encode_quantity(account.nonce)
    return content


def parse_time(text: str) -> int:
    """Return ISO 8601 as seconds since the Unix epoch; raises ValueError that says what is missing."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("it has no zone")
    if moment.microsecond:
        raise ValueError("it has parts of a second")
    return int(moment.timestamp())
