"""Votes and round changes of one height, bounded per validator whatever anybody sends (docs/spec/consensus.md, Bounds of each validator at a height).

Only a validator's own messages can push out a validator's messages. An object of this module belongs to one height of one core.
"""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from metanode.consensus.justification import Electorate
from metanode.consensus.messages import Commit, Prepare, RoundChange
from metanode.primitives.types import Address, Hash32, Round

ROUNDS_AHEAD_MAX: Final = 2
"""Future rounds whose votes are kept, of each validator; CometBFT allows a peer two as well."""
ROUNDS_BEHIND_MAX: Final = 32
"""Past rounds whose commits are kept, of each validator: a quorum for an older round still decides."""

VoteT = TypeVar("VoteT", Prepare, Commit)


class VoteBook(Generic[VoteT]):
    """The first vote of each validator in each round; a second, different one is somebody's proof."""

    def __init__(self, *, rounds_behind_max: int) -> None:
        self._rounds: dict[Round, dict[Address, VoteT]] = {}
        self._rounds_behind_max = rounds_behind_max

    def __len__(self) -> int:
        return sum(len(votes) for votes in self._rounds.values())

    def add(self, vote: VoteT, *, current: Round) -> VoteT | None:
        """Keep a vote if there is room for it; return the author's other vote of that round when it is for another block."""
        votes = self._rounds.get(vote.round)
        if votes is not None and vote.author in votes:
            first = votes[vote.author]
            return first if first.block_hash != vote.block_hash else None
        if not self._make_room(vote, current):
            return None
        self._rounds.setdefault(vote.round, {})[vote.author] = vote
        return None

    def seals(self, round_: Round, block_hash: Hash32) -> dict[Address, bytes]:
        """Return who voted for a block in a round, with the signatures."""
        votes = self._rounds.get(round_, {})
        return {author: vote.signature for author, vote in votes.items() if vote.block_hash == block_hash}

    def at(self, round_: Round) -> Sequence[VoteT]:
        """Return the votes of a round."""
        return tuple(self._rounds.get(round_, {}).values())

    def enter_round(self, round_: Round) -> None:
        """Forget what an entered round makes useless."""
        for old in [known for known in self._rounds if known < round_ - self._rounds_behind_max]:
            del self._rounds[old]

    def _make_room(self, vote: VoteT, current: Round) -> bool:
        if vote.round == current:
            return True
        if vote.round < current:
            return current - vote.round <= self._rounds_behind_max
        ahead = sorted(
            round_ for round_, votes in self._rounds.items() if round_ > current and vote.author in votes
        )
        if len(ahead) < ROUNDS_AHEAD_MAX:
            return True
        if vote.round < ahead[0]:
            return False
        # Honest validators only move forward, so the newest rounds are the ones that matter.
        del self._rounds[ahead[0]][vote.author]
        if not self._rounds[ahead[0]]:
            del self._rounds[ahead[0]]
        return True


class RoundChangeBook:
    """Of each validator the round change of the highest round, and the one for the current round."""

    def __init__(self) -> None:
        self._highest: dict[Address, RoundChange] = {}
        self._current: dict[Address, RoundChange] = {}

    def __len__(self) -> int:
        return len(self._highest) + len(self._current)

    def add(self, change: RoundChange, *, current: Round) -> RoundChange | None:
        """Keep a round change for the current round or a later one; return the author's other one for that round when it claims otherwise."""
        assert change.round >= current, (change.round, current)
        known = self._of(change.author, change.round)
        if known is not None:
            return known if known.claim.prepared != change.claim.prepared else None
        if change.round == current:
            self._current[change.author] = change
        highest = self._highest.get(change.author)
        if highest is None or change.round > highest.round:
            self._highest[change.author] = change
        return None

    def at(self, round_: Round) -> list[RoundChange]:
        """Return the round changes to a round, in the order of their authors."""
        found = {change.author: change for change in self._highest.values() if change.round == round_}
        found.update((change.author, change) for change in self._current.values() if change.round == round_)
        return [found[author] for author in sorted(found)]

    def enter_round(self, round_: Round) -> None:
        """Forget what an entered round makes useless."""
        self._current = {change.author: change for change in self.at(round_)}

    def wanting(self, round_: Round) -> list[Address]:
        """Return who has asked for a round or a later one."""
        return [author for author, change in self._highest.items() if change.round >= round_]

    def jump_target(self, current: Round, electorate: Electorate) -> Round | None:
        """Return the highest round that somebody honest wants, or a later one, if it is after the current one: the F + 1 rule."""
        ahead = sorted(
            (change for change in self._highest.values() if change.round > current),
            key=lambda change: -change.round,
        )
        supporters: list[Address] = []
        for change in ahead:
            supporters.append(change.author)
            if electorate.has_honest(supporters):
                return change.round
        return None

    def highest_rounds(self) -> dict[Address, Round]:
        """Return for each validator the highest round that it asked for."""
        return {author: change.round for author, change in self._highest.items()}

    def _of(self, author: Address, round_: Round) -> RoundChange | None:
        for book in (self._highest, self._current):
            change = book.get(author)
            if change is not None and change.round == round_:
                return change
        return None
