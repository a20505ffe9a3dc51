"""Which network a node belongs to: its genesis file, or what the configuration says of a network that starts from it.

A genesis file wins; what the configuration sets beside it must agree. Without a file, every node whose configuration says
the same makes the same genesis.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.chain.genesis import Genesis, make_genesis, parse_genesis
from metanode.chain.validators import ValidatorSet
from metanode.errors import InvalidGenesis, InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.node.config import NodeConfig
    from metanode.primitives.types import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkGenesis:
    """The genesis and its bytes, which the engine reads too."""

    genesis: Genesis
    document: bytes
    """The geth-format JSON."""
    warnings: tuple[str, ...]


def find_genesis(
    config: NodeConfig, *, home: Path, genesis_file: Path | None, own_address: Address | None
) -> NetworkGenesis:
    """The genesis of `genesis_file`, of `home/genesis.json`, or of the configuration, in this order.

    Raises:
        InvalidInput: when there is none, it can't be used, or the configuration contradicts it; every problem is a line.
    """
    path = genesis_file or home / "genesis.json"
    # A link that leads nowhere is a file that has not come yet, not the wish for a network of one's own.
    if genesis_file is not None or path.exists() or path.is_symlink():
        return _from_file(config, path)
    validators = config.consensus.validators
    warnings: tuple[str, ...] = ()
    if not validators:
        if own_address is None:
            raise InvalidInput(
                f"no genesis: {path} does not exist, and the configuration lists no consensus.validators; "
                "put the network's genesis.json there, or name it with --genesis"
            )
        validators = (own_address,)
        warning = (
            f"no genesis: {path} does not exist, and the configuration lists no consensus.validators; this node starts a "
            "network of its own with itself as the only validator. To join a network, name its genesis file with --genesis"
        )
        warnings = (warning,)
    document = json.dumps(
        make_genesis(
            network_name=config.network.network_id,
            chain_id=config.network.chain_id,
            genesis_time=config.consensus.genesis_time,
            validators=ValidatorSet.of_addresses(validators),
            balances={},
            period_s=config.consensus.block_time,
            gas_limit=config.mining.gas_limit,
            reward_gwei=config.mining.block_reward_gwei if config.mining.rewards else 0,
        )
    ).encode()
    genesis = parse_genesis(document)
    return NetworkGenesis(genesis=genesis, document=document, warnings=(*warnings, *genesis.warnings))


def _from_file(config: NodeConfig, path: Path) -> NetworkGenesis:
    try:
        document = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: can't be read: {error.strerror}") from None
    try:
        genesis = parse_genesis(document)
    except InvalidGenesis as error:
        raise InvalidGenesis("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
    problems = list(_contradictions(config, genesis, path))
    if problems:
        raise InvalidInput("\n".join(problems))
    return NetworkGenesis(genesis=genesis, document=document, warnings=genesis.warnings)


def _contradictions(config: NodeConfig, genesis: Genesis, path: Path) -> list[str]:
    """What the configuration sets by itself must be what the file says; defaults say nothing."""
    parameters = genesis.parameters
    rewards = config.mining.block_reward_gwei if config.mining.rewards else 0
    reward_fields = {"rewards", "block_reward_gwei"} & config.mining.model_fields_set
    said = [
        ("network.chain_id", "chain_id" in config.network.model_fields_set, config.network.chain_id, genesis.chain_id),
        ("network.network_id", "network_id" in config.network.model_fields_set, config.network.network_id, genesis.network_name),
        ("consensus.block_time", "block_time" in config.consensus.model_fields_set, config.consensus.block_time, parameters.period_s),
        ("mining.rewards", bool(reward_fields), rewards, parameters.reward_gwei),
        ("mining.gas_limit", "gas_limit" in config.mining.model_fields_set, config.mining.gas_limit, parameters.forks[0].gas_target),
    ]  # fmt: skip
    problems = [
        f"{name}: the configuration says {ours}, {path} says {theirs}; make them agree"
        for name, is_set, ours, theirs in said
        if is_set and ours != theirs
    ]
    if config.consensus.validators and set(config.consensus.validators) != set(
        parameters.validators.addresses
    ):
        problems.append(
            f"consensus.validators: the configuration lists others than {path}; remove them, the file decides"
        )
    return problems
