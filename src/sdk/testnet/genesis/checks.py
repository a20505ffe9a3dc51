"""Everything that is wrong with a genesis configuration, at once, in sentences that name the field. Pure.

A field may hold anything: `add_validator` takes what it is given, and people assign to fields. So a rule looks at the type first, and sums
count what is a number.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import coincurve

from metanode.chain.forks import GAS_MIN
from metanode.chain.parameters import EPOCH_LENGTH_MAX, PERIOD_S_MAX
from metanode.chain.predeploys import load_predeploys
from metanode.chain.validators import TOTAL_POWER_BOUND, VALIDATORS_MAX
from metanode.crypto.addresses import format_address, is_checksum_wrong, parse_address
from metanode.crypto.secp256k1 import public_key_address
from metanode.errors import InvalidInput
from metanode.p2p.enode import parse_enode
from metanode.primitives.types import ZERO_ADDRESS
from sdk.testnet.deployment.plan import NETWORK_NAME, PORT_MAX
from sdk.testnet.genesis.block import QUORUM_RULES, WEI_PER_GWEI, GenesisBlock, make_block, parse_time
from sdk.testnet.genesis.configuration import (
    DECIMALS,
    AccountConfig,
    ConsensusConfig,
    GenesisConfig,
    NetworkConfig,
    ValidatorConfig,
)
from sdk.testnet.genesis.reading import ACCOUNTS_MAX, BOOTSTRAP_NODES_MAX, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from metanode.primitives.types import Address

CHAIN_ID_MAX: Final = 2**53 - 1
"""Every wallet can read it."""
SUPPLY_TOKENS_MAX: Final = 10**40
"""In wei still far below 2^256."""
BALANCE_GWEI_MAX: Final = SUPPLY_TOKENS_MAX * 10**9
PEERS_MAX: Final = 10_000
"""What `p2p.max_peers` of a node's configuration takes."""
NAME_CHARACTERS_MAX: Final = 64
REWARD_GWEI_MAX: Final = 2**63 - 1
_GWEI_PER_TOKEN: Final = 10**18 // WEI_PER_GWEI
_HEXADECIMAL: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})+", re.ASCII)


def find_problems(config: GenesisConfig) -> list[str]:
    """Return a sentence for each problem; none means that nodes start from this configuration."""
    outcome = examine(config)
    return [] if isinstance(outcome, GenesisBlock) else outcome


def examine(config: GenesisConfig) -> GenesisBlock | list[str]:
    """Return the first block, or a sentence for each problem."""
    found = _Problems()
    if found.is_one(config, GenesisConfig, "genesis"):
        _check_root(found, config)
        if found.is_one(config.consensus, ConsensusConfig, "consensus"):
            _check_consensus(found, config.consensus)
        if found.is_one(config.network, NetworkConfig, "network"):
            _check_network(found, config, config.network)
        _check_validators(found, config)
        _check_accounts(found, config)
    if found.sentences:
        return found.sentences
    # The rules of the chain itself have the last word, whatever was forgotten above.
    try:
        return make_block(config)
    except InvalidInput as error:
        return [f"chain specification: {line}" for line in str(error).splitlines()]


class _Problems:
    """Collects sentences."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, where: str, expected: str, value: object) -> None:
        """Keep what was expected and found."""
        self.sentences.append(f"{where}: expected {expected}, found {shown(value)}")

    def is_one(self, value: object, kind: type, where: str) -> bool:
        """Whether a section is one, with all its fields; a subclass is one too."""
        if isinstance(value, kind) and all(hasattr(value, f.name) for f in fields(kind)):
            return True
        self.add(where, f"a {kind.__name__}", value)
        return False

    def is_number(self, value: object, low: int, high: int, where: str, unit: str = "") -> bool:
        """Whether this is a whole number within bounds."""
        # Not True, which Python takes for 1.
        if type(value) is int and low <= value <= high:
            return True
        upper = shown(high) if high < TOTAL_POWER_BOUND else f"{float(high):.0e}".replace("e+", "e")
        expected = f"a whole number{unit} from {low} to {upper}" if high > low else f"{low}"
        self.add(where, expected, value)
        return False

    def read_address(self, value: object, where: str) -> Address | None:
        """The address of 0x and 40 digits."""
        if not isinstance(value, str):
            self.add(where, "0x and 40 hexadecimal digits", value)
            return None
        try:
            address = parse_address(value, field=where)
        except InvalidInput:
            self.add(where, "0x and 40 hexadecimal digits", value)
            return None
        if is_checksum_wrong(value):
            self.sentences.append(
                f"{where}: {shown(value)} is written in upper and lower case that do not match its checksum, so some digit is "
                f"wrong; if it is right, write {format_address(address)}"
            )
            return None
        if address == ZERO_ADDRESS:
            self.add(where, "an address other than zero", value)
            return None
        return address


def _check_root(found: _Problems, config: GenesisConfig) -> None:
    found.is_number(config.chain_id, 1, CHAIN_ID_MAX, "chain_id")
    if not _is_text(config.network_name, NETWORK_NAME.fullmatch):
        expected = (
            "1 to 64 lower-case letters, digits, dots, dashes and underscores, the first a letter or digit"
        )
        found.add("network_name", expected, config.network_name)
    if not _is_text(config.genesis_time, lambda text: parse_time(text) > 0):
        expected = "whole seconds since 1970 with their zone, such as 2026-01-05T00:00:00Z"
        found.add("genesis_time", expected, config.genesis_time)
    found.is_number(config.total_supply, 1, SUPPLY_TOKENS_MAX, "total_supply", " of tokens")
    found.is_number(config.decimals, DECIMALS, DECIMALS, "decimals")
    found.is_number(config.gas_limit, GAS_MIN, 2**63 - 1, "gas_limit")
    found.is_number(config.block_reward_gwei, 0, REWARD_GWEI_MAX, "block_reward_gwei", " of gwei")


def _check_consensus(found: _Problems, consensus: ConsensusConfig) -> None:
    if not _is_text(consensus.type, QUORUM_RULES.__contains__):
        found.add("consensus.type", "'pos' or 'ibft'", consensus.type)
    found.is_number(consensus.epoch_length, 2, EPOCH_LENGTH_MAX, "consensus.epoch_length", " of blocks")
    found.is_number(consensus.slot_duration, 1, PERIOD_S_MAX, "consensus.slot_duration", " of seconds")
    found.is_number(consensus.validator_count, 1, VALIDATORS_MAX, "consensus.validator_count")
    found.is_number(consensus.min_stake, 0, TOTAL_POWER_BOUND - 1, "consensus.min_stake", " of tokens")


def _check_network(found: _Problems, config: GenesisConfig, network: NetworkConfig) -> None:
    for name in ("chain_id", "network_name"):
        above, here = getattr(config, name), getattr(network, name)
        if type(above) is not type(here) or above != here:
            found.add(f"network.{name}", f"{shown(above)}, which {name} above it says", here)
    for name in ("p2p_port", "rpc_port"):
        found.is_number(getattr(network, name), 1, PORT_MAX, f"network.{name}")
    if type(network.rpc_port) is int and network.rpc_port == network.p2p_port:
        found.add("network.rpc_port", "another port than network.p2p_port", network.rpc_port)
    found.is_number(network.max_peers, 1, PEERS_MAX, "network.max_peers")
    nodes = network.bootstrap_nodes
    if not _is_list(nodes, BOOTSTRAP_NODES_MAX):
        found.add(
            "network.bootstrap_nodes", f"a list of at most {BOOTSTRAP_NODES_MAX} enode:// addresses", nodes
        )
        return
    for index, text in enumerate(nodes):
        if not _is_text(text, parse_enode):
            found.add(f"network.bootstrap_nodes[{index}]", "enode://ID@HOST:PORT", text)


def _check_validators(found: _Problems, config: GenesisConfig) -> None:
    validators = config.initial_validators
    if not _is_list(validators, VALIDATORS_MAX):
        found.add("initial_validators", f"a list of at most {VALIDATORS_MAX} validators", validators)
        return
    if not validators:
        found.sentences.append(
            "initial_validators: expected at least 1 validator, found none: there is nobody to form a quorum"
        )
    consensus: Any = config.consensus
    largest = getattr(consensus, "validator_count", None)
    if type(largest) is int and 1 <= largest <= VALIDATORS_MAX and len(validators) > largest:
        found.sentences.append(
            f"initial_validators: expected at most {largest}, which consensus.validator_count says, found {len(validators)}"
        )
    least = getattr(consensus, "min_stake", None)
    least = least if type(least) is int and least > 0 else 0
    is_weighed = getattr(consensus, "type", None) == "pos"
    seen: dict[Address, int] = {}
    total = 0
    for index, validator in enumerate(validators):
        where = f"initial_validators[{index}]"
        if not found.is_one(validator, ValidatorConfig, where):
            continue
        address = _read_distinct(found, validator.address, "initial_validators", index, seen)
        _check_public_key(found, validator.public_key, address, where)
        _check_name(found, validator.name, f"{where}.name")
        if found.is_number(validator.stake, 0, SUPPLY_TOKENS_MAX, f"{where}.stake", " of tokens"):
            total += validator.stake
            if validator.stake < least:
                found.sentences.append(
                    f"{where}.stake: expected at least {least} tokens, which consensus.min_stake says, found {validator.stake}"
                )
            elif is_weighed and validator.stake == 0:
                found.sentences.append(
                    f"{where}.stake: expected at least 1 token, the weight of its votes, found 0"
                )
    supply = config.total_supply
    if type(supply) is int and 0 < supply < total:
        found.sentences.append(
            f"initial_validators: the stakes are {total} tokens together, more than the total_supply of {shown(supply)}"
        )
    if is_weighed and total >= TOTAL_POWER_BOUND:
        found.sentences.append(
            f"initial_validators: expected stakes below 2^60 tokens together, as their votes are counted in 64 bits, found {total}"
        )


def _read_distinct(
    found: _Problems, text: object, name: str, index: int, seen: dict[Address, int]
) -> Address | None:
    """Return the address of an entry of a list, and note it when another entry has it too."""
    address = found.read_address(text, f"{name}[{index}].address")
    if address is not None and (first := seen.setdefault(address, index)) != index:
        found.sentences.append(
            f"{name}[{index}].address: {format_address(address)} is the same as {name}[{first}].address"
        )
    return address


def _check_public_key(found: _Problems, value: object, address: Address | None, where: str) -> None:
    expected = "0x and the 64 bytes of a secp256k1 public key"
    if not isinstance(value, str) or not _HEXADECIMAL.fullmatch(value):
        found.add(f"{where}.public_key", expected, value)
        return
    key = bytes.fromhex(value[2:])
    try:
        point = coincurve.PublicKey(b"\x04" + key if len(key) == 64 else key)
    except Exception:  # noqa: BLE001 - coincurve raises plain Exception and ValueError for what is no point
        found.add(f"{where}.public_key", expected, value)
        return
    owner = public_key_address(point.format(compressed=False)[1:])
    if address is not None and owner != address:
        found.sentences.append(
            f"{where}.public_key: it is the key of {format_address(owner)}, not of {where}.address, {format_address(address)}"
        )


def _check_name(found: _Problems, name: object, where: str) -> None:
    # It is shown in terminals and pages.
    if name is not None and not _is_text(
        name, lambda text: 1 <= len(text) <= NAME_CHARACTERS_MAX and text.isprintable()
    ):
        found.add(where, f"1 to {NAME_CHARACTERS_MAX} printable characters, or none at all", name)


def _check_accounts(found: _Problems, config: GenesisConfig) -> None:
    accounts = config.initial_accounts
    if not _is_list(accounts, ACCOUNTS_MAX):
        found.add("initial_accounts", f"a list of at most {ACCOUNTS_MAX} accounts", accounts)
        return
    contracts = {predeploy.address: predeploy.name for predeploy in load_predeploys()}
    seen: dict[Address, int] = {}
    total_gwei = 0
    for index, account in enumerate(accounts):
        where = f"initial_accounts[{index}]"
        if not found.is_one(account, AccountConfig, where):
            continue
        address = _read_distinct(found, account.address, "initial_accounts", index, seen)
        if address in contracts:
            found.sentences.append(
                f"{where}.address: {format_address(address)} belongs to a contract of every network, {contracts[address]}"
            )
        if found.is_number(account.balance, 0, BALANCE_GWEI_MAX, f"{where}.balance", " of gwei"):
            total_gwei += account.balance
        found.is_number(account.nonce, 0, 2**64 - 2, f"{where}.nonce")
    supply = config.total_supply
    staked = _staked(config.initial_validators)
    if (
        type(supply) is int
        and supply > 0
        and staked <= supply
        and staked * _GWEI_PER_TOKEN + total_gwei > supply * _GWEI_PER_TOKEN
    ):
        found.sentences.append(
            f"initial_accounts: the balances are {total_gwei} gwei together, more than the {supply - staked} tokens "
            "that total_supply leaves beside the stakes"
        )


def _is_text(value: object, accepts: Callable[[str], object]) -> bool:
    """Whether this is a text, and one that `accepts` neither refuses nor raises for."""
    try:
        return isinstance(value, str) and bool(accepts(value))
    except (ValueError, OverflowError, InvalidInput):
        return False


def _is_list(value: object, entries_max: int) -> bool:
    """Whether this is a list, and not too long."""
    return isinstance(value, list | tuple) and len(value) <= entries_max


def _staked(validators: object) -> int:
    """The stakes that are numbers, together, in tokens."""
    if not isinstance(validators, list | tuple):
        return 0
    stakes = [getattr(validator, "stake", 0) for validator in validators]
    return sum(stake for stake in stakes if type(stake) is int and 0 <= stake <= SUPPLY_TOKENS_MAX)
