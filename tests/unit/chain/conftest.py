"""A chain without engine or network: real keys, real headers, blocks without transactions."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from metanode.chain.attributes import calculate_attributes
from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.execution_header import (
    ExecutionHeader,
    encode_execution_block,
    requests_hash,
    withdrawals_root,
)
from metanode.chain.genesis import make_genesis, parse_genesis
from metanode.chain.proposal import make_block, validate_block
from metanode.chain.state import next_state
from metanode.chain.timing import calculate_timestamp
from metanode.chain.validators import Validator, ValidatorSet
from metanode.chain.voting import Vote
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import ZERO_HASH, Address, Round

GENESIS_TIME = 1_700_000_000


class ShortChain:
    """Decided blocks of one network, made by whoever's turn it is."""

    def __init__(self, powers: Iterable[int] = (1, 1, 1, 1), **options: Any) -> None:
        transitions = options.pop("transitions", {})
        keys = [PrivateKey(bytes([0, index]) * 16) for index in range(1, 20)]
        self.keys = {key.address: key for key in keys}
        members = [
            Validator(address=key.address, power=power) for key, power in zip(keys, powers, strict=False)
        ]
        content = make_genesis(
            network_name="short",
            chain_id=1337,
            genesis_time=GENESIS_TIME,
            validators=ValidatorSet.of(members),
            balances={},
            **options,
        )
        content["config"]["metanode"]["transitions"] = transitions
        self.genesis = parse_genesis(json.dumps(content))
        self.rules = self.genesis.rules
        self.parent, self.state = self.genesis.header, self.genesis.state
        self.certificate: Certificate | None = None
        self.strangers = [key.address for key in keys[len(members) :]]

    @property
    def validators(self) -> tuple[Address, ...]:
        return self.state.validators.addresses

    def proposer(self, round: int = 0) -> Address:
        return self.state.proposer(Round(round), self.rules.quorum_rule)

    def propose(
        self,
        *,
        round: int = 0,
        vote: Vote | None = None,
        timestamp: int | None = None,
        requests: tuple[bytes, ...] = (),
        **changes: Any,
    ) -> Block:
        """Make the next block; `changes` replace fields of the execution header."""
        if timestamp is None:
            period = self.rules.parameters.period_s
            timestamp = calculate_timestamp(
                parent_timestamp=self.parent.timestamp,
                genesis_time=GENESIS_TIME,
                period_s=period,
                round=0,
                now_ms=0,
            )
        proposer = self.proposer(round)
        attributes = calculate_attributes(
            self.state, self.parent, self.rules, timestamp=timestamp, fee_recipient=proposer
        )
        withdrawals = changes.pop("withdrawals", attributes.withdrawals)
        header = {
            "parent_hash": self.parent.execution_hash,
            "beneficiary": attributes.fee_recipient,
            "state_root": ZERO_HASH,
            "number": self.parent.height + 1,
            "gas_limit": attributes.gas_limit,
            "timestamp": timestamp,
            "mix_hash": attributes.prev_randao,
            "base_fee_per_gas": 7,
            "withdrawals_root": withdrawals_root(withdrawals),
            "parent_beacon_block_root": attributes.parent_beacon_block_root,
            "requests_hash": requests_hash(requests),
        }
        execution = ExecutionHeader(**(header | changes))
        return make_block(
            state=self.state,
            parent=self.parent,
            rules=self.rules,
            execution_rlp=encode_execution_block(execution, [], withdrawals),
            requests=requests,
            parent_certificate=self.certificate,
            proposer=proposer,
            proposal_round=Round(round),
            vote=vote,
        )

    def certify(
        self, block: Block, *, round: int = 0, signers: Iterable[Address] | None = None
    ) -> Certificate:
        digest = self.rules.domain.commit(height=block.height, round=Round(round), block_hash=block.hash)
        seals = {
            address: self.keys[address].sign(digest)
            for address in (self.validators if signers is None else signers)
        }
        return Certificate.of(
            height=block.height,
            round=Round(round),
            block_hash=block.hash,
            seals=seals,
            validators=self.state.validators,
        )

    def decide(
        self, block: Block, *, signers: Iterable[Address] | None = None, validate: bool = True
    ) -> None:
        """Judge, certify and add the block."""
        if validate:
            validate_block(block, state=self.state, parent=self.parent, rules=self.rules)
        certificate = self.certify(block, signers=signers)
        self.state = next_state(self.state, block, self.rules.parameters)
        self.parent, self.certificate = block.header, certificate

    def grow(self, heights: int) -> None:
        for _ in range(heights):
            self.decide(self.propose())


@pytest.fixture
def new_chain() -> Callable[..., ShortChain]:
    return ShortChain


@pytest.fixture
def chain() -> ShortChain:
    return ShortChain()
