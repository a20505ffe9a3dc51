"""The first block of a network, from a configuration that people write: fill in, check everything at once, export.

`GenesisGenerator` makes a `GenesisConfig`, says all that is wrong with it, and writes the files that nodes start from. Units are those
of the configuration file: stakes and supply in whole tokens, balances in gwei, durations in seconds and blocks.
"""

from sdk.testnet.genesis.block import GenesisBlock, GenesisHeader
from sdk.testnet.genesis.configuration import (
    AccountConfig,
    ConsensusConfig,
    GenesisConfig,
    NetworkConfig,
    ValidatorConfig,
)
from sdk.testnet.genesis.generator import GenesisGenerator, GenesisWarning

__all__ = [
    "AccountConfig",
    "ConsensusConfig",
    "GenesisBlock",
    "GenesisConfig",
    "GenesisGenerator",
    "GenesisHeader",
    "GenesisWarning",
    "NetworkConfig",
    "ValidatorConfig",
]
