"""Messages for heights that have not begun here, bounded per signer, and what they tell about how far behind this node is."""

import dataclasses
from typing import Final

from metanode.consensus.justification import Electorate
from metanode.consensus.messages import Commit, Prepare, Proposal, RoundChange, SignedMessage
from metanode.primitives.types import Address, Height

HEIGHTS_AHEAD_MAX: Final = 10
"""Besu's default, as Malachite's."""
MESSAGES_MAX: Final = 12
"""Of each validator. A height that goes well has two of each; one with two round changes has eight."""
BYTES_MAX: Final = 65_536
"""Of each validator; certificates of 500 validators fit."""
BODY_BYTES_MAX: Final = 16_384
"""A larger body is left out and asked for by hash when its height begins."""


class EarlyMessages:
    """One core's buffer of future heights."""

    def __init__(self) -> None:
        self._kept: dict[Address, list[tuple[SignedMessage, str]]] = {}
        self._heights: dict[Address, Height] = {}

    def __len__(self) -> int:
        return sum(len(messages) for messages in self._kept.values())

    def add(self, message: SignedMessage, peer: str, *, current: Height) -> None:
        """Keep a message of a validator if there is room; the author's highest heights go first."""
        known = self._heights.get(message.author)
        if known is None or message.height > known:
            self._heights[message.author] = message.height
        if message.height > current + HEIGHTS_AHEAD_MAX:
            return
        if (
            isinstance(message, Proposal)
            and message.block is not None
            and len(message.block.execution_rlp) > BODY_BYTES_MAX
        ):
            message = dataclasses.replace(message, block=None)
        kept = self._kept.setdefault(message.author, [])
        if any(message == other for other, _ in kept):
            return
        kept.append((message, peer))
        while len(kept) > MESSAGES_MAX or sum(_size(other) for other, _ in kept) > BYTES_MAX:
            highest = max(range(len(kept)), key=lambda index: (kept[index][0].height, index))
            del kept[highest]

    def take(self, height: Height) -> list[tuple[SignedMessage, str]]:
        """Return and forget the messages of a height that begins; forget those before it. Proposals come first."""
        taken: list[tuple[SignedMessage, str]] = []
        for author in sorted(self._kept):
            kept = self._kept[author]
            taken.extend(entry for entry in kept if entry[0].height == height)
            self._kept[author] = [entry for entry in kept if entry[0].height > height]
            if not self._kept[author]:
                del self._kept[author]
        for author in [author for author, known in self._heights.items() if known <= height]:
            del self._heights[author]
        return sorted(taken, key=lambda entry: not isinstance(entry[0], Proposal))

    def honest_height(self, electorate: Electorate) -> Height | None:
        """Return the highest height at which, or after which, somebody honest is, if it is at least two after the electorate's."""
        ahead = sorted(
            ((known, author) for author, known in self._heights.items() if known > electorate.height + 1),
            reverse=True,
        )
        supporters: list[Address] = []
        for known, author in ahead:
            supporters.append(author)
            if electorate.has_honest(supporters):
                return known
        return None


def _size(message: SignedMessage) -> int:
    """Return about how many bytes a message holds."""
    match message:
        case Proposal():
            body = len(message.block.execution_rlp) if message.block is not None else 0
            claims = len(message.justification.claims) if message.justification else 0
            return 600 + body + 256 * claims
        case RoundChange():
            return 256 + 256 * (len(message.prepared.prepares) if message.prepared else 0)
        case Prepare() | Commit():
            return 256
