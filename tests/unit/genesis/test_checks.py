"""What is wrong with a configuration is told at once, by the field's name; with nothing wrong the chain takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.chain.quorum import QuorumRule
from metanode.crypto.addresses import format_address, parse_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidGenesis, InvalidInput
from sdk.testnet.genesis import (
    AccountConfig,
    ConsensusConfig,
    GenesisConfig,
    GenesisGenerator,
    NetworkConfig,
    ValidatorConfig,
)
from sdk.testnet.genesis.checks import find_problems

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = [PrivateKey(bytes([n]) * 32) for n in range(1, 6)]
ADDRESSES = [format_address(key.address) for key in KEYS]
RICH = "0x" + "99" * 20
FACTORY = "0x4e59b44847b379578588920cA78FbF26c0B4956C"


def validator(index: int, **changes: Any) -> ValidatorConfig:
    fields: dict[str, Any] = {
        "address": ADDRESSES[index],
        "stake": 1_000_000 * (index + 1),
        "public_key": "0x" + KEYS[index].public_key.hex(),
    }
    return ValidatorConfig(**fields | changes)


def configuration() -> GenesisConfig:
    return GenesisConfig(
        chain_id=9999,
        network_name="my-net",
        genesis_time="2026-01-05T00:00:00Z",
        consensus=ConsensusConfig(),
        network=NetworkConfig(chain_id=9999, network_name="my-net"),
        initial_validators=[validator(index) for index in range(4)],
        initial_accounts=[AccountConfig(RICH, 10**9)],
    )


def block(config: GenesisConfig) -> Any:
    return GenesisGenerator(config).generate_genesis_block()


def test_a_configuration_without_problems_has_none() -> None:
    assert find_problems(configuration()) == []


def setting(path: str, value: object) -> Callable[[GenesisConfig], None]:
    """A change of one field, by its dotted name."""

    def change(config: GenesisConfig) -> None:
        *holders, name = path.split(".")
        target: Any = config
        for holder in holders:
            target = target[int(holder)] if holder.isdigit() else getattr(target, holder)
        setattr(target, name, value)

    return change


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("chain_id", 0, "chain_id: expected a whole number from 1 to 9007199254740991, found 0"),
        ("chain_id", True, "chain_id: expected a whole number"),
        ("chain_id", "9999", "chain_id: expected a whole number from 1 to 9007199254740991, found '9999'"),
        ("network_name", "My Net", "network_name: expected 1 to 64 lower-case letters"),
        ("network_name", "x\n", "network_name: expected 1 to 64 lower-case letters"),
        ("network_name", None, "network_name: expected 1 to 64 lower-case letters"),
        ("genesis_time", "yesterday", "genesis_time: expected whole seconds since 1970 with their zone, such as 2026-01-05T00:00:00Z, found 'yesterday'"),
        ("genesis_time", "2026-01-05T00:00:00", "genesis_time: expected"),
        ("genesis_time", "2026-01-05T00:00:00.5Z", "genesis_time: expected"),
        ("genesis_time", "1969-12-31T00:00:00Z", "genesis_time: expected"),
        ("genesis_time", 1_767_571_200, "genesis_time: expected"),
        ("total_supply", 0, "total_supply: expected a whole number of tokens from 1 to 1e40, found 0"),
        ("total_supply", 9_999_999, "initial_validators: the stakes are 10000000 tokens together, more than the total_supply of 9999999"),
        ("total_supply", 10_000_000, "initial_accounts: the balances are 1000000000 gwei together, more than the 0 tokens"),
        ("decimals", 6, "decimals: expected 18, found 6"),
        ("gas_limit", 4_999, "gas_limit: expected a whole number from 5000"),
        ("block_reward_gwei", -1, "block_reward_gwei: expected a whole number of gwei from 0"),
        ("consensus", {}, "consensus: expected a ConsensusConfig, found {}"),
        ("consensus.type", "pow", "consensus.type: expected 'pos' or 'ibft', found 'pow'"),
        ("consensus.type", ["pos"], "consensus.type: expected 'pos' or 'ibft', found ['pos']"),
        ("consensus.epoch_length", 1, "consensus.epoch_length: expected a whole number of blocks from 2 to 1000000, found 1"),
        ("consensus.slot_duration", 0, "consensus.slot_duration: expected a whole number of seconds from 1 to 3600, found 0"),
        ("consensus.slot_duration", 0.5, "consensus.slot_duration: expected a whole number of seconds from 1 to 3600, found 0.5"),
        ("consensus.validator_count", 3, "initial_validators: expected at most 3, which consensus.validator_count says, found 4"),
        ("consensus.validator_count", 1001, "consensus.validator_count: expected a whole number from 1 to 1000, found 1001"),
        ("consensus.min_stake", 1_000_001, "initial_validators[0].stake: expected at least 1000001 tokens, which consensus.min_stake says, found 1000000"),
        ("network", None, "network: expected a NetworkConfig, found nothing"),
        ("network.chain_id", 1, "network.chain_id: expected 9999, which chain_id above it says, found 1"),
        ("network.network_name", "other", "network.network_name: expected 'my-net', which network_name above it says, found 'other'"),
        ("network.p2p_port", 65_536, "network.p2p_port: expected a whole number from 1 to 65535, found 65536"),
        ("network.rpc_port", 0, "network.rpc_port: expected a whole number from 1 to 65535, found 0"),
        ("network.rpc_port", 30303, "network.rpc_port: expected another port than network.p2p_port, found 30303"),
        ("network.max_peers", 0, "network.max_peers: expected a whole number from 1 to 10000, found 0"),
        ("network.bootstrap_nodes", "enode://", "network.bootstrap_nodes: expected a list of at most 100 enode:// addresses"),
        ("network.bootstrap_nodes", ["http://x"], "network.bootstrap_nodes[0]: expected enode://ID@HOST:PORT, found 'http://x'"),
        ("initial_validators", None, "initial_validators: expected a list of at most 1000 validators, found nothing"),
        ("initial_validators", [], "initial_validators: expected at least 1 validator, found none: there is nobody to form a quorum"),
        ("initial_validators", [ADDRESSES[0]], "initial_validators[0]: expected a ValidatorConfig, found '0x"),
        ("initial_validators.1.address", "0x1234...", "initial_validators[1].address: expected 0x and 40 hexadecimal digits, found '0x1234...'"),
        ("initial_validators.1.address", None, "initial_validators[1].address: expected 0x and 40 hexadecimal digits, found nothing"),
        ("initial_validators.1.address", "0x" + "00" * 20, "initial_validators[1].address: expected an address other than zero"),
        ("initial_validators.1.address", ADDRESSES[1].swapcase().replace("X", "x"), "in upper and lower case that do not match its checksum"),
        ("initial_validators.1.address", ADDRESSES[0].lower(), f"initial_validators[1].address: {ADDRESSES[0]} is the same as initial_validators[0].address"),
        ("initial_validators.1.address", ADDRESSES[4], f"initial_validators[1].public_key: it is the key of {ADDRESSES[1]}, not of initial_validators[1].address, {ADDRESSES[4]}"),
        ("initial_validators.1.public_key", "", "initial_validators[1].public_key: expected 0x and the 64 bytes of a secp256k1 public key, found ''"),
        ("initial_validators.1.public_key", "0xabcd...", "initial_validators[1].public_key: expected 0x and the 64 bytes"),
        ("initial_validators.1.public_key", "0x" + "11" * 64, "initial_validators[1].public_key: expected 0x and the 64 bytes"),
        ("initial_validators.1.public_key", 5, "initial_validators[1].public_key: expected 0x and the 64 bytes"),
        ("initial_validators.1.stake", -1, "initial_validators[1].stake: expected a whole number of tokens from 0 to 1e40, found -1"),
        ("initial_validators.1.stake", 1e6, "initial_validators[1].stake: expected a whole number of tokens"),
        ("initial_validators.1.name", "\x1b[2J", "initial_validators[1].name: expected 1 to 64 printable characters, or none at all"),
        ("initial_validators.1.name", "x" * 65, "initial_validators[1].name: expected 1 to 64 printable characters"),
        ("initial_accounts", {}, "initial_accounts: expected a list of at most 100000 accounts, found {}"),
        ("initial_accounts.0.address", "faucet", "initial_accounts[0].address: expected 0x and 40 hexadecimal digits, found 'faucet'"),
        ("initial_accounts.0.address", FACTORY, "initial_accounts[0].address: " + FACTORY + " belongs to a contract of every network"),
        ("initial_accounts.0.balance", -1, "initial_accounts[0].balance: expected a whole number of gwei from 0"),
        ("initial_accounts.0.balance", 10**18, "initial_accounts: the balances are 1000000000000000000 gwei together, more than the 990000000 tokens"),
        ("initial_accounts.0.nonce", -1, "initial_accounts[0].nonce: expected a whole number from 0"),
    ],
)  # fmt: skip
def test_each_problem_is_one_sentence_that_names_its_field(path: str, value: object, sentence: str) -> None:
    config = configuration()

    setting(path, value)(config)

    problems = find_problems(config)
    assert [problem for problem in problems if sentence in problem], problems
    with pytest.raises(InvalidGenesis) as caught:
        block(config)
    assert str(caught.value) == "\n".join(problems)


def test_a_number_that_is_too_long_to_be_shown_is_a_problem_like_others() -> None:
    config = configuration()
    config.chain_id = 10**5000

    (problem, _) = find_problems(config)

    assert problem.endswith("found something of the type int that can't be shown")


def test_all_problems_are_told_at_once() -> None:
    config = configuration()
    for path in (
        "chain_id",
        "network_name",
        "consensus.type",
        "network.p2p_port",
        "initial_accounts.0.nonce",
    ):
        setting(path, -1)(config)
    config.initial_validators += [validator(0, stake=1), validator(4, address="0x")]
    config.initial_accounts += [AccountConfig(RICH, 1)]

    fields = [problem.split(":")[0] for problem in find_problems(config)]

    assert fields == [
        "chain_id",
        "network_name",
        "consensus.type",
        "network.chain_id",
        "network.network_name",
        "network.p2p_port",
        "initial_validators[4].address",
        "initial_validators[4].stake",
        "initial_validators[5].address",
        "initial_accounts[0].nonce",
        "initial_accounts[1].address",
    ]


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=50), st.binary(max_size=5),
    st.lists(st.integers(), max_size=2), st.just(object()), st.sampled_from(ADDRESSES), st.builds(lambda: 10**5000),
)  # fmt: skip


@given(address=ANYTHING, stake=ANYTHING, public_key=ANYTHING, name=ANYTHING, chain_id=ANYTHING)
def test_a_form_takes_anything_and_checking_it_never_fails(
    address: Any, stake: Any, public_key: Any, name: Any, chain_id: Any
) -> None:
    generator = GenesisGenerator(configuration())
    assert generator.config is not None
    generator.add_validator(address, stake, public_key, name)
    generator.add_account(address, stake, chain_id)
    generator.config.chain_id = chain_id

    problems = generator.validate_config()

    assert problems
    assert all("\n" not in problem and len(problem) < 400 for problem in problems)


@given(
    stakes=st.lists(st.integers(0, 2**62), min_size=1, max_size=5),
    kind=st.sampled_from(["pos", "ibft"]),
    supply=st.sampled_from([10**9, 2**64]),
    balance=st.integers(0, 10**20),
    nonce=st.integers(0, 2**64),
    slot=st.integers(0, 3601),
    epoch=st.integers(1, 200),
)
def test_what_has_no_problem_is_taken_by_the_chain_as_it_says(
    stakes: list[int], kind: str, supply: int, balance: int, nonce: int, slot: int, epoch: int
) -> None:
    """The last rule of `examine`, which asks the chain itself, finds nothing that the others forgot."""
    config = configuration()
    config.consensus = ConsensusConfig(kind, epoch, slot, 21, 0)
    config.total_supply = supply
    config.initial_validators = [validator(index, stake=stake) for index, stake in enumerate(stakes)]
    config.initial_accounts = [AccountConfig(RICH, balance, nonce)]

    problems = find_problems(config)

    assert not any(problem.startswith("chain specification") for problem in problems), problems
    if problems:
        return
    parameters = block(config).genesis.parameters
    assert (parameters.period_s, parameters.epoch_length) == (slot, epoch)
    assert {v.address: v.power for v in parameters.validators} == {
        key.address: stake if kind == "pos" else 1 for key, stake in zip(KEYS, stakes, strict=False)
    }
    assert parameters.quorum_rule is (QuorumRule.STAKE if kind == "pos" else QuorumRule.AUTHORITY)


def test_other_forms_of_a_public_key_are_taken() -> None:
    plain = configuration()
    prefixed = configuration()
    prefixed.initial_validators[0].public_key = "0x04" + KEYS[0].public_key.hex()
    compressed = configuration()
    parity = 2 + KEYS[1].public_key[-1] % 2
    compressed.initial_validators[1].public_key = f"0x{parity:02x}" + KEYS[1].public_key[:32].hex()

    assert block(plain).hash == block(prefixed).hash == block(compressed).hash


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("chain_id", 1),
        ("network_name", "other"),
        ("genesis_time", "2026-01-05T00:00:01Z"),
        ("consensus.type", "ibft"),
        ("consensus.epoch_length", 99),
        ("consensus.slot_duration", 2),
        ("consensus.validator_count", 4),
        ("initial_validators.0.stake", 7_000_000),
        ("initial_accounts.0.balance", 1),
        ("initial_accounts.0.nonce", 1),
        ("gas_limit", 8_000_000),
        ("block_reward_gwei", 5),
    ],
)
def test_what_the_network_is_made_of_makes_its_hash(path: str, value: object) -> None:
    config = configuration()
    setting(path, value)(config)
    if path in {"chain_id", "network_name"}:
        setting(f"network.{path}", value)(config)

    if path == "chain_id":
        # Not in the header: the chain id is in the signing domain beside the hash.
        assert block(config).genesis.rules.domain != block(configuration()).genesis.rules.domain
    else:
        assert block(config).hash != block(configuration()).hash


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("network.rpc_port", 1),
        ("network.max_peers", 1),
        ("initial_validators.0.name", "Anna"),
        ("total_supply", 10**10),
        ("consensus.min_stake", 1),
        ("genesis_time", "2026-01-05T07:00:00+07:00"),
    ],
)
def test_what_is_not_of_the_chain_does_not_change_its_hash(path: str, value: object) -> None:
    config = configuration()
    setting(path, value)(config)

    assert block(config).hash == block(configuration()).hash


def test_an_account_without_balance_and_nonce_is_no_account() -> None:
    config = configuration()
    config.initial_accounts.append(AccountConfig("0x" + "77" * 20, 0))

    assert find_problems(config) == []
    assert block(config).hash == block(configuration()).hash


def test_small_and_lopsided_networks_are_warned_of() -> None:
    config = configuration()
    config.initial_validators = config.initial_validators[:3]

    (stops, heavy) = GenesisGenerator(config).find_warnings()

    assert stops.startswith("3 validators: the network tolerates 0 crashes, 0 liars")
    assert heavy == "one validator has 3000000 of 6000000 power: alone it can stop the chain"


def test_addresses_are_those_of_the_keys() -> None:
    """What the tables above rely on."""
    assert [parse_address(text) for text in ADDRESSES] == [key.address for key in KEYS]
    with pytest.raises(InvalidInput):
        parse_address("0x1234...")
