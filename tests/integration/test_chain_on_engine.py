"""The chain's rules and the engine agree about every block: headers, roots, rewards, gas limit, requests, and the genesis."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account

from metanode.chain.attributes import calculate_attributes
from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.genesis import Genesis, make_genesis, parse_genesis
from metanode.chain.proposal import make_block, validate_block
from metanode.chain.state import next_state
from metanode.chain.timing import calculate_due
from metanode.chain.validators import ValidatorSet
from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Address, Round

_engine = pytest.importorskip("metanode._engine", reason="the engine is not built: run `make setup`")

KEYS = {key.address: key for key in (PrivateKey(bytes([0, n]) * 16) for n in range(1, 5))}
RICH = PrivateKey(b"\x55" * 32)
GENESIS_TIME = 1_700_000_000


def content(**options: Any) -> bytes:
    made = make_genesis(
        network_name="joint",
        chain_id=1337,
        genesis_time=GENESIS_TIME,
        validators=ValidatorSet.of_addresses(KEYS),
        balances={RICH.address: 10**24},
        **options,
    )
    return json.dumps(made).encode()


@pytest.fixture(
    params=[{}, {"gas_limit": 8_000_000, "reward_gwei": 0}, {"period_s": 5}], ids=["standard", "seed", "slow"]
)
def network(request: pytest.FixtureRequest) -> Iterator[tuple[Genesis, Any]]:
    document = content(**request.param)
    engine = _engine.Engine.open(document)
    yield parse_genesis(document), engine
    engine.close()


def test_the_engine_computes_the_same_genesis(network: tuple[Genesis, Any]) -> None:
    genesis, engine = network
    head = engine.head()
    assert (head.number, head.hash) == (0, genesis.execution_header.hash)
    assert head.state_root == genesis.execution_header.state_root


def signed(nonce: int) -> bytes:
    """Return transfers of the types 0, 1 and 2 in turn, and now and then one with enough data for long lengths."""
    common = {"chainId": 1337, "nonce": nonce, "to": "0x" + "77" * 20, "value": 10, "gas": 300_000}
    common["data"] = "0x" + "ab" * (0, 10, 60, 300)[nonce % 4]
    fees = [
        {"gasPrice": 3 * 10**9},
        {
            "gasPrice": 3 * 10**9,
            "type": 1,
            "accessList": [{"address": "0x" + "77" * 20, "storageKeys": ["0x" + "01" * 32]}],
        },
        {"type": 2, "maxFeePerGas": 3 * 10**9, "maxPriorityFeePerGas": 10**9},
    ]
    return bytes(Account.sign_transaction(common | fees[nonce % 3], RICH.secret).raw_transaction)


def call(engine: Any, method: str, *params: str) -> Any:
    """Return the engine's answer; it gives the member of the JSON-RPC response."""
    return json.loads(b"{" + engine.rpc(method, json.dumps(params).encode()) + b"}")["result"]


def test_what_the_engine_builds_the_rules_accept_and_what_they_ask_for_it_does(
    network: tuple[Genesis, Any],
) -> None:
    genesis, engine = network
    rules, parameters = genesis.rules, genesis.parameters
    parent, state = genesis.header, genesis.state
    certificate: Certificate | None = None
    coinbase = Address(b"\x0c" * 20)
    nonce = paid_gwei = 0
    for height in range(1, 21):
        raws = [signed(nonce + index) for index in range(height % 7 * 20)]
        nonce += len(raws)
        assert all(isinstance(answer, bytes) for answer in engine.submit(raws))
        proposer = state.proposer(Round(0), rules.quorum_rule)
        due = calculate_due(
            parent_timestamp=parent.timestamp, genesis_time=GENESIS_TIME, period_s=parameters.period_s
        )
        wanted = calculate_attributes(state, parent, rules, timestamp=due, fee_recipient=coinbase)
        built = engine.build(
            parent.execution_hash,
            timestamp=wanted.timestamp,
            fee_recipient=wanted.fee_recipient,
            prev_randao=wanted.prev_randao,
            withdrawals=[(w.index, w.validator_index, w.address, w.amount_gwei) for w in wanted.withdrawals],
            parent_beacon_block_root=wanted.parent_beacon_block_root,
            gas_limit=wanted.gas_limit,
            extra_data=b"",
            deadline_s=5.0,
        )
        assert built.transactions == len(raws)
        block = make_block(
            state=state,
            parent=parent,
            rules=rules,
            execution_rlp=built.rlp,
            requests=tuple(built.requests),
            parent_certificate=certificate,
            proposer=proposer,
            proposal_round=Round(0),
        )
        received = Block.decode(block.encode(), expected=block.hash)
        assert received.execution.transaction_count == len(raws)
        validate_block(received, state=state, parent=parent, rules=rules)
        engine.validate(received.execution_rlp, list(received.requests))
        paid_gwei += sum(withdrawal.amount_gwei for withdrawal in received.execution.withdrawals)
        engine.finalize(received.header.execution_hash)
        digest = rules.domain.commit(height=block.height, round=Round(0), block_hash=block.hash)
        certificate = Certificate.of(
            height=block.height,
            round=Round(0),
            block_hash=block.hash,
            seals={address: key.sign(digest) for address, key in KEYS.items()},
            validators=state.validators,
        )
        state, parent = next_state(state, received, parameters), received.header
    head = engine.head()
    assert (head.number, head.hash) == (20, parent.execution_hash)
    answer = call(engine, "eth_getBalance", format_address(coinbase), "latest")
    tips_wei = int(answer, 16) - paid_gwei * 10**9
    assert paid_gwei == 19 * parameters.reward_gwei, (
        "block n pays for block n - 1; the last reward is still pending"
    )
    assert tips_wei > 0
    slot = parent.timestamp % 8191
    root = call(
        engine, "eth_getStorageAt", "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02", hex(slot + 8191), "latest"
    )
    assert root == "0x" + parent.parent_hash.hex(), "EIP-4788 makes consensus hashes provable in the EVM"
