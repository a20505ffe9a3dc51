"""Where the sets come from with proof of stake: a list that the chain's own staking contract gives, read once an epoch through one port.

The set of epoch e + 1 is what the contract says before epoch e begins: it is in the state, and in snapshots, a whole epoch before it
decides anything, so newcomers have the time to connect and to catch up. An answer that is none, or no set, changes nothing: the set stays.
"""

from typing import Final, Protocol

from metanode.chain.validators import VALIDATORS_MAX, ValidatorSet
from metanode.errors import InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import Address, Height

READ_BEFORE_MAX: Final = 64
"""Heights before an epoch at which its contract is read: more than a node that catches up may be ahead of its execution client."""
ANSWER_BYTES_MAX: Final = 64 * 1024


class StakeSource(Protocol):
    """The staking contract, in the state after a decided block."""

    def read(self, height: Height) -> bytes | None:
        """Return RLP [[address, power], ...] as it was after the block of a height; None when the call fails. The same on every node."""
        ...


def snapshot_height(epoch_start: int, epoch_length: int) -> Height:
    """Return the height after which the contract is read, for the epoch after the one that begins at `epoch_start`."""
    return Height(epoch_start - 1 - min(READ_BEFORE_MAX, epoch_length // 2))


def set_of_answer(
    answer: bytes | None, kept: ValidatorSet, validators_max: int = VALIDATORS_MAX
) -> ValidatorSet:
    """Return the set that an answer names, in any order and without those of no power; `kept` when it names none that can decide.

    Of more than `validators_max` the largest stakes count; of equal ones the lower addresses.
    """
    if answer is None or len(answer) > ANSWER_BYTES_MAX:
        return kept
    try:
        decoded = rlp.decode(answer)
        if isinstance(decoded, bytes):
            return kept
        found: list[tuple[Address, int]] = []
        for index, item in enumerate(decoded):
            fields = rlp.Reader(item, f"stakes[{index}]")
            found.append((fields.address("address"), fields.integer("power")))
            fields.end()
        if len({address for address, _ in found}) < len(found):
            return kept
        largest = sorted((entry for entry in found if entry[1]), key=lambda entry: (-entry[1], entry[0]))
        items: rlp.Item = [
            [address, rlp.integer(power)] for address, power in sorted(largest[:validators_max])
        ]
        return ValidatorSet.from_item(rlp.decode(rlp.encode(items)), "stakes")
    except InvalidInput:
        return kept
