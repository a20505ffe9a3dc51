"""Genesis files: one identity for each network, and a sentence for each mistake."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from metanode.chain.genesis import make_genesis, parse_genesis
from metanode.chain.predeploys import SYSTEM_CONTRACTS, load_predeploys
from metanode.chain.quorum import QuorumRule
from metanode.chain.signing import SigningDomain
from metanode.chain.validators import Validator, ValidatorSet
from metanode.crypto.addresses import format_address
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidGenesis
from metanode.primitives.types import ZERO_ADDRESS, ZERO_HASH, Address

MEMBERS = ValidatorSet.of_addresses(Address(bytes([n]) * 20) for n in range(1, 5))
RICH = Address(b"\x99" * 20)


def content(**options: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "network_name": "testnet",
        "chain_id": 1337,
        "genesis_time": 1_700_000_000,
        "validators": MEMBERS,
        "balances": {RICH: 10**24},
    }
    return make_genesis(**(fields | options))


def parse(value: Any) -> Any:
    return parse_genesis(json.dumps(value))


def test_a_made_file_parses_to_what_was_asked_for() -> None:
    genesis = parse(content(period_s=5, reward_gwei=7, gas_limit=8_000_000, epoch_length=100))
    assert (genesis.network_name, genesis.chain_id) == ("testnet", 1337)
    parameters = genesis.parameters
    assert (parameters.period_s, parameters.reward_gwei, parameters.epoch_length) == (5, 7, 100)
    assert (
        parameters.forks[0].gas_target
        == genesis.execution_header.gas_limit
        == genesis.state.gas_limit
        == 8_000_000
    )
    assert parameters.validators == genesis.state.validators == MEMBERS
    assert genesis.warnings == ()


def test_the_largest_set_is_a_parameter_that_the_first_set_keeps_to() -> None:
    assert parse(content()).parameters.validators_max == 1000
    assert parse(content(validators_max=4)).parameters.validators_max == 4
    with pytest.raises(
        InvalidGenesis,
        match=r"config.metanode.validators: expected at most 3, which validatorsMax says, found 4",
    ):
        parse(content(validators_max=3))
    with pytest.raises(
        InvalidGenesis, match=r"config.metanode.validatorsMax: expected 1 to 1000, found 1001"
    ):
        parse(content(validators_max=1001))


def test_the_genesis_header_is_the_protocols() -> None:
    genesis = parse(content())
    header = genesis.header
    assert (header.height, header.proposal_round, header.vote) == (0, 0, None)
    assert header.parent_hash == header.parent_certificate_hash == ZERO_HASH
    assert header.proposer == ZERO_ADDRESS
    assert header.execution_hash == genesis.execution_header.hash
    assert header.timestamp == genesis.execution_header.timestamp == 1_700_000_000
    assert header.consensus_state_root == genesis.state.root
    assert genesis.rules.domain == SigningDomain(chain_id=1337, genesis_hash=header.hash)


@pytest.mark.parametrize(
    "options",
    [
        {"network_name": "other"},
        {"chain_id": 1338},
        {"genesis_time": 1_700_000_002},
        {"validators": ValidatorSet.of_addresses([RICH])},
        {"balances": {}},
        {"period_s": 1},
        {"epoch_length": 77},
        {"reward_gwei": 0},
        {"gas_limit": 8_000_000},
        {"validators_max": 21},
    ],
)
def test_networks_that_differ_share_no_signing_domain(options: dict[str, Any]) -> None:
    assert parse(content(**options)).rules.domain.separator != parse(content()).rules.domain.separator


def test_what_is_added_later_does_not_change_the_network() -> None:
    later = content()
    section = later["config"]["metanode"]
    section["forks"].append({"time": 1_800_000_000, "gasTarget": 100_000_000})
    section["transitions"]["50"] = [format_address(RICH)]
    genesis = parse(later)
    plain = parse(content())
    assert genesis.hash == plain.hash
    assert genesis.parameters.fork(1_800_000_000).gas_target == 100_000_000
    assert genesis.parameters.transitions[50].addresses == (RICH,)
    head = {"height": 10, "timestamp": 1_750_000_000}
    assert genesis.rules.fork_id(**head).next == 50
    plain.rules.validate_fork_id(genesis.rules.fork_id(**head), **head)
    assert genesis.rules.fork_id(height=50, timestamp=1_800_000_000) != plain.rules.fork_id(
        height=50, timestamp=1_800_000_000
    )


def test_the_order_of_validators_and_of_keys_does_not_matter() -> None:
    shuffled = content()
    shuffled["config"]["metanode"]["validators"].reverse()
    shuffled = dict(reversed(shuffled.items()))
    assert parse(shuffled).hash == parse(content()).hash


def test_the_predeployed_contracts_have_the_published_hashes() -> None:
    published = {
        "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02": "f57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c",
        "0x0000F90827F1C53a10cb7A02335B175320002935": "6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d",
        "0x00000961Ef480Eb55e80D19ad83579A64c007002": "0345a365d2f4c5975b9f1599abe0a2ee76b7a3a731bc68781bd04c84e4858f50",
        "0x0000BBdDc7CE488642fb579F8B00f3a590007251": "78c6cb5202685228bbcbfb992b1c4e116c7ec5ef11e25b8e92716cfc628ddd60",
        "0x4e59b44847b379578588920cA78FbF26c0B4956C": "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
        "0xcA11bde05977b3631167028862bE2a173976CA11": "d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891",
    }
    assert {format_address(p.address): keccak256(p.code).hex() for p in load_predeploys()} == published
    assert [p.name[-9:-1] for p in load_predeploys()[:SYSTEM_CONTRACTS]] == [
        "EIP-4788",
        "EIP-2935",
        "EIP-7002",
        "EIP-7251",
    ]
    alloc = content()["alloc"]
    assert all(alloc[address]["nonce"] == "0x1" for address in published)


def test_clients_find_what_they_need_in_the_first_bytes() -> None:
    text = json.dumps(content())
    assert text.startswith('{"config": {"chainId"')
    config = content()["config"]
    assert config["terminalTotalDifficulty"] == 0
    assert set(config["blobSchedule"]) == {"cancun", "prague", "osaka"}
    assert config["withdrawalRequestContractAddress"].endswith("7002")


def test_numbers_may_be_hex_decimal_or_plain_as_in_geths_files() -> None:
    plain = content()
    for spelling in (1_700_000_000, "1700000000", "0x6553f100", "0x006553f100"):
        changed = copy.deepcopy(plain)
        changed["timestamp"] = spelling
        assert parse(changed).hash == parse(plain).hash


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(target: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        holder: Any = target
        for step in parents:
            holder = holder[int(step) if isinstance(holder, list) else step]
        if value is put:
            del holder[last]
        else:
            holder[int(last) if isinstance(holder, list) else last] = value

    return change


SECTION = "config/metanode"
FIRST = format_address(MEMBERS.addresses[0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put("config", put), "config: expected an object, found nothing"),
        (put("config", []), "config: expected an object, found []"),
        (put("config/chainId", 0), "config.chainId: expected 1 to 9223372036854775807, found 0"),
        (put("config/chainId", "x"), 'config.chainId: expected a number, found "x"'),
        (put("config/chainId", "1_337"), 'config.chainId: expected a number, found "1_337"'),
        (put("config/chainId", " 7"), 'config.chainId: expected a number, found " 7"'),
        (put("config/chainId", "0x"), 'config.chainId: expected a number, found "0x"'),
        (put("config/chainId", True), "config.chainId: expected a number, found true"),
        (put("config/osakaTime", put), "config.osakaTime: expected 0"),
        (put("config/londonBlock", 5), "config.londonBlock: expected 0"),
        (put("config/bpo1Time", 5), "config.bpo1Time: this software knows no rules after Osaka"),
        (put(SECTION, put), "config.metanode: missing"),
        (put(f"{SECTION}/name", ""), "config.metanode.name: expected 1 to 64 printable ASCII characters"),
        (put(f"{SECTION}/name", 5), "config.metanode.name: expected the network's name, found 5"),
        (put(f"{SECTION}/quorum", "majority"), 'config.metanode.quorum: expected one of authority, stake, found "majority"'),
        (put(f"{SECTION}/quorum", []), "config.metanode.quorum: expected one of authority, stake, found []"),
        (put(f"{SECTION}/period", 0), "config.metanode.period: expected 1 to"),
        (put(f"{SECTION}/period", 0.5), "config.metanode.period: expected a number, found 0.5"),
        (put(f"{SECTION}/perid", 2), "config.metanode.perid: unknown field, did you mean 'period'?"),
        (put(f"{SECTION}/epochLength", 1), "config.metanode.epochLength: expected 2 to 1000000, found 1"),
        (put(f"{SECTION}/rewardGwei", -1), "config.metanode.rewardGwei: expected 0 to"),
        (put(f"{SECTION}/validators", put), "config.metanode.validators: expected a list, found nothing"),
        (put(f"{SECTION}/validators", []), "config.metanode.validators: expected 1 to 1000, found 0"),
        (put(f"{SECTION}/validators/2/address", "0x8ba1f109551bD432803012645Hac136c30d3b8b8"), "config.metanode.validators[2].address: expected 0x and an even number of hex digits"),
        (put(f"{SECTION}/validators/2/address", "0x12"), "config.metanode.validators[2].address: expected 20 bytes, found 1"),
        (put(f"{SECTION}/validators/2/address", 7), "config.metanode.validators[2].address: expected 0x and 40 hex digits, found 7"),
        (put(f"{SECTION}/validators/2/address", FIRST), "config.metanode.validators[2].address: " + FIRST + " is the same as config.metanode.validators[0]"),
        (put(f"{SECTION}/validators/2/power", 0), "config.metanode.validators[2].power: expected 1 to"),
        (put(f"{SECTION}/validators/2/power", 2), "config.metanode.validators: with the quorum rule 'authority' every validator has the power 1"),
        (put(f"{SECTION}/validators/2/stake", 2), "config.metanode.validators[2].stake: unknown field"),
        (put(f"{SECTION}/validators/2/address", format_address(ZERO_ADDRESS)), "config.metanode.validators: "),
        (put(f"{SECTION}/forks", []), "config.metanode.forks: expected at least one entry"),
        (put(f"{SECTION}/forks/0/time", 9), "config.metanode.forks[0].time: the first entry is in force from genesis"),
        (put(f"{SECTION}/forks/0/execution", "shanghai"), "config.metanode.forks[0].execution: expected one of osaka"),
        (put(f"{SECTION}/forks/0/execution", 5), "config.metanode.forks[0].execution: expected a name, found 5"),
        (put(f"{SECTION}/forks/0/gasTarget", 1), "config.metanode.forks[0].gasTarget: expected 5000"),
        (put(f"{SECTION}/forks/0/roundTimeout", 1), "config.metanode.forks[0].roundTimeout: unknown field, did you mean 'roundTimeoutMs'?"),
        (put(f"{SECTION}/transitions/1", [FIRST]), "config.metanode.transitions.1: expected 2 to"),
        (put(f"{SECTION}/transitions/x", [FIRST]), 'config.metanode.transitions.x: expected a number, found "x"'),
        (put(f"{SECTION}/transitions/9", []), "config.metanode.transitions.9: expected 1 to 1000, found 0"),
        (put("timestamp", put), "timestamp: expected a number, found nothing"),
        (put("timestamp", "0x0"), "timestamp: expected 1 to"),
        (put("gasLimit", "0x10"), "gasLimit: expected 5000 to"),
        (put("difficulty", "0x1"), "difficulty: expected 0 to 0, found 1"),
        (put("extraData", "0x" + "00" * 33), "extraData: expected at most 32 bytes, found 33"),
        (put("mixHash", "0x00"), "mixHash: expected 32 bytes, found 1"),
        (put("coinbase", 5), "coinbase: expected 0x and hex digits, found 5"),
        (put("parentHash", "0x" + "11" * 32), "parentHash: expected zero"),
        (put("alloc", put), "alloc: expected an object, found nothing"),
        (put("alloc", {}), "alloc: expected the system contracts at least"),
        (put("alloc/0x00000961Ef480Eb55e80D19ad83579A64c007002", put), "alloc.0x00000961Ef480Eb55e80D19ad83579A64c007002: expected the code of the system contract"),
        (put("baseFeePerGas", hex(2**64)), "baseFeePerGas: expected 0 to"),
        (put("alloc/0x12", {"balance": "0x1"}), "alloc.0x12: expected 20 bytes, found 1"),
        (put(f"alloc/{format_address(RICH)}", {}), f"alloc.{format_address(RICH)}: expected a balance, a nonce or code"),
        (put(f"alloc/{format_address(RICH)}/balance", "much"), f'alloc.{format_address(RICH)}.balance: expected a number, found "much"'),
        (put(f"alloc/{format_address(RICH)}/balance", hex(2**256)), f"alloc.{format_address(RICH)}.balance: expected 0 to"),
        (put(f"alloc/{format_address(RICH)}/nounce", 1), f"alloc.{format_address(RICH)}.nounce: unknown field, did you mean 'nonce'?"),
        (put("alloc/0xca11bde05977b3631167028862be2a173976ca11", {"balance": "0x1"}), "the address stands here twice"),
    ],
)  # fmt: skip
def test_every_problem_names_its_field(change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    value = content()
    change(value)
    with pytest.raises(InvalidGenesis) as error:
        parse(value)
    assert sentence in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_all_problems_are_told_at_once() -> None:
    value = content()
    for change in (
        put("gasLimit", "zz"),
        put("config/osakaTime", 9),
        put(f"{SECTION}/perid", 1),
        put(f"{SECTION}/name", 0),
    ):
        change(value)
    with pytest.raises(InvalidGenesis) as error:
        parse(value)
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == [
        "config.osakaTime",
        "gasLimit",
        "config.metanode.perid",
        "config.metanode.name",
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"x"', "[" * 5_000])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidGenesis, match="genesis: expected"):
        parse_genesis(text)


def test_small_and_lopsided_networks_get_a_warning() -> None:
    two = parse(content(validators=ValidatorSet.of_addresses(MEMBERS.addresses[:2])))
    assert two.warnings == (
        "2 validators: the network tolerates 0 crashes, 0 liars; one that stops stops the chain",
    )
    heavy = ValidatorSet.of(
        Validator(address=v.address, power=100 if i == 0 else 10) for i, v in enumerate(MEMBERS)
    )
    lopsided = parse(content(validators=heavy, quorum_rule=QuorumRule.STAKE))
    assert any("100 of 130 power" in warning for warning in lopsided.warnings)
    assert lopsided.parameters.epoch_length == 1_800


def test_a_state_root_may_be_given_for_a_large_allocation() -> None:
    text = json.dumps(content())
    genesis = parse_genesis(text)
    assert parse_genesis(text, state_root=genesis.execution_header.state_root).hash == genesis.hash
