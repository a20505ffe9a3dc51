"""`GenesisGenerator`: a configuration with fresh keys, what is wrong with it, and the files of it."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from metanode.chain.validators import VALIDATORS_MAX
from metanode.crypto.addresses import format_address
from metanode.errors import InvalidGenesis, InvalidInput
from sdk.testnet.deployment.apply.layout import write_atomic
from sdk.testnet.deployment.plan import FAUCET_BALANCE_GWEI, NETWORK_NAME
from sdk.testnet.genesis.block import GenesisBlock
from sdk.testnet.genesis.checks import examine, find_problems
from sdk.testnet.genesis.configuration import (
    AccountConfig,
    ConsensusConfig,
    GenesisConfig,
    NetworkConfig,
    ValidatorConfig,
)
from sdk.testnet.genesis.reading import shown
from sdk.testnet.keys import keep_key, new_key

if TYPE_CHECKING:
    from os import PathLike

    from metanode.crypto.secp256k1 import PrivateKey

CONFIGURATION_FILE: Final = "genesis.json"
BLOCK_FILE: Final = "genesis_block.json"
VALIDATORS_FILE: Final = "validators.json"
SPECIFICATION_FILE: Final = "chain_specification.json"
KEYS_FOLDER: Final = "keys"


class GenesisWarning(UserWarning):
    """A genesis was exported that nodes refuse; the message lists its problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A key that this generator made, and where it is kept below the folder of keys."""

    file: str
    key: PrivateKey


class GenesisGenerator:
    """Makes the configuration of a new network, checks it, and writes what its nodes start from.

    The keys of the validators and of the faucet that `create_testnet_config` makes are kept here until `export_config` writes them,
    encrypted; other validators bring their own.
    """

    def __init__(self, config: GenesisConfig | None = None) -> None:
        self.config = config
        self._keys: list[_Key] = []

    def create_testnet_config(
        self,
        chain_id: int = 9999,
        network_name: str = "moderntensor-testnet",
        validator_count: int = 5,
        validator_stake: int = 10_000_000,
        faucet_balance: int = FAUCET_BALANCE_GWEI,
    ) -> GenesisConfig:
        """Make the configuration of a network with new validators and a faucet, that starts now.

        Args:
            chain_id: EIP-155 chain id.
            network_name: What peers and people call it.
            validator_count: How many validators to make keys for; 0 leaves all to `add_validator`.
            validator_stake: Stake of each, in whole tokens.
            faucet_balance: Gwei; the default covers 100 days of what a faucet pays at most.

        Raises:
            InvalidInput: when `validator_count` is impossible; whatever else is wrong, `validate_config` says.
        """
        if type(validator_count) is not int or not 0 <= validator_count <= VALIDATORS_MAX:
            raise InvalidInput(
                f"validator_count: expected a whole number from 0 to {VALIDATORS_MAX}, found {shown(validator_count)}"
            )
        keys = [
            _Key(file=f"validator-{number}/validator.json", key=new_key())
            for number in range(1, validator_count + 1)
        ]
        faucet = _Key(file="faucet/faucet.json", key=new_key())
        consensus = ConsensusConfig()
        consensus.validator_count = max(consensus.validator_count, validator_count)
        self._keys = [*keys, faucet]
        self.config = GenesisConfig(
            chain_id=chain_id,
            network_name=network_name,
            genesis_time=datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
            consensus=consensus,
            network=NetworkConfig(chain_id=chain_id, network_name=network_name),
            initial_validators=[
                ValidatorConfig(
                    address=format_address(made.key.address),
                    stake=validator_stake,
                    public_key="0x" + made.key.public_key.hex(),
                    name=f"Validator {number}",
                )
                for number, made in enumerate(keys, start=1)
            ],
            initial_accounts=[
                AccountConfig(address=format_address(faucet.key.address), balance=faucet_balance)
            ],
        )
        return self.config

    def add_validator(self, address: str, stake: int, public_key: str, name: str | None = None) -> None:
        """Add a validator as it is given; `validate_config` says what is wrong with it. `stake` in whole tokens."""
        self._made().initial_validators.append(
            ValidatorConfig(address=address, stake=stake, public_key=public_key, name=name)
        )

    def add_account(self, address: str, balance: int, nonce: int = 0) -> None:
        """Add an account as it is given; `balance` in gwei."""
        self._made().initial_accounts.append(AccountConfig(address=address, balance=balance, nonce=nonce))

    def validate_config(self) -> list[str]:
        """Return every problem at once, a sentence each; with none nodes start from this configuration."""
        if self.config is None:
            return [
                "genesis: there is no configuration yet; call create_testnet_config, or give one to GenesisGenerator"
            ]
        return find_problems(self.config)

    def find_warnings(self) -> list[str]:
        """Return what is allowed but rarely meant, such as a set that stops when one validator does; raises InvalidGenesis."""
        return list(self.generate_genesis_block().genesis.warnings)

    def generate_genesis_block(self) -> GenesisBlock:
        """Return the first block, the one that nodes start from: the same for the same configuration, always.

        Raises:
            InvalidGenesis: when the configuration has problems; one line for each.
        """
        outcome = examine(self._made())
        if isinstance(outcome, GenesisBlock):
            return outcome
        raise InvalidGenesis("\n".join(outcome))

    def export_config(
        self, output_dir: str | PathLike[str], *, keys_dir: str | PathLike[str] | None = None
    ) -> Path:
        """Write `genesis.json`, `validators.json`, `genesis_block.json` and `chain_specification.json`.

        Nodes start from the last one. With problems the last two are left out, older ones are removed, and a GenesisWarning lists the
        problems. Keys that `create_testnet_config` made are written to `keys_dir` (by default `keys` below `output_dir`), encrypted,
        each with its password beside it, readable by their owner only; a key that is there already is never replaced.

        Where `output_dir` holds the genesis of another network, that stays as it is: its nodes would never start again. The files then go into a
        folder below, which has this network's name, and a GenesisWarning says so.

        Returns:
            The folder with the files.

        Raises:
            InvalidInput: before anything is written, when there is no configuration, `output_dir` holds the genesis of another network
                of the same name, or `keys_dir` holds other keys.
        """
        config = self._made()
        folder = _folder_for(config, Path(output_dir))
        keys_folder = folder / KEYS_FOLDER if keys_dir is None else Path(keys_dir)
        new_keys = [made for made in self._keys if not _is_saved(keys_folder / made.file, made.key)]
        outcome = examine(config)
        text = config.to_json()
        validators = {"validators": [validator.to_dict() for validator in config.initial_validators]}

        for made in new_keys:
            path = keys_folder / made.file
            keep_key(path, path.with_suffix(".password"), made.key)
        if new_keys:
            # Keys of a network inside a repository are nobody's to commit.
            write_atomic(keys_folder / ".gitignore", "*\n")
        # What nodes start from comes last: where it stands, it belongs to the rest.
        (folder / SPECIFICATION_FILE).unlink(missing_ok=True)
        (folder / BLOCK_FILE).unlink(missing_ok=True)
        write_atomic(folder / CONFIGURATION_FILE, text + "\n")
        write_atomic(folder / VALIDATORS_FILE, json.dumps(validators, indent=2, default=repr) + "\n")
        if not isinstance(outcome, GenesisBlock):
            lines = "\n".join(f"  {problem}" for problem in outcome)
            warnings.warn(
                f"{folder}: exported without {BLOCK_FILE} and {SPECIFICATION_FILE}, no node starts from this configuration:\n{lines}",
                GenesisWarning,
                stacklevel=2,
            )
            return folder
        write_atomic(folder / BLOCK_FILE, json.dumps(outcome.to_dict(), indent=2) + "\n")
        write_atomic(folder / SPECIFICATION_FILE, outcome.specification.decode())
        return folder

    def _made(self) -> GenesisConfig:
        if self.config is None:
            raise InvalidInput("genesis: there is no configuration yet; call create_testnet_config first")
        return self.config


def _folder_for(config: GenesisConfig, folder: Path) -> Path:
    """Where a configuration goes: the folder that was asked for, or one below it where another network's nodes start from that.

    Another network is one that has none of these validators.
    """
    path = folder / CONFIGURATION_FILE
    name = name_of_another_network(config, path)
    if name is None:
        return folder
    told = f"{path}: is the genesis of another network, {shown(name)}, which has none of these validators and would never start again"
    is_name = NETWORK_NAME.fullmatch(str(config.network_name)) is not None
    own = folder / str(config.network_name)
    if (
        not is_name
        or name == config.network_name
        or name_of_another_network(config, own / CONFIGURATION_FILE) is not None
    ):
        raise InvalidInput(f"{told}: export to another directory, or move these files away")
    warnings.warn(
        f"{told}; it stays as it is, and this one is exported to {own}", GenesisWarning, stacklevel=3
    )
    return own


def name_of_another_network(config: GenesisConfig, path: Path) -> object:
    """The name in a `genesis.json` of a network that has none of these validators; None where there is none. Raises InvalidInput."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: expected a genesis or nothing: {error}") from None
    listed = found.get("initial_validators") if isinstance(found, dict) else None
    known = {
        str(each["address"]).lower() for each in listed or [] if isinstance(each, dict) and "address" in each
    }
    wanted = {str(validator.address).lower() for validator in config.initial_validators}
    if not known or not wanted.isdisjoint(known):
        return None
    return found.get("network_name", "")


def _is_saved(path: Path, key: PrivateKey) -> bool:
    """Whether the key stands there already; raises InvalidInput when another one does."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: expected a key file or nothing: {error}") from None
    address = found.get("address") if isinstance(found, dict) else None
    if address == key.address.hex():
        return True
    raise InvalidInput(
        f"{path}: holds the key of another validator or faucet, {shown(address)}; keys are never replaced: export to another "
        "directory, or move these away"
    )
