"""Stores on real files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
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
from metanode.chain.genesis import Genesis, make_genesis, parse_genesis
from metanode.chain.proposal import make_block
from metanode.chain.state import next_state
from metanode.chain.validators import ValidatorSet
from metanode.chain.voting import Vote
from metanode.consensus.effects import Decided
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import ZERO_HASH, Round
from metanode.storage.node_store import NodeStore

KEYS = [PrivateKey(bytes([1, n]) * 16) for n in range(1, 6)]


def make_network(chain_id: int = 1337) -> Genesis:
    content = make_genesis(
        network_name="stored",
        chain_id=chain_id,
        genesis_time=1_700_000_000,
        validators=ValidatorSet.of_addresses(key.address for key in KEYS[:4]),
        balances={},
    )
    return parse_genesis(json.dumps(content))


class Decisions:
    """Decided blocks of one network, one after another."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.parent, self.state = genesis.header, genesis.state
        self.certificate: Certificate | None = None

    def propose(self, *, round: int = 0, requests: tuple[bytes, ...] = (), vote: Vote | None = None) -> Block:
        rules = self.genesis.rules
        proposer = self.state.proposer(Round(round), rules.quorum_rule)
        wanted = calculate_attributes(
            self.state, self.parent, rules, timestamp=self.parent.timestamp + 2, fee_recipient=proposer
        )
        header = ExecutionHeader(
            parent_hash=self.parent.execution_hash,
            beneficiary=proposer,
            state_root=ZERO_HASH,
            number=self.parent.height + 1,
            gas_limit=wanted.gas_limit,
            timestamp=wanted.timestamp,
            mix_hash=wanted.prev_randao,
            base_fee_per_gas=7,
            withdrawals_root=withdrawals_root(wanted.withdrawals),
            parent_beacon_block_root=wanted.parent_beacon_block_root,
            requests_hash=requests_hash(requests),
        )
        return make_block(
            state=self.state,
            parent=self.parent,
            rules=rules,
            execution_rlp=encode_execution_block(header, [], wanted.withdrawals),
            requests=requests,
            parent_certificate=self.certificate,
            proposer=proposer,
            proposal_round=Round(round),
            vote=vote,
        )

    def certify(self, block: Block, *, seals: int = 4) -> Certificate:
        digest = self.genesis.rules.domain.commit(height=block.height, round=Round(0), block_hash=block.hash)
        return Certificate.of(
            height=block.height,
            round=Round(0),
            block_hash=block.hash,
            seals={key.address: key.sign(digest) for key in KEYS[:seals]},
            validators=self.state.validators,
        )

    def decide(self, block: Block, *, seals: int = 4) -> Decided:
        certificate = self.certify(block, seals=seals)
        self.state = next_state(self.state, block, self.genesis.parameters)
        self.parent, self.certificate = block.header, certificate
        return Decided(block=block, certificate=certificate, state=self.state)


@pytest.fixture
def genesis() -> Genesis:
    return make_network()


@pytest.fixture
def decisions(genesis: Genesis) -> Decisions:
    return Decisions(genesis)


@pytest.fixture
def other_network() -> Genesis:
    return make_network(chain_id=1338)


@pytest.fixture
def keys() -> list[PrivateKey]:
    return KEYS


@pytest.fixture
def open_store(tmp_path: Path, genesis: Genesis) -> Iterator[Callable[..., NodeStore]]:
    """Open node.db of the test's folder, again and again; the one before is closed first."""
    opened: list[NodeStore] = []

    def open_again(**options: Any) -> NodeStore:
        while opened:
            opened.pop().close()
        opened.append(NodeStore.open(tmp_path / "data" / "node.db", options.get("genesis", genesis)))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()
