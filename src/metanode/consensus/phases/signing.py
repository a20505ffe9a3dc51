"""What is signed, and how it becomes durable: the watermark is asked, the message queued, and one Persist holds all that has changed."""

from metanode.consensus.core import Core, Unreleased
from metanode.consensus.effects import Decided, Persist
from metanode.consensus.inputs import Mode
from metanode.consensus.messages import Commit, Prepare, Proposal, SignedMessage, Step
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.watermark import SignedStep, permits
from metanode.primitives.types import Hash32, Round


def sign(core: Core, step: Step, round_: Round, digest: Hash32) -> bytes | None:
    """Return the signature for something that was not signed before, None when it was or when the watermark forbids it."""
    if (step, round_) in core.current.own_messages or core.sign_digest is None:
        return None
    if not permits(core.watermark, height=core.height, round=round_, step=step, digest=digest):
        return None
    signature = core.sign_digest(digest)
    core.watermark = SignedStep(
        height=core.height, round=round_, step=step, digest=digest, signature=signature
    )
    core.steps.append(core.watermark)
    return signature


def sign_commit(core: Core, round_: Round, block_hash: Hash32) -> None:
    """Sign and queue the commit, which is the seal."""
    digest = core.rules.domain.commit(height=core.height, round=round_, block_hash=block_hash)
    signature = sign(core, Step.COMMIT, round_, digest)
    if signature is not None:
        send(core, vote(core, Commit, round_, block_hash, signature))


def vote(
    core: Core, kind: type[Prepare] | type[Commit], round_: Round, block_hash: Hash32, signature: bytes
) -> Prepare | Commit:
    """Return our prepare or commit."""
    assert core.own is not None
    return kind(height=core.height, round=round_, block_hash=block_hash, author=core.own, signature=signature)


def send(core: Core, message: SignedMessage) -> None:
    """Queue an own message; it leaves, and counts, when it is durable."""
    core.current.keep_own(message)
    core.unsent.append(message)
    core.is_dirty = True


def flush(core: Core, decided: Decided | None = None, *, is_announced: bool = False) -> None:
    """Turn what has changed since the last Persist into the next one."""
    if core.mode is Mode.HALTED or not (core.is_dirty or core.steps or decided):
        return
    core.persist_number += 1
    prepared = core.current.prepared
    needed = [prepared.block_hash] if prepared else []
    needed += [
        message.block_hash
        for message in core.current.own_messages.values()
        if isinstance(message, Proposal | Prepare)
    ]
    bodies = []
    for block_hash in dict.fromkeys(needed):
        if block_hash in core.current.bodies and block_hash not in core.current.saved_bodies:
            core.current.saved_bodies.add(block_hash)
            bodies.append(core.current.bodies[block_hash])
    record = ConsensusRecord(
        height=core.height,
        round=core.current.round,
        prepared=prepared,
        messages=tuple(core.current.own_messages[key] for key in sorted(core.current.own_messages)),
    )
    core.emit(
        Persist(
            number=core.persist_number,
            signatures=tuple(core.steps),
            record=record,
            bodies=tuple(bodies),
            decided=decided,
        )
    )
    core.unreleased.append(
        Unreleased(
            number=core.persist_number,
            messages=tuple(core.unsent),
            decided=decided,
            is_announced=is_announced,
        )
    )
    core.steps.clear()
    core.unsent.clear()
    core.is_dirty = False
