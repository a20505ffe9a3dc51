"""What a person asks of a deployment: a form with defaults for everything, checked when it is planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sdk.testnet.deployment.plan import FAUCET_BALANCE_GWEI, PRESETS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

IMAGE: Final = "moderntensor:testnet"
BASE_IMAGE: Final = "python:3.11-slim"
SERVICES: Final = ("bootstrap", "faucet", "explorer", "gateway", "monitoring")
"""What can stand around the validators."""
PARVYOM: Final = "parvyom-testnet-v1"
"""The network of the plan for a public testnet: its Compose file has other services."""

ConsensusType = Literal["pos", "ibft"]

PRESET_DEFAULT: Final = "moderntensor-testnet"
_CONSENSUS: Final[dict[str, ConsensusType]] = {PRESET_DEFAULT: "pos", PARVYOM: "ibft"}
_BY_PRESET: Any = None
"""Of a field that a preset says; a field with None is one of these too."""


def facts_of(preset: str | None) -> Mapping[str, Any]:
    """What a preset says, by the names of fields; a preset that is not known says what none does."""
    name = preset if preset in _CONSENSUS else PRESET_DEFAULT
    spec = PRESETS[name]
    return {
        "network_name": spec.network_name,
        "chain_id": spec.chain_id,
        "num_validators": spec.validator_count,
        "block_time_s": spec.block_time_s,
        "consensus_type": _CONSENSUS[name],
        "gas_limit": spec.gas_limit,
        "block_reward_gwei": spec.block_reward_gwei,
    }


@dataclass(frozen=True, slots=True)
class DeploymentConfig:
    """A network and where its files go. Nothing is checked or written before it is planned.

    What stands under `facts_of` comes from the preset where nobody gives it.
    """

    network_name: str = _BY_PRESET
    """Lower-case letters, digits, dots, dashes and underscores; by default `moderntensor-testnet`."""
    chain_id: int = _BY_PRESET
    """EIP-155; by default 9999."""
    num_validators: int = _BY_PRESET
    """By default five."""
    genesis_dir: str | os.PathLike[str] | None = None
    """By default `genesis` in `output_dir`."""
    data_dir: str | os.PathLike[str] | None = None
    """Keys and chain data; by default `data` in `output_dir`."""
    output_dir: str | os.PathLike[str] | None = None
    """Where the Compose file goes; by default the parent of `genesis_dir`, or the current directory."""
    block_time_s: int = field(default=_BY_PRESET, kw_only=True)
    """By default two."""
    consensus_type: ConsensusType = field(default=_BY_PRESET, kw_only=True)
    """"pos" weighs votes by stake, and its set stays; in an "ibft" network validators vote others in and out. By default "pos"."""
    validator_stake: int = field(default=10_000_000, kw_only=True)
    """Whole tokens, each."""
    faucet_balance: int = field(default=FAUCET_BALANCE_GWEI, kw_only=True)
    """Gwei."""
    accounts: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    """Further funded accounts of the first block: address, and how many gwei."""
    total_supply: int | None = field(default=None, kw_only=True)
    """Whole tokens that stakes and balances are at most; by default what the genesis has by itself, or more where they need it."""
    gas_limit: int = field(default=_BY_PRESET, kw_only=True)
    """By default 60 million."""
    block_reward_gwei: int = field(default=_BY_PRESET, kw_only=True)
    """By default none."""
    bind_address: str = field(default="127.0.0.1", kw_only=True)
    """Where published ports listen on this machine; Docker's rules go before those of a firewall, so 0.0.0.0 is the whole world."""
    peers_bind_address: str | None = field(default=None, kw_only=True)
    """The same for the ports of peers; by default as the others. Validators on other machines need these alone."""
    public_host: str | None = field(default=None, kw_only=True)
    """Name or address under which people and peers reach this machine, for the guide, wallets and pages; by default `bind_address`."""
    public_faucet: bool | None = field(default=None, kw_only=True)
    """Whether the faucet has the limits and the proof of work of one that strangers reach; by default where `bind_address` is not
    loopback, or a `public_host` is given."""
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
    webhooks: tuple[str, ...] | None = field(default=None, kw_only=True, repr=False)
    """Who is told of alerts, each an http or https address, after the word slack where it is one of Slack's, and after the word info where it is told
    of what is no trouble too. They go into `secrets/webhooks.txt`, and nowhere else; without them that file stays as it is."""
    alertmanager: str | None = field(default=None, kw_only=True)
    """HOST:PORT of an Alertmanager that Prometheus tells of its alerts, as containers reach it."""
    preset: str | None = field(default=None, kw_only=True)
    """`parvyom-testnet-v1` has the facts of its plan (name, chain id 1337, four validators with one vote each, gas limit, rewards) and its
    Compose file: bpci-server, validators, postgres, redis."""

    def __post_init__(self) -> None:
        for name, value in facts_of(self.preset).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

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
