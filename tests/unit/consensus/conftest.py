"""A bench for one core: four keys, one genesis, and every message of height 1 that anybody could sign."""

import hashlib

import pytest

from metanode.chain.attributes import calculate_attributes
from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.execution_header import encode_execution_block
from metanode.chain.forks import Fork
from metanode.chain.genesis import make_genesis_header
from metanode.chain.parameters import ChainRules, ConsensusParameters
from metanode.chain.proposal import make_block
from metanode.chain.signing import SigningDomain
from metanode.chain.state import genesis_state
from metanode.chain.validators import Validator, ValidatorSet
from metanode.consensus.effects import Effect, Persist
from metanode.consensus.inputs import Input, MessageReceived, Mode, Persisted, Started
from metanode.consensus.justification import Electorate, make_justification
from metanode.consensus.machine import Consensus
from metanode.consensus.messages import (
    Commit,
    Justification,
    Message,
    Prepare,
    PreparedCertificate,
    Proposal,
    RoundChange,
    Seal,
)
from metanode.crypto.secp256k1 import PrivateKey
from metanode.execution.fake import execute_block, fake_genesis
from metanode.primitives.types import Address, Hash32, Height, Round

GENESIS_TIME = 1_700_000_000
NOW_MS = (GENESIS_TIME + 2) * 1000
"""The slot of height 1."""


class Bench:
    """Validators are numbered by their turn: validator k proposes round k of height 1."""

    def __init__(self, validators: int = 4) -> None:
        keys = [PrivateKey(hashlib.sha256(f"bench {i}".encode()).digest()) for i in range(validators)]
        self.stranger = PrivateKey(hashlib.sha256(b"stranger").digest())
        self.execution = fake_genesis(timestamp=GENESIS_TIME)
        parameters = ConsensusParameters(
            network_name="bench",
            genesis_time=GENESIS_TIME,
            validators=ValidatorSet.of(Validator(address=key.address) for key in keys),
            forks=(Fork(time=0, gas_target=self.execution.gas_limit),),
        )
        self.header = make_genesis_header(parameters, self.execution)
        self.state = genesis_state(parameters, gas_limit=self.execution.gas_limit)
        self.rules = ChainRules(chain_id=1, genesis_hash=self.header.hash, parameters=parameters)
        self.domain = self.rules.domain
        self.electorate = Electorate.after(self.state, self.rules.quorum_rule)
        turn = {address: index for index, address in enumerate(self.electorate.order)}
        self.keys = sorted(keys, key=lambda key: turn[key.address])

    def block(self, round_: int = 0, *, timestamp: int | None = None, recipient: int = 1) -> Block:
        """Return a valid block of height 1, made in a round; other recipients give other blocks."""
        if timestamp is None:
            timestamp = GENESIS_TIME + 2 + min(round_, 1)
        attributes = calculate_attributes(
            self.state,
            self.header,
            self.rules,
            timestamp=timestamp,
            fee_recipient=Address(bytes([recipient]) * 20),
        )
        execution = execute_block(self.execution, attributes, ())
        return make_block(
            state=self.state,
            parent=self.header,
            rules=self.rules,
            execution_rlp=encode_execution_block(execution, (), attributes.withdrawals),
            requests=(),
            parent_certificate=None,
            proposer=self.electorate.proposer(Round(round_)),
            proposal_round=Round(round_),
        )

    def proposal(
        self,
        block: Block,
        round_: int = 0,
        *,
        justification: Justification | None = None,
        key: PrivateKey | None = None,
        height: int = 1,
    ) -> Proposal:
        key = key or self.keys[round_ % len(self.keys)]
        digest = self.domain.proposal(height=Height(height), round=Round(round_), block_hash=block.hash)
        return Proposal(
            height=Height(height),
            round=Round(round_),
            header=block.header,
            block=block,
            justification=justification,
            author=key.address,
            signature=key.sign(digest),
        )

    def prepare(self, index: int, block_hash: Hash32, round_: int = 0, *, height: int = 1) -> Prepare:
        digest = self.domain.prepare(height=Height(height), round=Round(round_), block_hash=block_hash)
        return self._vote(Prepare, index, block_hash, round_, height, digest)

    def commit(self, index: int, block_hash: Hash32, round_: int = 0, *, height: int = 1) -> Commit:
        digest = self.domain.commit(height=Height(height), round=Round(round_), block_hash=block_hash)
        return self._vote(Commit, index, block_hash, round_, height, digest)

    def round_change(
        self, index: int, round_: int, prepared: PreparedCertificate | None = None, *, height: int = 1
    ) -> RoundChange:
        key = self.keys[index]
        claimed = (prepared.round, prepared.block_hash) if prepared else None
        digest = self.domain.round_change(height=Height(height), round=Round(round_), prepared=claimed)
        return RoundChange(
            height=Height(height),
            round=Round(round_),
            prepared=prepared,
            author=key.address,
            signature=key.sign(digest),
        )

    def prepared(
        self,
        block_hash: Hash32,
        round_: int = 0,
        *,
        by: tuple[int, ...] | None = None,
        proposer: int | None = None,
    ) -> PreparedCertificate:
        """Return the certificate of a block prepared by two validators beside the round's proposer."""
        proposer = round_ % len(self.keys) if proposer is None else proposer
        if by is None:
            by = tuple(i for i in range(len(self.keys)) if i != round_ % len(self.keys))[:2]
        digest = self.domain.proposal(height=Height(1), round=Round(round_), block_hash=block_hash)
        return PreparedCertificate(
            round=Round(round_),
            block_hash=block_hash,
            proposal=Seal(author=self.keys[proposer].address, signature=self.keys[proposer].sign(digest)),
            prepares=tuple(
                Seal(author=vote.author, signature=vote.signature)
                for vote in (self.prepare(i, block_hash, round_) for i in by)
            ),
        )

    def justification(
        self,
        round_: int,
        prepared: dict[int, PreparedCertificate] | None = None,
        *,
        by: tuple[int, ...] = (0, 1, 2),
    ) -> Justification:
        """Return what round changes of these validators give; `prepared` says who claims what."""
        claims = prepared or {}
        return make_justification([self.round_change(i, round_, claims.get(i)) for i in by])

    def certificate(
        self, block_hash: Hash32, round_: int = 0, *, by: tuple[int, ...] = (0, 1, 2)
    ) -> Certificate:
        seals = {self.keys[i].address: self.commit(i, block_hash, round_).signature for i in by}
        return Certificate.of(
            height=Height(1),
            round=Round(round_),
            block_hash=block_hash,
            seals=seals,
            validators=self.state.validators,
        )

    def core(self, index: int, **kwargs: object) -> "Node":
        """Return a started core of a validator, live unless said otherwise."""
        return Node(self, index, **kwargs)

    def _vote(
        self, kind: type, index: int, block_hash: Hash32, round_: int, height: int, digest: Hash32
    ) -> object:
        key = self.keys[index]
        return kind(
            height=Height(height),
            round=Round(round_),
            block_hash=block_hash,
            author=key.address,
            signature=key.sign(digest),
        )


class Node:
    """A core whose disk answers at once, unless `is_durable` is False."""

    def __init__(self, bench: Bench, index: int, *, mode: Mode = Mode.LIVE, **kwargs: object) -> None:
        key = bench.keys[index]
        self.bench = bench
        self.core = Consensus(
            rules=bench.rules,
            header=bench.header,
            state=bench.state,
            certificate=None,
            own=key.address,
            sign=key.sign,
            mode=mode,
            **kwargs,
        )
        self.is_durable = True
        self.persisted: list[Persist] = []
        self.started = self.give(Started())

    def give(self, event: Input) -> list[Effect]:
        """Return the effects of an input and of the disk's answers to it."""
        effects = self.core.handle(event)
        waiting = list(effects)
        while waiting:
            effect = waiting.pop(0)
            if isinstance(effect, Persist):
                self.persisted.append(effect)
                if self.is_durable:
                    more = self.core.handle(Persisted(number=effect.number))
                    effects.extend(more)
                    waiting.extend(more)
        return effects

    def hear(self, *messages: Message, now_ms: int = NOW_MS) -> list[Effect]:
        """Return the effects of messages, one after another."""
        effects: list[Effect] = []
        for message in messages:
            effects.extend(self.give(MessageReceived(message=message, peer="peer", now_ms=now_ms)))
        return effects


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def make_bench() -> type[Bench]:
    return Bench


@pytest.fixture(scope="session")
def make_domain() -> SigningDomain:
    return Bench().domain
