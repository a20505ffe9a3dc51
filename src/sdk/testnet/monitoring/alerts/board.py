"""Which alerts fire: conditions that have held long enough, until they hold no more. And the feed of what has happened."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sdk.testnet.monitoring.alerts.catalogue import BY_NAME, RUNBOOK, AlertSeverity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sdk.testnet.monitoring.alerts.conditions import Condition

FEED_MAX: Final = 500
"""What a person scrolls through after a night."""
ALERTS_MAX: Final = 2_000
"""A network of 200 nodes where everything is wrong with each of them."""
GONE_AFTER_S: Final = 10.0
"""A condition that comes and goes within is one alert, not many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that somebody is told."""

    name: str
    subject: str
    severity: AlertSeverity
    text: str
    impact: str
    runbook_url: str
    since: float
    """Seconds since the Unix epoch when it began to hold."""
    resolved_at: float | None = None
    is_event: bool = False
    """Whether it has happened, rather than holds: such as a validator that has joined. It never resolves."""

    def to_dict(self) -> dict[str, Any]:
        """Its fields as JSON has them."""
        return {
            "name": self.name,
            "subject": self.subject,
            "severity": self.severity.value,
            "text": self.text,
            "impact": self.impact,
            "runbook_url": self.runbook_url,
            "since": self.since,
            "resolved_at": self.resolved_at,
            "is_event": self.is_event,
        }


@dataclass(slots=True)
class _Held:
    """A condition since it was first seen."""

    condition: Condition
    since_s: float
    since: float
    last_s: float
    fired: Alert | None = None


class Board:
    """The alerts of one monitor.

    Args:
        hold_s: How long a condition has to hold before it fires, by name and severity; at once where none is given.
        runbook: Where the guide of alerts is served.
        gone_after_s: How long a condition has to be gone before its alert ends.
    """

    def __init__(
        self,
        hold_s: Mapping[tuple[str, AlertSeverity], float],
        *,
        runbook: str = RUNBOOK,
        gone_after_s: float = GONE_AFTER_S,
    ) -> None:
        self._hold_s = dict(hold_s)
        self._gone_after_s = gone_after_s
        self._runbook = runbook
        self._held: dict[tuple[str, str], _Held] = {}
        self.feed: deque[Alert] = deque(maxlen=FEED_MAX)

    @property
    def active(self) -> list[Alert]:
        """What fires now, the gravest first, then the oldest."""
        order = list(AlertSeverity)
        fired = [held.fired for held in self._held.values() if held.fired is not None]
        return sorted(
            fired, key=lambda alert: (order.index(alert.severity), alert.since, alert.name, alert.subject)
        )

    def update(
        self, found: Iterable[Condition], *, at_s: float, now: float, is_blind: bool = False
    ) -> list[Alert]:
        """Take in everything that holds now; returns what has begun to fire, changed its severity or ended.

        `is_blind` says that nobody knows what else holds: then nothing ends.
        """
        told: list[Alert] = []
        holding = set()
        for condition in found:
            key = (condition.name, condition.subject)
            holding.add(key)
            held = self._held.get(key)
            if held is None:
                if len(self._held) >= ALERTS_MAX:
                    continue
                held = self._held[key] = _Held(condition, at_s, now, at_s)
            held.condition, held.last_s = condition, at_s
            if at_s - held.since_s < self._hold_s.get((condition.name, condition.severity), 0.0):
                continue
            before = held.fired
            if before is None:
                held.fired = self._alert(condition, held.since)
                told.append(held.fired)
            elif (before.severity, before.text) != (condition.severity, condition.text):
                held.fired = replace(before, severity=condition.severity, text=condition.text)
                if before.severity is not condition.severity:
                    told.append(held.fired)
        for key, held in [] if is_blind else list(self._held.items()):
            if key in holding:
                continue
            if held.fired is None:
                del self._held[key]
            elif at_s - held.last_s >= self._gone_after_s:
                del self._held[key]
                told.append(replace(held.fired, resolved_at=now))
        self.feed.extend(told)
        return told

    def happened(self, condition: Condition, *, now: float) -> Alert:
        """Note what has happened once, and does not hold."""
        alert = replace(self._alert(condition, now), is_event=True)
        self.feed.append(alert)
        return alert

    def _alert(self, condition: Condition, since: float) -> Alert:
        kind = BY_NAME[condition.name]
        return Alert(
            name=condition.name,
            subject=condition.subject,
            severity=condition.severity,
            text=condition.text,
            impact=kind.impact,
            runbook_url=kind.runbook_url(self._runbook),
            since=since,
        )
