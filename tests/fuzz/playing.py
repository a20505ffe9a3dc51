"""One scenario on our engine and on the specification, and the first thing in which they differ.

What a block commits to (state root, receipts root, logs bloom, gas used, requests hash, base fee, blob gas) is in its header, so two
blocks of the same bytes agree on all of it.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests.conformance.chains import fork_config
from tests.conformance.transitions import run
from tests.fuzz.assembly import is_since
from tests.fuzz.scenario import Account, Block, Scenario, Way
from tests.fuzz.transactions import encode

from metanode import _engine
from metanode.chain.trie import ordered_root
from metanode.crypto.hashing import keccak256
from metanode.primitives import rlp

BUILD_S: Final = 30.0
"""More than any block of a scenario takes, so that the clock decides nothing."""
TRANSACTIONS_ROOT: Final = 4
"""Its place in a header."""
HASHES: Final = 256
"""Blocks before a transition's that BLOCKHASH can be asked for."""
WHOLE_BLOCK_CODES: Final = ("deposit_event", "system_contract", "execution")
"""Of blocks that no transaction makes invalid: deposits of another layout, and system contracts that are missing or fail."""


class Specification(Protocol):
    """Answers requests, as `reference.Reference` does."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """Where the two differ."""

    what: str
    """A few words that do not change while the scenario is made smaller."""
    detail: str

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}"


@dataclass(slots=True)
class Played:
    """What came of a scenario."""

    finding: Finding | None = None
    accepted: Counter[str] = field(default_factory=Counter)
    """Transactions in blocks, by label."""
    refused: Counter[str] = field(default_factory=Counter)
    """Transactions that both refused, by what the specification raised."""
    codes: Counter[str] = field(default_factory=Counter)
    """The same by the name that our engine gives the fault."""
    pool_refused: int = 0
    """Transactions that our pool did not hand to a block, among those of scenarios that we build."""
    types: Counter[int] = field(default_factory=Counter)
    blocks: int = 0
    bad_blocks: int = 0
    """Blocks that both call invalid as a whole."""
    requests: int = 0
    operations: Counter[int] = field(default_factory=Counter)
    precompiles: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Played") -> None:
        """Take another's counts in."""
        for name in ("accepted", "refused", "codes", "types", "operations", "precompiles"):
            getattr(self, name).update(getattr(other, name))
        for name in ("pool_refused", "blocks", "bad_blocks", "requests"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def play(scenario: Scenario, specification: Specification, *, our_fork: str | None = None) -> Played:
    """Run a scenario on both. `our_fork` puts our engine under other rules, to see that a difference is found."""
    played = Played()
    if scenario.way is Way.TRANSITION:
        try:
            _play_transition(scenario, our_fork or scenario.fork, specification, played)
        except _Differs as difference:
            played.finding = difference.finding
        return played
    with opened(scenario, our_fork or scenario.fork) as engine:
        try:
            if scenario.way is Way.BUILT:
                _play_built(scenario, engine, specification, played)
            else:
                _play_given(scenario, engine, specification, played)
        except _Differs as difference:
            played.finding = difference.finding
        except _engine.EngineError as error:
            played.finding = Finding(f"our engine fails with {type(error).__name__}", str(error))
    return played


class _Differs(Exception):
    def __init__(self, what: str, detail: str) -> None:
        super().__init__(what)
        self.finding = Finding(what, detail)


@contextmanager
def opened(scenario: Scenario, fork: str) -> Iterator[_engine.Engine]:
    """Our engine with the genesis of a scenario, in memory."""
    engine = _engine.Engine.open(_genesis(scenario, fork), threads=1, pool_tip_min_wei=0)
    try:
        yield engine
    finally:
        engine.close()


def _genesis(scenario: Scenario, fork: str) -> bytes:
    content = {
        "config": fork_config(fork, chain_id=scenario.chain_id),
        "nonce": "0x0",
        "timestamp": hex(scenario.timestamp),
        "extraData": "0x",
        "gasLimit": hex(scenario.gas_limit),
        "difficulty": "0x0",
        "baseFeePerGas": hex(scenario.base_fee),
        "excessBlobGas": hex(scenario.excess_blob_gas),
        "blobGasUsed": "0x0",
        "alloc": _alloc(scenario),
    }
    return json.dumps(content).encode()


def _alloc(scenario: Scenario) -> dict[str, Any]:
    return {"0x" + account.address.hex(): _allocated(account) for account in scenario.accounts}


def _allocated(account: Account) -> dict[str, Any]:
    storage = {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in account.storage}
    return {
        "balance": hex(account.balance),
        "nonce": hex(account.nonce),
        "code": "0x" + account.code.hex(),
        "storage": storage,
    }


def _request(scenario: Scenario, transactions: Sequence[Sequence[bytes]]) -> dict[str, Any]:
    blocks, timestamp, gas_limit = [], scenario.timestamp, scenario.gas_limit
    for block, raws in zip(scenario.blocks, transactions, strict=True):
        timestamp += block.seconds_after
        gas_limit += block.gas_limit_change
        withdrawals = [(w.index, w.validator, w.address.hex(), w.amount_gwei) for w in block.withdrawals]
        wanted = {
            "timestamp": timestamp, "gas_limit": gas_limit, "coinbase": block.coinbase.hex(), "prev_randao": block.prev_randao.hex(),
            "beacon_root": block.beacon_root.hex(), "extra_data": block.extra_data.hex(), "withdrawals": withdrawals,
            "transactions": [raw.hex() for raw in raws],
        }  # fmt: skip
        blocks.append(wanted)
    genesis = {
        "gas_limit": scenario.gas_limit, "timestamp": scenario.timestamp, "base_fee": scenario.base_fee,
        "excess_blob_gas": scenario.excess_blob_gas,
    }  # fmt: skip
    return {**_rules_and_state(scenario), "genesis": genesis, "blocks": blocks}


def _rules_and_state(scenario: Scenario) -> dict[str, Any]:
    accounts = [
        {
            "address": account.address.hex(), "nonce": account.nonce, "balance": account.balance, "code": account.code.hex(),
            "storage": account.storage,
        }
        for account in scenario.accounts
    ]  # fmt: skip
    return {"fork": scenario.fork, "chain_id": scenario.chain_id, "accounts": accounts}


def _take(answer: dict[str, Any], engine: _engine.Engine, played: Played) -> None:
    """Look at the genesis of an answer and count what ran."""
    _count(answer, played)
    ours = engine.head().hash.hex()
    if engine.head().number == 0 and ours != answer["genesis"]:
        raise _Differs("genesis", f"ours {ours}, theirs {answer['genesis']}")


def _count(answer: dict[str, Any], played: Played) -> None:
    played.operations.update({int(code): count for code, count in answer["operations"].items()})
    played.precompiles.update({int(number): count for number, count in answer["precompiles"].items()})


# There are no blocks.


def _play_transition(scenario: Scenario, fork: str, specification: Specification, played: Played) -> None:
    block = scenario.blocks[0]
    raws = [encode(transaction) for transaction in block.transactions]
    timestamp = scenario.timestamp + block.seconds_after
    numbers = range(max(0, scenario.number - HASHES), scenario.number)
    hashes = {number: keccak256(str(number).encode()).hex() for number in numbers}
    wanted = {
        "number": scenario.number, "timestamp": timestamp, "gas_limit": scenario.gas_limit, "difficulty": scenario.difficulty,
        "coinbase": block.coinbase.hex(), "prev_randao": block.prev_randao.hex(), "base_fee": scenario.base_fee,
        "excess_blob_gas": scenario.excess_blob_gas, "block_hashes": list(hashes.values()), "transactions": [raw.hex() for raw in raws],
    }  # fmt: skip
    theirs = specification.ask({**_rules_and_state(scenario), "transition": wanted})
    _count(theirs, played)
    env = {
        "number": hex(scenario.number), "timestamp": hex(timestamp), "gasLimit": hex(scenario.gas_limit),
        "difficulty": hex(scenario.difficulty), "coinbase": "0x" + block.coinbase.hex(), "mixHash": "0x" + block.prev_randao.hex(),
        "blockHashes": {str(number): "0x" + digest for number, digest in hashes.items()},
    }  # fmt: skip
    if is_since(fork, "London"):
        env["baseFeePerGas"] = hex(scenario.base_fee)
    if is_since(fork, "Cancun"):
        env["excessBlobGas"] = hex(scenario.excess_blob_gas)
    config = {"chainId": scenario.chain_id}
    ours = run(fork, alloc=_alloc(scenario), env=env, transactions=raws, config=config)
    refused = {each["index"]: each["code"] for each in ours["rejected"]}
    for index, (transaction, verdict) in enumerate(zip(block.transactions, theirs["verdicts"], strict=True)):
        where = f"{transaction.label} transaction {index} {raws[index].hex()[:40]}"
        if verdict is None:
            if index in refused:
                raise _Differs(f"we refuse a good transaction as {refused[index]}", where)
            played.accepted[transaction.label] += 1
            played.types[transaction.kind] += 1
        else:
            if index not in refused:
                raise _Differs("we take a bad transaction", f"{where}, refused there as {verdict}")
            played.refused[verdict] += 1
            played.codes[refused[index]] += 1
    for ours_name, theirs_name in _TRANSITION_RESULTS.items():
        left, right = ours[ours_name].removeprefix("0x"), theirs[theirs_name]
        if left != (f"{right:x}" if isinstance(right, int) else right):
            raise _Differs(f"another {theirs_name}", f"{left} here, {right} there")


_TRANSITION_RESULTS: Final = {
    "gasUsed": "gas_used", "receiptsRoot": "receipts_root", "logsBloom": "logs_bloom", "stateRoot": "state_root",
}  # fmt: skip
"""Our names and theirs, in the order in which a difference tells most."""


# The specification makes the blocks.


def _play_given(
    scenario: Scenario, engine: _engine.Engine, specification: Specification, played: Played
) -> None:
    raws = [[encode(transaction) for transaction in block.transactions] for block in scenario.blocks]
    answer = specification.ask(_request(scenario, raws))
    _take(answer, engine, played)
    for index, (theirs, block, raw) in enumerate(zip(answer["blocks"], scenario.blocks, raws, strict=False)):
        where = f"block {index + 1}"
        encoded, requests = (
            bytes.fromhex(theirs["block"]),
            [bytes.fromhex(each) for each in theirs["requests"]],
        )
        _refuse_each(where, engine, theirs, block, raw, played)
        if theirs["error"] is not None:
            _expect_invalid_block(where, engine, encoded, theirs["error"], played)
            return
        try:
            engine.validate(encoded, requests)
        except _engine.InvalidBlock as error:
            raise _Differs(
                f"we refuse a good block for its {error.code}", f"{where}: {error.detail}"
            ) from None
        engine.finalize(_hash_of(encoded))
        receipts = engine.receipts(engine.head().number)
        assert receipts is not None, "the head has receipts"
        played.blocks += 1
        played.requests += len(requests)
        for transaction, verdict in zip(block.transactions, theirs["verdicts"], strict=True):
            if verdict is None:
                played.accepted[transaction.label] += 1
                played.types[transaction.kind] += 1


def _refuse_each(
    where: str,
    engine: _engine.Engine,
    theirs: dict[str, Any],
    block: Block,
    raws: list[bytes],
    played: Played,
) -> None:
    """Every transaction that the specification refuses makes a block of ours invalid, for its own sake and not for a root's."""
    before: list[bytes] = []
    encoded, requests = bytes.fromhex(theirs["block"]), [bytes.fromhex(each) for each in theirs["requests"]]
    for transaction, raw, verdict in zip(block.transactions, raws, theirs["verdicts"], strict=False):
        if verdict is None:
            before.append(raw)
            continue
        bad = _with_transactions(encoded, [*before, raw])
        label = f"{where}, {transaction.label} transaction {raw.hex()[:40]}, refused there as {verdict}"
        try:
            engine.validate(bad, requests)
        except _engine.InvalidBlock as error:
            if not _is_about_transaction(error.code):
                raise _Differs(
                    f"we refuse a bad transaction for a block's {error.code}", f"{label}: {error.detail}"
                ) from None
            played.codes[error.code] += 1
        else:
            raise _Differs("we take a bad transaction", label)
        played.refused[verdict] += 1


def _is_about_transaction(code: str) -> bool:
    return code == "rlp" or (code.startswith("transaction") and code != "transactions_root")


def _with_transactions(block: bytes, raws: Sequence[bytes]) -> bytes:
    """A block with other transactions, and with the root of these; all else stays and is wrong."""
    whole = rlp.decode(block)
    assert isinstance(whole, list)
    header, rest = whole[0], whole[2:]
    assert isinstance(header, list)
    header[TRANSACTIONS_ROOT] = ordered_root(raws)
    # A legacy transaction is a list in the block, damaged or not.
    items = b"".join(raw if raw[:1] >= b"\xc0" else rlp.encode(raw) for raw in raws)
    parts = [rlp.encode(header), rlp.list_of_encoded(items), *(rlp.encode(part) for part in rest)]
    return rlp.list_of_encoded(b"".join(parts))


def _hash_of(block: bytes) -> bytes:
    """The hash of an encoded block's header."""
    whole = rlp.decode(block)
    assert isinstance(whole, list)
    return keccak256(rlp.encode(whole[0]))


def _expect_invalid_block(
    where: str, engine: _engine.Engine, encoded: bytes, error: str, played: Played
) -> None:
    try:
        engine.validate(encoded, [])
    except _engine.InvalidBlock as refusal:
        if refusal.code not in WHOLE_BLOCK_CODES:
            raise _Differs(
                f"we refuse a bad block for its {refusal.code}", f"{where}, {error}: {refusal.detail}"
            ) from None
        played.bad_blocks += 1
        played.codes[refusal.code] += 1
    else:
        raise _Differs("we take a bad block", f"{where}, refused there as {error}")


# Our engine makes the blocks.


def _play_built(
    scenario: Scenario, engine: _engine.Engine, specification: Specification, played: Played
) -> None:
    built, transactions, genesis_head = [], [], engine.head()
    timestamp, gas_limit, parent = scenario.timestamp, scenario.gas_limit, genesis_head.hash
    for block in scenario.blocks:
        timestamp += block.seconds_after
        gas_limit += block.gas_limit_change
        raws = [encode(transaction) for transaction in block.transactions]
        engine.submit(raws)
        try:
            made = engine.build(
                parent,
                timestamp=timestamp,
                fee_recipient=block.coinbase,
                prev_randao=block.prev_randao,
                withdrawals=[(w.index, w.validator, w.address, w.amount_gwei) for w in block.withdrawals],
                parent_beacon_block_root=block.beacon_root,
                gas_limit=gas_limit,
                extra_data=block.extra_data,
                deadline_s=BUILD_S,
            )
        except _engine.InvalidBlock as error:
            if error.code not in WHOLE_BLOCK_CODES:
                raise _Differs("we cannot build", f"{error.code}: {error.detail}") from None
            break
        built.append(made)
        in_block = _raws_of(made.rlp)
        transactions.append(in_block)
        played.pool_refused += len(raws) - len(in_block)
        labels = dict(zip(raws, block.transactions, strict=True))
        for raw in in_block:
            played.accepted[labels[raw].label if raw in labels else "from an earlier block"] += 1
            played.types[raw[0] if raw[0] < 0xC0 else 0] += 1
        engine.finalize(made.hash)
        parent = made.hash
    _compare_built(scenario, built, transactions, genesis_head.hash, specification, played)


def _compare_built(
    scenario: Scenario,
    built: list[_engine.Built],
    transactions: list[list[bytes]],
    genesis: bytes,
    specification: Specification,
    played: Played,
) -> None:
    request = _request(scenario, [*transactions, *[[]] * (len(scenario.blocks) - len(built))])
    request["blocks"] = request["blocks"][: len(built)]
    answer = specification.ask(request)
    _count(answer, played)
    if answer["genesis"] != genesis.hex():
        raise _Differs("genesis", f"ours {genesis.hex()}, theirs {answer['genesis']}")
    for index, (made, theirs) in enumerate(zip(built, answer["blocks"], strict=False)):
        where = f"block {index + 1}"
        refused = [verdict for verdict in theirs["verdicts"] if verdict is not None]
        if theirs["error"] is not None or refused:
            raise _Differs("we build a bad block", f"{where}: {theirs['error'] or refused}")
        if made.rlp.hex() != theirs["block"]:
            raise _Differs(
                "we build another block",
                f"{where}: {_first_difference(made.rlp, bytes.fromhex(theirs['block']))}",
            )
        if [request.hex() for request in made.requests] != theirs["requests"]:
            raise _Differs("we build other requests", f"{where}: {made.requests!r}, {theirs['requests']}")
        played.blocks += 1
        played.requests += len(made.requests)


def _raws_of(block: bytes) -> list[bytes]:
    whole = rlp.decode(block)
    assert isinstance(whole, list)
    items = whole[1]
    assert isinstance(items, list)
    return [item if isinstance(item, bytes) else rlp.encode(item) for item in items]


_FIELDS: Final = (
    "parent hash, ommers hash, coinbase, state root, transactions root, receipts root, logs bloom, difficulty, number, gas limit, "
    "gas used, timestamp, extra data, mix hash, nonce, base fee, withdrawals root, blob gas used, excess blob gas, beacon root, "
    "requests hash"
).split(", ")


def _first_difference(ours: bytes, theirs: bytes) -> str:
    one, other = rlp.decode(ours), rlp.decode(theirs)
    assert isinstance(one, list)
    assert isinstance(other, list)
    differing = [
        f"{name} {left.hex()} here, {right.hex()} there"
        for name, left, right in zip(_FIELDS, one[0], other[0], strict=False)
        if isinstance(left, bytes) and isinstance(right, bytes) and left != right
    ]
    return "; ".join(differing)[:600] or "the body"
