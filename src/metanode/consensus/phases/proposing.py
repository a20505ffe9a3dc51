"""Our own turn: a fresh block from the execution client, or the prepared one again."""

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.proposal import make_block
from metanode.chain.quorum import QuorumRule
from metanode.chain.voting import choose_vote
from metanode.consensus.core import Core
from metanode.consensus.effects import PreparePayload, RequestPayload
from metanode.consensus.height import Phase
from metanode.consensus.inputs import PayloadBuilt
from metanode.consensus.justification import make_justification
from metanode.consensus.messages import Proposal, Step
from metanode.consensus.phases import signing
from metanode.primitives.types import Round


def prepare_payload(core: Core) -> None:
    """Begin to build before the slot comes, if round 0 is ours."""
    if core.takes_part and core.current.round == 0 and core.current.electorate.proposer(Round(0)) == core.own:
        core.emit(PreparePayload(height=core.height))


def try_propose(core: Core) -> None:
    """Propose in the current round, if it is ours and all that it takes is here."""
    if (
        core.current.phase is not Phase.PROPOSAL
        or not core.takes_part
        or core.current.electorate.proposer(core.current.round) != core.own
        or (Step.PROPOSAL, core.current.round) in core.current.own_messages
        or core.current.has_requested_payload
    ):
        return
    if core.current.round > 0 and core.current.basis is None:
        changes = core.current.round_changes.at(core.current.round)
        if not core.current.electorate.is_quorum(change.author for change in changes):
            return
        core.current.basis = make_justification(changes)
    prepared = core.current.basis.prepared if core.current.basis else None
    if prepared is None:
        core.current.has_requested_payload = True
        core.emit(RequestPayload(height=core.height, round=core.current.round))
        return
    block = core.current.bodies.get(prepared.block_hash)
    if block is None:
        holders = (prepared.proposal.author, *(seal.author for seal in prepared.prepares))
        core.request_body(prepared.block_hash, holders)
        return
    _propose(core, block)


def upon_payload_built(core: Core, event: PayloadBuilt) -> None:
    """Propose the block that was asked for, if its round still lasts."""
    if (event.height, event.round) != (
        core.height,
        core.current.round,
    ) or not core.current.has_requested_payload:
        return
    assert core.own is not None
    tip, parameters = core.tip, core.rules.parameters
    vote = None
    if core.rules.quorum_rule is QuorumRule.AUTHORITY:
        vote = choose_vote(
            core.wishes,
            voter=core.own,
            validators=tip.state.validators,
            open_votes=tip.state.open_votes,
            epoch_block=parameters.is_epoch_start(core.height),
            validators_max=parameters.validators_max,
        )
    block = make_block(
        state=tip.state,
        parent=tip.header,
        rules=core.rules,
        execution_rlp=event.execution_rlp,
        requests=event.requests,
        parent_certificate=_parent_certificate(core),
        proposer=core.own,
        proposal_round=core.current.round,
        vote=vote,
    )
    core.current.asked.add(block.hash)
    core.current.valid.add(block.hash)
    _propose(core, block)


def _parent_certificate(core: Core) -> Certificate | None:
    """Return the generous certificate: every valid seal on the tip that has come."""
    tip = core.tip
    if tip.certificate is None:
        return None
    return Certificate.of(
        height=tip.header.height,
        round=tip.certificate.round,
        block_hash=tip.header.hash,
        seals=tip.seals,
        validators=tip.state.last_validators,
    )


def _propose(core: Core, block: Block) -> None:
    digest = core.rules.domain.proposal(height=core.height, round=core.current.round, block_hash=block.hash)
    signature = signing.sign(core, Step.PROPOSAL, core.current.round, digest)
    if signature is None or core.own is None:
        return
    core.current.keep_body(block)
    proposal = Proposal(
        height=core.height,
        round=core.current.round,
        header=block.header,
        block=block,
        justification=core.current.basis,
        author=core.own,
        signature=signature,
    )
    signing.send(core, proposal)
