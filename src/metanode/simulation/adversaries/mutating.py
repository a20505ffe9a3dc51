"""A validator that changes what passes through its hands: bytes of any message, fields of messages whose signature it cannot make.

Everybody's messages reach everybody else as well, so nothing is lost by it; what it hands on must change nothing, and bytes that no honest
node sends are charged to it.
"""

import dataclasses
import random

from metanode.consensus.messages import Commit, Decision, Message, Prepare, Proposal, RoundChange
from metanode.consensus.wire import encode
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.adversaries.corruption import corrupt
from metanode.simulation.cluster import Cluster


def hand_on_changed(cluster: Cluster, index: int, *, share_percent: int = 100) -> list[tuple[str, bytes]]:
    """Let a node hand on this share of what it gets with a change; return the list to which each change is added: its name, and the bytes that it made."""
    corrupt(cluster, index)
    draw = random.Random(f"mutating {cluster.seed}")
    changes: list[tuple[str, bytes]] = []

    def hear(sender: int, receiver: int, message: Message) -> bool:
        if receiver == index and sender != index and draw.randrange(100) < share_percent:
            name, raw = _change(draw, message)
            changes.append((name, raw))
            for other in range(len(cluster.nodes)):
                cluster.network.send(index, other, raw, message)
        return True

    cluster.network.filters.append(hear)
    return changes


def _change(draw: random.Random, message: Message) -> tuple[str, bytes]:
    """Return the name of a drawn change, and the changed bytes."""
    raw = encode(message)
    whole = {
        "a bit": lambda: _flip(draw, raw),
        "truncated": lambda: raw[: draw.randrange(len(raw))],
        "trailing bytes": lambda: raw + draw.randbytes(draw.randint(1, 8)),
        "another kind": lambda: bytes((draw.randrange(1, 7),)) + raw[1:],
        "noise": lambda: draw.randbytes(len(raw)),
        "a field": lambda: encode(_change_field(draw, message)),
    }
    name = draw.choice(sorted(whole))
    return name, whole[name]()


def _flip(draw: random.Random, raw: bytes) -> bytes:
    place = draw.randrange(len(raw))
    return raw[:place] + bytes((raw[place] ^ (1 << draw.randrange(8)),)) + raw[place + 1 :]


def _change_field(draw: random.Random, message: Message) -> Message:
    """Change what is signed and keep the signature: it then belongs to nobody who may vote."""
    height, round_ = Height(message.height + draw.randint(0, 3)), Round(message.round + draw.randint(0, 3))
    match message:
        case Decision():
            certificate = message.certificate
            return Decision(certificate=dataclasses.replace(certificate, height=height, round=round_))
        case Prepare() | Commit():
            other = Hash32(draw.randbytes(32))
            return dataclasses.replace(message, height=height, round=round_, block_hash=other)
        case RoundChange():
            return dataclasses.replace(message, round=Round(round_ + 1), prepared=None)
        case Proposal():
            return dataclasses.replace(
                message, round=round_, justification=None if round_ == 0 else message.justification
            )
