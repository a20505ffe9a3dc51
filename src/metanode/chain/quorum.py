"""How much weight decides, for both kinds of network, once.

Proof of authority counts equal validators: a quorum is 3w >= 2T. Proof of stake counts stake and takes the strict form: 3w > 2T. With at
most `faulty_max` of the weight lying, two quorums always share an honest validator (the test states it for every total). Sources:
docs/spec/chain.md, Quorums; go-ethereum's and Quorum's older 2F + 1 is unsafe for totals other than 3F + 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a set of validators survives in the worst case, when the heaviest ones fail."""

    crashes: int
    """Validators that may stop while blocks go on."""
    liars: int
    """Validators that may do anything while blocks go on and no fork is possible."""

    def __str__(self) -> str:
        return f"tolerates {self.crashes} crash{'' if self.crashes == 1 else 'es'}, {self.liars} liar{'' if self.liars == 1 else 's'}"


class QuorumRule(Enum):
    """The two rules, by the name that genesis files use."""

    AUTHORITY = "authority"
    STAKE = "stake"

    def is_quorum(self, weight: int, total: int) -> bool:
        """Tell whether this weight of distinct signers decides."""
        return 3 * weight >= 2 * total if self is QuorumRule.AUTHORITY else 3 * weight > 2 * total

    def has_honest(self, weight: int, total: int) -> bool:
        """Tell whether at least one of these signers must be honest: the paper's F + 1."""
        return 3 * weight >= total if self is QuorumRule.AUTHORITY else 3 * weight > total

    def quorum_weight(self, total: int) -> int:
        """Return the least weight that is a quorum."""
        return (2 * total + 2) // 3 if self is QuorumRule.AUTHORITY else 2 * total // 3 + 1

    def honest_weight(self, total: int) -> int:
        """Return the least weight among which somebody is honest."""
        return (total + 2) // 3 if self is QuorumRule.AUTHORITY else total // 3 + 1

    def faulty_max(self, total: int) -> int:
        """Return the most weight that may lie without endangering safety."""
        return self.honest_weight(total) - 1

    def tolerance(self, powers: Iterable[int]) -> Tolerance:
        """Return how many validators may fail, the heaviest first."""
        ordered = sorted(powers, reverse=True)
        total = sum(ordered)
        crashes = liars = failed = 0
        for power in ordered:
            failed += power
            if not self.is_quorum(total - failed, total):
                break
            crashes += 1
            if not self.has_honest(failed, total):
                liars += 1
        return Tolerance(crashes=crashes, liars=liars)
