"""From round to round: deadlines, round changes, the F + 1 jump. Votes of a round that was left are never signed again."""

from metanode.consensus.core import Core
from metanode.consensus.effects import RoundEntered, Send
from metanode.consensus.height import Phase
from metanode.consensus.inputs import Mode
from metanode.consensus.justification import InvalidJustification, verify_prepared
from metanode.consensus.messages import RoundChange, Step
from metanode.consensus.phases import proposing, signing, timers
from metanode.primitives.types import Height, Round


def upon_block_timeout(core: Core, height: Height) -> None:
    """Begin round 0: the slot has come."""
    if height != core.height or core.current.has_begun:
        return
    core.current.has_begun = True
    if core.current.phase is Phase.WAITING:
        core.current.phase = Phase.PROPOSAL
    core.emit(
        RoundEntered(height=core.height, round=Round(0), proposer=core.current.electorate.proposer(Round(0)))
    )
    timers.arm_round(core)
    proposing.try_propose(core)


def upon_round_timeout(core: Core, height: Height, round_: Round) -> None:
    """Leave a round whose deadline has passed."""
    if (height, round_) != (core.height, core.current.round) or core.mode is not Mode.LIVE:
        return
    if core.current.awaited is not None or not core.takes_part:
        # Decided already: only the body is missing, and no other round can change that. Or not ours to leave: we follow those who vote.
        timers.arm_round(core)
        return
    if not core.current.is_shared:
        core.current.rounds_alone += 1
    move_to(core, Round(round_ + 1))


def upon_round_change(core: Core, change: RoundChange, peer: str) -> None:
    """Count a verified round change, answer one of a round that we have left."""
    if change.author not in core.current.electorate.validators:
        return
    if change.round < core.current.round:
        _answer_stale(core, change, peer)
        return
    if change.prepared is not None:
        try:
            verify_prepared(change.prepared, core.current.electorate, before=change.round)
        except InvalidJustification:
            return
    other = core.current.round_changes.add(change, current=core.current.round)
    if other is None:
        follow(core)


def follow(core: Core) -> None:
    """Join the rounds that others are in: the F + 1 jump, which a quorum implies."""
    target = core.current.round_changes.jump_target(core.current.round, core.current.electorate)
    if target is not None:
        move_to(core, target)
    proposing.try_propose(core)


def _answer_stale(core: Core, change: RoundChange, peer: str) -> None:
    """Tell a straggler where we are, once for each of its rounds."""
    if core.current.answered.get(change.author, -1) >= change.round:
        return
    own = core.current.own_messages.get((Step.ROUND_CHANGE, core.current.round))
    if own is not None and (Step.ROUND_CHANGE, core.current.round) in core.current.released:
        core.current.answered[change.author] = change.round
        core.emit(Send(peer=peer, message=own))


def move_to(core: Core, round_: Round) -> None:
    """Leave the current round for a later one, and say so."""
    enter(core, round_)
    announce(core)
    proposing.try_propose(core)


def announce(core: Core) -> None:
    """Send the ROUND_CHANGE to the current round, if there is one to send."""
    prepared, round_ = core.current.prepared, core.current.round
    if round_ == 0 or not core.takes_part or (prepared is not None and prepared.round >= round_):
        return
    claimed = (prepared.round, prepared.block_hash) if prepared else None
    digest = core.rules.domain.round_change(height=core.height, round=round_, prepared=claimed)
    signature = signing.sign(core, Step.ROUND_CHANGE, round_, digest)
    if signature is not None and core.own is not None:
        signing.send(
            core,
            RoundChange(
                height=core.height,
                round=round_,
                prepared=prepared,
                author=core.own,
                signature=signature,
            ),
        )


def enter(core: Core, round_: Round) -> None:
    """Begin a later round; votes of earlier ones are never signed again. Its deadline waits until it is shared."""
    core.current.enter_round(round_)
    core.is_dirty = True
    core.emit(
        RoundEntered(height=core.height, round=round_, proposer=core.current.electorate.proposer(round_))
    )
    timers.arm_round(core)


def share(core: Core) -> None:
    """Start the deadline of a later round once a quorum is in it or beyond it.

    A node that went on alone would be rounds ahead of those who come back, and with deadlines that no longer grow they would never meet again:
    it takes somebody honest to be followed. Here it is one round ahead at most.
    """
    current = core.current
    if current.is_shared:
        return
    here = {*current.round_changes.wanting(current.round)}
    # Whoever has voted here may not sign a round change to this round any more.
    here.update(
        vote.author for book in (current.prepares, current.commits) for vote in book.at(current.round)
    )
    if current.round in current.seen:
        here.add(current.seen[current.round].author)
    if core.own is not None and core.takes_part:
        here.add(core.own)
    if current.electorate.is_quorum(here):
        current.is_shared = True
        timers.arm_round(core)
