"""What a person asks of a deployment: a form with defaults for everything, checked when it is planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sdk.testnet.genesis.generator import FAUCET_BALANCE_DEFAULT_GWEI

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

IMAGE: Final = "moderntensor:testnet"
BASE_IMAGE: Final = "python:3.11-slim"
SERVICES: Final = ("bootstrap", "faucet", "explorer", "monitoring")
"""What can stand around the validators."""
PARVYOM: Final = "parvyom-testnet-v1"
"""The network of the plan for a public testnet: its Compose file has other services."""

ConsensusType = Literal["pos", "ibft"]


@dataclass(frozen=True, slots=True)
class DeploymentConfig:
    """A network and where its files go. Nothing is checked or written before it is planned."""

    network_name: str = "moderntensor-testnet"
    """Lower-case letters, digits, dots, dashes and underscores."""
    chain_id: int = 9999
    num_validators: int = 5
    genesis_dir: str | os.PathLike[str] | None = None
    """By default `genesis` in `output_dir`."""
    data_dir: str | os.PathLike[str] | None = None
    """Keys and chain data; by default `data` in `output_dir`."""
    output_dir: str | os.PathLike[str] | None = None
    """Where the Compose file goes; by default the parent of `genesis_dir`, or the current directory."""
    block_time_s: int = field(default=2, kw_only=True)
    consensus_type: ConsensusType = field(default="pos", kw_only=True)
    """"pos" weighs votes by stake, and its set stays; in an "ibft" network validators vote others in and out."""
    validator_stake: int = field(default=10_000_000, kw_only=True)
    """Whole tokens, each."""
    faucet_balance: int = field(default=FAUCET_BALANCE_DEFAULT_GWEI, kw_only=True)
    """Gwei."""
    accounts: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    """Further funded accounts of the first block: address, and how many gwei."""
    gas_limit: int = field(default=60_000_000, kw_only=True)
    block_reward_gwei: int = field(default=0, kw_only=True)
    bind_address: str = field(default="127.0.0.1", kw_only=True)
    """Where published ports listen on this machine; Docker's rules go before those of a firewall, so 0.0.0.0 is the whole world."""
    port_offset: int = field(default=0, kw_only=True)
    """Added to every published port."""
    services: tuple[str, ...] = field(default=SERVICES, kw_only=True)
    """Of `SERVICES`, those that the deployment has beside its validators."""
    image: str | None = field(default=None, kw_only=True)
    """Name of the image that is built; by default `moderntensor:testnet`."""
    base_image: str = field(default=BASE_IMAGE, kw_only=True)
    """What the image is built on: anything with Python 3.11 or later and its venv module."""
    wheel: str | os.PathLike[str] | None = field(default=None, kw_only=True)
    """A wheel of Metanode for the image; by default one of this installation."""
    preset: str | None = field(default=None, kw_only=True)
    """`parvyom-testnet-v1` makes the Compose file of its plan: bpci-server, validators, postgres, redis."""

    @property
    def output_path(self) -> Path:
        """Where the Compose file goes, absolute."""
        if self.output_dir is not None:
            return Path(self.output_dir).resolve()
        return Path("." if self.genesis_dir is None else Path(self.genesis_dir).parent).resolve()

    @property
    def genesis_path(self) -> Path:
        """The folder of the genesis, absolute."""
        return self.output_path / "genesis" if self.genesis_dir is None else Path(self.genesis_dir).resolve()

    @property
    def data_path(self) -> Path:
        """The folder of keys and chain data, absolute."""
        return self.output_path / "data" if self.data_dir is None else Path(self.data_dir).resolve()
