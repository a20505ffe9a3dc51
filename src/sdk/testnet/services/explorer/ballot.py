"""Votes that are open: what stands in the blocks of this epoch and has not changed the set yet, and what nodes say that they will vote.

The chain's rule (docs/spec/chain.md): more than half of the validators with the same open vote add or drop its subject, which clears all votes on it;
those of a validator that is dropped go too, and so do all at the first block of an epoch. Pure, but for `BallotWatch`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidEncoding, MetanodeError
from metanode.primitives.hexadecimal import decode_quantity
from sdk.testnet.services.explorer.reading import LIVE_TIMEOUT_S
from sdk.testnet.services.queries.parties import Party

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdk.testnet.services.node_pool import NodePool
    from sdk.testnet.services.queries.consensus import SetChangeRow, VoteRow

AGE_S: Final = 3.0
"""How long an answer is taken for now: a vote comes once a block at most, and every node is asked."""
WISHES_MAX: Final = 100
"""Of one node: a person voted for each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Where the head stands in its epoch."""

    number: int
    length: int
    first_block: int
    blocks_left: int
    """Until open votes are cleared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What nodes say now."""

    epoch: Epoch | None
    wishes: tuple[frozenset[tuple[bytes, bool]], ...]
    """Of each node that answers: a subject, and whether it is to be admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVote:
    """One question that is not decided."""

    subject: Party
    add: bool
    voters: tuple[Party, ...]
    """Whose votes stand in blocks of this epoch."""
    wishing_nodes: int
    """Of those that answer: they vote for it in the blocks that they propose."""


def tally(
    votes: Iterable[VoteRow], changes: Iterable[SetChangeRow], members: Iterable[Party], told: Told
) -> tuple[OpenVote, ...]:
    """Return what is open: the questions with the most votes first.

    Args:
        votes: Those of this epoch.
        changes: Of the set, since the epoch began.
        members: Today's set.
        told: By the nodes.
    """
    members = tuple(members)
    in_set = {member.address for member in members}
    changed = {change.validator.address: change.number for change in changes}
    subjects = {member.address: member for member in members}
    voters: dict[tuple[bytes, bool], dict[bytes, Party]] = {}
    for vote in sorted(votes, key=lambda vote: vote.number):
        subject, voter = vote.subject.address, vote.voter.address
        # The change of a vote in block n is the set of block n + 1.
        is_cleared = any(changed.get(address, 0) > vote.number for address in (subject, voter))
        if is_cleared or voter not in in_set:
            continue
        subjects[subject] = vote.subject
        # Who votes the other way has changed its mind.
        voters.get((subject, not vote.add), {}).pop(voter, None)
        voters.setdefault((subject, vote.add), {})[voter] = vote.voter
    wished: dict[tuple[bytes, bool], int] = {}
    for wishes in told.wishes:
        for subject, add in wishes:
            # A node keeps its wish, which is met.
            if (subject in in_set) != add:
                wished[subject, add] = wished.get((subject, add), 0) + 1
    found = [
        OpenVote(
            subject=subjects.get(subject) or Party(address=subject, is_contract=False, name=None),
            add=add,
            voters=tuple(voters.get((subject, add), {}).values()),
            wishing_nodes=wished.get((subject, add), 0),
        )
        for subject, add in voters.keys() | wished.keys()
        if voters.get((subject, add)) or wished.get((subject, add))
    ]
    return tuple(
        sorted(
            found, key=lambda vote: (-len(vote.voters), -vote.wishing_nodes, vote.subject.address, vote.add)
        )
    )


@dataclass(slots=True)
class BallotWatch:
    """Asks every node, at most once in three seconds. Owned by the event loop."""

    nodes: NodePool
    _found: Told = field(default_factory=lambda: Told(epoch=None, wishes=()), init=False)
    _at_s: float = field(default=-AGE_S, init=False)

    async def now(self) -> Told:
        """Return what nodes say now; of those that do not answer nothing."""
        now_s = time.monotonic()
        if now_s - self._at_s >= AGE_S:
            # Said first, so that those who come meanwhile take the last answer instead of asking too.
            self._at_s = now_s
            self._found = Told(epoch=await self._epoch(), wishes=await self._wishes())
        return self._found

    async def _epoch(self) -> Epoch | None:
        try:
            async with asyncio.timeout(LIVE_TIMEOUT_S):
                told = await self.nodes.call("ibft_getEpochInfo")
            return Epoch(
                number=decode_quantity(told["epoch"]),
                length=decode_quantity(told["epochLength"]),
                first_block=decode_quantity(told["firstBlock"]),
                blocks_left=decode_quantity(told["blocksLeft"]),
            )
        except (TimeoutError, MetanodeError, KeyError, TypeError):
            return None

    async def _wishes(self) -> tuple[frozenset[tuple[bytes, bool]], ...]:
        answers = await self.nodes.each("ibft_getPendingVotes", within_s=LIVE_TIMEOUT_S)
        return tuple(wishes for answer in answers if (wishes := _read_wishes(answer)) is not None)


def _read_wishes(answer: Any) -> frozenset[tuple[bytes, bool]] | None:
    """The wishes of one node; None of what is no answer."""
    if not isinstance(answer, dict):
        return None
    try:
        return frozenset(
            (parse_address(subject), add is True) for subject, add in list(answer.items())[:WISHES_MAX]
        )
    except (InvalidEncoding, MetanodeError, TypeError):
        return None
