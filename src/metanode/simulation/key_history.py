"""What honest keys have let out, over all their lives: never two things in one place, never downwards, never forgetting a prepared block."""

from dataclasses import dataclass, field

from metanode.consensus.messages import Commit, RoundChange, SignedMessage, Step, step_of
from metanode.primitives.types import Address, Height, Round
from metanode.simulation.broken import InvariantBroken

Place = tuple[int, int, int]
"""(height, round, step)."""


@dataclass(slots=True)
class _Key:
    signed: dict[Place, bytes] = field(default_factory=dict)
    highest: Place = (0, 0, 0)
    commits: dict[Height, list[Round]] = field(default_factory=dict)
    round_changes: dict[Height, list[tuple[Round, Round]]] = field(default_factory=dict)
    """(wanted round, prepared round or -1)."""


class KeyHistory:
    """All honest keys of a run. Owner: the checker."""

    def __init__(self) -> None:
        self._keys: dict[Address, _Key] = {}

    def add(self, message: SignedMessage) -> bool:
        """Look at a message that leaves; return whether it is a new one. Raises InvariantBroken."""
        key = self._keys.setdefault(message.author, _Key())
        step = step_of(message)
        # A proposal is its author's prepare: an honest proposer signs no other one.
        place = (message.height, message.round, int(Step.PREPARE if step is Step.PROPOSAL else step))
        name = f"0x{message.author.hex()}"
        known = key.signed.get(place)
        if known is not None:
            if known != message.signature:
                raise InvariantBroken(f"{name} signed two messages at {place}")
            return False
        if place < key.highest:
            raise InvariantBroken(f"{name} signed at {place} after {key.highest}")
        key.signed[place], key.highest = message.signature, place
        if isinstance(message, Commit):
            key.commits.setdefault(message.height, []).append(message.round)
        elif isinstance(message, RoundChange):
            _add_round_change(key, message, name)
        return True


def _add_round_change(key: _Key, message: RoundChange, name: str) -> None:
    height, prepared = message.height, message.prepared.round if message.prepared else Round(-1)
    others = key.round_changes.setdefault(height, [])
    if any(wanted < message.round and claimed > prepared for wanted, claimed in others):
        raise InvariantBroken(f"{name} forgot a prepared round at height {height}")
    others.append((message.round, prepared))
    for committed in key.commits.get(height, ()):
        if prepared < committed < message.round:
            raise InvariantBroken(
                f"{name} committed in round {committed} of height {height} and forgot it in round {message.round}"
            )
