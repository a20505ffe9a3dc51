"""The genesis file: geth's format, with our consensus section as `config.metanode`.

One file starts the embedded engine, any external execution client, and consensus. Execution clients ignore our section; we read theirs
only to compute the genesis header and to refuse a file that clients would read differently. Every problem is found at once, and each
sentence names its field.

`parse_genesis` computes the state root of the allocation itself (about 50 us an account), so that a node can compare what its engine
computed. `make_genesis` builds the file of a new network.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from metanode.chain.execution_header import EMPTY_REQUESTS_HASH, EXTRA_DATA_BYTES_MAX, ExecutionHeader
from metanode.chain.forks import GAS_MIN, GAS_TARGET_DEFAULT, Fork, Timeouts
from metanode.chain.header import EMPTY_EVIDENCE_ROOT, ConsensusHeader
from metanode.chain.parameters import (
    EPOCH_LENGTH_AUTHORITY,
    EPOCH_LENGTH_STAKE,
    PERIOD_S_DEFAULT,
    REWARD_GWEI_DEFAULT,
    ChainRules,
    ConsensusParameters,
)
from metanode.chain.predeploys import SYSTEM_CONTRACTS, load_predeploys
from metanode.chain.quorum import QuorumRule
from metanode.chain.state import ConsensusState, genesis_state
from metanode.chain.trie import secure_root
from metanode.chain.validators import VALIDATORS_MAX, Validator, ValidatorSet
from metanode.crypto.addresses import format_address, parse_address
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidGenesis, InvalidInput
from metanode.primitives import hexadecimal, rlp
from metanode.primitives.json_text import parse_json
from metanode.primitives.types import ZERO_ADDRESS, ZERO_HASH, Address, Hash32, Height, Round

BASE_FEE_DEFAULT: Final = 10**9
"""1 gwei, the initial base fee of EIP-1559."""
BLOB_SCHEDULE: Final = {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716}
"""Prague's, for all forks: with all active from genesis, clients differ in which one they take."""

_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,78}|[0-9]{1,80}", re.ASCII)
"""A little more than any field takes; int() alone would take underscores, signs and spaces too, which other clients refuse."""
_PROBLEMS_MAX: Final = 50
"""A file with more is not a genesis file."""
_IS_CONFIGURATION: Final = (
    "config: missing; this is a network's genesis configuration, and nodes start from its chain specification: the "
    "chain_specification.json that sdk.testnet.GenesisGenerator.export_config writes beside it when validate_config finds no problem"
)
_BLOCKS_FROM_GENESIS: Final = (
    "homesteadBlock",
    "eip150Block",
    "eip155Block",
    "eip158Block",
    "byzantiumBlock",
    "constantinopleBlock",
    "petersburgBlock",
    "istanbulBlock",
    "berlinBlock",
    "londonBlock",
    "mergeNetsplitBlock",
)
_TIMES_FROM_GENESIS: Final = ("shanghaiTime", "cancunTime", "pragueTime", "osakaTime")
_CONSENSUS_KEYS: Final = (
    "name",
    "quorum",
    "period",
    "epochLength",
    "rewardGwei",
    "validators",
    "validatorsMax",
    "forks",
    "transitions",
)
_FORK_KEYS: Final = (
    "time",
    "execution",
    "consensusVersion",
    "gasTarget",
    "proposeTimeoutMs",
    "proposeTimeoutMaxMs",
    "roundTimeoutMs",
    "roundTimeoutMaxMs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """A network's first block and its rules."""

    network_name: str
    chain_id: int
    parameters: ConsensusParameters
    execution_header: ExecutionHeader
    """Header of the execution block 0; its hash is what the execution client must have."""
    header: ConsensusHeader
    state: ConsensusState
    """State after height 0."""
    rules: ChainRules
    warnings: tuple[str, ...]
    """What is allowed but rarely meant, in sentences."""

    @property
    def hash(self) -> Hash32:
        """Consensus hash of the genesis header."""
        return self.header.hash


def parse_genesis(text: bytes | str, *, state_root: Hash32 | None = None) -> Genesis:
    """Return the network of a genesis file; raises InvalidGenesis with one line for every problem.

    `state_root` spares the computation for an allocation of millions, when the engine has done it.
    """
    try:
        content = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise InvalidGenesis(f"genesis: expected JSON: {error}") from error
    found = _Problems()
    root = found.read_object(content, "genesis")
    found.check()
    if "config" not in root and {"consensus", "network"} <= root.keys():
        found.add(_IS_CONFIGURATION)
        found.check()
    config = found.read_object(root.get("config"), "config")
    found.check()
    chain_id = found.read_number(config, "chainId", "config.chainId", low=1, high=2**63 - 1)
    _check_forks(found, config)
    execution = _parse_execution_header(found, root, state_root)
    if "metanode" not in config:
        found.add(
            "config.metanode: missing; it holds the consensus section, without which this file is some other network's"
        )
        found.check()
    section = found.read_object(config["metanode"], "config.metanode")
    parameters = _parse_consensus(found, section, execution.timestamp, execution.gas_limit)
    found.check()
    assert parameters is not None, "a section without problems gives parameters"
    header = make_genesis_header(parameters, execution)
    rules = ChainRules(chain_id=chain_id, genesis_hash=header.hash, parameters=parameters)
    return Genesis(
        network_name=parameters.network_name,
        chain_id=chain_id,
        parameters=parameters,
        execution_header=execution,
        header=header,
        state=genesis_state(parameters, gas_limit=execution.gas_limit),
        rules=rules,
        warnings=_find_warnings(parameters, execution),
    )


def make_genesis_header(parameters: ConsensusParameters, execution: ExecutionHeader) -> ConsensusHeader:
    """Return the consensus header of height 0."""
    state = genesis_state(parameters, gas_limit=execution.gas_limit)
    first = parameters.validators
    return ConsensusHeader(
        version=parameters.forks[0].consensus_version,
        chain_tag=parameters.tag,
        height=Height(0),
        parent_hash=ZERO_HASH,
        execution_hash=execution.hash,
        requests_hash=execution.requests_hash,
        timestamp=execution.timestamp,
        proposer=ZERO_ADDRESS,
        proposal_round=Round(0),
        validators_hash=first.hash,
        next_validators_hash=first.hash,
        consensus_state_root=state.root,
        parent_certificate_hash=ZERO_HASH,
        vote=None,
        evidence_root=EMPTY_EVIDENCE_ROOT,
    )


def make_genesis(
    *,
    network_name: str,
    chain_id: int,
    genesis_time: int,
    validators: ValidatorSet,
    balances: Mapping[Address, int],
    quorum_rule: QuorumRule = QuorumRule.AUTHORITY,
    period_s: int = PERIOD_S_DEFAULT,
    epoch_length: int | None = None,
    reward_gwei: int = REWARD_GWEI_DEFAULT,
    gas_limit: int = GAS_TARGET_DEFAULT,
    timeouts: Timeouts | None = None,
    validators_max: int = VALIDATORS_MAX,
) -> dict[str, Any]:
    """Return the content of a new network's genesis file; `balances` are in wei, the gas limit is also the target."""
    if epoch_length is None:
        epoch_length = EPOCH_LENGTH_AUTHORITY if quorum_rule is QuorumRule.AUTHORITY else EPOCH_LENGTH_STAKE
    fork = Fork(time=0, gas_target=gas_limit, timeouts=timeouts or Timeouts())
    alloc: dict[str, dict[str, str]] = {}
    for predeploy in load_predeploys():
        alloc[format_address(predeploy.address)] = {
            "nonce": "0x1",
            "balance": "0x0",
            "code": hexadecimal.encode_data(predeploy.code),
        }
    for address, balance in sorted(balances.items()):
        entry = alloc.setdefault(format_address(address), {})
        entry["balance"] = hexadecimal.encode_quantity(balance)
    zero = format_address(ZERO_ADDRESS)
    return {
        "config": {
            "chainId": chain_id,
            **dict.fromkeys(_BLOCKS_FROM_GENESIS, 0),
            **dict.fromkeys(_TIMES_FROM_GENESIS, 0),
            "terminalTotalDifficulty": 0,
            "terminalTotalDifficultyPassed": True,
            "depositContractAddress": zero,
            "withdrawalRequestContractAddress": "0x00000961Ef480Eb55e80D19ad83579A64c007002",
            "consolidationRequestContractAddress": "0x0000BBdDc7CE488642fb579F8B00f3a590007251",
            "blobSchedule": {fork_name: dict(BLOB_SCHEDULE) for fork_name in ("cancun", "prague", "osaka")},
            "metanode": {
                "name": network_name,
                "quorum": quorum_rule.value,
                "period": period_s,
                "epochLength": epoch_length,
                "rewardGwei": reward_gwei,
                "validators": [{"address": format_address(v.address), "power": v.power} for v in validators],
                **({} if validators_max == VALIDATORS_MAX else {"validatorsMax": validators_max}),
                "forks": [
                    {
                        "time": 0,
                        "execution": fork.execution,
                        "consensusVersion": fork.consensus_version,
                        "gasTarget": fork.gas_target,
                        "proposeTimeoutMs": fork.timeouts.propose_timeout_ms,
                        "proposeTimeoutMaxMs": fork.timeouts.propose_timeout_max_ms,
                        "roundTimeoutMs": fork.timeouts.round_timeout_ms,
                        "roundTimeoutMaxMs": fork.timeouts.round_timeout_max_ms,
                    }
                ],
                "transitions": {},
            },
        },
        "nonce": "0x0",
        "timestamp": hexadecimal.encode_quantity(genesis_time),
        "extraData": "0x",
        "gasLimit": hexadecimal.encode_quantity(gas_limit),
        "difficulty": "0x0",
        "mixHash": hexadecimal.encode_data(ZERO_HASH),
        "coinbase": zero,
        "baseFeePerGas": hexadecimal.encode_quantity(BASE_FEE_DEFAULT),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "alloc": alloc,
    }


class _Problems:
    """Reads fields and collects a sentence for each that is wrong; what it returns then is a harmless stand-in."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def check(self) -> None:
        if self.sentences:
            shown = self.sentences[:_PROBLEMS_MAX]
            if len(self.sentences) > _PROBLEMS_MAX:
                shown.append(f"and {len(self.sentences) - _PROBLEMS_MAX} more problems")
            raise InvalidGenesis("\n".join(shown))

    def read_object(self, value: object, where: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.add(f"{where}: expected an object, found {_described(value)}")
        return {}

    def read_list(self, value: object, where: str) -> list[Any]:
        if isinstance(value, list):
            return value
        self.add(f"{where}: expected a list, found {_described(value)}")
        return []

    def check_keys(self, value: Mapping[str, object], known: Sequence[str], where: str) -> None:
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                self.add(f"{where}.{key}: unknown field" + (f", did you mean {near[0]!r}?" if near else ""))

    def read_number(
        self,
        holder: Mapping[str, Any],
        key: str,
        where: str,
        *,
        low: int,
        high: int,
        default: int | None = None,
    ) -> int:
        """Read a JSON number, a hex quantity with or without leading zeros, or a decimal string, as geth does."""
        value = holder.get(key, default)
        number: int | None = None
        if type(value) is int:
            number = value
        elif isinstance(value, str) and _NUMBER.fullmatch(value):
            number = int(value, 16) if value[:2] in {"0x", "0X"} else int(value)
        if number is None:
            self.add(f"{where}: expected a number, found {_described(value)}")
        elif not low <= number <= high:
            self.add(f"{where}: expected {low} to {high}, found {number}")
        else:
            return number
        return low

    def read_bytes(
        self, holder: Mapping[str, Any], key: str, where: str, *, default: str, length: int | None = None
    ) -> bytes:
        value = holder.get(key, default)
        if not isinstance(value, str):
            self.add(f"{where}: expected 0x and hex digits, found {_described(value)}")
            return bytes(length or 0)
        try:
            return hexadecimal.decode_data(value, field=where, length=length)
        except InvalidInput as error:
            self.add(str(error))
            return bytes(length or 0)

    def read_address(self, text: object, where: str) -> Address | None:
        if not isinstance(text, str):
            self.add(f"{where}: expected 0x and 40 hex digits, found {_described(text)}")
            return None
        try:
            return parse_address(text, field=where)
        except InvalidInput as error:
            self.add(str(error))
            return None


def _check_forks(found: _Problems, config: Mapping[str, Any]) -> None:
    for key in (*_BLOCKS_FROM_GENESIS, *_TIMES_FROM_GENESIS, "terminalTotalDifficulty"):
        value = config.get(key)
        if value != 0 or isinstance(value, bool):
            found.add(
                f"config.{key}: expected 0, all rules up to Osaka are in force from genesis, found {_described(value)}"
            )
    for key in config:
        if key.endswith("Time") and key not in _TIMES_FROM_GENESIS:
            found.add(
                f"config.{key}: this software knows no rules after Osaka; later forks go into config.metanode.forks"
            )


def _parse_execution_header(
    found: _Problems, root: Mapping[str, Any], state_root: Hash32 | None
) -> ExecutionHeader:
    alloc = found.read_object(root.get("alloc"), "alloc")
    if root.get("alloc") == {}:
        found.add("alloc: expected the system contracts at least, found nothing")
    for key, wanted in (
        ("number", 0),
        ("gasUsed", 0),
        ("difficulty", 0),
        ("blobGasUsed", 0),
        ("excessBlobGas", 0),
    ):
        found.read_number(root, key, key, low=wanted, high=wanted, default=wanted)
    if (
        found.read_bytes(
            root, "parentHash", "parentHash", default=hexadecimal.encode_data(ZERO_HASH), length=32
        )
        != ZERO_HASH
    ):
        found.add("parentHash: expected zero")
    extra_data = found.read_bytes(root, "extraData", "extraData", default="0x")
    if len(extra_data) > EXTRA_DATA_BYTES_MAX:
        found.add(f"extraData: expected at most {EXTRA_DATA_BYTES_MAX} bytes, found {len(extra_data)}")
    accounts = _parse_accounts(found, alloc)
    if alloc:
        _check_system_contracts(found, alloc)
    return ExecutionHeader(
        parent_hash=ZERO_HASH,
        beneficiary=Address(
            found.read_bytes(root, "coinbase", "coinbase", default="0x" + "00" * 20, length=20)
        ),
        state_root=state_root if state_root is not None else secure_root(accounts),
        number=0,
        gas_limit=found.read_number(root, "gasLimit", "gasLimit", low=GAS_MIN, high=2**63 - 1),
        timestamp=found.read_number(root, "timestamp", "timestamp", low=1, high=2**63 - 1),
        extra_data=extra_data,
        mix_hash=Hash32(found.read_bytes(root, "mixHash", "mixHash", default="0x" + "00" * 32, length=32)),
        nonce=found.read_number(root, "nonce", "nonce", low=0, high=2**64 - 1, default=0).to_bytes(8, "big"),
        base_fee_per_gas=found.read_number(
            root, "baseFeePerGas", "baseFeePerGas", low=0, high=2**64 - 1, default=BASE_FEE_DEFAULT
        ),
        requests_hash=EMPTY_REQUESTS_HASH,
    )


def _parse_accounts(found: _Problems, alloc: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the RLP of each account by address."""
    accounts: dict[bytes, bytes] = {}
    for key, value in alloc.items():
        where, before = f"alloc.{key[:80]}", len(found.sentences)
        address = found.read_address(key if key.startswith("0x") else "0x" + key, where)
        account = found.read_object(value, where)
        found.check_keys(account, ("balance", "nonce", "code", "storage"), where)
        balance = found.read_number(account, "balance", f"{where}.balance", low=0, high=2**256 - 1, default=0)
        nonce = found.read_number(account, "nonce", f"{where}.nonce", low=0, high=2**64 - 1, default=0)
        code = found.read_bytes(account, "code", f"{where}.code", default="0x")
        storage = _parse_storage(found, account.get("storage", {}), f"{where}.storage")
        if address is None:
            continue
        if address in accounts:
            found.add(f"{where}: the address stands here twice")
        if not (balance or nonce or code or storage or len(found.sentences) > before):
            found.add(f"{where}: expected a balance, a nonce or code; clients disagree about empty accounts")
        accounts[address] = rlp.encode(
            [rlp.integer(nonce), rlp.integer(balance), secure_root(storage), keccak256(code)]
        )
    return accounts


def _check_system_contracts(found: _Problems, alloc: Mapping[str, Any]) -> None:
    """The contracts that every Osaka block calls: without two of them no block is valid, without the others history is silently lost."""
    coded = {
        key.lower().removeprefix("0x")
        for key, account in alloc.items()
        if isinstance(account, dict) and account.get("code", "0x") not in {"", "0x"}
    }
    for predeploy in load_predeploys()[:SYSTEM_CONTRACTS]:
        if predeploy.address.hex() not in coded:
            found.add(
                f"alloc.{format_address(predeploy.address)}: expected the code of the system contract for {predeploy.name}"
            )


def _parse_storage(found: _Problems, value: object, where: str) -> dict[bytes, bytes]:
    storage: dict[bytes, bytes] = {}
    for key, word in found.read_object(value, where).items():
        slot = found.read_number({"key": key}, "key", f"{where}.{key[:80]}", low=0, high=2**256 - 1)
        number = found.read_number({"word": word}, "word", f"{where}.{key[:80]}", low=0, high=2**256 - 1)
        if number:
            storage[slot.to_bytes(32, "big")] = rlp.encode(rlp.integer(number))
    return storage


def _parse_consensus(
    found: _Problems, section: dict[str, Any], genesis_time: int, gas_limit: int
) -> ConsensusParameters | None:
    where = "config.metanode"
    before = len(found.sentences)
    found.check_keys(section, _CONSENSUS_KEYS, where)
    name = section.get("name")
    if not isinstance(name, str):
        found.add(f"{where}.name: expected the network's name, found {_described(name)}")
        name = "unnamed"
    named_rule = section.get("quorum", QuorumRule.AUTHORITY.value)
    rules = {rule.value: rule for rule in QuorumRule}
    if not isinstance(named_rule, str) or named_rule not in rules:
        found.add(f"{where}.quorum: expected one of {', '.join(rules)}, found {_described(named_rule)}")
    rule = (
        rules.get(named_rule, QuorumRule.AUTHORITY) if isinstance(named_rule, str) else QuorumRule.AUTHORITY
    )
    epoch_default = EPOCH_LENGTH_AUTHORITY if rule is QuorumRule.AUTHORITY else EPOCH_LENGTH_STAKE
    period = found.read_number(
        section, "period", f"{where}.period", low=1, high=2**63 - 1, default=PERIOD_S_DEFAULT
    )
    epoch_length = found.read_number(
        section, "epochLength", f"{where}.epochLength", low=1, high=2**63 - 1, default=epoch_default
    )
    reward = found.read_number(
        section, "rewardGwei", f"{where}.rewardGwei", low=0, high=2**63 - 1, default=REWARD_GWEI_DEFAULT
    )
    validators = _parse_validators(found, section.get("validators"), f"{where}.validators")
    validators_max = found.read_number(
        section, "validatorsMax", f"{where}.validatorsMax", low=1, high=VALIDATORS_MAX, default=VALIDATORS_MAX
    )
    items = found.read_list(section.get("forks", [{"time": 0, "gasTarget": gas_limit}]), f"{where}.forks")
    forks = tuple(_parse_fork(found, item, f"{where}.forks[{index}]") for index, item in enumerate(items))
    transitions: dict[Height, ValidatorSet] = {}
    for key, value in found.read_object(section.get("transitions", {}), f"{where}.transitions").items():
        at = found.read_number(
            {"height": key}, "height", f"{where}.transitions.{key[:80]}", low=2, high=2**63 - 1
        )
        replaced = _parse_validators(found, value, f"{where}.transitions.{key[:80]}")
        if replaced is not None:
            transitions[Height(at)] = replaced
    if len(found.sentences) > before or validators is None:
        return None
    try:
        return ConsensusParameters(
            network_name=name,
            genesis_time=genesis_time,
            validators=validators,
            quorum_rule=rule,
            period_s=period,
            epoch_length=epoch_length,
            reward_gwei=reward,
            validators_max=validators_max,
            forks=forks,
            transitions=transitions,
        )
    except InvalidInput as error:
        found.add(f"{where}.{error}")
        return None


def _parse_validators(found: _Problems, value: object, where: str) -> ValidatorSet | None:
    before, seen = len(found.sentences), dict[bytes, int]()
    validators = []
    for index, item in enumerate(found.read_list(value, where)):
        here = f"{where}[{index}]"
        entry = {"address": item} if isinstance(item, str) else found.read_object(item, here)
        found.check_keys(entry, ("address", "power"), here)
        power = found.read_number(entry, "power", f"{here}.power", low=1, high=2**60 - 1, default=1)
        address = found.read_address(entry.get("address"), f"{here}.address")
        if address is None:
            continue
        if address in seen:
            found.add(f"{here}.address: {format_address(address)} is the same as {where}[{seen[address]}]")
        seen.setdefault(address, index)
        validators.append(Validator(address=address, power=power))
    if len(found.sentences) > before:
        return None
    try:
        return ValidatorSet.of(validators)
    except InvalidInput as error:
        found.add(f"{where}: {str(error).removeprefix('validators: ')}")
        return None


def _parse_fork(found: _Problems, item: object, where: str) -> Fork:
    entry = found.read_object(item, where)
    found.check_keys(entry, _FORK_KEYS, where)
    standard, waits = Fork(time=0), Timeouts()

    def number(key: str, default: int | None) -> int:
        return found.read_number(entry, key, f"{where}.{key}", low=0, high=2**63 - 1, default=default)

    execution = entry.get("execution", standard.execution)
    if not isinstance(execution, str):
        found.add(f"{where}.execution: expected a name, found {_described(execution)}")
        execution = standard.execution
    return Fork(
        time=number("time", None),
        execution=execution,
        consensus_version=number("consensusVersion", standard.consensus_version),
        gas_target=number("gasTarget", standard.gas_target),
        timeouts=Timeouts(
            propose_timeout_ms=number("proposeTimeoutMs", waits.propose_timeout_ms),
            propose_timeout_max_ms=number("proposeTimeoutMaxMs", waits.propose_timeout_max_ms),
            round_timeout_ms=number("roundTimeoutMs", waits.round_timeout_ms),
            round_timeout_max_ms=number("roundTimeoutMaxMs", waits.round_timeout_max_ms),
        ),
    )


def _find_warnings(parameters: ConsensusParameters, execution: ExecutionHeader) -> tuple[str, ...]:
    found = []
    validators, rule = parameters.validators, parameters.quorum_rule
    tolerance = validators.tolerance(rule)
    if tolerance.crashes == 0:
        found.append(f"{len(validators)} validators: the network {tolerance}; one that stops stops the chain")
    heaviest = max(validator.power for validator in validators)
    if len(validators) > 1 and rule is QuorumRule.STAKE and 3 * heaviest >= validators.total_power:
        found.append(
            f"one validator has {heaviest} of {validators.total_power} power: alone it can stop the chain"
        )
    target = parameters.forks[0].gas_target
    if execution.gas_limit != target:
        found.append(
            f"gasLimit is {execution.gas_limit}, the target {target}: blocks will step there by 1/1024 each"
        )
    return tuple(found)


def _described(value: object) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:80] + "..."
