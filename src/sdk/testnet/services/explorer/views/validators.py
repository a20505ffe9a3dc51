"""What only a BFT chain has: validators, rounds that were needed, votes on who validates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from metanode.chain.quorum import QuorumRule
from metanode.crypto.addresses import format_address
from sdk.testnet.services.explorer.ballot import Epoch, OpenVote, tally
from sdk.testnet.services.explorer.reading import (
    NEWEST,
    AsOf,
    address_in,
    first_url,
    next_url,
    place_of,
    slice_of,
)
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.explorer.views.home import extras
from sdk.testnet.services.queries import FIRST, Slice
from sdk.testnet.services.queries.blocks import BlockRow, list_blocks, recent_blocks, timestamps_of
from sdk.testnet.services.queries.consensus import (
    SetChangeRow,
    SkipRow,
    VoteRow,
    current_members,
    list_set_changes,
    list_skips,
    list_votes,
    seals_of,
    set_changes_since,
    skips_among,
    skips_of,
    votes_since,
)
from sdk.testnet.services.queries.statistics import IndexStatus, Totals, index_status, totals
from sdk.testnet.services.queries.validators import ValidatorRow, get_validator, list_validators
from sdk.testnet.services.web.formatting import natural_key
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.explorer.standing import Member, Standing
    from sdk.testnet.services.explorer.watching import WatchedMember
    from sdk.testnet.services.queries import Page

STRIP_BLOCKS: Final = 120
"""Four minutes of blocks; as many as the dashboard's strip. Each is 250 bytes of a page that has 60 KB."""
SKIPS_SHOWN: Final = 3
"""Failed rounds in the row of a late block; its own page has all."""
MEMBERS_SHOWN: Final = 30
"""Rows of a page: each is up to 1.5 kB, and a page has 60. The twins have all."""
FORMER_SHOWN: Final = 10
"""Of those who have left, the last ones to do something."""
TIMELINE_BLOCKS: Final = 120
"""Of one validator."""

_Late: TypeAlias = "tuple[Page[BlockRow], dict[int, tuple[SkipRow, ...]], dict[int, int]]"
"""Late blocks, the rounds that failed by block, and the times of the blocks before by their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """All validators, of today and of the past."""

    as_of: AsOf
    standing: Standing | None
    quorum: int
    can_lose: int
    can_lie: int
    watched: Mapping[bytes, WatchedMember]
    """By address what the monitor knows beside."""
    items: tuple[ValidatorRow, ...]

    @property
    def members(self) -> tuple[ValidatorRow, ...]:
        """Those in the set."""
        return tuple(item for item in self.items if item.is_member)

    @property
    def former(self) -> tuple[ValidatorRow, ...]:
        """Those that have left it, the latest first."""
        left = (item for item in self.items if not item.is_member)
        return tuple(sorted(left, key=lambda item: -item.last_active))

    def member(self, address: bytes) -> Member | None:
        """What a node hears of one."""
        return None if self.standing is None else self.standing.members.get(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One block from the view of one validator."""

    number: int
    timestamp: int
    is_proposer: bool
    has_sealed: bool
    """Its seal is in the certificate; that it is not says nothing against it."""
    has_missed: bool
    """A round of this block was its turn, and did not decide."""
    is_canonical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """One validator."""

    as_of: AsOf
    validator: ValidatorRow
    member: Member | None
    expected_share: float | None
    """Of certificates with its seal, were all alike: quorum / validators."""
    timeline: tuple[Turn, ...]
    """Oldest first."""
    blocks: tuple[BlockRow, ...]
    missed: tuple[SkipRow, ...]
    votes: tuple[VoteRow, ...]
    votes_on: tuple[VoteRow, ...]
    changes: tuple[SetChangeRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LateBlock:
    """A block that was decided after round 0."""

    block: BlockRow
    skips: tuple[SkipRow, ...]
    lost_s: int | None
    """Seconds that it came later than a block of round 0 would have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How many rounds decisions took."""

    as_of: AsOf
    standing: Standing | None
    totals: Totals
    strip: tuple[BlockRow, ...]
    items: tuple[LateBlock, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """Votes on membership, and what came of them."""

    as_of: AsOf
    epoch: Epoch | None
    """None while no node tells, and where votes have none."""
    needed: int
    """Votes that change the set: more than half of it."""
    nodes: int
    """How many told what they wish."""
    open: tuple[OpenVote, ...]
    """Questions that are not decided."""
    items: tuple[VoteRow, ...]
    next: str | None
    changes: tuple[SetChangeRow, ...]


def validator_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""
    reading = parts.reading

    async def validators(request: Request) -> View:
        status, found = await reading.look(
            lambda connection: (index_status(connection), list_validators(connection))
        )
        count = sum(row.is_member for row in found)
        tolerance = QuorumRule.AUTHORITY.tolerance([1] * count)
        model = Validators(
            as_of=await reading.as_of(status),
            standing=await parts.standing.now(),
            watched=parts.members.now(),
            quorum=QuorumRule.AUTHORITY.quorum_weight(count),
            can_lose=tolerance.crashes,
            can_lie=tolerance.liars,
            items=tuple(sorted(found, key=lambda row: natural_key(row.account.name or "\U0010ffff"))),
        )
        begin = place_of(request, count)
        end = begin + MEMBERS_SHOWN
        extra = {
            "shown": model.members[begin:end],
            "former": model.former[:FORMER_SHOWN],
            "next_url": next_url(request, str(end) if end < count else None),
            "first_url": first_url(request),
        }
        return View(template="validators.html", model=model, section="validators", extra=extra | extras())

    async def validator(request: Request) -> View:
        wanted = address_in(request.path_params["address"])
        first = Slice(limit=10)

        def ask(connection):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - a tuple of eight
            found = get_validator(connection, wanted)
            recent = recent_blocks(connection, TIMELINE_BLOCKS)
            low, high = (recent[0].number, recent[-1].number) if recent else (0, 0)
            return (
                found,
                recent,
                seals_of(connection, low, high),
                skips_of(connection, low, high),
                list_blocks(connection, first, proposer=wanted).items,
                list_skips(connection, first, validator=wanted).items,
                list_votes(connection, first, voter=wanted).items,
                list_votes(connection, first, subject=wanted).items,
                list_set_changes(connection, first, validator=wanted).items,
            )

        found, recent, seals, skips, blocks, missed, votes, votes_on, changes = await reading.look(ask)
        if found is None:
            raise NotFound(
                f"{format_address(wanted)} never was a validator.",
                "Its page as an account may say what it is.",
            )
        standing = await parts.standing.now()
        model = Validator(
            as_of=await reading.now(),
            validator=found,
            member=None if standing is None else standing.members.get(wanted),
            expected_share=_expected_share(recent),
            timeline=tuple(
                Turn(
                    number=block.number,
                    timestamp=block.timestamp,
                    is_proposer=block.proposer is not None and block.proposer.address == wanted,
                    has_sealed=any(seal.validator.address == wanted for seal in seals.get(block.number, ())),
                    has_missed=any(
                        skip.number == block.number and skip.validator.address == wanted for skip in skips
                    ),
                    is_canonical=block.is_canonical,
                )
                for block in recent
                if block.number > 0
            ),
            blocks=blocks,
            missed=missed,
            votes=votes,
            votes_on=votes_on,
            changes=changes,
        )
        return View(template="validator.html", model=model, section="validators", extra=extras())

    async def rounds(request: Request) -> View:
        which = slice_of(request)

        def ask(connection: Connection) -> tuple[IndexStatus | None, Totals, tuple[BlockRow, ...], _Late]:
            status, kept = index_status(connection), reading.of_head
            return (
                status,
                totals(connection),
                kept.get("rounds: strip", status, lambda: recent_blocks(connection, STRIP_BLOCKS)),
                kept.get("rounds: late", status, lambda: _late(connection, which))
                if which == NEWEST
                else _late(connection, which),
            )

        status, counts, strip, (page, skips, before) = await reading.look(ask)
        standing = await parts.standing.now()
        period_s = None if standing is None else standing.period_s
        model = Rounds(
            as_of=await reading.as_of(status),
            standing=standing,
            totals=counts,
            strip=strip,
            items=tuple(
                LateBlock(
                    block=block,
                    skips=skips.get(block.number, ()),
                    lost_s=_lost_s(block, before.get(block.number - 1), period_s),
                )
                for block in page.items
            ),
            next=page.next_cursor,
        )
        extra = {
            "next_url": next_url(request, page.next_cursor),
            "first_url": first_url(request),
            "skips_shown": SKIPS_SHOWN,
        }
        return View(template="rounds.html", model=model, section="rounds", extra=extra | extras())

    async def votes(request: Request) -> View:
        which = slice_of(request)
        told = await parts.ballot.now()
        began = 0 if told.epoch is None else told.epoch.first_block
        status, page, changes, members, cast, changed = await reading.look(
            lambda connection: (
                index_status(connection),
                list_votes(connection, which),
                list_set_changes(connection, FIRST).items,
                current_members(connection),
                # Without a node nobody knows where the epoch began, and which votes were cleared.
                votes_since(connection, began) if told.epoch is not None else (),
                set_changes_since(connection, began),
            )
        )
        model = Votes(
            as_of=await reading.as_of(status),
            epoch=told.epoch,
            needed=len(members) // 2 + 1,
            nodes=len(told.wishes),
            open=tally(cast, changed, members, told),
            items=page.items,
            next=page.next_cursor,
            changes=changes,
        )
        extra = {"next_url": next_url(request, page.next_cursor), "first_url": first_url(request)}
        return View(template="votes.html", model=model, section="validators", extra=extra)

    return {
        "/validators": validators,
        "/validator/{address}": validator,
        "/rounds": rounds,
        "/votes": votes,
    }


def _expected_share(recent: tuple[BlockRow, ...]) -> float | None:
    count = recent[-1].validators_count if recent else 0
    return QuorumRule.AUTHORITY.quorum_weight(count) / count if count else None


def _late(connection: Connection, which: Slice) -> _Late:
    page = list_blocks(connection, which, late_only=True)
    numbers = [block.number for block in page.items]
    skips: dict[int, list[SkipRow]] = {}
    for skip in skips_among(connection, numbers):
        skips.setdefault(skip.number, []).append(skip)
    return (
        page,
        {number: tuple(found) for number, found in skips.items()},
        timestamps_of(connection, [number - 1 for number in numbers]),
    )


def _lost_s(block: BlockRow, before: int | None, period_s: int | None) -> int | None:
    """How much later than its slot a block came."""
    if before is None or period_s is None or block.number < 2:
        return None
    return max(0, block.timestamp - before - period_s)
