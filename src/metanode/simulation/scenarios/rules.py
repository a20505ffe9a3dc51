"""Which rule a seed is played under: votes of equal weight, or stakes. Every second seed is under stakes.

Powers then differ, and are so alike that F of N may fail as with equal votes (`metanode.simulation.powers`); what powers may differ more is
in the scenarios that draw their own.
"""

from typing import Final

from metanode.chain.quorum import QuorumRule
from metanode.simulation.scenarios.story import LONG_EVERY

BY_VOTES: Final = (
    "its members come and go by votes of validators, which have no meaning where stakes name the set"
)
OWN_STAKES: Final = "it draws stakes of its own"
UNDER_ONE_RULE: Final[dict[str, tuple[QuorumRule, str]]] = {
    "changing-minds": (QuorumRule.AUTHORITY, BY_VOTES),
    "dead-at-set-changes": (QuorumRule.AUTHORITY, BY_VOTES),
    "silencing-at-set-changes": (QuorumRule.AUTHORITY, BY_VOTES),
    "vote-in-and-out": (QuorumRule.AUTHORITY, BY_VOTES),
    "dead-stakes": (QuorumRule.STAKE, OWN_STAKES),
    "epoch-changes": (QuorumRule.STAKE, OWN_STAKES),
    "liar-of-a-third": (QuorumRule.STAKE, OWN_STAKES),
    "silencing-with-stakes": (QuorumRule.STAKE, OWN_STAKES),
    "weights": (QuorumRule.STAKE, OWN_STAKES),
}
"""Scenarios that are not played under both rules: which one they have, and why."""


def rule_of(scenario: str, seed: int) -> QuorumRule:
    """Return the rule of a seed; long variants, too, have both in turn."""
    if scenario in UNDER_ONE_RULE:
        return UNDER_ONE_RULE[scenario][0]
    return QuorumRule.STAKE if (seed + seed // LONG_EVERY) % 2 == 0 else QuorumRule.AUTHORITY
