"""What leaves: messages whose Persist is on the disk, once; own messages of the height again and again."""

from dataclasses import replace

from metanode.consensus.core import Core
from metanode.consensus.effects import Broadcast, Finalize, StartResendTimer
from metanode.consensus.inputs import Mode
from metanode.consensus.messages import (
    Commit,
    Decision,
    Prepare,
    Proposal,
    RoundChange,
    SignedMessage,
    step_of,
)
from metanode.consensus.phases import accepting, past, rounds, timers, voting, witnessing
from metanode.primitives.types import Height


def upon_persisted(core: Core, number: int) -> None:
    """Let go of what is durable: messages to all, decisions to the execution client; then count our own votes."""
    while core.unreleased and core.unreleased[0].number <= number:
        released = core.unreleased.popleft()
        for message in released.messages:
            witnessing.upon_message(core, message)
            core.emit(Broadcast(message=message))
        if released.decided is not None:
            core.emit(Finalize(decided=released.decided))
            if released.is_announced:
                decision = Decision(certificate=released.decided.certificate)
                core.emit(Broadcast(message=decision))
        for message in released.messages:
            key = (step_of(message), message.round)
            if message.height == core.height:
                if key in core.current.own_messages:
                    core.current.released.add(key)
                count_own(core, message)
            elif isinstance(message, Commit):
                past.upon_message(core, message, "")


def count_own(core: Core, message: SignedMessage) -> None:
    """Take part in our own count with a durable message."""
    if message.height != core.height:
        return
    match message:
        case Proposal():
            if message.round == core.current.round and core.current.accepted is None:
                accepting.accept(core, replace(message, block=core.current.bodies.get(message.block_hash)))
        case Prepare():
            voting.upon_prepare(core, message)
        case Commit():
            voting.upon_commit(core, message)
        case RoundChange():
            if message.round >= core.current.round:
                core.current.round_changes.add(message, current=core.current.round)
                rounds.follow(core)


def upon_resend_timeout(core: Core, height: Height) -> None:
    """Send the own messages of the height again, and in a later round the tip's certificate with them."""
    if height != core.height:
        return
    if core.mode is Mode.LIVE:
        for message in core.current.sent_messages():
            core.emit(Broadcast(message=message, is_repeat=True))
        if core.current.round > 0 and core.tip.certificate is not None:
            # Whoever is one height behind gets here, and whoever has decided another block hears of ours.
            core.emit(Broadcast(message=Decision(certificate=core.tip.certificate), is_repeat=True))
    core.emit(StartResendTimer(height=core.height, after_ms=timers.resend_ms(core)))
