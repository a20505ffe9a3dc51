"""The round's one proposal: judged, held, accepted, its body fetched and given to the execution client."""

from dataclasses import replace

from metanode.chain.block import Block
from metanode.chain.proposal import validate_block
from metanode.chain.timing import calculate_hold_ms
from metanode.consensus.core import Core
from metanode.consensus.effects import CheckBlock, ExtendRoundTimer, HoldProposal
from metanode.consensus.height import Phase
from metanode.consensus.justification import InvalidJustification, verify_justification
from metanode.consensus.messages import Proposal
from metanode.consensus.phases import deciding, forking, proposing, rounds, timers, voting
from metanode.errors import InvalidInput
from metanode.primitives.types import Hash32


def upon_proposal(core: Core, proposal: Proposal, peer: str) -> None:
    """Judge a proposal of the current height. A second one in its round is a lie and not looked at; one of a later round takes us there."""
    round_ = proposal.round
    if proposal.author != core.current.electorate.proposer(round_):
        return
    seen = core.current.seen.get(round_)
    if seen is not None and seen.block_hash != proposal.block_hash:
        return
    if seen is not None or round_ < core.current.round:
        core.current.see(proposal)
        _take_wanted_body(core, proposal.block)
        return
    try:
        verify_justification(proposal, core.current.electorate)
    except InvalidJustification as error:
        core.refuse(round_, proposal.block_hash, str(error))
        return
    block = proposal.block or core.current.bodies.get(proposal.block_hash)
    if block is not None:
        try:
            validate_block(block, state=core.tip.state, parent=core.tip.header, rules=core.rules)
        except InvalidInput as error:
            core.refuse(round_, proposal.block_hash, str(error))
            core.current.see(proposal)
            forking.look_below(core, block)
            return
    is_fresh = proposal.justification is None or proposal.justification.prepared is None
    hold_ms = calculate_hold_ms(timestamp=proposal.header.timestamp, now_ms=core.now_ms)
    if is_fresh and hold_ms > 0:
        _hold(core, proposal, peer, hold_ms)
        return
    if round_ > core.current.round:
        rounds.enter(core, round_)
    accept(core, replace(proposal, block=block))


def accept(core: Core, proposal: Proposal) -> None:
    """Take the round's one proposal, whose body may still be missing."""
    assert proposal.round == core.current.round, (proposal.round, core.current.round)
    core.current.see(proposal)
    core.current.accepted = proposal
    core.current.phase = Phase.PREPARE
    if not core.current.is_shared:
        # What justifies it is a quorum.
        core.current.is_shared = True
        timers.arm_round(core)
    elif core.current.has_begun:
        after_ms = core.current.timeouts.round_ms(core.current.round)
        core.emit(ExtendRoundTimer(height=core.height, round=core.current.round, after_ms=after_ms))
    if proposal.block is not None:
        core.current.keep_body(proposal.block)
        _check_body(core, proposal.block)
    else:
        core.request_body(proposal.block_hash, (proposal.author,))


def _hold(core: Core, proposal: Proposal, peer: str, hold_ms: int) -> None:
    """Come back to a proposal from a clock that is ahead of ours: one a round, for a proposer may make any number, and none whose round ends before."""
    if proposal.round in core.current.held:
        return
    if hold_ms > core.current.timeouts.round_ms(proposal.round):
        core.refuse(proposal.round, proposal.block_hash, f"its timestamp is {hold_ms} ms too far ahead")
        return
    core.current.held.add(proposal.round)
    core.emit(HoldProposal(proposal=proposal, peer=peer, after_ms=hold_ms))


def upon_body(core: Core, block: Block) -> None:
    """Use a body that was asked of the network."""
    if block.height == core.height:
        _take_wanted_body(core, block)


def _take_wanted_body(core: Core, block: Block | None) -> None:
    """Use a body that somebody is waiting for: a certificate, the round's proposal, or our own proposal of a prepared block."""
    if block is None or block.hash in core.current.bodies or block.hash not in core.current.wanted:
        return
    awaited = core.current.awaited
    if awaited is not None and awaited.block_hash == block.hash:
        deciding.decide(core, awaited, block)
        return
    try:
        validate_block(block, state=core.tip.state, parent=core.tip.header, rules=core.rules)
    except InvalidInput as error:
        core.refuse(core.current.round, block.hash, str(error))
        forking.look_below(core, block)
        return
    core.current.keep_body(block)
    accepted = core.current.accepted
    if accepted is not None and accepted.block_hash == block.hash:
        core.current.accepted = replace(accepted, block=block)
        _check_body(core, block)
    proposing.try_propose(core)


def _check_body(core: Core, block: Block) -> None:
    if block.hash in core.current.valid:
        voting.upon_valid_proposal(core)
    elif block.hash not in core.current.asked:
        core.current.asked.add(block.hash)
        core.emit(CheckBlock(block=block))


def upon_verdict(core: Core, block_hash: Hash32, *, is_valid: bool) -> None:
    """Vote for the accepted proposal when the execution client finds it valid; an invalid one costs its round."""
    if block_hash not in core.current.asked:
        return
    if not is_valid:
        core.refuse(core.current.round, block_hash, "the execution client finds it invalid")
        return
    core.current.valid.add(block_hash)
    if core.current.accepted is not None and core.current.accepted.block_hash == block_hash:
        voting.upon_valid_proposal(core)
