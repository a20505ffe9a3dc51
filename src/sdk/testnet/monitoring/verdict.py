"""The verdict: one word for the whole network, the first that holds. Pure.

Whether a validator takes part is told by the messages that it has signed, as the doctor judges them (`diagnosis.scene`); never by its seals,
of which a certificate holds a quorum only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from sdk.testnet.diagnosis.findings import lasting, listed
from sdk.testnet.monitoring import thresholds

if TYPE_CHECKING:
    from sdk.testnet.monitoring.thresholds import Thresholds

INTERVALS_MIN: Final = 20
"""Of fewer blocks a single late one is more than five in a hundred."""


class Verdict(Enum):
    """What a glance should tell."""

    UNKNOWN = "UNKNOWN"
    """Nobody has answered lately: never green."""
    STARTING = "STARTING"
    """The nodes have just been started: nobody has to do anything."""
    HALTED = "HALTED"
    NO_QUORUM = "NO QUORUM"
    DEGRADED = "DEGRADED"
    """It works, and one more failure may stop it; or a height takes several rounds; or nodes do not agree."""
    SLOW = "SLOW"
    HEALTHY = "HEALTHY"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """What the verdict goes by."""

    height: int
    """Number of the newest block."""
    head_age_s: float
    """Since it was decided."""
    round: int
    weight: int
    """Of the validators that take part."""
    quorum_weight: int
    total_weight: int
    spare: int
    """How many of those may fail, whichever they are."""
    online: int
    validators: int
    missing: tuple[str, ...] = ()
    """Who does not take part, by name."""
    reasons: tuple[str, ...] = ()
    """Why, for each of `missing`: for operators."""
    is_starting: bool = False
    disagreement: str | None = None
    """Which nodes are not of one chain."""
    interval_p95_s: float | None = None
    """95 of 100 blocks came within, in the last five minutes; None when they were too few."""

    @property
    def absent(self) -> list[str]:
        """Who does not take part, with the reason where one is known."""
        if not self.reasons:
            return list(self.missing)
        return [f"{name} ({reason})" for name, reason in zip(self.missing, self.reasons, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with its reason."""

    verdict: Verdict
    sentence: str
    public_sentence: str
    """The same without what happened to the nodes of who is missing."""


def judge(
    view: NetworkView | None, *, data_age_s: float, stale_after_s: float, limits: Thresholds
) -> Judgement:
    """The first that holds, for what was seen `data_age_s` ago."""
    verdict, sentence = _judge(view, data_age_s, stale_after_s, limits)
    public = replace(view, reasons=()) if view is not None else None
    return Judgement(
        verdict=verdict,
        sentence=sentence,
        public_sentence=_judge(public, data_age_s, stale_after_s, limits)[1],
    )


def _judge(
    view: NetworkView | None, data_age_s: float, stale_after_s: float, limits: Thresholds
) -> tuple[Verdict, str]:
    if view is None or data_age_s > stale_after_s:
        seen = (
            "no node has answered yet" if view is None else f"no node has answered for {lasting(data_age_s)}"
        )
        return Verdict.UNKNOWN, seen
    age_s = view.head_age_s + data_age_s
    missing = f"; missing: {listed(view.absent)}" if view.missing else ""
    together = f"{view.online} of {view.validators} validators take part"
    if view.is_starting and age_s <= limits.halted_s:
        return Verdict.STARTING, "the nodes have just been started, and will decide in a few seconds"
    if age_s > limits.halted_s:
        return (
            Verdict.HALTED,
            f"block {view.height} came {lasting(age_s)} ago, and none since; {together}{missing}",
        )
    if view.weight < view.quorum_weight:
        return (
            Verdict.NO_QUORUM,
            f"a weight of {view.weight} of {view.total_weight} takes part, and {view.quorum_weight} is needed{missing}",
        )
    if view.disagreement is not None:
        return Verdict.DEGRADED, view.disagreement
    if view.missing and view.spare == 0:
        return Verdict.DEGRADED, f"{together}, and none of them can be spared{missing}"
    if view.round >= thresholds.ROUND_RISING:
        return Verdict.DEGRADED, f"height {view.height + 1} is in round {view.round}{missing}"
    if view.interval_p95_s is not None and view.interval_p95_s > limits.slow_s:
        return (
            Verdict.SLOW,
            f"5 of 100 blocks take {lasting(view.interval_p95_s)} or more; the time between blocks is {limits.block_time_s:g} s",
        )
    spare = f"can lose {view.spare}" if view.spare else "can lose none"
    return Verdict.HEALTHY, f"block {view.height} came {lasting(age_s)} ago; {together}, {spare}{missing}"


def spare_validators(powers: list[int], quorum_weight: int) -> int:
    """How many validators may fail, the heaviest first, until the rest is no quorum."""
    left, count = sum(powers), 0
    for power in sorted(powers, reverse=True):
        left -= power
        if left < quorum_weight:
            break
        count += 1
    return count


def percentile(values: list[float], share: float) -> float | None:
    """The value that this share of the values does not exceed; None of too few."""
    if len(values) < INTERVALS_MIN:
        return None
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]
