"""Deployments with keys that everybody knows, so that their texts are the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.deployment import DeploymentConfig
from sdk.testnet.deployment.container_config import BOOTSTRAP, COORDINATOR, FAUCET
from sdk.testnet.deployment.deployment_plan import DeploymentPlan, Identity, Owner, plan_deployment
from sdk.testnet.genesis import GenesisBlock, GenesisConfig, GenesisGenerator
from sdk.testnet.genesis.configuration import ConsensusConfig, NetworkConfig, ValidatorConfig

OWNER = Owner(1000, 1000)
FOLDER = Path("/srv/testnet")


def key(number: int) -> PrivateKey:
    return PrivateKey(bytes([number]) * 32)


def identity(number: int, *, votes: bool = True) -> Identity:
    return Identity(
        validator=key(number).address if votes else None,
        public_key=key(number).public_key if votes else None,
        node_id=key(100 + number).public_key,
    )


def plan(**parameters: Any) -> DeploymentPlan:
    """A plan in a folder that need not exist."""
    return plan_deployment(DeploymentConfig(output_dir=FOLDER, **parameters), owner=OWNER)


def identities(of: DeploymentPlan) -> dict[str, Identity]:
    found = {node.name: identity(number) for number, node in enumerate(of.network.validators, start=1)}
    found[FAUCET] = Identity(validator=None, public_key=None, node_id=b"", account=key(60).address)
    if of.has(BOOTSTRAP):
        found[BOOTSTRAP] = identity(50, votes=False)
    if of.is_parvyom:
        found[COORDINATOR] = identity(51, votes=False)
    return found


def block(of: DeploymentPlan) -> GenesisBlock:
    config = of.config
    validators = [
        ValidatorConfig(
            address=format_address(found.validator),
            stake=config.validator_stake,
            public_key="0x" + found.public_key.hex(),
        )
        for found in identities(of).values()
        if found.validator is not None and found.public_key is not None
    ]
    return GenesisGenerator(
        GenesisConfig(
            chain_id=config.chain_id,
            network_name=config.network_name,
            genesis_time="2026-01-05T00:00:00Z",
            consensus=ConsensusConfig(
                type=config.consensus_type,
                slot_duration=config.block_time_s,
                validator_count=max(21, config.num_validators),
            ),
            network=NetworkConfig(chain_id=config.chain_id, network_name=config.network_name),
            initial_validators=validators,
            total_supply=of.total_supply,
        )
    ).generate_genesis_block()
