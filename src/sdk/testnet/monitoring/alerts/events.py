"""What has happened between two looks: members that came and went, nodes that were started again or with other settings, round numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdk.testnet.monitoring import thresholds
from sdk.testnet.monitoring.alerts.catalogue import INFO
from sdk.testnet.monitoring.alerts.conditions import Condition
from sdk.testnet.monitoring.memory import transactions_of
from sdk.testnet.monitoring.settings import published_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.monitoring.view import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts of the whole chain, as whoever indexes it knows them."""

    transactions: int | None = None
    addresses: int | None = None


@dataclass(slots=True)
class Chronicle:
    """What the events are told from: the last look's members and counts."""

    _members: dict[str, str] | None = None
    """Names by address; None before the first look."""
    _powers: dict[str, int] = field(default_factory=dict)
    """Weights by address, of the same look."""
    _passed: dict[str, int] = field(default_factory=dict)
    """By what is counted the milestones that are behind."""
    _settings: dict[str, dict[str, str]] = field(default_factory=dict)
    """By node what its page said last of how it was started."""
    _genesis: str | None = None
    _height: int = 0

    def events(self, picture: Picture, totals: Totals) -> Iterator[Condition]:
        """What has happened since the look before."""
        if picture.scene.genesis_hash != self._genesis:
            self._genesis = picture.scene.genesis_hash
            self._members, self._height = None, 0
            self._passed.clear()
        yield from self._set(picture)
        yield from self._starts(picture)
        yield from self._changes(picture)
        transactions = totals.transactions
        if transactions is None:
            transactions = transactions_of(picture.observation.pages)
        yield from self._milestone(picture, "blocks", picture.view.height, thresholds.MILESTONE_BLOCKS)
        yield from self._milestone(picture, "transactions", transactions, thresholds.MILESTONE_TRANSACTIONS)
        if totals.addresses is not None:
            yield from self._milestone(picture, "addresses", totals.addresses, thresholds.MILESTONE_ADDRESSES)

    def _set(self, picture: Picture) -> Iterator[Condition]:
        members = {member.address: picture.scene.name(member.address) for member in picture.scene.members}
        # When the others are gone, a node that is behind tells an old set.
        if not members or picture.reference.height < self._height:
            return
        self._height = picture.reference.height
        before, self._members = self._members, members
        weights, self._powers = (
            self._powers,
            {member.address: member.power for member in picture.scene.members},
        )
        if before is None:
            return
        if weights != self._powers:
            yield Condition(
                name="ValidatorSetChanged",
                subject=picture.reference.network,
                severity=INFO,
                text=f"{len(members)} validators with a weight of {sum(self._powers.values())} vote from height "
                f"{picture.reference.height} on; before, {len(before)} with {sum(weights.values())}",
            )
        for address in members.keys() - before.keys():
            yield Condition(
                name="ValidatorJoined",
                subject=members[address],
                severity=INFO,
                text=f"{members[address]} votes from height {picture.reference.height} on: {len(members)} validators",
            )
        for address in before.keys() - members.keys():
            yield Condition(
                name="ValidatorLeft",
                subject=before[address],
                severity=INFO,
                text=f"{before[address]} votes no longer from height {picture.reference.height} on: {len(members)} validators",
            )

    def _starts(self, picture: Picture) -> Iterator[Condition]:
        for name, starts in picture.memory.restarts.items():
            seen_s = picture.observation.at_s
            if starts and starts[-1] == seen_s:
                yield Condition(
                    name="NodeRestarted", subject=name, severity=INFO, text=f"{name} was started again"
                )

    def _changes(self, picture: Picture) -> Iterator[Condition]:
        for name, page in picture.observation.pages.items():
            settings = published_settings(page)
            before = self._settings.get(name, {})
            self._settings[name] = before | settings
            different = [
                f"{what} {before[what]} → {value}"
                for what, value in settings.items()
                if before.get(what, value) != value
            ]
            if different:
                yield Condition(
                    name="ConfigChanged",
                    subject=name,
                    severity=INFO,
                    text=f"{name} runs with other settings: {', '.join(different)}",
                )

    def _milestone(self, picture: Picture, what: str, count: int, step: int) -> Iterator[Condition]:
        passed = count // step
        before = self._passed.get(what)
        self._passed[what] = max(passed, before or 0)
        # What was behind when the monitor began is no news.
        if before is not None and passed > before:
            yield Condition(
                name="Milestone",
                subject=what,
                severity=INFO,
                text=f"{picture.reference.network} has passed {passed * step:,} {what}",
            )
