"""How a node begins to take part: with what its last life recorded, and when it becomes live in the middle of a height."""

from typing import Final

from metanode.consensus.core import Core
from metanode.consensus.effects import Broadcast
from metanode.consensus.height import Phase
from metanode.consensus.inputs import Mode, ModeChanged
from metanode.consensus.messages import Proposal, step_of
from metanode.consensus.phases import proposing, releasing, rounds, timers, voting, witnessing
from metanode.consensus.record import ConsensusRecord
from metanode.primitives.types import Round

ALONE_RESTORED_MAX: Final = 4
"""A first wait alone of 2.3 hours at most, however far the round is: most rounds that high were shared."""


def upon_started(core: Core) -> None:
    """Begin a life: stand where the record says, in no round before that of the watermark."""
    for height, heard in core.restored_heard:
        # Also what was proven in the last life: it may have ended before the proof was on the disk.
        core.accuse(core.witness.restore(height, heard))
    core.restored_heard = ()
    restored = core.restored
    if restored is not None:
        _restore(core, restored)
    timers.arm_height(core)
    proposing.prepare_payload(core)
    # The watermark survives the loss of the record: a round that was left is never entered again.
    mark = core.watermark
    round_ = Round(restored.round if restored else 0)
    if mark is not None and mark.height == core.height:
        round_ = max(round_, mark.round)
    if restored is not None:
        # How many of the rounds before were left alone is not recorded. All of them, if need be: who is started again and again would else go on at a quick pace.
        core.current.rounds_alone = max(0, min(restored.round - 1, ALONE_RESTORED_MAX))
    if round_ > 0:
        rounds.move_to(core, round_)
    if restored is not None:
        _resume(core, restored)


def _restore(core: Core, record: ConsensusRecord) -> None:
    """Bring back what the record holds; nothing of it is judged again but by the execution client."""
    for block in core.restored_bodies:
        core.current.bodies[block.hash] = block
        core.current.saved_bodies.add(block.hash)
    core.current.prepared = record.prepared
    if record.prepared is not None:
        witnessing.upon_restored(core, record.prepared)
    for message in record.messages:
        witnessing.upon_message(core, message)
        core.current.own_messages[step_of(message), message.round] = message
        core.current.released.add((step_of(message), message.round))


def _resume(core: Core, record: ConsensusRecord) -> None:
    """Go on in the recorded round: send again what was sent, count it, and stand where the record says."""
    if core.mode is Mode.LIVE:
        for message in record.messages:
            core.emit(Broadcast(message=message, is_repeat=True))
    prepared = core.current.prepared
    if (
        prepared is not None
        and prepared.round == core.current.round
        and prepared.block_hash in core.current.bodies
    ):
        block = core.current.bodies[prepared.block_hash]
        core.current.accepted = Proposal(
            height=core.height,
            round=prepared.round,
            header=block.header,
            block=block,
            justification=None,
            author=prepared.proposal.author,
            signature=prepared.proposal.signature,
        )
        core.current.see(core.current.accepted)
        core.current.phase = Phase.COMMIT
        core.current.valid.add(block.hash)
    for message in record.messages:
        releasing.count_own(core, message)


def upon_mode_changed(core: Core, event: ModeChanged) -> None:
    """Take part from now on, or stop: who becomes live, or may sign again, goes on in the round where the others are."""
    was_live, took_part = core.mode is Mode.LIVE, core.takes_part
    core.mode = event.mode
    if event.silent_until is not None and not core.is_key_shared:
        core.silent_until = event.silent_until
    if event.mode is not Mode.LIVE or (was_live and core.takes_part is took_part):
        return
    for message in core.current.sent_messages():
        core.emit(Broadcast(message=message, is_repeat=True))
    if core.current.has_begun:
        timers.arm_round(core)
        rounds.announce(core)
        proposing.try_propose(core)
    else:
        proposing.prepare_payload(core)
    accepted = core.current.accepted
    if accepted is not None and accepted.block_hash in core.current.valid:
        voting.upon_valid_proposal(core)
