"""Validators that sign two things in one place, as changes to what an otherwise honest node sends."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import assert_never

from metanode.chain.attributes import PayloadAttributes
from metanode.chain.block import Block
from metanode.chain.execution_header import decode_execution_block, encode_execution_block
from metanode.consensus.messages import Commit, Message, Prepare, Proposal, RoundChange
from metanode.execution.fake import execute_block
from metanode.primitives.types import Address, Hash32, Height, Round
from metanode.simulation.adversaries.corruption import corrupt
from metanode.simulation.cluster import Cluster
from metanode.simulation.node import SimulatedNode

OTHER_RECIPIENT = Address(b"\xee" * 20)
"""Fee recipient of a twin block."""


def equivocate(cluster: Cluster, index: int, *, votes_twice: bool = False) -> None:
    """Let a validator propose one block to the nodes of even index and another to the rest, and on request vote for both.

    A fresh block only: a block that was prepared has no twin that anybody would accept.
    """
    liar = corrupt(cluster, index)
    twins: dict[tuple[Height, Round], tuple[Hash32, Hash32]] = {}

    def lie(message: Message) -> list[tuple[int, Message]]:
        everybody = range(len(cluster.nodes))
        place = (message.height, message.round)
        if (
            isinstance(message, Proposal)
            and message.block is not None
            and message.header.proposal_round == message.round
        ):
            twin = _twin(liar, message)
            twins[place] = (message.block_hash, twin.block_hash)
            return [(other, message if other % 2 == 0 else twin) for other in everybody]
        if votes_twice and isinstance(message, Prepare | Commit) and place in twins:
            other_hash = next(h for h in twins[place] if h != message.block_hash)
            forged = sign_vote(liar, message, other_hash)
            return [(other, vote) for other in everybody for vote in (message, forged)]
        return [(other, message) for other in everybody]

    liar.mischief = lie


def conspire(cluster: Cluster, liars: Sequence[int], others: Sequence[int]) -> None:
    """Let validators work together: each proposes twice, and all vote for one block among `others` and for its twin among the rest."""
    twins: dict[Hash32, Hash32] = {}
    rest = [index for index in range(len(cluster.nodes)) if index not in others]

    def lie(liar: SimulatedNode, message: Message) -> list[tuple[int, Message]]:
        told: Message = message
        if isinstance(message, Proposal) and message.block is not None:
            told = _twin(liar, message)
            twins[message.block_hash] = told.block_hash
        elif isinstance(message, Prepare | Commit) and message.block_hash in twins:
            told = sign_vote(liar, message, twins[message.block_hash])
        return [*((index, message) for index in rest), *((index, told) for index in others)]

    for index in liars:
        liar = corrupt(cluster, index)
        liar.mischief = functools.partial(lie, liar)


def forget_prepared(cluster: Cluster, index: int) -> None:
    """Let a validator change rounds as if it had prepared nothing."""
    liar = corrupt(cluster, index)

    def lie(message: Message) -> list[tuple[int, Message]]:
        if isinstance(message, RoundChange) and message.prepared is not None:
            digest = liar.rules.domain.round_change(height=message.height, round=message.round, prepared=None)
            message = dataclasses.replace(message, prepared=None, signature=liar.key.sign(digest))
        return [(other, message) for other in range(len(cluster.nodes))]

    liar.mischief = lie


def sign_vote(liar: SimulatedNode, vote: Prepare | Commit, block_hash: Hash32) -> Prepare | Commit:
    """Return the same vote for another block, signed by the liar's own key."""
    domain = liar.rules.domain
    match vote:
        case Prepare():
            digest = domain.prepare(height=vote.height, round=vote.round, block_hash=block_hash)
        case Commit():
            digest = domain.commit(height=vote.height, round=vote.round, block_hash=block_hash)
        case _:
            assert_never(vote)
    return dataclasses.replace(vote, block_hash=block_hash, signature=liar.key.sign(digest))


def make_twin(block: Block, parent_rlp: bytes) -> Block:
    """Return another valid block of the same place: it differs in its fee recipient."""
    parent = decode_execution_block(parent_rlp).header
    header = block.execution.header
    attributes = PayloadAttributes(
        timestamp=header.timestamp,
        fee_recipient=OTHER_RECIPIENT,
        prev_randao=header.mix_hash,
        withdrawals=block.execution.withdrawals,
        parent_beacon_block_root=header.parent_beacon_block_root,
        gas_limit=header.gas_limit,
    )
    execution = execute_block(parent, attributes, ())
    return Block(
        header=dataclasses.replace(block.header, execution_hash=execution.hash),
        execution_rlp=encode_execution_block(execution, (), attributes.withdrawals),
        requests=(),
        parent_certificate=block.parent_certificate,
    )


def _twin(liar: SimulatedNode, proposal: Proposal) -> Proposal:
    assert proposal.block is not None
    block = make_twin(proposal.block, liar.engine.head_rlp)
    digest = liar.rules.domain.proposal(height=proposal.height, round=proposal.round, block_hash=block.hash)
    return dataclasses.replace(proposal, header=block.header, block=block, signature=liar.key.sign(digest))
