"""What a node relies on must be on its disk: looked up there, as a crash in this moment would leave it, whenever the node lets something out."""

from metanode.consensus.messages import Commit, Decision, Message, RoundChange, step_of
from metanode.primitives import rlp
from metanode.simulation.broken import InvariantBroken
from metanode.simulation.disk import Disk
from metanode.storage.signer_log import SLOT_BYTES


def check_sent(index: int, disk: Disk, message: Message) -> None:
    """Check before a new message leaves that what it relies on (docs/spec/consensus.md, Before it is sent it is durable) is on the disk; raises InvariantBroken."""
    if isinstance(message, Decision):
        check_decided(index, disk, message.height, "told of")
        return
    missing = _missing(disk, message)
    if missing is not None:
        raise InvariantBroken(
            f"node {index} sends {type(message).__name__} of height {message.height}, round {message.round} before {missing} is durable"
        )


def check_decided(index: int, disk: Disk, height: int, verb: str) -> None:
    """Check that a decision which is told, shown or finalized is durable; raises InvariantBroken."""
    if disk.tip < height:
        raise InvariantBroken(f"node {index} {verb} height {height} before it is durable")


def _missing(disk: Disk, message: Message) -> str | None:
    assert not isinstance(message, Decision)
    slot = disk.last_slot.ljust(SLOT_BYTES, b"\0")
    mark = int.from_bytes(slot[2:10], "big"), int.from_bytes(slot[10:18], "big"), slot[18]
    place = message.height, message.round, int(step_of(message))
    if slot[:2] != b"S1" or mark < place or (mark == place and slot[51:116] != message.signature):
        return "its signature"
    if disk.tip >= message.height:
        return None
    record = disk.record
    if record is None:
        return "the message itself"
    height, round_, prepared, _ = rlp.decode(record)
    assert isinstance(height, bytes)
    assert isinstance(round_, bytes)
    assert not isinstance(prepared, bytes)
    # A record of a later round has taken its place while the message was on its way out: a new life enters that round.
    is_surpassed = int.from_bytes(round_, "big") > message.round
    if message.signature not in record and not is_surpassed:
        return "the message itself"
    if int.from_bytes(height, "big") != message.height:
        return "its height"
    if isinstance(message, RoundChange):
        if int.from_bytes(round_, "big") < message.round:
            return "its round"
        claim = message.prepared
        is_kept = claim is None or _names(prepared, claim.round, claim.block_hash)
        return None if is_kept else "its certificate"
    if isinstance(message, Commit) and not _names(prepared, message.round, message.block_hash):
        return "its prepared certificate"
    return None if disk.has_body(message.block_hash) else "its block"


def _names(prepared: object, round_: int, block_hash: bytes) -> bool:
    """Tell whether a stored prepared certificate is of this block and of this round or a later one."""
    if not isinstance(prepared, list) or len(prepared) < 2:
        return False
    return int.from_bytes(prepared[0], "big") >= round_ and (
        int.from_bytes(prepared[0], "big") > round_ or prepared[1] == block_hash
    )
